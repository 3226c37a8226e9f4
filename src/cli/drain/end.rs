//! How a drain ended, in words and as JSON. Pure.
//!
//! In: the journal before and after, what was published, letters that stayed. Out: a verdict and a line for each thing that
//! speaks against removing the folder. Never happens: a whole end while damage has cost something, in this run or in an
//! earlier one.

use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::output;
use crate::journal::inspect::Inspection;
use crate::journal::loss;
use crate::letters::{self, StaysError};
use crate::service::drain::Drained;

/// See the module.
pub struct End<'a> {
    pub dir: &'a Path,
    /// Every record was looked at.
    pub before: &'a Inspection,
    pub after: &'a Inspection,
    pub drained: Drained,
    /// Letters that are still in the folder, and why.
    pub stayed: Vec<(String, StaysError)>,
}

impl End<'_> {
    /// Every event is on Kafka, and nothing lies aside.
    pub fn is_whole(&self) -> bool {
        self.drained.left == 0 && !self.drained.was_ended && self.stayed.is_empty() && !self.is_damaged()
    }

    /// Damage has cost events, now or earlier, or may have: the quarantine says so until somebody empties it.
    pub fn is_damaged(&self) -> bool {
        self.after.quarantine.count > 0 || !self.lost().is_empty()
    }

    /// Positions that damage has cost: what is found in this run, and what earlier ones have left word of.
    fn lost(&self) -> Vec<Range<u64>> {
        let found = self.before.lost().into_iter().chain(self.before.lost_end());
        loss::union(found.chain(self.before.lost_earlier()).chain(self.after.lost_earlier()))
    }

    /// One line; names and meanings are stable.
    pub fn json(&self) -> Value {
        let stayed =
            self.stayed.iter().map(|(name, why)| json!({"id": letters::short(name), "reason": why.to_string()}));
        let lost = self.lost().into_iter().map(|positions| json!([positions.start, positions.end - 1]));
        json!({
            "dir": self.dir.display().to_string(),
            "drained": self.is_whole(),
            "left": self.drained.left,
            "reason": self.drained.trouble,
            "dead_letters": stayed.collect::<Vec<_>>(),
            "lost_positions": lost.collect::<Vec<_>>(),
            "is_end_lost": self.before.is_end_lost(),
            "quarantine_files": self.after.quarantine.count,
        })
    }

    /// What speaks against removing the folder, and what was found that does not.
    pub fn complaints(&self) -> Vec<String> {
        let stays = |(name, why): &(String, StaysError)| format!("dead letter {} stays: {why}", letters::short(name));
        let mut lines: Vec<String> = self.stayed.iter().map(stays).collect();
        let found = loss::union(self.before.lost());
        let says = |lost| format!("damage has cost {}: not on Kafka; see the log", output::span(lost));
        lines.extend(found.iter().map(says));
        if self.before.is_end_lost() {
            let what = "the newest segments are gone, and what they held may not be on Kafka; see the log";
            lines.push(what.to_owned());
        }
        let earlier: Vec<_> = self.lost().into_iter().filter(|lost| !loss::covers(&found, lost)).collect();
        if !earlier.is_empty() {
            lines.push(format!("damage has cost {}: it may not be on Kafka", output::spans(&earlier)));
        }
        if self.drained.corrupt_bytes > 0 && !self.is_damaged() {
            lines.push("damage was found that has cost nothing: at worst, events went out again; see the log".into());
        }
        if self.after.quarantine.count > 0 {
            let (count, dir) = (self.after.quarantine.count, self.dir.display());
            lines.push(format!("{count} file(s) of damage lie in {dir}/quarantine: look at them, then remove them"));
        }
        let noted = self.after.lost_earlier();
        // One that has given up may not have met all of it.
        if !self.drained.was_ended && self.lost().iter().any(|lost| !loss::covers(&noted, lost)) {
            lines.push("not all of it could be noted in quarantine: the next run may not know; see the log".into());
        }
        lines
    }
}
