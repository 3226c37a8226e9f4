//! The journal's own parts, stepped by hand: the one file here that knows the journal's interface.
//!
//! In: steps of a scene. Out: answers, records, what a recovery found. Never happens: a thread; a clock but the scene's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use retell_bridge::health::Health;
use retell_bridge::journal::{
    Append, AppendError, Item, Journal, JournalId, Keeper, LaneMark, OpenError, Options, Position, Reader, Stepped,
    Writer, open_stepped,
};
use retell_bridge::metrics::Metrics;

use super::disk::SimDisk;
use super::ledger::{Found, Known, Met, Seen, Wrong};
use crate::random::Random;

/// The sizes of one scene: small, so that rolls, closings and removals are frequent.
#[derive(Debug, Clone)]
pub struct Shape {
    pub segment_bytes: u64,
    pub size_max_bytes: u64,
    pub capacity_bytes: u64,
    pub retention_ms: u64,
    pub has_faults: bool,
    /// As it was chosen, also when the faults have stopped.
    pub had_faults: bool,
    pub has_rot: bool,
}

impl Shape {
    pub fn choose(random: &mut Random) -> Shape {
        let segment_bytes: u64 = 64 << 10;
        let size_max_bytes = random.pick(&[5, 6, 8, 12]) * segment_bytes + segment_bytes / 2;
        let capacities = [size_max_bytes * 2, size_max_bytes * 2, size_max_bytes - segment_bytes / 2];
        let capacity_bytes = random.pick(&capacities);
        let retention_ms = random.pick(&[0, 1_000, 60_000, 3_600_000, 86_400_000]);
        let has_faults = random.chance(40);
        Shape {
            segment_bytes,
            size_max_bytes,
            // Sometimes the disk is full before `size_max` is.
            capacity_bytes,
            retention_ms,
            has_faults,
            had_faults: has_faults,
            has_rot: random.chance(30),
        }
    }

    /// Whether the disk may have been full at some time, also before the faults stopped: a checkpoint that was then written
    /// in place, and cut off, leaves the elder one to the next recovery.
    pub(super) fn may_be_full(&self) -> bool {
        self.had_faults || self.capacity_bytes < self.size_max_bytes
    }

    fn options(&self) -> Options {
        Options {
            segment_bytes: self.segment_bytes,
            size_max_bytes: self.size_max_bytes,
            retention: Duration::from_millis(self.retention_ms),
            quarantine_retention: Duration::from_secs(7_200),
            // Every turn: so a turn that returns tells that the newest marks are synced.
            checkpoint_every: Duration::ZERO,
            allow_ephemeral: false,
        }
    }
}

/// One process's journal.
pub struct Rig {
    journal: Journal,
    writer: Writer,
    keeper: Keeper,
    metrics: Arc<Metrics>,
    /// By the processes before this one.
    told_before_bytes: u64,
    torn_bytes: u64,
    broken_slots: usize,
    started_ms: u64,
}

/// Why there is no journal, or nothing can be said about it.
pub enum NotOpen {
    /// The disk or the power is to blame, which must have been in trouble.
    Trouble(String),
    /// There is no room to recover in; allowed only while the disk is full.
    NoRoom(String),
    Wrong(Wrong),
}

impl Rig {
    /// Recovers, then reads all that is there. The metrics are those of all processes of a scene: new ones cost as much as
    /// a recovery.
    pub fn open(
        disk: &SimDisk,
        shape: &Shape,
        metrics: &Arc<Metrics>,
        now_ms: u64,
        random: &mut Random,
    ) -> Result<(Rig, Found), NotOpen> {
        let mut identity = [0; 16];
        random.fill(&mut identity);
        let (metrics, told_before_bytes) = (metrics.clone(), metrics.corrupt_bytes());
        let health = Arc::new(Health::default());
        let storage = Arc::new(disk.clone());
        let opened = open_stepped(storage, shape.options(), metrics.clone(), health, now_ms, JournalId(identity));
        let Stepped { journal, writer, keeper, recovered } = match opened {
            Ok(stepped) => stepped,
            Err(error @ OpenError::NoRoom { .. }) => return Err(NotOpen::NoRoom(error.to_string())),
            Err(error @ OpenError::Io { .. }) => return Err(NotOpen::Trouble(error.to_string())),
            Err(error) => return Err(NotOpen::Wrong(format!("the journal does not open: {error}"))),
        };
        let (torn_bytes, broken_slots) = (recovered.torn_bytes, recovered.broken_slots);
        let mut rig =
            Rig { journal, writer, keeper, metrics, told_before_bytes, torn_bytes, broken_slots, started_ms: now_ms };
        let synced = rig.journal.synced();
        if synced != recovered.next {
            return Err(NotOpen::Wrong(format!("synced is {synced:?}, the next position {:?}", recovered.next)));
        }
        let mut found = Found {
            lanes: recovered.lanes,
            oldest: recovered.oldest.0,
            synced: synced.0,
            tags: recovered.tags.collect(),
            met: Vec::new(),
            may_have_gaps: shape.had_faults,
            is_squeezed: shape.may_be_full(),
            may_miss_tags: disk.has_failed_read(),
            has_failed_removal: disk.has_failed_removal(),
        };
        let mut reader = rig.journal.reader(Position(0));
        while let Some(met) = next(&mut reader).map_err(NotOpen::Trouble)? {
            found.met.push(met);
        }
        // Damage met by readers is told by the keeper.
        rig.turn(now_ms);
        Ok((rig, found))
    }

