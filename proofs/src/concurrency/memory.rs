//! A disk in memory that knows what is synced.
//!
//! In: the journal's calls. Out: the same bytes, and how far records are synced. Never happens: its own lock (std's) held
//! where another task may run.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use retell_bridge::journal::storage::{Entry, File, Storage};

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>,
    /// Written to segments since the last sync.
    unsynced: Vec<Vec<u8>>,
    synced: Vec<Vec<u8>>,
    /// Batches still to be synced before one fails.
    fails_after: Option<u64>,
    failed: bool,
    fails_checkpoint: bool,
}

#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

struct Open {
    memory: Memory,
    bytes: Arc<Mutex<Vec<u8>>>,
    is_segment: bool,
}

impl Memory {
    /// The sync after so many others of batches fails, and each after it.
    pub fn fail_after(&self, syncs: u64) {
        self.state().fails_after = Some(syncs);
    }

    /// Each sync of the checkpoint fails from now on.
    pub fn fail_checkpoint(&self) {
        self.state().fails_checkpoint = true;
    }

    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// How often these bytes were written and synced.
    pub fn synced_times(&self, wanted: &[u8]) -> usize {
        let count = |bytes: &Vec<u8>| bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        self.state().synced.iter().map(count).sum()
    }

    /// How many records were synced: the counts of the frames.
    pub fn synced_records(&self) -> u64 {
        let is_records = |bytes: &&Vec<u8>| bytes.starts_with(b"RBfr") && bytes[6] == 1;
        let count = |bytes: &Vec<u8>| u64::from(u32::from_le_bytes([bytes[36], bytes[37], bytes[38], bytes[39]]));
        self.state().synced.iter().filter(is_records).map(count).sum()
    }

    /// Bytes of a file.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let file = self.state().files.get(Path::new(path)).cloned();
        file.map(|file| file.lock().expect("nobody panics with it").clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }

    fn opened(&self, path: &Path, bytes: Arc<Mutex<Vec<u8>>>) -> Box<dyn File> {
        let is_segment = path.to_string_lossy().contains("segment") || path.to_string_lossy().contains(".new");
        let is_segment = is_segment && !path.to_string_lossy().contains("checkpoint");
        Box::new(Open { memory: self.clone(), bytes, is_segment })
    }
}

impl Storage for Memory {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        self.state().files.insert(path.to_owned(), bytes.clone());
        Ok(self.opened(path, bytes))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let bytes = self.state().files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.opened(path, bytes))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        let inside = state.files.iter().filter(|(path, _)| path.parent() == Some(folder));
        let entry = |(path, bytes): (&PathBuf, &Arc<Mutex<Vec<u8>>>)| Entry {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: bytes.lock().expect("nobody panics with it").len() as u64,
        };
        Ok(inside.map(entry).collect())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let bytes = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), bytes);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().files.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

impl File for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock().expect("nobody panics with it");
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.bytes.lock().expect("nobody panics with it");
        let end = offset as usize + written.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(written);
        if self.is_segment && written.starts_with(b"RBfr") {
            self.memory.state().unsynced.push(written.to_vec());
        }
        Ok(written.len())
    }
    fn sync_data(&self) -> io::Result<()> {
        // A sync takes time: the others run.
        shuttle::thread::sleep(Duration::ZERO);
        if !self.is_segment && self.memory.state().fails_checkpoint {
            return Err(io::Error::other("planned"));
        }
        if self.is_segment {
            let mut state = self.memory.state();
            if state.fails_after == Some(0) {
                assert!(!state.failed, "a segment is synced again after a sync has failed");
                state.failed = true;
                return Err(io::Error::other("planned"));
            }
            state.fails_after = state.fails_after.map(|left| left - 1);
            let written = std::mem::take(&mut state.unsynced);
            state.synced.extend(written);
        }
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.bytes.lock().expect("nobody panics with it").resize(bytes as usize, 0);
        Ok(())
    }
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().expect("nobody panics with it").len() as u64)
    }
}
