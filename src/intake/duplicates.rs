//! Which events are kept already: an index of tags, bounded by age and by number.
//!
//! In: the tag of each authenticated event, before it is queued; what the journal says of it; at the start the tags of
//! the journal. Out: whether the event is a first copy, a duplicate of one that is synced, or one that has to wait.
//!
//! An entry stands for an event that is queued or synced, for no other. The first copy's entry is made in
//! [`Duplicates::admit`], under the index's lock, and is settled by its [`Ticket`], which travels with the record: `Ok`
//! from the journal's writer completes it, anything else (an error, a refusal to queue, a ticket dropped unread) removes it.
//! Between the two every equal event waits and shares the first one's fate. The request's own task has no part in it,
//! so a client that leaves changes nothing.
//!
//! Never happens: an answer "duplicate" for an event that is not synced; an entry left by a copy that was refused; more
//! than `events_max` entries. In doubt an event is kept twice: an old entry goes when its place is needed.
//!
//! Memory: 24 bytes a place in the ring and at most 10 in the table; half a million take some 18 MiB.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use tokio::sync::oneshot;

use crate::journal::{AppendError, Tag};
use crate::planted::Bug;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What the journal said of a first copy.
pub type Outcome = Result<(), AppendError>;

/// Old entries dropped with each new one: more than one, so that the ring empties after a rush.
const EXPIRED_AT_ONCE: usize = 4;

pub struct Duplicates {
    index: Mutex<Index>,
    window_ms: u64,
    events_max: usize,
}

/// What an event is.
pub enum Admission {
    /// The first copy: to be queued together with the ticket.
    First(Ticket),
    /// Equal to an event that is synced.
    Duplicate { first_received_at_ms: u64 },
    /// Equal to an event that is queued; the receiver says what became of that one, and fails where nobody will know.
    Waiting { first_received_at_ms: u64, outcome: oneshot::Receiver<Outcome> },
}

/// Settles the entry of one first copy. Dropped unsettled, it removes it.
pub struct Ticket {
    duplicates: Arc<Duplicates>,
    number: u32,
    is_settled: bool,
}

impl Duplicates {
    pub fn new(window: Duration, events_max: usize) -> Duplicates {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Duplicates { index: Mutex::default(), window_ms, events_max }
    }

    /// Fills the empty index from the journal's tags, newest first; stops where they are older than the window.
    pub fn recover(&self, tags: impl Iterator<Item = (Tag, u64)>, now_ms: u64) {
        // Records lie in the order of their queueing, received-at may differ by a deadline or a clock's step.
        const SLACK_MS: u64 = 60_000;
        let oldest_ms = now_ms.saturating_sub(self.window_ms.saturating_add(SLACK_MS));
        let mut index = self.index();
        let fresh = tags.take_while(|(_, received_at_ms)| *received_at_ms >= oldest_ms);
        for (tag, received_at_ms) in fresh.take(self.events_max) {
            index.insert_oldest(tag, received_at_ms);
        }
    }

    /// Says what the event is, and makes the entry of a first copy.
    pub fn admit(self: &Arc<Self>, tag: Tag, received_at_ms: u64) -> Admission {
        let mut index = self.index();
        index.expire(received_at_ms, self.window_ms);
        if let Some(number) = index.find(&tag) {
            let first_received_at_ms = index.slot(number).received_at_ms;
            if received_at_ms.abs_diff(first_received_at_ms) <= self.window_ms {
                let unsettled = index.unsettled.get_mut(&number);
                let Some(waiting) = unsettled.filter(|_| !Bug::DuplicateBeforeItIsDurable.is_planted()) else {
                    return Admission::Duplicate { first_received_at_ms };
                };
                let (sender, outcome) = oneshot::channel();
                waiting.push(sender);
                return Admission::Waiting { first_received_at_ms, outcome };
            }
            index.forget(number);
        }
        let number = index.insert_newest(Slot { tag, received_at_ms });
        index.unsettled.insert(number, Vec::new());
        while index.slots.len() > self.events_max {
            index.drop_oldest();
        }
        drop(index);
        Admission::First(Ticket { duplicates: self.clone(), number, is_settled: false })
    }

