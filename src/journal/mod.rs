//! The journal: contract (the format chapter follows).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

mod checkpoint;
pub mod dead;
mod error;
mod frame;
mod handle;
mod keeper;
mod quarantine;
mod reader;
mod record;
mod recovery;
mod retention;
mod room;
mod salvage;
mod segment;
mod shared;
mod spares;
pub mod storage;
mod tags;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

pub use error::{AppendError, CloseError, DeadLetterError, OpenError, ReadError};
pub use handle::{Journal, Stepped, open_stepped};
pub use keeper::Keeper;
pub use reader::{Item, Reader, Record};
pub use storage::Storage;
pub use writer::Writer;

/// Smallest and largest segment that is possible, bytes.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// `size_max` holds at least so many segments: the one at hand, one that waits, two spares.
const SEGMENTS_MIN: u64 = 4;

/// A place in the journal; never used twice. The first record ever has position 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What names one journal, across restarts: 16 random bytes, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalId(pub [u8; 16]);

impl fmt::Display for JournalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for JournalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

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

impl Options {
    fn check(&self) -> Result<(), OpenError> {
        let segment_bytes = self.segment_bytes;
        let possible = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes);
        if !possible || !segment_bytes.is_multiple_of(frame::BLOCK_BYTES) {
            return Err(OpenError::SegmentBytes { segment_bytes });
        }
        let least_bytes = SEGMENTS_MIN * segment_bytes + spares::aside_bytes(self);
        if self.size_max_bytes < least_bytes {
            return Err(OpenError::SizeMax { size_max_bytes: self.size_max_bytes, least_bytes });
        }
        Ok(())
    }
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

/// What the start found.
pub struct Recovered {
    /// The lanes of the newest valid checkpoint: topic and first unsettled position.
    pub lanes: Vec<LaneMark>,
    /// The oldest position still on disk (where a lane that the checkpoint does not know may start).
    pub oldest: Position,
    /// The position that the next record gets.
    pub next: Position,
    /// Whose journal it is.
    pub identity: JournalId,
    /// Bytes found damaged, quarantined and told; 0 where all was sound.
    pub corrupt_bytes: u64,
    /// Bytes of a torn tail that was cut and quarantined, as after a crash; none of it was acknowledged, unless the disk
    /// is rotten just there.
    pub torn_bytes: u64,
    /// {tag, received-at} of retained records, newest first, from the lists at each segment's end; read lazily, so that
    /// the caller stops at its window.
    pub tags: Box<dyn Iterator<Item = (Tag, u64)> + Send>,
}

/// How far one lane is settled: everything of it before `position` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneMark {
    pub topic: String,
    pub position: Position,
}
