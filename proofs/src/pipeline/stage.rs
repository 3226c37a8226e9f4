//! The simulated disk, with other threads' work in the middle of a sync.
//!
//! In: the journal's calls. Out: what the disk answers; before each sync of a file, what was asked to happen meanwhile.
//! That is how one thread plays two: the publisher takes a step while the writer waits for its sync. Never happens: work
//! inside other work of this kind.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use retell_bridge::journal::storage::{Entry, File, Storage};

use crate::simulation::disk::SimDisk;

type Work = Box<dyn FnMut() + Send>;

/// What happens during a sync. Clones share it.
#[derive(Clone, Default)]
pub struct Meanwhile(Arc<Mutex<Option<Work>>>);

impl Meanwhile {
    pub fn set(&self, work: Option<Work>) {
        *self.slot() = work;
    }

    fn run(&self) {
        // Taken out, so that a sync in this work finds none.
        let taken = self.slot().take();
        if let Some(mut work) = taken {
            work();
            *self.slot() = Some(work);
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Work>> {
        self.0.lock().expect("a scene is one thread")
    }
}

/// See the module.
pub struct Stage {
    pub disk: SimDisk,
    pub meanwhile: Meanwhile,
}

struct Prop {
    file: Box<dyn File>,
    meanwhile: Meanwhile,
}

impl Stage {
    fn prop(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(Prop { file, meanwhile: self.meanwhile.clone() })
    }
}

impl Storage for Stage {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.prop(self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.prop(self.disk.open(path)?))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl File for Prop {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meanwhile.run();
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.meanwhile.run();
        self.file.sync_all()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}
