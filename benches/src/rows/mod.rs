//! The rows of the table. Each measures one or several goals in interleaved rounds.
//!
//! In: a [`Bench`]. Out: figures, and the rounds that they come from. Never happens: two things that are compared measured
//! in different rounds.

mod answer;
mod backlog;
mod burst;
mod cost;
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
    pub run: fn(&Bench) -> Result<Vec<Figure>, String>,
}

pub const ROWS: [Row; 10] = [
    Row { name: "cost", what: "processor time of an event against its parts", run: cost::run },
    Row { name: "burst", what: "bursts and sustained publishing beside the peers", run: burst::run },
    Row { name: "answer", what: "answers at 500 events/s: quiet, Kafka away, a backlog draining", run: answer::run },
    Row { name: "nodes", what: "answers with three Kafka nodes, two of them in sync", run: nodes::run },
    Row { name: "readable", what: "from 204 to readable by a consumer", run: readable::run },
    Row { name: "backlog", what: "a backlog: its cost, its memory, kill -9, its drain", run: backlog::run },
    Row { name: "memory", what: "resident memory with a full index of duplicates", run: memory::run },
    Row { name: "sources", what: "cost against sources and partitions", run: sources::run },
    Row { name: "start", what: "the binary and its start", run: start::run },
    Row { name: "losses", what: "what kill -9 and an outage of Kafka lose", run: losses::run },
];

/// The goals: name, what is measured, what is wanted. The page has them in this order.
pub const GOALS: [(&str, &str, &str); 17] = [
    (
        "cpu-parts",
        "CPU per event, received, kept, published (user + system, whole process)",
        "≤ 1.25 × the sum of its measured parts",
    ),
    ("cpu-rust", "CPU per event against the Rust handler without a journal that waits for Kafka", "≤ 1.0 ×"),
    ("cpu-scripted", "CPU per event against FastAPI and Express that answer at once", "≤ 1/8"),
    (
        "answer-quiet",
        "answer at 500 events/s open loop, mix",
        "p50 ≤ 1.7 ×, p99 ≤ 2.5 × the same quantile of an fdatasync of an equal-sized write, in alternating slices",
    ),
    ("answer-trouble", "the same while Kafka is away, and while a backlog drains", "p99 ≤ 1.5 × the quiet one"),
    (
        "burst",
        "answered per second in a burst, closed loop, 64 and 512 connections",
        "≥ 2 × the best peer that waits for Kafka, or 80 % of the disk's sequential write rate; nothing refused; all \
         published soon after",
    ),
    ("sustained", "published per second, sustained", "≥ 1.2 × the Rust handler that waits"),
    ("nodes", "answer with three Kafka nodes and `min.insync.replicas=2`", "the same as with one: within 10 %"),
    ("readable", "from 204 to readable by a consumer, quiet", "p99 ≤ 15 ms"),
    ("drain", "drain of a backlog of 8.6 kB", "≥ 80 % of librdkafka alone"),
    ("memory-index", "resident memory at 500 events/s of the mix, duplicate index full", "≤ 64 MiB"),
    ("memory-burst", "resident memory in the burst", "≤ 160 MiB"),
    ("memory-backlog", "resident memory against the backlog", "flat: within 10 %"),
    ("restart", "from `kill -9` to the first 204", "≤ 2 s"),
    ("scale", "CPU per event against backlog, sources and partitions", "flat within 10 % (300 partitions: told)"),
    ("start", "binary, cold start to ready", "≤ 25 MB stripped; ≤ 1 s with and without Kafka"),
    ("losses", "acknowledged and lost", "none; what is refused while Kafka is away is told"),
];
