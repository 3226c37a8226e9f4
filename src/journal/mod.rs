//! The journal: what is answered 2xx is on disk before, and comes out again in order, or loudly not at all.
//!
//! In: records (tag, received-at, opaque bytes), how far the lanes are settled. Out: positions after the sync, records
//! in order with their checksums verified again, at a start the lanes and the tags. Never happens: an answer before the
//! sync; a position used twice; silence about damage; a second sync of a file whose sync failed; memory that grows with
//! the backlog. What an event is, the journal does not know.
//!
//! ```text
//! append ─▶ shared (queue) ─▶ writer ─▶ segment files ─▶ reader        keeper: checkpoint, spares, retention,
//!                                │                                             quarantine, room
//!                              spares                                  recovery: once, at the start
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `storage` | the seam to the disk; nothing else touches the journal's files |
//! | `record`, `frame`, `segment`, `checkpoint` | the format, pure |
//! | `walk`, `salvage` | frames and records of one segment, sound or not |
//! | `writer`, `keeper`, `recovery`, `reader` | who does what with it; plain objects that a simulation steps |
//! | `spares`, `quarantine`, `dead`, `retention`, `room`, `tags` | their tools |
//! | `handle`, `queue`, `shared` | threads and what they share |
//! | `inspect`, `browse` | a look that changes nothing: at the whole, at records |
//! | `loss` | positions that damage has cost, pure |
//!
//! # The format, version 1
//!
//! Numbers are little-endian. Checksums are CRC-32C (Castagnoli, as in iSCSI). Bytes not named are zero. A *block* is
//! 4096 bytes; segment headers, frames and checkpoint slots begin at multiples of it.
//!
//! `<dir>/journal/` holds `lock` (empty; flock for the process's life), `checkpoint`, and segments
//! `NNNNNNNNNNNNNNNNNNNN.segment` (20 decimal digits, from 1, without gaps but below the oldest lane). `….new` and
//! `….rewrite` are being made; a start removes them or uses them again. `<dir>/quarantine/` holds copies of damaged
//! bytes, and an empty file for positions of which no byte is left; `<dir>/dead/` dead letters. Other entries are ignored.
//!
//! ## Segment
//!
//! Block 0 is the header, frames follow without gaps, zeros up to the segment's size follow them. A segment is made
//! full of zeros, synced, and only then gets its name: one without a frame is a *spare*, and may be used by a later
//! process. A file that holds a frame is never written by a later process.
//!
//! | at | bytes | segment header |
//! | --- | --- | --- |
//! | 0 | 8 | `RBsegmnt` |
//! | 8 | 2 | version = 1; a reader that does not know it stops |
//! | 16 | 16 | identity of the journal |
//! | 32 | 16 | the identity before it; the same where none came before |
//! | 48 | 8 | number, as in the name |
//! | 56 | 8 | length of the file until it is closed; 0: closed from its first byte on, made by a recovery |
//! | 64 | 4 | checksum of bytes 0..64 |
//!
//! ## Frame
//!
//! One batch: header, payload, zeros up to the next block (a closing frame: footer in the last 64 bytes before it).
//!
//! | at | bytes | frame header |
//! | --- | --- | --- |
//! | 0 | 4 | `RBfr` |
//! | 4 | 2 | version = 1 |
//! | 6 | 1 | kind: 1 records, 2 closing |
//! | 8 | 16 | identity |
//! | 24 | 8 | number of the segment |
//! | 32 | 4 | batch number: 0 for the segment's first frame, then one more each |
//! | 36 | 4 | count of records, 1 to 512; closing: 1 |
//! | 40 | 8 | position of the first record, the others follow it one by one; closing: one past the newest position that the segment has used |
//! | 48 | 4 | length of the payload; over 1 MiB only with one record |
//! | 52 | 4 | checksum of the frame before it (its own bytes 60..64); for the first: the checksum of identity ‖ segment number |
//! | 60 | 4 | checksum of bytes 0..60 |
//!
//! The payload is records one after another, each:
//!
//! | at | bytes | record |
//! | --- | --- | --- |
//! | 0 | 4 | length of its bytes |
//! | 4 | 4 | checksum of received-at ‖ tag ‖ length ‖ bytes ‖ position (8 bytes, from the frame) |
//! | 8 | 8 | received-at, Unix milliseconds |
//! | 16 | 16 | tag |
//! | 32 | | the bytes |
//!
//! A position that no frame names is a hole: it was cut as a torn tail or lost to damage that was told of then. Between
//! frames that chain (batch number and checksum), holes are nothing new.
//!
//! ## Closing
//!
//! A segment is closed when the next batch does not fit, at a clean stop, and when its oldest record is older than an
//! hour or a quarter of the retention. The payload of the closing frame is one record at position 0, received-at the
//! newest of all, tag zero, whose bytes are the list: for each record in the segment position (8), received-at (8), tag
//! (16). Room for it is always kept free. The frame is synced; then the file is cut behind it, so that a length below
//! that in the header tells that the list was synced. The footer is the last 64 bytes of the file:
//!
//! | at | bytes | footer |
//! | --- | --- | --- |
//! | 0 | 8 | `RBfooter` |
//! | 8 | 8 | number of the segment |
//! | 16 | 8 | where the closing frame begins |
//! | 24 | 8 | the position at which the segment began |
//! | 32 | 8 | one past the newest position that it has used |
//! | 40 | 8 | newest received-at of its records, 0 where there is none |
//! | 48 | 8 | how many records |
//! | 60 | 4 | checksum of bytes 0..60 |
//!
//! A footer that is broken or not there (the cut may be undone by a crash) is made up for by walking the frames.
//!
//! ## Checkpoint
//!
//! Two slots of 20 KiB, at 0 and 20480. The higher generation counts. Between two syncs one slot is written, and the
//! turn passes when the sync has returned. A start writes a new file with both slots and puts it in the old one's place.
//!
//! | at | bytes | slot |
//! | --- | --- | --- |
//! | 0 | 8 | `RBchkpnt` |
//! | 8 | 2 | version = 1 |
//! | 10 | 2 | how many lanes, at most 64 |
//! | 12 | 4 | length L of all but the checksum |
//! | 16 | 16 | identity |
//! | 32 | 8 | generation |
//! | 40 | 8 | synced up to: one past the newest synced position |
//! | 48 | 8 | number of the next segment to be made |
//! | 56 | | for each lane: first unsettled position (8), fingerprint of what it takes (8), length of the name (2), name of the topic |
//! | L | 4 | checksum of bytes 0..L |
//!
//! ## Dead letter
//!
//! `dead/<name>.dead` is one frame of kind 1 with segment number 0, batch 0 and one record at position 1, tag and
//! received-at zero, without padding.
//!
//! # Identity
//!
//! A new journal takes 16 random bytes. A journal whose end is behind its checkpoint (a volume restored from a copy, a
//! rotten end), or that has lost both, goes on under a new identity, loudly: it begins with an empty closed segment that
//! names the old one and carries the next position. Positions are unique within an identity, and no position is taken
//! that any sound frame or slot names.
//!
//! # What makes a crash harmless
//!
//! - *A batch*: one outstanding at a time, so only the last frame of the last segment can be torn. What of it is sound
//!   is kept, the rest is copied to the quarantine and cut. If a checkpoint covers it, or anything stands behind it, it
//!   is damage: copied, told with its positions, counted; the rest goes on.
//! - *The next segment*: the first frame in it is written when the closing frame of the one before is synced.
//! - *A start*: folders are synced first, so that the names seen stay. The last segment, unless it was cut behind a
//!   synced list, is rewritten under `….rewrite`, synced and renamed over: what the page cache holds and the disk does
//!   not is durable before anyone is told of it. On a full disk that is done in the highest spare, whose new name is
//!   synced before its first byte is written.
//! - *Removals*: oldest first, each synced, and only behind what both checkpoint slots say is settled: a slot that rots
//!   brings back older marks, but none that points at something removed.
//! - *A spare*: made under another name; the cut behind a closing frame and the removal of leftovers may be undone by a
//!   crash in any combination and are then done again.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub mod browse;
mod checkpoint;
pub mod dead;
mod error;
mod frame;
mod handle;
pub mod inspect;
mod keeper;
pub mod loss;
mod quarantine;
mod queue;
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

