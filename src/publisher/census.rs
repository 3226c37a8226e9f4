//! Counts what waits, ahead of the publishing where that cannot go on: deliveries per lane, and bytes in the journal.
//!
//! Every record is counted once: by the head where that is the first to read it, else by a cursor of the census's own
//! that reads in slices. To read a record twice costs as much as to keep it, so ahead of a head that goes on only what has
//! waited for a while is counted: figures of what came since the start are then that much behind. Memory does not grow with
//! the backlog.

use std::collections::VecDeque;
use std::time::Duration;

use crate::journal::Position;

use super::cursor::{Arrived, Cursor};
use super::lane::Lane;
use super::routing::Router;
use super::source::Source;

/// Records that one slice reads.
const SLICE_RECORDS: usize = 256;
const SLICE_BYTES: usize = 1024 * 1024;
/// What has waited this long, and at most twice as long, is counted ahead of a head that goes on. Less than anyone scrapes.
const COUNT_AFTER: Duration = Duration::from_secs(5);
/// Samples of "bytes before this position"; more than this and every other one is dropped.
const SAMPLES_MAX: usize = 2_048;

/// See the module.
pub(super) struct Census {
    /// Everything before it is counted.
    to: Position,
    cursor: Cursor,
    /// What was synced when; it is `due` once that is long enough ago.
    noted: (Duration, Position),
    /// Before it everything has waited long enough.
    due: Position,
    /// Bytes of all counted records.
    bytes: u64,
    samples: VecDeque<(Position, u64)>,
    /// Every how many records a sample is taken.
    stride: u64,
    since_sample: u64,
}

impl Census {
    /// Begins at `from`; so much is `synced`, and due at once.
    pub fn new(from: Position, synced: Position, now: Duration) -> Census {
        Census {
            to: from,
            cursor: Cursor::new(from),
            noted: (now, synced),
            due: synced,
            bytes: 0,
            samples: VecDeque::new(),
            stride: 1,
            since_sample: 0,
        }
    }

    /// Everything before it is counted.
    pub fn to(&self) -> Position {
        self.to
    }

    /// The head has read `arrived`, the first record at or behind `from`.
    pub fn meet(&mut self, from: Position, arrived: &Arrived, lanes: &mut [Lane], router: &Router) {
        if from <= self.to && self.to <= arrived.record.position {
            self.count(arrived, lanes, router);
        }
    }

    /// Up to where to count ahead of a head that goes on.
    pub fn due(&mut self, synced: Position, now: Duration) -> Position {
        if now >= self.noted.0 + COUNT_AFTER {
            self.due = self.due.max(self.noted.1);
            self.noted = (now, synced);
        }
        self.due
    }

    /// From now on everything is due: whoever ends wants to say what is left.
    pub fn all_is_due(&mut self) {
        self.due = Position(u64::MAX);
    }

    /// Gives reader and buffer back where the head has come as far: it counts from then on. Until then they are kept, also
    /// where everything is counted: a new reader has to find its place in the segment again.
    pub fn rest_behind(&mut self, head: Position) {
        if self.cursor.next() <= head {
            self.cursor.rest();
        }
    }

    /// Reads on by one slice, not beyond `end`. Whether anything was read.
    pub fn read(
        &mut self,
        end: Position,
        source: &Source,
        lanes: &mut [Lane],
        router: &Router,
    ) -> Result<bool, String> {
        self.cursor.seek(self.to);
        let (mut records, mut bytes) = (0, 0);
        while records < SLICE_RECORDS && bytes < SLICE_BYTES && self.to < end {
            if self.cursor.peek(source, router)?.is_none() {
                // Only damage may lie between.
                self.to = self.cursor.next();
                break;
            }
            let Some(arrived) = self.cursor.pass() else { break };
            self.count(&arrived, lanes, router);
            records += 1;
            bytes += arrived.record.payload.len();
        }
        Ok(records > 0)
    }

    fn count(&mut self, arrived: &Arrived, lanes: &mut [Lane], router: &Router) {
        let record = &arrived.record;
        self.sample(record.position);
        self.bytes += record.payload.len() as u64;
        self.to = Position(record.position.0 + 1);
        for lane in arrived.lanes(router) {
            lanes[lane].backlog.count(record.position, record.received_at_ms);
        }
    }

    fn sample(&mut self, position: Position) {
        self.since_sample += 1;
        if self.since_sample < self.stride && !self.samples.is_empty() {
            return;
        }
        self.since_sample = 0;
        self.samples.push_back((position, self.bytes));
        if self.samples.len() > SAMPLES_MAX {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
    }

    /// Bytes of the counted records from `floor` on, to within one sample.
    pub fn bytes_from(&mut self, floor: Position) -> u64 {
        if floor >= self.to {
            self.samples.clear();
            (self.stride, self.since_sample) = (1, 0);
            return 0;
        }
        while self.samples.get(1).is_some_and(|(position, _)| *position <= floor) {
            self.samples.pop_front();
        }
        self.bytes - self.samples.front().map_or(self.bytes, |(_, before)| *before)
    }
}
