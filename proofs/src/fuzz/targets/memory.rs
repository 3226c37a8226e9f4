//! A disk in memory that never fails, and can be copied.
//!
//! In: the journal's calls. Out: what a disk without trouble answers. Never happens: an error but for names that are not
//! there, so that whatever else a journal says is about the bytes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use retell_bridge::journal::storage::{Entry, File, Storage};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files by path; clones share them.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<PathBuf, Bytes>>>);

struct Handle(Bytes);

impl Memory {
    /// A disk of its own that holds the same.
    pub fn copy(&self) -> Memory {
        let files = self.files().iter().map(|(path, bytes)| (path.clone(), held(held_in(bytes).clone()))).collect();
        Memory(Arc::new(Mutex::new(files)))
    }

    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        self.files().insert(path.into(), held(bytes));
    }

    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.files().get(Path::new(path)).map(|bytes| held_in(bytes).clone())
    }

    /// Paths below a folder.
    pub fn paths(&self, folder: &str) -> Vec<String> {
        let below = |path: &&PathBuf| path.parent() == Some(Path::new(folder));
        self.files().keys().filter(below).map(|path| path.display().to_string()).collect()
    }

    /// Everything, to see that nothing has changed.
    pub fn whole(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.files().iter().map(|(path, bytes)| (path.clone(), held_in(bytes).clone())).collect()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Bytes>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

fn held(bytes: Vec<u8>) -> Bytes {
    Arc::new(Mutex::new(bytes))
}

fn held_in(bytes: &Bytes) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().expect("nothing panics while it is held")
}

impl Storage for Memory {
    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut files = self.files();
        if files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = held(Vec::new());
        files.insert(path.to_owned(), bytes.clone());
        Ok(Box::new(Handle(bytes)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let found = self.files().get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Handle(found)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let files = self.files();
        let below = files.iter().filter(|(path, _)| path.parent() == Some(folder));
        let entry = |(path, bytes): (&PathBuf, &Bytes)| {
            let name = path.file_name().expect("every file has a name").to_string_lossy().into_owned();
            Entry { name, bytes: held_in(bytes).len() as u64 }
        };
        Ok(below.map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = held_in(&self.0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let length = buffer.len().min(bytes.len() - from);
        buffer[..length].copy_from_slice(&bytes[from..from + length]);
        Ok(length)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = held_in(&self.0);
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = from + written.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[from..end].copy_from_slice(written);
        Ok(written.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        held_in(&self.0).resize(length, 0);
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(held_in(&self.0).len() as u64)
    }
}
