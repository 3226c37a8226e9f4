//! The seam to the disk: this file and the folder beside it alone touch the journal's files. [`Disk`] is the real one;
//! the crash simulation brings its own.
//!
//! Paths are relative to the bridge's folder (`journal.dir`): `journal/checkpoint`, `quarantine/…`, `dead/…`; the empty
//! path is that folder itself.

mod disk;

use std::any::Any;
use std::io;
use std::ops::Range;
use std::path::Path;

pub use disk::{Claim, Disk};

/// A disk.
pub trait Storage: Send + Sync {
    /// Makes a folder (0700) where there is none.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a file (0600); fails where one exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file to read and write (a read-only disk: to read).
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Names and lengths of the regular files in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    /// Gives a file another name, in the place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that this process may still write to the file system.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Makes (0600) and locks a file for as long as the guard lives. [`io::ErrorKind::WouldBlock`]: another process has
    /// it. A disk that no second process can see needs no lock.
    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    /// The name of the file system, where a sync on it is a no-op or somebody else's promise; `None` where it counts.
    fn ephemeral(&self) -> io::Result<Option<&'static str>> {
        Ok(None)
    }
}

/// An open file. Nothing is durable before a sync returned `Ok`.
pub trait File: Send + Sync {
    /// May read less than asked, 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// May write less than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// fdatasync.
    fn sync_data(&self) -> io::Result<()>;
    /// fsync.
    fn sync_all(&self) -> io::Result<()>;
    /// Cuts the file, or lets it grow.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// The file's length, bytes.
    fn byte_len(&self) -> io::Result<u64>;

    /// Whether writes go around the page cache: what nobody will read again needs no memory, and not the time to copy it
    /// there. Offsets, lengths and the buffer's address are then multiples of a block. `false`: they do not, as the file
    /// system has no such writes.
    fn bypass_cache(&self, _wanted: bool) -> bool {
        false
    }

    /// Says that synced bytes need not stay in the page cache: the next ones then take the same warm memory, and a long
    /// burst does not push out what others have there. Nothing depends on it.
    fn forget_cached(&self, _bytes: Range<u64>) {}
}

/// One file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
}

/// Reads until the buffer is full or the file ends; how much was read.
pub fn read_full_at(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of it at the offset, in as many writes as the disk wants (tmpfs: a short one first, the error after it).
pub fn write_all_at(file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(&bytes[written..], offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
