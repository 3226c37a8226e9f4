//! What the parts of a running journal share.
//!
//! In: records on their way, what is synced, which segments there are, marks, damage. Out: the same, to whoever asks.
//! Never happens: a lock of this file that is held over I/O, but for the spares', which orders housekeeping.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::quarantine::Damage;
use super::queue::{Queue, Queued};
use super::spares::Spares;
use super::{Append, AppendError, JournalId, LaneMark, Options, Position, Storage};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One segment that holds records, as readers and housekeeping see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMeta {
    pub number: u64,
    /// `None` where header and frames are broken.
    pub identity: Option<JournalId>,
    /// The position at which it began.
    pub begin: Position,
    /// One past the newest synced position that it has used.
    pub end: Position,
    /// Where its synced frames of records end, bytes from the start of the file.
    pub data_end: u64,
    pub closed: bool,
    /// Newest received-at of its records.
    pub newest_ms: u64,
}

/// The lanes as last handed over, and whether that is news for the keeper.
#[derive(Default)]
pub struct Marks {
    pub lanes: Vec<LaneMark>,
    pub changed: bool,
}

/// The state of one running journal.
pub struct Shared {
    pub storage: Arc<dyn Storage>,
    pub options: Options,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub spares: Mutex<Spares>,
    pub marks: Mutex<Marks>,
    /// Found by readers, not yet told and quarantined by the keeper.
    pub damages: Mutex<Vec<Damage>>,
    /// Bytes of frames written, for the rate.
    pub written_bytes: AtomicU64,
    segments: Mutex<BTreeMap<u64, SegmentMeta>>,
    pub queue: Queue,
    synced: Mutex<Position>,
    synced_more: Condvar,
    poisoned: AtomicBool,
    full: AtomicBool,
    stopped: AtomicBool,
}

/// What a shared state begins with.
pub struct Begin {
    pub storage: Arc<dyn Storage>,
    pub options: Options,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub spares: Spares,
    pub lanes: Vec<LaneMark>,
    pub segments: Vec<SegmentMeta>,
    pub next: Position,
}

impl Shared {
    /// The state after a recovery.
    pub fn new(begin: Begin) -> Shared {
        Shared {
            storage: begin.storage,
            options: begin.options,
            metrics: begin.metrics,
            health: begin.health,
            spares: Mutex::new(begin.spares),
            marks: Mutex::new(Marks { lanes: begin.lanes, changed: false }),
            damages: Mutex::default(),
            written_bytes: AtomicU64::new(0),
            segments: Mutex::new(begin.segments.into_iter().map(|meta| (meta.number, meta)).collect()),
            queue: Queue::default(),
            synced: Mutex::new(begin.next),
            synced_more: Condvar::new(),
            poisoned: AtomicBool::new(false),
            full: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    /// Queues a record, or says why not.
    pub fn enqueue(&self, append: Append, record_bytes_max: u64) -> Result<(), AppendError> {
        let queued = Queued::from(append);
        if queued.payload_bytes() as u64 > record_bytes_max {
            return queued.refuse(AppendError::TooLarge);
        }
        // Asked under the queue's lock: who poisons empties the queue under it afterwards.
        self.queue.push(queued, || match (self.is_poisoned(), self.is_full()) {
            (true, _) => Err(AppendError::Poisoned),
            (_, true) => Err(AppendError::NoRoom),
            _ => Ok(()),
        })
    }

    /// Ends all waiting of readers.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        drop(lock(&self.synced));
        self.synced_more.notify_all();
    }

    /// One past the newest synced position.
    pub fn synced(&self) -> Position {
        *lock(&self.synced)
    }

    /// Everything before `position` is synced; the segment's entry was brought up to it before. Who waits for it is woken
    /// by [`Shared::wake_readers`].
    pub fn set_synced(&self, position: Position) {
        *lock(&self.synced) = position;
    }

    /// Wakes who waits for something synced. A step of its own, so that answers, which senders wait for, go out first.
    pub fn wake_readers(&self) {
        self.synced_more.notify_all();
    }

    /// Waits for something at or behind `from`.
    pub fn wait_synced(&self, from: Position, timeout: Duration) -> Position {
        let synced = lock(&self.synced);
        let waiting =
            |synced: &mut Position| *synced <= from && !self.is_poisoned() && !self.stopped.load(Ordering::Acquire);
        let (synced, _) =
            self.synced_more.wait_timeout_while(synced, timeout, waiting).unwrap_or_else(PoisonError::into_inner);
        *synced
    }

    /// Whether a write or sync has failed.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// The first error of a write or sync: nothing is accepted any more, and all that wait fail.
    pub fn poison(&self, what: &'static str, error: &io::Error) {
        if !self.poisoned.swap(true, Ordering::AcqRel) {
            tracing::error!(what, %error, "journal poisoned: nothing more is accepted, a restart follows");
            self.health.set_journal_poisoned();
            self.metrics.set_journal_poisoned();
        }
        self.queue.fail_all();
        drop(lock(&self.synced));
        self.synced_more.notify_all();
    }

    /// Whether the intake has no room.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The intake has, or has again, no room; told at each change.
    pub fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::AcqRel) == full {
            return;
        }
        self.health.set_journal_full(full);
        if full {
            tracing::warn!("journal full: events are refused until there is room");
        } else {
            tracing::info!("journal has room again: events are accepted");
        }
    }

    /// Puts a segment in, or up to date.
    pub fn put_segment(&self, meta: SegmentMeta) {
        lock(&self.segments).insert(meta.number, meta);
    }

    /// Takes a segment out; readers that have it open go on.
    pub fn remove_segment(&self, number: u64) {
        lock(&self.segments).remove(&number);
    }

    /// The segment that holds `position` or, where none does, the first behind it.
    pub fn segment_for(&self, position: Position) -> Option<SegmentMeta> {
        lock(&self.segments).values().find(|meta| meta.end > position).cloned()
    }

    /// The segment as it is now.
    pub fn segment(&self, number: u64) -> Option<SegmentMeta> {
        lock(&self.segments).get(&number).cloned()
    }

    /// All of them, oldest first.
    pub fn segments(&self) -> Vec<SegmentMeta> {
        lock(&self.segments).values().cloned().collect()
    }
}

/// Locks; what a panicking thread left is still whole, as no change here stops half-way.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
