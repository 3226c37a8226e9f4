//! What was sent and what was answered: the obligations of the bridge, written down by the sender.
//!
//! Times are turns of one counter, drawn before a request goes out and after its answer has come: where one event's
//! answer has a lower turn than another's request, the first was promised before the second was sent.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::events::Event;
use super::sign::{ce_id, sha256};

static TURN: AtomicU64 = AtomicU64::new(1);

/// The counter's next turn.
pub fn turn() -> u64 {
    TURN.fetch_add(1, Ordering::SeqCst)
}

/// One request. Its turns tell whether it was over before a bridge was asked or killed, and which life it went to.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub to: SocketAddr,
    /// Turn before the request goes out, drawn when its address is known.
    pub sent: u64,
    /// Turn after its answer has come, or its failure.
    pub answered: u64,
    /// 0 where no answer came.
    pub status: u16,
}

/// One event and all that happened to it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub event: Event,
    /// The signed clock, Unix milliseconds.
    pub v: u64,
    pub signature: String,
    pub ce_id: String,
    pub sha256: String,
    /// Turn before the first request.
    pub sent_turn: u64,
    /// Turn after the first 2xx; none if it was never promised.
    pub kept_turn: Option<u64>,
    /// Unix milliseconds before the first request and after the last answer.
    pub sent_ms: u64,
    pub answered_ms: u64,
    /// Status of each attempt; 0 where no answer came.
    pub statuses: Vec<u16>,
    /// The same attempts, with whom they went to and when.
    pub attempts: Vec<Attempt>,
    /// Of each attempt that brought no answer, what ended it: a connection refused is not one that was cut.
    pub failures: Vec<ErrorKind>,
    /// What was wrong with a 2xx itself.
    pub complaints: Vec<String>,
}

impl Entry {
    pub fn new(event: Event, v: u64, signature: String) -> Entry {
        let clock = event.by_clock.then_some(v);
        Entry {
            ce_id: ce_id(&event.source.name, &event.body, clock),
            sha256: sha256(&event.body),
            event,
            v,
            signature,
            sent_turn: 0,
            kept_turn: None,
            sent_ms: 0,
            answered_ms: 0,
            statuses: Vec::new(),
            attempts: Vec::new(),
            failures: Vec::new(),
            complaints: Vec::new(),
        }
    }

    pub fn is_kept(&self) -> bool {
        self.kept_turn.is_some()
    }

    /// Writes a request down that was sent to `to` at turn `sent` and is over now.
    pub fn tried(&mut self, to: SocketAddr, sent: u64, status: u16) {
        let answered = turn();
        self.statuses.push(status);
        self.attempts.push(Attempt { to, sent, answered, status });
        if (200..300).contains(&status) && self.kept_turn.is_none() {
            self.kept_turn = Some(answered);
        }
    }
}

/// All entries of a test.
#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// Entries by identity; several sendings of one event become one entry: first sent, first promised.
    pub fn by_id(&self) -> HashMap<&str, Entry> {
        let mut merged: HashMap<&str, Entry> = HashMap::new();
        for entry in &self.entries {
            merged.entry(&entry.ce_id).and_modify(|first| merge(first, entry)).or_insert_with(|| entry.clone());
        }
        merged
    }

    /// Number of different events that were answered 2xx.
    pub fn kept(&self) -> usize {
        self.by_id().values().filter(|entry| entry.is_kept()).count()
    }

    /// As [`Ledger::kept`], of one topic.
    pub fn kept_on(&self, topic: &str) -> usize {
        self.by_id().values().filter(|entry| entry.is_kept() && entry.event.topic == topic).count()
    }

    pub fn extend(&mut self, other: Ledger) {
        self.entries.extend(other.entries);
    }

    /// Every event was answered 2xx, and rightly.
    pub fn assert_all_kept(&self) {
        let wrong: Vec<_> = self.entries.iter().filter(|e| !e.is_kept() || !e.complaints.is_empty()).take(10).collect();
        let told: Vec<_> =
            wrong.iter().map(|e| format!("{} {:?} {:?}", e.event.topic, e.statuses, e.complaints)).collect();
        assert!(wrong.is_empty(), "not every event was answered as it should be:\n{}", told.join("\n"));
    }
}

fn merge(first: &mut Entry, again: &Entry) {
    first.sent_ms = first.sent_ms.min(again.sent_ms);
    first.answered_ms = first.answered_ms.max(again.answered_ms);
    if again.sent_turn < first.sent_turn {
        first.signature.clone_from(&again.signature);
        first.v = again.v;
        first.sent_turn = again.sent_turn;
    }
    first.kept_turn = match (first.kept_turn, again.kept_turn) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}
