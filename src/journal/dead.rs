//! Dead letters on disk: one file each, `dead/<name>.dead`, which is one frame (segment 0, batch 0, position 1).
//!
//! In: a name and bytes. Out: the same, checked again. Never happens: a dead letter that is reported kept before it is
//! synced under its name; bytes that differ from what was kept.

use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, Kind};
use super::record::{self, RECORD_HEADER_BYTES};
use super::storage::{Claim, Disk, Storage, read_full_at, write_all_at};
use super::{DeadLetterError, JournalId, Position};

/// The folder.
pub const FOLDER: &str = "dead";
/// Longest name, bytes.
pub const NAME_BYTES_MAX: usize = 200;
const ONLY: Position = Position(1);

/// Keeps one; `room_bytes` is what may still be written. Returns after its sync.
pub(super) fn keep(
    storage: &dyn Storage,
    identity: JournalId,
    room_bytes: u64,
    name: &str,
    payload: &[u8],
) -> Result<(), DeadLetterError> {
    let (new, kept) = (path(name, "new")?, path(name, "dead")?);
    let bytes = encode(identity, payload).ok_or(DeadLetterError::TooLarge)?;
    if bytes.len() as u64 > room_bytes {
        return Err(DeadLetterError::NoRoom);
    }
    let written = || -> io::Result<()> {
        match storage.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = storage.create(&new)?;
        write_all_at(file.as_ref(), &bytes, 0)?;
        file.sync_all()?;
        storage.rename(&new, &kept)?;
        storage.sync_folder(Path::new(FOLDER))
    };
    written().map_err(|error| {
        // What is left under the temporary name is removed at the next start at the latest.
        let _ = storage.remove(&new);
        DeadLetterError::from(error)
    })
}

/// Names of all that are kept, sorted.
pub fn list(storage: &dyn Storage) -> io::Result<Vec<String>> {
    let entries = storage.list(Path::new(FOLDER))?;
    let mut names: Vec<String> =
        entries.iter().filter_map(|entry| Some(entry.name.strip_suffix(".dead")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Reads one.
pub fn read(storage: &dyn Storage, name: &str) -> Result<Vec<u8>, DeadLetterError> {
    let file = storage.open(&path(name, "dead")?)?;
    let mut bytes = vec![0; usize::try_from(file.byte_len()?).map_err(|_| DeadLetterError::Damaged)?];
    let length = read_full_at(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(length);
    let decoded = FrameHeader::decode(&bytes)
        .map(|_| record::decode(&bytes, FRAME_HEADER_BYTES, ONLY.0..ONLY.0 + 1))
        .ok_or(DeadLetterError::Damaged)?;
    let found = decoded.records.first().ok_or(DeadLetterError::Damaged)?;
    Ok(bytes[found.payload()].to_vec())
}

/// Keeps others from sending and removing one, for as long as the guard lives; see [`Disk::claim`] for the refusals.
pub fn claim(disk: &Disk, name: &str) -> Result<Claim, DeadLetterError> {
    Ok(disk.claim(&path(name, "dead")?)?)
}

/// Removes one; returns when that is durable.
pub fn remove(storage: &dyn Storage, name: &str) -> Result<(), DeadLetterError> {
    storage.remove(&path(name, "dead")?)?;
    Ok(storage.sync_folder(Path::new(FOLDER))?)
}

/// Removes what a crash left half-made.
pub(super) fn tidy(storage: &dyn Storage) -> io::Result<()> {
    for entry in storage.list(Path::new(FOLDER))?.iter().filter(|entry| entry.name.ends_with(".new")) {
        storage.remove(&Path::new(FOLDER).join(&entry.name))?;
    }
    Ok(())
}

fn path(name: &str, suffix: &str) -> Result<PathBuf, DeadLetterError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(DeadLetterError::Name);
    }
    Ok(Path::new(FOLDER).join(format!("{name}.{suffix}")))
}

fn encode(identity: JournalId, payload: &[u8]) -> Option<Vec<u8>> {
    let payload_bytes = u32::try_from(RECORD_HEADER_BYTES.checked_add(payload.len())?).ok()?;
    let mut header = FrameHeader {
        kind: Kind::Records,
        identity,
        segment: 0,
        batch: 0,
        count: 1,
        first: ONLY,
        payload_bytes,
        chain: frame::seed(identity, 0),
        crc: 0,
    };
    let mut bytes = header.encode().to_vec();
    record::encode(&mut bytes, ONLY, 0, &[0; 16], &[payload]);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_kept_once_listed_read_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        disk.create_folder(Path::new(FOLDER)).unwrap();
        let id = JournalId([1; 16]);
        keep(&disk, id, 1 << 20, "b-2", b"first").unwrap();
        keep(&disk, id, 1 << 20, "b-2", b"second").unwrap();
        keep(&disk, id, 1 << 20, "a-1", b"").unwrap();
        assert_eq!(list(&disk).unwrap(), vec!["a-1", "b-2"]);
        assert_eq!(read(&disk, "b-2").unwrap(), b"second");
        assert_eq!(read(&disk, "a-1").unwrap(), b"");
        remove(&disk, "b-2").unwrap();
        assert_eq!(list(&disk).unwrap(), vec!["a-1"]);
    }

    #[test]
    fn damage_no_room_and_odd_names_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        disk.create_folder(Path::new(FOLDER)).unwrap();
        let id = JournalId([1; 16]);
        assert!(matches!(keep(&disk, id, 10, "a", b"x"), Err(DeadLetterError::NoRoom)));
        for name in ["", "../a", ".a", "a/b"] {
            assert!(matches!(keep(&disk, id, 1 << 20, name, b"x"), Err(DeadLetterError::Name)), "{name}");
        }
        keep(&disk, id, 1 << 20, "a", b"body").unwrap();
        let file = disk.open(Path::new("dead/a.dead")).unwrap();
        write_all_at(file.as_ref(), b"X", 97).unwrap();
        assert!(matches!(read(&disk, "a"), Err(DeadLetterError::Damaged)));
    }
}