    fn settle(&self, number: u32, outcome: Option<Outcome>) {
        let mut index = self.index();
        let waiting = index.unsettled.remove(&number);
        if !matches!(outcome, Some(Ok(()))) && !Bug::EntryLeftByARefusedCopy.is_planted() {
            index.forget(number);
            index.drop_forgotten_newest();
        }
        drop(index);
        if let Some(outcome) = outcome {
            for sender in waiting.into_iter().flatten() {
                // One that waits may have left.
                let _ = sender.send(outcome);
            }
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Every change is complete before anything could panic, so a poisoned index is a sound one.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The journal said what became of the record.
    pub fn settle(mut self, outcome: Outcome) {
        self.is_settled = true;
        self.duplicates.settle(self.number, Some(outcome));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_settled {
            self.duplicates.settle(self.number, None);
        }
    }
}

struct Slot {
    tag: Tag,
    received_at_ms: u64,
}

/// A ring of places in order of arrival, and a table from tag to place. Places are numbered without end (modulo 2³²).
#[derive(Default)]
struct Index {
    slots: VecDeque<Slot>,
    /// Number of the oldest place.
    oldest: u32,
    /// Numbers of places; each of them is in the ring, and no tag is there twice. A place that is not in the table is
    /// forgotten.
    table: HashTable<u32>,
    /// First copies that are queued and not synced, with the equal events that wait for them.
    unsettled: HashMap<u32, Vec<oneshot::Sender<Outcome>>>,
}

impl Index {
    fn slot(&self, number: u32) -> &Slot {
        &self.slots[place(self.oldest, number)]
    }

    fn find(&self, tag: &Tag) -> Option<u32> {
        self.table.find(hash(tag), |number| self.slot(*number).tag == *tag).copied()
    }

    fn insert_newest(&mut self, slot: Slot) -> u32 {
        let number = self.oldest.wrapping_add(self.slots.len() as u32);
        let tag_hash = hash(&slot.tag);
        self.slots.push_back(slot);
        self.list(tag_hash, number);
        number
    }

    /// The newest of two equal ones counts.
    fn insert_oldest(&mut self, tag: Tag, received_at_ms: u64) {
        if self.find(&tag).is_none() {
            self.oldest = self.oldest.wrapping_sub(1);
            self.slots.push_front(Slot { tag, received_at_ms });
            self.list(hash(&tag), self.oldest);
        }
    }

    fn list(&mut self, tag_hash: u64, number: u32) {
        let (slots, oldest) = (&self.slots, self.oldest);
        self.table.insert_unique(tag_hash, number, |number| hash(&slots[place(oldest, *number)].tag));
    }

    /// Takes the place out of the table; the place itself goes when it is the oldest.
    fn forget(&mut self, number: u32) {
        if place(self.oldest, number) < self.slots.len() {
            let tag_hash = hash(&self.slot(number).tag);
            if let Ok(entry) = self.table.find_entry(tag_hash, |listed| *listed == number) {
                entry.remove();
            }
        }
    }

    fn drop_oldest(&mut self) {
        self.forget(self.oldest);
        self.slots.pop_front();
        self.oldest = self.oldest.wrapping_add(1);
    }

    fn expire(&mut self, now_ms: u64, window_ms: u64) {
        for _ in 0..EXPIRED_AT_ONCE {
            let is_old = |slot: &Slot| now_ms.abs_diff(slot.received_at_ms) > window_ms;
            if !self.slots.front().is_some_and(is_old) {
                return;
            }
            self.drop_oldest();
        }
    }

    /// Refused copies leave no places behind, so that a journal without room does not push out what is kept.
    fn drop_forgotten_newest(&mut self) {
        while let Some(newest) = self.slots.back() {
            let number = self.oldest.wrapping_add(self.slots.len() as u32 - 1);
            let is_listed = self.table.find(hash(&newest.tag), |listed| *listed == number).is_some();
            if is_listed || self.unsettled.contains_key(&number) {
                return;
            }
            self.slots.pop_back();
        }
    }
}

/// Where the place with this number lies in the ring; at or beyond its end for one that is gone.
fn place(oldest: u32, number: u32) -> usize {
    number.wrapping_sub(oldest) as usize
}

/// Tags are BLAKE3 output: any eight bytes of them are a hash.
fn hash(tag: &Tag) -> u64 {
    let [bytes @ .., _, _, _, _, _, _, _, _] = *tag;
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
#[path = "tests/duplicates_index.rs"]
mod tests;