    pub fn is_poisoned(&self) -> bool {
        self.journal.is_poisoned()
    }

    /// Bytes cut as a torn tail by this process's recovery, with a warning.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Slots of the checkpoint that this process's recovery could not read, with a warning.
    pub fn broken_slots(&self) -> usize {
        self.broken_slots
    }

    /// Damaged bytes that this process has told of.
    pub fn told_bytes(&self) -> u64 {
        self.metrics.corrupt_bytes() - self.told_before_bytes
    }

    /// Queues them, lets the writer write until its queue is empty.
    pub fn write(
        &mut self,
        disk: &SimDisk,
        records: &[Known],
        now_ms: u64,
    ) -> Result<Vec<Option<Result<Position, AppendError>>>, Wrong> {
        let too_late = Arc::new(Mutex::new(false));
        let answers = Arc::new(Mutex::new(vec![None; records.len()]));
        for (index, record) in records.iter().enumerate() {
            let (head, body) = record.payload.split_at(record.payload.len().min(20));
            let (told, late, power) = (answers.clone(), too_late.clone(), disk.clone());
            let append = Append {
                tag: record.tag,
                received_at_ms: record.received_at_ms,
                payload: [Bytes::copy_from_slice(head), Bytes::copy_from_slice(body)],
                done: Box::new(move |answer| {
                    *late.lock().expect("one thread") |= answer.is_ok() && power.is_down();
                    told.lock().expect("one thread")[index] = Some(answer);
                }),
            };
            if let Err(error) = self.journal.append(append) {
                answers.lock().expect("one thread")[index] = Some(Err(error));
            }
        }
        while self.writer.turn(now_ms) > 0 {}
        if *too_late.lock().expect("one thread") {
            return Err("a record was answered Ok when the power was off".to_owned());
        }
        let answers = answers.lock().expect("one thread");
        Ok(answers.clone())
    }

    /// At most `count` records from `from` on, where the reader stands then, and why it went no further.
    pub fn read(&mut self, from: u64, count: u64) -> (Vec<Seen>, u64, Option<Wrong>) {
        let mut reader = self.journal.reader(Position(from));
        let mut seen = Vec::new();
        for _ in 0..count {
            match next(&mut reader) {
                Ok(Some(Met::Record(record))) => seen.push(record),
                Ok(Some(Met::Damaged { .. })) => {}
                Ok(None) => break,
                Err(error) => return (seen, reader.position().0, Some(error)),
            }
        }
        (seen, reader.position().0, None)
    }

    pub fn mark(&mut self, lanes: Vec<LaneMark>) {
        self.journal.mark(lanes);
    }

    /// One lane alone.
    pub fn mark_one(&mut self, topic: &str, position: u64) {
        self.mark(vec![LaneMark { topic: topic.to_owned(), position: Position(position), takes: 0 }]);
    }

    /// Whether the newest marks are synced now.
    pub fn turn(&mut self, now_ms: u64) -> bool {
        self.keeper.turn(now_ms, now_ms - self.started_ms);
        !self.is_poisoned()
    }

    pub fn keep_dead_letter(&mut self, name: &str, payload: &[u8]) -> bool {
        self.journal.keep_dead_letter(name, payload).is_ok()
    }

    /// As a clean stop does it: the writer first, then the keeper.
    pub fn close(&mut self, now_ms: u64) -> bool {
        self.writer.close();
        self.keeper.close(now_ms);
        !self.is_poisoned()
    }
}

fn next(reader: &mut Reader) -> Result<Option<Met>, Wrong> {
    match reader.next() {
        Ok(None) => Ok(None),
        Ok(Some(Item::Damaged { from, until })) => Ok(Some(Met::Damaged { from: from.0, until: until.0 })),
        Ok(Some(Item::Record(record))) => Ok(Some(Met::Record(Seen {
            position: record.position.0,
            tag: record.tag,
            received_at_ms: record.received_at_ms,
            payload: record.payload.to_vec(),
        }))),
        Err(error) => Err(format!("a reader fails: {error}")),
    }
}
