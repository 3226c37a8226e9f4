//! The quarantine: copies of bytes that are not what was written.
//!
//! In: where the damage lies. Out: a file `quarantine/<segment>-<offset>-<from>-<until>-<kept at, ms>.bytes`, from and
//! until being the positions that are lost; an empty one where no byte of them is left. Never happens: a second copy of one
//! damage, now or after a restart; damage that grew since and is taken for known; a loss that only its first start tells
//! of, as the lanes go past it then.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::frame::BLOCK_BYTES;
use super::storage::{Entry, File, Storage, read_full_at, write_all_at};

/// The folder.
pub const FOLDER: &str = "quarantine";
/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// One damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment; 0 for the checkpoint.
    pub segment: u64,
    /// The bytes to keep, from the start of the file.
    pub bytes: Range<u64>,
    /// Positions that are lost by it; empty where none is.
    pub positions: Range<u64>,
    /// What it is, for the log.
    pub what: &'static str,
}

impl Damage {
    /// What it counts for; damage without a byte is damage.
    pub fn counted_bytes(&self) -> u64 {
        (self.bytes.end - self.bytes.start).max(1)
    }
}

/// Keeps a copy. `Ok(false)`: there is one already.
pub fn keep(storage: &dyn Storage, file: &dyn File, damage: &Damage, now_ms: u64) -> io::Result<bool> {
    // A file that was cut short has fewer.
    let there_bytes = file.byte_len()?.saturating_sub(damage.bytes.start);
    let least_bytes = there_bytes.min(damage.bytes.end - damage.bytes.start);
    keep_as(storage, damage, least_bytes, now_ms, |new| copy(storage, file, &damage.bytes, new))
}

/// Keeps what there is of positions whose segments are gone: their numbers, in the name of an empty file.
pub fn note(storage: &dyn Storage, damage: &Damage, now_ms: u64) -> io::Result<bool> {
    keep_as(storage, damage, 0, now_ms, |new| storage.create(new)?.sync_all())
}

/// A shorter copy of the same place is of damage that has grown since.
fn keep_as(
    storage: &dyn Storage,
    damage: &Damage,
    least_bytes: u64,
    now_ms: u64,
    make: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<bool> {
    let Range { start: from, end: until } = damage.positions;
    let name = format!("{:020}-{:012}-{from:020}-{until:020}-", damage.segment, damage.bytes.start);
    let entries = storage.list(Path::new(FOLDER))?;
    let is_copy = |entry: &Entry| entry.name.starts_with(&name) && entry.name.ends_with(".bytes");
    if entries.iter().any(|entry| is_copy(entry) && entry.bytes >= least_bytes) {
        return Ok(false);
    }
    // A shorter copy of the same millisecond stays: it may be of bytes that a rewritten segment no longer has.
    let is_taken = |at_ms: &u64| entries.iter().any(|entry| entry.name == format!("{name}{at_ms}.bytes"));
    let at_ms = (now_ms..).find(|at_ms| !is_taken(at_ms)).unwrap_or(now_ms);
    let [new, kept] = ["new", "bytes"].map(|suffix| path(&format!("{name}{at_ms}.{suffix}")));
    if let Err(error) = make(&new) {
        // What is left of it is removed at the next start at the latest.
        let _ = storage.remove(&new);
        return Err(error);
    }
    storage.rename(&new, &kept)?;
    storage.sync_folder(Path::new(FOLDER))?;
    Ok(true)
}

/// Says what was found, with the exact positions.
pub fn tell(damage: &Damage, kept: &io::Result<bool>) {
    let Damage { segment, bytes, positions, what } = damage;
    let (from_byte, until_byte) = (bytes.start, bytes.end);
    match kept {
        Ok(false) => tracing::warn!(segment, ?positions, from_byte, until_byte, what, "journal damage, known already"),
        Ok(true) => tracing::error!(segment, ?positions, from_byte, until_byte, what, "journal damaged: quarantined"),
        Err(error) => {
            tracing::error!(segment, ?positions, from_byte, until_byte, what, %error, "journal damaged: not quarantined")
        }
    }
}

/// A copy that is kept, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Number of the segment that the bytes stood in.
    pub segment: u64,
    /// Positions that were lost; empty where none was.
    pub positions: Range<u64>,
    pub kept_at_ms: u64,
    pub bytes: u64,
}