pub use checkpoint::LANES_MAX;
pub use error::{AppendError, CloseError, DeadLetterError, OpenError, ReadError};
pub use handle::{Journal, Stepped, open_stepped};
pub use keeper::Keeper;
pub use quarantine::Quarantined;
pub use reader::{Item, Reader, Record};
pub use storage::Storage;
pub use writer::Writer;

/// Smallest and largest segment that is possible, bytes.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// `size_max` holds at least so many segments: the one at hand, one that waits, two spares.
const SEGMENTS_MIN: u64 = 4;
/// Positions, generations and segment numbers on disk are below this: at a million records a second, for 140,000 years. A
/// header that says more is broken, whatever its checksum says, so that no sum of what was read overflows.
const NUMBER_END: u64 = 1 << 62;

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
    /// The least that `size_max_bytes` may be with this segment size.
    pub fn size_least_bytes(&self) -> u64 {
        SEGMENTS_MIN * self.segment_bytes + spares::aside_bytes(self)
    }

    fn check(&self) -> Result<(), OpenError> {
        let segment_bytes = self.segment_bytes;
        let possible = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes);
        if !possible || !segment_bytes.is_multiple_of(frame::BLOCK_BYTES) {
            return Err(OpenError::SegmentBytes { segment_bytes });
        }
        let least_bytes = self.size_least_bytes();
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
    /// Checkpoint slots that could not be read, each told: one may be torn by a crash in its writing, and costs nothing but
    /// events sent again; two are damage.
    pub broken_slots: usize,
    /// {tag, received-at} of retained records, newest first, from the lists at each segment's end; read lazily, so that
    /// the caller stops at its window.
    pub tags: Box<dyn Iterator<Item = (Tag, u64)> + Send>,
}

/// How far one lane is settled: everything of it before `position` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneMark {
    pub topic: String,
    pub position: Position,
    /// Fingerprint of what the lane takes, opaque to the journal: where it differs at the next start, the lane takes
    /// something else than before, and `position` says nothing about that.
    pub takes: u64,
}
