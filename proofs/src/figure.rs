//! What a proof is asked to do, and what it says it has done.

use std::fmt;
use std::time::{Duration, Instant};

/// How much is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What each commit gets: a fixed number of tries.
    Commit,
    /// As many tries as fit; at least one, and the one at hand is finished.
    For(Duration),
}

/// What a proof is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub effort: Effort,
    /// The first seed, or the one case to repeat where [`Order::only`] is set. Each proof has a default of its own.
    pub seed: Option<u64>,
    /// One case alone, told step by step.
    pub only: bool,
}

impl Order {
    /// The per-commit size.
    pub const COMMIT: Order = Order { effort: Effort::Commit, seed: None, only: false };

    /// Whether to go on after `done` tries since `began`, with `per_commit` tries for a commit.
    pub fn goes_on(&self, began: Instant, done: u64, per_commit: u64) -> bool {
        match self.effort {
            Effort::Commit => done < per_commit,
            Effort::For(time) => done == 0 || began.elapsed() < time,
        }
    }
}

/// What a proof does with a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// It always does the same.
    None,
    /// It begins with one; what it found is repeated otherwise.
    First,
    /// A seed names a case, which can be repeated alone.
    Case,
}

/// One proof's name, claim and code.
pub struct Proof {
    /// One word, typed on the command line.
    pub name: &'static str,
    /// What holds where it finds nothing; a sentence without a full stop.
    pub claim: &'static str,
    /// Part of the README's test command: needs no root and no tool that the tests do not have.
    pub is_in_test_command: bool,
    pub seeds: Seeds,
    /// `Err` tells what was lost, or what is missing on this machine, and the command that repeats it.
    pub run: fn(&Order) -> Result<Figure, String>,
}

/// What a proof has done without finding anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    pub count: u64,
    /// What was counted, plural: `recoveries`.
    pub unit: &'static str,
    /// What there was none of: `lost`, `crashes`, `survivors`.
    pub none: &'static str,
    /// Further figures, for the same line; may be empty.
    pub more: String,
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figure { count, unit, none, more } = self;
        write!(formatter, "{} {unit}, 0 {none}", grouped(*count))?;
        if more.is_empty() { Ok(()) } else { write!(formatter, " ({more})") }
    }
}

/// The command that repeats one case. It builds bridge and proofs first, which `cargo run -p proofs` would not.
pub fn repeat(proof: &str, seed: u64) -> String {
    repeat_with("", proof, seed)
}

/// As [`repeat`], with variables (`CUT=7 `, or none) that name one step of the case.
pub fn repeat_with(variables: &str, proof: &str, seed: u64) -> String {
    format!("make proofs && {variables}target/proof/proofs run {proof} --only --seed {seed}")
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_groups_of_three() {
        let told: Vec<String> = [0, 12, 999, 1_000, 100_019, 12_345_678].map(grouped).to_vec();
        assert_eq!(told, ["0", "12", "999", "1,000", "100,019", "12,345,678"]);
    }

    #[test]
    fn a_figure_is_one_line_with_its_count() {
        let mut figure = Figure { count: 1_200, unit: "recoveries", none: "lost", more: String::new() };
        assert_eq!(figure.to_string(), "1,200 recoveries, 0 lost");
        figure.more = "3 with rot".into();
        assert_eq!(figure.to_string(), "1,200 recoveries, 0 lost (3 with rot)");
    }

    #[test]
    fn an_order_ends_at_its_count_or_its_time_and_tries_at_least_once() {
        let began = Instant::now();
        assert!(Order::COMMIT.goes_on(began, 4, 5) && !Order::COMMIT.goes_on(began, 5, 5));
        let no_time = Order { effort: Effort::For(Duration::ZERO), ..Order::COMMIT };
        assert!(no_time.goes_on(began, 0, 5) && !no_time.goes_on(began, 1, 5));
    }
}