/// All copies; a folder that is not there holds none.
pub fn list(storage: &dyn Storage) -> io::Result<Vec<Quarantined>> {
    let entries = match storage.list(Path::new(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let parse = |name: &str| {
        let mut numbers = name.strip_suffix(".bytes")?.split('-').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (segment, _at, from, until, kept_at_ms) = (next()?, next()?, next()?, next()?, next()?);
        Some(Quarantined { segment, positions: from..until, kept_at_ms, bytes: 0 })
    };
    let known = |entry: &Entry| parse(&entry.name).map(|copy| Quarantined { bytes: entry.bytes, ..copy });
    let mut all: Vec<Quarantined> = entries.iter().filter_map(known).collect();
    all.sort_by_key(|copy| (copy.segment, copy.positions.start));
    Ok(all)
}

/// Removes what was kept longer than `retention_ms` and what a crash left half-made; how many files went.
pub fn expire(storage: &dyn Storage, now_ms: u64, retention_ms: u64) -> io::Result<usize> {
    let mut removed = 0;
    for entry in storage.list(Path::new(FOLDER))? {
        let kept_at = entry.name.strip_suffix(".bytes").and_then(|name| name.rsplit('-').next()?.parse::<u64>().ok());
        if kept_at.is_some_and(|at| now_ms.saturating_sub(at) > retention_ms) {
            storage.remove(&path(&entry.name))?;
            removed += 1;
        }
    }
    if removed > 0 {
        storage.sync_folder(Path::new(FOLDER))?;
        tracing::info!(files = removed, "quarantine: expired files removed");
    }
    Ok(removed)
}

/// Removes what a crash left half-made.
pub fn tidy(storage: &dyn Storage) -> io::Result<()> {
    for entry in storage.list(Path::new(FOLDER))?.iter().filter(|entry| entry.name.ends_with(".new")) {
        storage.remove(&path(&entry.name))?;
    }
    Ok(())
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn copy(storage: &dyn Storage, file: &dyn File, bytes: &Range<u64>, to: &Path) -> io::Result<()> {
    let copy = storage.create(to)?;
    let mut buffer = vec![0; COPY_BYTES.min(bytes.end - bytes.start).max(BLOCK_BYTES) as usize];
    let mut at = bytes.start;
    while at < bytes.end {
        let wanted = (bytes.end - at).min(buffer.len() as u64) as usize;
        let length = read_full_at(file, &mut buffer[..wanted], at)?;
        write_all_at(copy.as_ref(), &buffer[..length], at - bytes.start)?;
        if length < wanted {
            break;
        }
        at += length as u64;
    }
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::storage::Disk;

    fn source() -> (tempfile::TempDir, Disk, Box<dyn File>) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        disk.create_folder(Path::new(FOLDER)).unwrap();
        let file = disk.create(Path::new("source")).unwrap();
        write_all_at(file.as_ref(), b"0123456789", 0).unwrap();
        (folder, disk, file)
    }

    #[test]
    fn damage_that_has_grown_at_its_place_is_kept_again_and_a_file_that_ends_early_once() {
        let (_folder, disk, file) = source();
        let torn = |bytes: Range<u64>| Damage { segment: 7, bytes, positions: 1..1, what: "test" };
        assert!(keep(&disk, file.as_ref(), &torn(3..5), 1_000).unwrap());
        assert!(keep(&disk, file.as_ref(), &torn(3..9), 1_000).unwrap());
        assert!(!keep(&disk, file.as_ref(), &torn(3..5), 2_000).unwrap());
        assert!(keep(&disk, file.as_ref(), &torn(8..90), 2_000).unwrap());
        assert!(!keep(&disk, file.as_ref(), &torn(8..90), 3_000).unwrap());
        let mut copies: Vec<_> = list(&disk).unwrap().iter().map(|copy| (copy.kept_at_ms, copy.bytes)).collect();
        copies.sort_unstable();
        assert_eq!(copies, [(1_000, 2), (1_001, 6), (2_000, 2)], "one of the same millisecond is not written over");
    }

    #[test]
    fn damage_is_kept_once_and_expires() {
        let (folder, disk, file) = source();
        let damage = Damage { segment: 7, bytes: 3..6, positions: 1..2, what: "test" };
        assert!(keep(&disk, file.as_ref(), &damage, 1_000).unwrap());
        assert!(!keep(&disk, file.as_ref(), &damage, 2_000).unwrap());
        let entries = disk.list(Path::new(FOLDER)).unwrap();
        assert_eq!(entries.len(), 1);
        let copy = Quarantined { segment: 7, positions: 1..2, kept_at_ms: 1_000, bytes: 3 };
        assert_eq!(list(&disk).unwrap(), [copy]);
        assert_eq!(std::fs::read(folder.path().join(path(&entries[0].name))).unwrap(), b"345");
        assert_eq!(expire(&disk, 1_500, 1_000).unwrap(), 0);
        assert_eq!(expire(&disk, 2_001, 1_000).unwrap(), 1);
        assert_eq!(disk.list(Path::new(FOLDER)).unwrap(), vec![]);
    }
}
