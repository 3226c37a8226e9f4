//! What can go wrong, one enum for each operation; each message is the sentence that an operator needs.

use std::io;

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

/// Why a journal is not opened. Nothing that was acknowledged has been lost by the attempt.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A second bridge on one folder; only one may write.
    #[error("another process has the journal open: stop it, or give this one a journal.dir of its own")]
    Locked,
    /// A sync there promises nothing.
    #[error(
        "journal.dir is on {file_system}, where synced data does not survive a crash: use a local disk (ext4, XFS), or \
         set journal.allow_ephemeral to accept the loss"
    )]
    Ephemeral { file_system: &'static str },
    /// Written by a newer release. Nothing was changed.
    #[error("{path} has format version {version}, this release reads version 1: start the release that wrote it")]
    Version { path: String, version: u16 },
    /// The sizes contradict each other.
    #[error("journal.size_max is {size_max_bytes} bytes, the least is {least_bytes} (four segments)")]
    SizeMax { size_max_bytes: u64, least_bytes: u64 },
    /// A segment that is no whole number of blocks, or too small or too large.
    #[error("a segment of {segment_bytes} bytes is not possible: 64 KiB to 1 GiB in steps of 4096")]
    SegmentBytes { segment_bytes: u64 },
    /// The disk is full, and recovery found no spare segment to rewrite the last one into.
    #[error(
        "the disk is full and recovery needs {needed_bytes} bytes: free some room beside the journal, then start again"
    )]
    NoRoom { needed_bytes: u64 },
    /// The disk said no.
    #[error("cannot {doing} {path}: {source}{}", cure(source))]
    Io { doing: &'static str, path: String, source: io::Error },
    /// The machine gave no thread.
    #[error("the journal's threads cannot be started: {0}")]
    Threads(io::Error),
    /// The machine gave no random bytes for a new identity.
    #[error("no random bytes: {0}")]
    Random(io::Error),
}

impl OpenError {
    /// Whether the settings, and not the moment, are to blame (exit code 78).
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            OpenError::Ephemeral { .. }
                | OpenError::Version { .. }
                | OpenError::SizeMax { .. }
                | OpenError::SegmentBytes { .. }
        )
    }
}

/// What to do where the disk says no, if that is known.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the bridge's user read and write there",
        io::ErrorKind::ReadOnlyFilesystem => "; mount the file system for writing",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some room beside the journal",
        io::ErrorKind::NotADirectory => "; a file stands where a folder is wanted",
        _ => "",
    }
}

/// Why nothing could be read just now. The reader stays where it is; the next call tries again.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk said no. What is damaged but readable is an item, not an error.
    #[error("segment {segment} cannot be read: {source}")]
    Io { segment: u64, source: io::Error },
}

/// Why a dead letter was not kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The name is empty, longer than 200 bytes, begins with a dot, or has other characters than letters, digits, `-`, `_`, `.`.
    #[error("a dead letter's name has letters, digits, '-', '_' and '.' only")]
    Name,
    /// `size_max` or the disk is full. Nothing is kept; the delivery must not settle.
    #[error("no room for a dead letter: free some, or raise journal.size_max")]
    NoRoom,
    /// Larger than a frame holds (4 GiB).
    #[error("a dead letter of more than 4 GiB")]
    TooLarge,
    /// Its checksum does not hold.
    #[error("the dead letter is damaged")]
    Damaged,
    /// The disk said no; whether it is kept is not known.
    #[error("dead letter: {0}")]
    Io(io::Error),
}

impl From<io::Error> for DeadLetterError {
    fn from(error: io::Error) -> DeadLetterError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DeadLetterError::NoRoom,
            _ => DeadLetterError::Io(error),
        }
    }
}

/// Why the journal did not end as it should. What was acknowledged is on disk all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// A write or sync has failed, now or earlier: the next start recovers.
    #[error("the journal is poisoned by a failed write or sync; the next start recovers it")]
    Poisoned,
    /// A thread of the journal has panicked: the next start recovers.
    #[error("a thread of the journal ended in a panic; the next start recovers it")]
    Panicked,
}
