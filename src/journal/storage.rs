//! The seam to the disk: the only file that touches the journal's files. [`Disk`] is the real one; the crash simulation
//! brings its own.
//!
//! Paths are relative to the bridge's folder (`journal.dir`): `journal/checkpoint`, `quarantine/…`, `dead/…`.

use std::io;
use std::path::Path;

/// A disk.
pub trait Storage: Send + Sync {
    /// Makes a folder (0700) where there is none.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a file (0600); fails where one exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file to read and write.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Names and lengths of the regular files in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that this process may still write to the file system.
    fn free_bytes(&self) -> io::Result<u64>;
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
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// The file's length, bytes.
    fn byte_len(&self) -> io::Result<u64>;
}

/// One file in a folder.
pub struct Entry {
    pub name: String,
    pub bytes: u64,
}
