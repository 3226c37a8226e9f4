//! Spare segments and the room they need.
//!
//! In: a wish for the next segment. Out: a file that is written full of zeros and synced, so that a full disk shows here
//! and not in the middle of an acknowledgement. Never happens: the intake taking the last spare, which recovery needs
//! to rewrite the last segment on a full disk; a record dropped for room before a synced checkpoint says that it is
//! settled.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::frame::BLOCK_BYTES;
use super::segment::{FOLDER, Name, SegmentHeader};
use super::shared::{Shared, lock};
use super::storage::{File, Storage, write_all_at};
use super::{JournalId, Options, Position, dead, quarantine};
use crate::planted::Bug;

/// Spares that housekeeping keeps ready: one for the intake, one for a recovery.
pub const SPARES_WANTED: usize = 2;
const ZEROS_BYTES: usize = 1 << 20;
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// A segment with a header and nothing else.
pub struct Spare {
    pub file: Arc<dyn File>,
    pub header: SegmentHeader,
}

/// The spares. Their lock orders housekeeping: who holds it makes and frees segments.
pub struct Spares {
    pub ready: VecDeque<Spare>,
    /// Number of the next segment that is made.
    pub next_number: u64,
    pub identity: JournalId,
    pub previous: JournalId,
    /// What lies before it is settled according to both checkpoint slots.
    pub settled: Option<Position>,
    /// Making one failed, or there was no room.
    pub no_room: bool,
}

/// The next segment for the intake; `None` where there is no room.
pub fn take(shared: &Shared) -> Option<Spare> {
    let mut spares = lock(&shared.spares);
    if spares.ready.len() < SPARES_WANTED {
        provide(shared, &mut spares);
    }
    if spares.ready.len() < SPARES_WANTED {
        return None;
    }
    spares.ready.pop_front()
}

/// Makes spares until there are enough, dropping published segments, oldest first, where room is short. Whether there
/// are enough.
pub fn provide(shared: &Shared, spares: &mut Spares) -> bool {
    while spares.ready.len() < SPARES_WANTED {
        if !make_room(shared, spares) {
            spares.no_room = true;
            return false;
        }
        let header = SegmentHeader {
            identity: spares.identity,
            previous: spares.previous,
            number: spares.next_number,
            segment_bytes: shared.options.segment_bytes,
        };
        match make(shared.storage.as_ref(), header) {
            Ok(spare) => spares.ready.push_back(spare),
            Err(error) => {
                if !spares.no_room {
                    tracing::warn!(segment = header.number, %error, "journal: no spare segment can be made");
                }
                spares.no_room = true;
                return false;
            }
        }
        spares.next_number += 1;
    }
    spares.no_room = false;
    true
}

/// Makes one segment: zeros, header, sync, final name, sync of the folder. On an error nothing of it is left, but for
/// what a crash would leave too.
pub fn make(storage: &dyn Storage, header: SegmentHeader) -> io::Result<Spare> {
    let (new, name) = (Name::New(header.number).path(), Name::Segment(header.number).path());
    let made = fill(storage, header).and_then(|file| {
        storage.rename(&new, &name)?;
        if !Bug::NoDirectorySync.is_planted() {
            storage.sync_folder(Path::new(FOLDER))?;
        }
        Ok(file)
    });
    match made {
        Ok(file) => Ok(Spare { file: Arc::from(file), header }),
        Err(error) => {
            // One of the two names has it, or neither; a start removes the first and may use the second.
            let _ = storage.remove(&new);
            let _ = storage.remove(&name);
            Err(error)
        }
    }
}

fn fill(storage: &dyn Storage, header: SegmentHeader) -> io::Result<Box<dyn File>> {
    let path = Name::New(header.number).path();
    let file = match storage.create(&path) {
        // Left by an attempt whose removal failed as well.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.remove(&path)?;
            storage.create(&path)?
        }
        other => other?,
    };
    zero(file.as_ref(), header.segment_bytes)?;
    write_all_at(file.as_ref(), &header.encode(), 0)?;
    file.sync_all()?;
    Ok(file)
}

/// Writes the file full of zeros, around the page cache where that goes: in it they cost more than the records that take
/// their place.
fn zero(file: &dyn File, bytes: u64) -> io::Result<()> {
    let block = BLOCK_BYTES as usize;
    let buffer = vec![0; ZEROS_BYTES.min(bytes as usize) + block];
    let zeros = &buffer[buffer.as_ptr().align_offset(block)..][..buffer.len() - block];
    let mut bypasses = bytes.is_multiple_of(BLOCK_BYTES) && file.bypass_cache(true);
    let mut at = 0;
    while at < bytes {
        let length = (bytes - at).min(zeros.len() as u64) as usize;
        match write_all_at(file, &zeros[..length], at) {
            // A device with larger blocks.
            Err(error) if bypasses && error.kind() == io::ErrorKind::InvalidInput => {
                bypasses = file.bypass_cache(false);
                continue;
            }
            other => other?,
        }
        at += length as u64;
        if at.is_multiple_of(SYNC_EVERY_BYTES) {
            // In steps, so that a batch's sync never waits behind a whole segment of zeros.
            file.sync_data()?;
        }
    }
    if bypasses {
        file.bypass_cache(false);
    }
    Ok(())
}

/// Drops published segments, oldest first, until one more fits; whether it does.
pub fn make_room(shared: &Shared, spares: &Spares) -> bool {
    while !has_room(shared) {
        if !free_oldest(shared, spares.settled) {
            return false;
        }
    }
    true
}

/// Whether one segment more, and a little for quarantine and dead letters, fits in `size_max` and on the disk. A disk
/// that cannot be asked has no room.
fn has_room(shared: &Shared) -> bool {
    room_bytes(shared.storage.as_ref(), &shared.options)
        .is_ok_and(|room| room >= shared.options.segment_bytes + aside_bytes(&shared.options))
}

/// What no segment is made of: room for quarantine and dead letters.
pub fn aside_bytes(options: &Options) -> u64 {
    options.segment_bytes / 16
}

/// Bytes that may still be written: what is left of `size_max`, and of the disk.
pub fn room_bytes(storage: &dyn Storage, options: &Options) -> io::Result<u64> {
    let mut used = 0;
    for folder in [FOLDER, quarantine::FOLDER, dead::FOLDER] {
        used += storage.list(Path::new(folder))?.iter().map(|entry| entry.bytes).sum::<u64>();
    }
    Ok(options.size_max_bytes.saturating_sub(used).min(storage.free_bytes()?))
}

/// Drops the oldest segment, where it is closed and settled and nothing in it waits to be quarantined. The folder is
/// synced after each, so that after a crash what is left is without gaps. Whether one went.
pub fn free_oldest(shared: &Shared, settled: Option<Position>) -> bool {
    let Some(oldest) = shared.segments().into_iter().next() else { return false };
    let damaged = || lock(&shared.damages).iter().any(|damage| damage.segment == oldest.number);
    if !oldest.closed || settled.is_none_or(|settled| oldest.end > settled) || damaged() {
        return false;
    }
    shared.remove_segment(oldest.number);
    let storage = shared.storage.as_ref();
    let removed =
        storage.remove(&Name::Segment(oldest.number).path()).and_then(|()| storage.sync_folder(Path::new(FOLDER)));
    match &removed {
        Ok(()) => tracing::info!(segment = oldest.number, until = oldest.end.0, "journal: published segment dropped"),
        Err(error) => tracing::error!(segment = oldest.number, %error, "journal: segment cannot be removed"),
    }
    removed.is_ok()
}
