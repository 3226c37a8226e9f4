//! Figures, goals, verdicts.
//!
//! In: what each round measured, and what stood beside it in the same round. Out: a line of the table. A ratio is the median
//! of the rounds' ratios, not the ratio of medians: a round that the machine slowed down slowed both down. A bound on what may
//! be used or lost is judged by the largest round: it holds always or not at all. Never happens: a verdict better than the
//! figure; a row that could not be measured and leaves no line.

use serde::{Deserialize, Serialize};

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing: it is told.
    Told,
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self {
            Goal::AtMost(bound) => value <= bound,
            Goal::AtLeast(bound) => value >= bound,
            Goal::Told => true,
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// The row that has measured it, the day and the commit; whoever runs the row says so.
    #[serde(default)]
    pub row: String,
    #[serde(default)]
    pub date: String,
    #[serde(default)]
    pub commit: String,
    /// The goal's name, one of [`crate::rows::GOALS`].
    pub goal_name: String,
    /// Which of its cases, such as a size.
    pub case: String,
    pub goal: Goal,
    /// What is judged, or its median, with its unit; of several rounds that are no ratios, the least and the most, too.
    pub measured: String,
    /// What stood beside it: median, unit, name. Empty where the goal is no ratio.
    pub beside: String,
    /// What the goal is about, by round.
    pub values: Vec<f64>,
    pub is_ratio: bool,
    /// Judged by the largest round, and not by the median.
    #[serde(default)]
    pub by_largest: bool,
    /// Another way in which the goal is met, or a reason why it is not, in words.
    pub note: String,
    /// What `note` decides.
    pub decided: Option<bool>,
    /// Why there is no figure.
    #[serde(default)]
    pub failure: Option<String>,
}

impl Figure {
    /// A ratio: (measured, beside) of each round.
    pub fn ratio(name: &str, case: &str, goal: Goal, unit: &str, pairs: &[(f64, f64)], beside: &str) -> Figure {
        let measured = median(pairs.iter().map(|(measured, _)| *measured));
        let other = median(pairs.iter().map(|(_, beside)| *beside));
        Figure {
            measured: with_unit(measured, unit),
            beside: format!("{}: {beside}", with_unit(other, unit)),
            values: pairs.iter().map(|(measured, beside)| measured / beside).collect(),
            is_ratio: true,
            ..Figure::empty(name, case, goal)
        }
    }

    /// Without anything measured yet.
    fn empty(name: &str, case: &str, goal: Goal) -> Figure {
        Figure {
            row: String::new(),
            date: String::new(),
            commit: String::new(),
            goal_name: name.to_owned(),
            case: case.to_owned(),
            goal,
            measured: String::new(),
            beside: String::new(),
            values: Vec::new(),
            is_ratio: false,
            by_largest: false,
            note: String::new(),
            decided: None,
            failure: None,
        }
    }

    /// A figure that has its goal in itself.
    pub fn plain(name: &str, case: &str, goal: Goal, unit: &str, values: &[f64]) -> Figure {
        Figure::of_values(unit, Figure { values: values.to_vec(), ..Figure::empty(name, case, goal) })
    }

    /// The same, judged by the largest round.
    pub fn bound(name: &str, case: &str, goal: Goal, unit: &str, values: &[f64]) -> Figure {
        let empty = Figure { by_largest: true, ..Figure::empty(name, case, goal) };
        Figure::of_values(unit, Figure { values: values.to_vec(), ..empty })
    }

    fn of_values(unit: &str, figure: Figure) -> Figure {
        let measured = format!("{}{}", with_unit(figure.value(), unit), figure.range());
        Figure { measured, ..figure }
    }

    /// What could not be measured, and why; it stands in the place of an older figure and is no better than a bad one.
    pub fn failed(name: &str, case: &str, story: &str) -> Figure {
        let story = story.replace(['\n', '\r'], " ").replace('|', "/");
        Figure { failure: Some(story), ..Figure::empty(name, case, Goal::Told) }
    }

    /// A ratio that is judged by the largest round.
    pub fn by_largest(self) -> Figure {
        Figure { by_largest: true, ..self }
    }

    /// Adds words that decide nothing.
    pub fn noted(self, note: impl Into<String>) -> Figure {
        Figure { note: note.into(), ..self }
    }

    /// Adds words that decide.
    pub fn decided(self, holds: bool, note: impl Into<String>) -> Figure {
        Figure { note: note.into(), decided: Some(holds), ..self }
    }

