//! The rows of the table. Each measures one or several goals in interleaved rounds.
//!
//! In: a [`Bench`]. Out: figures, and the rounds that they come from. Never happens: two things that are compared measured
//! in different rounds.

mod allocator;
mod answer;
mod backlog;
mod burst;
mod cost;
mod goals;
mod losses;
mod memory;
mod nodes;
mod readable;
mod slices;
mod sources;
mod start;

use std::cell::RefCell;
use std::time::Duration;

use serde_json::Value;

pub use goals::GOALS;

use crate::figures::Figure;
use crate::stage::Stage;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Does it work? Its figures are noise.
    Quick,
    Usual,
    Long,
}

impl Effort {
    /// One of three values.
    pub fn pick<T>(self, quick: T, usual: T, long: T) -> T {
        match self {
            Effort::Quick => quick,
            Effort::Usual => usual,
            Effort::Long => long,
        }
    }

    pub fn rounds(self) -> usize {
        self.pick(1, 3, 5)
    }

    /// Of rows that take long and whose figures lie close together.
    pub fn few_rounds(self) -> usize {
        self.pick(1, 2, 3)
    }

    /// How long a burst is.
    pub fn burst_time(self) -> Duration {
        self.seconds(1.0, 4.0, 10.0)
    }

    /// For the page: how much was measured.
    pub fn told(self) -> String {
        format!(
            "Rounds: {} ({} of `nodes`, `backlog`, `sources` and `allocator`). Bursts: closed loop of {} s over 64 or 512 \
             keep-alive connections. Answers: open loop of 500 events/s at random times over up to 128 connections. Cost against \
             parts, sources and partitions: closed loop over 64 connections.",
            self.rounds(),
            self.few_rounds(),
            self.burst_time().as_secs(),
        )
    }

    /// A time in seconds.
    pub fn seconds(self, quick: f64, usual: f64, long: f64) -> Duration {
        Duration::from_secs_f64(self.pick(quick, usual, long))
    }
}

/// What every row is given.
pub struct Bench {
    pub effort: Effort,
    /// Every peer, and not the one in Rust alone.
    pub all_peers: bool,
    pub stage: Stage,
    /// Every round, for the results beside the table.
    pub rounds: RefCell<Vec<Value>>,
}

impl Bench {
    /// Who goes first changes from round to round: the second finds another broker than the first.
    pub fn in_turns<T>(&self, round: usize, all: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut all: Vec<T> = all.into_iter().collect();
        if round % 2 == 1 {
            all.reverse();
        }
        all
    }

    /// Keeps a round's own figures.
    pub fn keep(&self, row: &str, round: usize, mut value: Value) {
        value["row"] = row.into();
        value["round"] = round.into();
        self.rounds.borrow_mut().push(value);
    }
}

/// Some goals that are measured together.
pub struct Row {
    pub name: &'static str,
    pub what: &'static str,
    /// Names of the goals that it has figures for in every run.
    pub goals: &'static [&'static str],
    pub run: fn(&Bench) -> Result<Vec<Figure>, String>,
}

/// Rows of the long run. Any other run has them where they are named.
const LONG: [&str; 1] = ["allocator"];

impl Row {
    /// Whether a run has it, for which these were named.
    pub fn is_in(&self, effort: Effort, named: &[String]) -> bool {
        match named.is_empty() {
            true => effort == Effort::Long || !LONG.contains(&self.name),
            false => named.iter().any(|name| name == self.name),
        }
    }
}

pub const ROWS: [Row; 11] = [
    Row { name: "cost", what: "processor time of an event against its parts", goals: &["cpu-parts"], run: cost::run },
    Row {
        name: "burst",
        what: "bursts and sustained publishing beside the peers",
        goals: &["cpu-rust", "burst", "published-after", "sustained", "memory-burst"],
        run: burst::run,
    },
    Row {
        name: "answer",
        what: "answers at 500 events/s: quiet, Kafka away, a backlog draining",
        goals: &["disk", "answer-quiet", "answer-trouble"],
        run: answer::run,
    },
    Row {
        name: "nodes",
        what: "answers with three Kafka nodes, two of them in sync",
        goals: &["nodes"],
        run: nodes::run,
    },
    Row { name: "readable", what: "from 204 to readable by a consumer", goals: &["readable"], run: readable::run },
    Row {
        name: "backlog",
        what: "a backlog: its cost, its memory, kill -9, its drain",
        goals: &["drain", "scale", "memory-backlog", "restart"],
        run: backlog::run,
    },
    Row {
        name: "memory",
        what: "resident memory with a full index of duplicates",
        goals: &["memory-index", "memory-burst"],
        run: memory::run,
    },
    Row { name: "sources", what: "cost against sources and partitions", goals: &["scale"], run: sources::run },
    Row { name: "start", what: "the binary and its start", goals: &["start"], run: start::run },
    Row { name: "losses", what: "what kill -9 and an outage of Kafka lose", goals: &["losses"], run: losses::run },
    Row {
        name: "allocator",
        what: "memory and processor time with other allocators (the long run's, or where it is named)",
        goals: &["allocator"],
        run: allocator::run,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_long_run_is_in_another_one_where_it_is_named() {
        let names = |effort, named: &[String]| -> Vec<&str> {
            ROWS.iter().filter(|row| row.is_in(effort, named)).map(|row| row.name).collect()
        };
        assert_eq!(names(Effort::Long, &[]).len(), ROWS.len());
        assert_eq!(names(Effort::Usual, &[]).len(), ROWS.len() - LONG.len());
        assert_eq!(names(Effort::Quick, &["allocator".to_owned()]), ["allocator"]);
    }
}
