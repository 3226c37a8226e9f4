//! The queue in front of the writer.
//!
//! In: records from the intake. Out: batches. Never happens: a waiter that is forgotten, even when a thread panics:
//! [`Queued`] answers when it is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use super::frame::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use super::record::RECORD_HEADER_BYTES;
use super::shared::lock;
use super::{Append, AppendError, Position, Tag};
use crate::sync::{Condvar, Mutex, PoisonError};

type Done = Box<dyn FnOnce(Result<Position, AppendError>) + Send>;

/// One record that waits for its sync. Dropped without an answer, it answers [`AppendError::Poisoned`].
pub struct Queued {
    pub tag: Tag,
    pub received_at_ms: u64,
    pub payload: [bytes::Bytes; 2],
    done: Option<Done>,
}

impl Queued {
    /// Bytes that the record takes in a frame.
    pub fn frame_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload_bytes()
    }

    /// The record's own bytes.
    pub fn payload_bytes(&self) -> usize {
        self.payload[0].len() + self.payload[1].len()
    }

    /// Gives it back to who queued it: no answer follows.
    pub fn refuse(mut self, error: AppendError) -> Result<(), AppendError> {
        self.done = None;
        Err(error)
    }

    /// Answers.
    pub fn complete(mut self, outcome: Result<Position, AppendError>) {
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }
}

impl From<Append> for Queued {
    fn from(append: Append) -> Queued {
        let Append { tag, received_at_ms, payload, done } = append;
        Queued { tag, received_at_ms, payload, done: Some(done) }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(AppendError::Poisoned));
        }
    }
}

/// Records in the order in which they came. One thread takes them: the writer's.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: VecDeque<Queued>,
    /// No record is taken any more.
    closed: bool,
    /// The writer waits, or is about to go on after it has. While it writes and syncs, waking it would be a call to the
    /// system for nothing, by each event.
    is_awaited: bool,
}

impl Queue {
    /// Puts one at the end, unless the queue is closed or `allowed`, asked under the queue's lock, says no.
    pub fn push(&self, queued: Queued, allowed: impl FnOnce() -> Result<(), AppendError>) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        if state.closed {
            return queued.refuse(AppendError::Closed);
        }
        if let Err(error) = allowed() {
            return queued.refuse(error);
        }
        state.records.push_back(queued);
        let is_awaited = state.is_awaited;
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Takes the next batch: at most a frame's worth, or one larger record.
    pub fn take_batch(&self) -> Vec<Queued> {
        let mut state = lock(&self.state);
        let count = batch_len(state.records.iter());
        state.records.drain(..count).collect()
    }

    /// Waits until something is queued, the queue is closed, or the time is over. `false`: closed, and nothing is left.
    pub fn wait(&self, timeout: Duration) -> bool {
        let is_idle = |state: &mut State| {
            state.is_awaited = state.records.is_empty() && !state.closed;
            state.is_awaited
        };
        let waited = self.changed.wait_timeout_while(lock(&self.state), timeout, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_awaited = false;
        !(state.closed && state.records.is_empty())
    }

    /// Takes no more records; what is queued goes on.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Answers all that wait with [`AppendError::Poisoned`].
    pub fn fail_all(&self) {
        // Answered outside the lock: an answer may look at the journal.
        let waiting = std::mem::take(&mut lock(&self.state).records);
        drop(waiting);
        self.changed.notify_all();
    }
}

/// How many records, from the first on, go into one frame.
pub fn batch_len<'q>(records: impl Iterator<Item = &'q Queued>) -> usize {
    let mut bytes = 0;
    let fits = |queued: &&Queued| {
        bytes += queued.frame_bytes();
        bytes <= BATCH_BYTES_MAX
    };
    let mut records = records.take(BATCH_RECORDS_MAX).peekable();
    let any = records.peek().is_some();
    records.take_while(fits).count().max(usize::from(any))
}
