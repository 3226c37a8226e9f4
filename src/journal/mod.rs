//! The journal: contract (draft of the lead; the format chapter is written by the module's author).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::health::Health;
use crate::metrics::Metrics;

pub mod storage;

pub use storage::Storage;

/// A place in the journal; never used twice. The first record ever has position 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What names one journal, across restarts: 16 random bytes, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalId(pub [u8; 16]);

/// Opaque to the journal: the event's identity.
pub type Tag = [u8; 16];

/// How a journal is kept. Sizes are parameters so that tests use small ones.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of one segment file (64 MiB).
    pub segment_bytes: u64,
    /// Bytes that journal, quarantine and dead letters may take together.
    pub size_max_bytes: u64,
    /// How long published records are kept.
    pub retention: Duration,
    /// How long quarantined bytes are kept.
    pub quarantine_retention: Duration,
    /// A checkpoint is synced at most this often (200 ms).
    pub checkpoint_every: Duration,
    /// tmpfs, overlayfs, NFS and FUSE are taken as well.
    pub allow_ephemeral: bool,
}

/// One record on its way in.
pub struct Append {
    pub tag: Tag,
    pub received_at_ms: u64,
    /// The record's bytes, in parts, so that none is copied before the journal's own buffer.
    pub payload: [Bytes; 2],
    /// Called once, by the writer thread, after the sync of the record's batch or when it has failed. Must not block.
    pub done: Box<dyn FnOnce(Result<Position, AppendError>) + Send>,
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No segment is left and none can be made: the disk or `size_max` is full. Nothing was written.
    #[error("no room in the journal")]
    NoRoom,
    /// A write or sync failed, here or earlier. The record may or may not be on disk.
    #[error("the journal is poisoned by a failed write or sync")]
    Poisoned,
    /// The journal was closed. Nothing was written.
    #[error("the journal is closed")]
    Closed,
    /// The record is larger than a segment can hold. Nothing was written.
    #[error("the record is larger than a segment")]
    TooLarge,
}

/// What the start found.
pub struct Recovered {
    /// The lanes of the newest valid checkpoint: topic and first unsettled position.
    pub lanes: Vec<LaneMark>,
    /// The oldest position still on disk (where a lane that the checkpoint does not know may start).
    pub oldest: Position,
    /// {tag, received-at} of retained records, newest first, from the lists at each segment's end; read lazily, so that
    /// the caller stops at its window.
    pub tags: Box<dyn Iterator<Item = (Tag, u64)> + Send>,
    // and what was damaged, for the log
}

/// How far one lane is settled: everything of it before `position` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneMark {
    pub topic: String,
    pub position: Position,
}

/// The journal of a running bridge: writer thread, keeper thread (checkpoint, spares, retention) and readers. Clones
/// share it.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// Locks, recovers, makes spares and starts the threads.
    pub fn open(
        _storage: Arc<dyn Storage>,
        _options: Options,
        _metrics: Arc<Metrics>,
        _health: Arc<Health>,
    ) -> Result<(Journal, Recovered), OpenError> {
        unimplemented!()
    }

    /// Queues one record; returns at once. On `Err`, `done` is not called.
    pub fn append(&self, _append: Append) -> Result<(), AppendError> {
        unimplemented!()
    }

    /// One past the newest synced position: readers see everything before it.
    pub fn synced(&self) -> Position {
        unimplemented!()
    }

    /// Blocks the calling thread until something at or behind `from` is synced, the journal stops, or the time is over.
    pub fn wait_synced(&self, _from: Position, _timeout: Duration) -> Position {
        unimplemented!()
    }

    /// A reader that starts at the first record at or behind `from`. Sees synced records only.
    pub fn reader(&self, _from: Position) -> Reader {
        unimplemented!()
    }

    /// Hands over how far the lanes are settled; written and synced by the keeper within `checkpoint_every`. Lanes that
    /// are not named end.
    pub fn mark(&self, _lanes: Vec<LaneMark>) {
        unimplemented!()
    }

    /// Keeps one dead letter in `<dir>/dead/`; returns after its sync. `name` is a file name part chosen by the caller,
    /// an equal name overwrites (a doubtful dead letter is kept once).
    pub fn keep_dead_letter(&self, _name: &str, _payload: &[u8]) -> Result<(), DeadLetterError> {
        unimplemented!()
    }

    /// Whether the first error of a write or sync has happened.
    pub fn is_poisoned(&self) -> bool {
        unimplemented!()
    }

    /// Takes no more, syncs what is queued, writes the last checkpoint, closes the segment, ends the threads and gives
    /// the lock back. Blocks.
    pub fn close(&self) -> Result<(), CloseError> {
        unimplemented!()
    }
}

/// Reads records in order.
pub struct Reader {}

/// What a reader meets.
pub enum Item {
    Record(Record),
    /// Positions `from..until` are damaged: quarantined, told loudly, counted once.
    Damaged {
        from: Position,
        until: Position,
    },
}

/// One record, its checksum verified again.
pub struct Record {
    pub position: Position,
    /// Identity of the journal at the time of writing.
    pub journal: JournalId,
    pub tag: Tag,
    pub received_at_ms: u64,
    pub payload: Bytes,
}

impl Reader {
    /// The next item; `None` where nothing further is synced yet.
    pub fn next(&mut self) -> Result<Option<Item>, ReadError> {
        unimplemented!()
    }

    /// The position that `next` will look at.
    pub fn position(&self) -> Position {
        unimplemented!()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("journal cannot be opened")]
pub struct OpenError;
#[derive(Debug, thiserror::Error)]
#[error("journal cannot be read")]
pub struct ReadError;
#[derive(Debug, thiserror::Error)]
#[error("dead letter cannot be kept")]
pub struct DeadLetterError;
#[derive(Debug, thiserror::Error)]
#[error("journal cannot be closed")]
pub struct CloseError;