    /// Median over the rounds, or the largest.
    pub fn value(&self) -> f64 {
        match self.by_largest {
            true => self.values.iter().copied().fold(f64::NAN, f64::max),
            false => median(self.values.iter().copied()),
        }
    }

    pub fn holds(&self) -> bool {
        self.failure.is_none() && self.decided.unwrap_or_else(|| self.goal.holds(self.value()))
    }

    /// Has a verdict and is not told alone.
    pub fn is_judged(&self) -> bool {
        self.goal != Goal::Told || self.decided.is_some() || self.failure.is_some()
    }

    /// As the table has it.
    pub fn verdict(&self) -> &'static str {
        match self.holds() {
            _ if self.failure.is_some() => "**failed**",
            _ if !self.is_judged() => "told",
            true => "holds",
            false => "**falls short**",
        }
    }

    /// The ratio with what the rounds were; empty where there is none.
    pub fn ratio_text(&self) -> String {
        if self.is_ratio { format!("{} ×{}", significant(self.value()), self.range()) } else { String::new() }
    }

    /// ` (least to most)` of several rounds.
    fn range(&self) -> String {
        let least = self.values.iter().copied().fold(f64::NAN, f64::min);
        let most = self.values.iter().copied().fold(f64::NAN, f64::max);
        match self.values.len() {
            0 | 1 => String::new(),
            _ => format!(" ({} to {})", significant(least), significant(most)),
        }
    }
}

/// The middle one; of an even number the mean of the two.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// Three digits that count.
pub fn significant(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => grouped(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number with a comma between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    format!("{sign}{}", groups.join(","))
}

fn with_unit(value: f64, unit: &str) -> String {
    format!("{} {unit}", significant(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_ratios() {
        let pairs = [(10.0, 10.0), (40.0, 20.0), (30.0, 10.0)];
        let figure = Figure::ratio("cpu", "", Goal::AtMost(2.0), "µs", &pairs, "a peer");
        assert_eq!((figure.value(), figure.holds()), (2.0, true));
        assert_eq!(figure.ratio_text(), "2.00 × (1.00 to 3.00)");
        assert_eq!((figure.measured.as_str(), figure.beside.as_str()), ("30.0 µs", "10.0 µs: a peer"));
    }

    #[test]
    fn a_note_can_decide_and_what_falls_short_says_so() {
        let short = Figure::plain("memory", "", Goal::AtMost(64.0), "MiB", &[70.0, 65.0]);
        assert_eq!(short.verdict(), "**falls short**");
        assert_eq!(short.clone().noted("why").verdict(), "**falls short**");
        assert_eq!(short.decided(true, "the disk is full").verdict(), "holds");
        assert_eq!(Figure::plain("x", "", Goal::Told, "", &[1.0]).verdict(), "told");
    }

    #[test]
    fn a_bound_is_judged_by_the_largest_round() {
        let rounds = [60.0, 61.0, 70.0];
        let plain = Figure::plain("memory", "", Goal::AtMost(64.0), "MiB", &rounds);
        let bound = Figure::bound("memory", "", Goal::AtMost(64.0), "MiB", &rounds);
        assert_eq!((plain.holds(), plain.measured.as_str()), (true, "61.0 MiB (60.0 to 70.0)"));
        assert_eq!((bound.holds(), bound.measured.as_str()), (false, "70.0 MiB (60.0 to 70.0)"));
        let ratio = Figure::ratio("memory", "", Goal::AtMost(1.1), "MiB", &[(10.0, 10.0), (12.0, 10.0)], "none");
        assert_eq!((ratio.holds(), ratio.by_largest().holds()), (true, false));
    }

    #[test]
    fn what_was_not_measured_never_holds() {
        let failed = Figure::failed("burst", "mix", "it said:\na | b");
        assert_eq!((failed.verdict(), failed.holds(), failed.is_judged()), ("**failed**", false, true));
        assert_eq!(failed.failure.as_deref(), Some("it said: a / b"));
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let texts = [1_234_567.0, 123.4, 12.34, 1.234, 0.01234, 0.0].map(significant);
        assert_eq!(texts, ["1,234,567", "123", "12.3", "1.23", "0.012", "0"]);
        assert!(median([].into_iter()).is_nan() && median([1.0, 3.0].into_iter()) == 2.0);
    }
}
