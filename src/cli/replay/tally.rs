//! What a replay counts, over all its passes.
//!
//! Never happens: damage told twice, or a delivery counted twice, because a pass began again before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

use serde_json::{Value, json};

use crate::cli::output;
use crate::journal::Position;

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    /// Of a dry run, by topic: records and bytes.
    planned: BTreeMap<String, (u64, u64)>,
    /// Deliveries that were too large for their topic.
    passed_over: BTreeSet<(Position, String)>,
    /// Deliveries that the bridge has still to send; `waiting_from` is one past the newest that was counted.
    waiting: u64,
    waiting_from: BTreeMap<String, Position>,
    unreadable: BTreeSet<Position>,
    damaged: BTreeSet<(u64, u64)>,
}

impl Tally {
    pub fn would_send(&mut self, topic: &str, bytes: usize) {
        let (records, total) = self.planned.entry(topic.to_owned()).or_default();
        (*records, *total) = (*records + 1, *total + bytes as u64);
    }

    pub fn waiting(&mut self, position: Position, topic: &str) {
        let from = self.waiting_from.entry(topic.to_owned()).or_default();
        if position >= *from {
            *from = Position(position.0 + 1);
            self.waiting += 1;
        }
    }

    pub fn pass_over(&mut self, position: Position, topic: &str) {
        if self.passed_over.insert((position, topic.to_owned())) {
            output::complain(&format!("position {}: too large for topic {topic}, passed over", position.0));
        }
    }

    pub fn is_passed_over(&self, position: Position, topic: &str) -> bool {
        !self.passed_over.is_empty() && self.passed_over.contains(&(position, topic.to_owned()))
    }

    pub fn passed_over(&self) -> usize {
        self.passed_over.len()
    }

    pub fn unreadable(&mut self, position: Position) {
        if self.unreadable.insert(position) {
            output::complain(&format!("position {}: no event that this release can read, passed over", position.0));
        }
    }

    pub fn damaged(&mut self, segment: u64, positions: &Range<u64>, tell: impl FnOnce()) {
        if self.damaged.insert((segment, positions.start)) {
            tell();
        }
    }

    /// Nothing that was chosen has been passed over.
    pub fn is_whole(&self) -> bool {
        self.passed_over.is_empty() && self.unreadable.is_empty() && self.damaged.is_empty()
    }

    /// Something was chosen, whatever became of it; but for what was sent, which is not counted here.
    pub fn has_met_any(&self) -> bool {
        !self.is_whole() || self.waiting > 0 || !self.planned.is_empty()
    }

    /// For the last line.
    pub fn left_alone(&self) -> String {
        match self.waiting {
            0 => String::new(),
            waiting => format!("; {waiting} wait for the bridge to send them"),
        }
    }

    /// The end of a run; names and meanings are stable.
    pub fn json(&self, run_id: &str, confirmed: u64) -> Value {
        json!({
            "run": run_id,
            "confirmed": confirmed,
            "waiting": self.waiting,
            "too_large": self.passed_over.iter().map(|(position, _)| position.0).collect::<BTreeSet<_>>(),
            "unreadable": self.unreadable.iter().map(|position| position.0).collect::<Vec<_>>(),
            "damaged_places": self.damaged.len(),
        })
    }

    /// The same as [`Tally::plan`], as one line.
    pub fn plan_json(&self) -> Value {
        let topic = |(topic, (records, bytes)): (&String, &(u64, u64))| json!({"topic": topic, "records": records, "bytes": bytes});
        json!({"would_send": self.planned.iter().map(topic).collect::<Vec<_>>(), "waiting": self.waiting})
    }

    /// What would be sent, a line for each topic.
    pub fn plan(&self) -> String {
        let mut text = String::new();
        for (topic, (records, bytes)) in &self.planned {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{records:>9}  {:>10}  {topic}", output::size(*bytes));
        }
        let records: u64 = self.planned.values().map(|(records, _)| records).sum();
        let bytes: u64 = self.planned.values().map(|(_, bytes)| bytes).sum();
        text + &format!("{records:>9}  {:>10}  would be sent{}\n", output::size(bytes), self.left_alone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_a_line_for_each_topic_and_a_sum() {
        let mut tally = Tally::default();
        tally.would_send("b", 1_024);
        tally.would_send("a", 1_024);
        tally.would_send("b", 1_024);
        tally.waiting(Position(3), "a");
        let plan = tally.plan();
        let expected =
            "        1     1.0 KiB  a\n        2     2.0 KiB  b\n        3     3.0 KiB  would be sent; 1 wait";
        assert!(plan.starts_with(expected), "{plan}");
        let json = tally.plan_json();
        assert_eq!(json["would_send"][1], json!({"topic": "b", "records": 2, "bytes": 2_048}));
        assert_eq!(json["waiting"], 1);
    }

    #[test]
    fn what_is_met_again_by_a_later_pass_counts_once() {
        let mut tally = Tally::default();
        for position in [3, 5, 3, 5, 7] {
            tally.waiting(Position(position), "a");
        }
        assert_eq!(tally.left_alone(), "; 3 wait for the bridge to send them");
        assert!(tally.is_whole());
        let mut told = 0;
        (0..2).for_each(|_| tally.damaged(1, &(4..5), || told += 1));
        assert!(told == 1 && !tally.is_whole());
    }
}
