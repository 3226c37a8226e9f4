//! The first error of a write or sync.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::journal::storage::{Entry, File, Storage};

/// A disk whose syncs of files with a part of a name fail while that is wanted, and are counted.
struct Failing {
    disk: Disk,
    name: &'static str,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    fails: AtomicBool,
    failed: AtomicU64,
    /// The folder's next sync behind a rename to the name finds no room.
    is_full_behind_rename: AtomicBool,
    was_renamed: AtomicBool,
}

struct FailingFile {
    file: Box<dyn File>,
    state: Option<Arc<State>>,
}

impl Failing {
    fn file(&self, path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        let state = path.to_string_lossy().contains(self.name).then(|| self.state.clone());
        Box::new(FailingFile { file, state })
    }
}

impl Storage for Failing {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.file(path, self.disk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.file(path, self.disk.open(path)?))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(folder)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.to_string_lossy().ends_with(self.name) {
            self.state.was_renamed.store(true, Ordering::Relaxed);
        }
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let was_renamed = self.state.was_renamed.swap(false, Ordering::Relaxed);
        if was_renamed && self.state.is_full_behind_rename.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.sync_folder(folder)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl FailingFile {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match &self.state {
            Some(state) if state.fails.load(Ordering::Relaxed) => {
                state.failed.fetch_add(1, Ordering::Relaxed);
                Err(io::Error::other("made to fail"))
            }
            _ => sync(),
        }
    }
}

impl File for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.sync(|| self.file.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.sync(|| self.file.sync_all())
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}

fn open(scene: &Scene, name: &'static str) -> (Stepped, Arc<State>) {
    let state = Arc::new(State::default());
    (try_open(scene, name, &state).unwrap(), state)
}

fn try_open(scene: &Scene, name: &'static str, state: &Arc<State>) -> Result<Stepped, OpenError> {
    let disk = Failing { disk: Disk::new(scene.folder.path()).unwrap(), name, state: state.clone() };
    let (metrics, health) = (scene.metrics.clone(), scene.health.clone());
    open_stepped(Arc::new(disk), scene.options.clone(), metrics, health, START_MS, JournalId([1; 16]))
}

#[test]
fn a_failed_sync_of_a_segment_fails_every_waiter_and_is_never_repeated() {
    let scene = Scene::new();
    // The spares are made under another name; the handle of the one that is used was opened under it.
    let (mut stepped, state) = open(&scene, "00000000000000000001");
    scene.write(&mut stepped, 1, 100);
    state.fails.store(true, Ordering::Relaxed);
    scene.append(&stepped, 2, 100).unwrap();
    scene.append(&stepped, 3, 100).unwrap();
    stepped.writer.turn(START_MS);
    assert_eq!(scene.outcomes(), vec![Ok(Position(1)), Err(AppendError::Poisoned), Err(AppendError::Poisoned)]);
    assert_eq!(scene.append(&stepped, 4, 100), Err(AppendError::Poisoned));
    assert!(stepped.journal.is_poisoned());
    assert_eq!(scene.metric("journal_poisoned"), 1.0);
    assert!(!scene.health.readiness().checks.iter().find(|check| check.name == "journal_sound").unwrap().holds);

    assert_eq!(read_all(&stepped, 1).0, vec![(1, 1)], "what was synced is still read");
    stepped.journal.mark(vec![lane("a", 2)]);
    stepped.keeper.turn(START_MS, 0);
    scene.close(stepped);
    assert_eq!(state.failed.load(Ordering::Relaxed), 1);
    let stepped = scene.open();
    assert_eq!(stepped.recovered.lanes, vec![lane("a", 2)], "the checkpoint's own file is sound");
    assert_eq!(read_all(&stepped, 1).0[0], (1, 1));
}

#[test]
fn a_failed_sync_of_the_checkpoint_poisons_and_is_never_repeated() {
    let scene = Scene::new();
    let (mut stepped, state) = open(&scene, "checkpoint");
    scene.write(&mut stepped, 1, 100);
    state.fails.store(true, Ordering::Relaxed);
    for turn in 0..3 {
        stepped.journal.mark(vec![lane("a", 1), lane("b", turn % 2)]);
        stepped.keeper.turn(START_MS, turn);
    }
    scene.close(stepped);
    assert_eq!(state.failed.load(Ordering::Relaxed), 1);
    assert_eq!(scene.metric("journal_poisoned"), 1.0);
    assert_eq!(read_all(&scene.open(), 1).0, vec![(1, 1)]);
}

/// The start took it for a full disk and went on with the old file, whose name was gone: every checkpoint of that life was
/// lost, and everything was published again.
#[test]
fn a_start_whose_new_checkpoint_is_in_place_never_goes_on_with_the_old_file() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.write(&mut stepped, 1, 100);
    scene.close(stepped);
    let state = Arc::new(State::default());
    state.is_full_behind_rename.store(true, Ordering::Relaxed);
    if let Ok(mut stepped) = try_open(&scene, "/checkpoint", &state) {
        stepped.journal.mark(vec![lane("a", 2)]);
        stepped.keeper.turn(START_MS, 0);
        scene.close(stepped);
        assert_eq!(scene.open().recovered.lanes, vec![lane("a", 2)]);
    }
    state.is_full_behind_rename.store(false, Ordering::Relaxed);
    assert_eq!(read_all(&try_open(&scene, "/checkpoint", &state).unwrap(), 1).0, vec![(1, 1)]);
}

#[test]
fn an_error_while_a_spare_is_made_costs_the_spare_alone() {
    let scene = Scene::new();
    let (mut stepped, state) = open(&scene, "00000000000000000003.new");
    state.fails.store(true, Ordering::Relaxed);
    let mut fill = 0;
    while scene.append(&stepped, fill, 20_000).is_ok() {
        stepped.writer.turn(START_MS);
        fill += 1;
    }
    assert!(!stepped.journal.is_poisoned());
    assert!(!scene.files("journal").iter().any(|name| name.ends_with(".new")));
    let kept = scene.outcomes().iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(read_all(&stepped, 1).0.len(), kept);
    state.fails.store(false, Ordering::Relaxed);
    stepped.keeper.turn(START_MS, 10_000);
    assert_eq!(scene.append(&stepped, 1, 100), Ok(()), "it comes back by itself");
}

#[test]
fn a_waiter_that_is_dropped_with_the_queue_is_answered() {
    let scene = Scene::new();
    let stepped = scene.open();
    scene.append(&stepped, 1, 100).unwrap();
    drop(stepped);
    assert_eq!(scene.outcomes(), vec![Err(AppendError::Poisoned)]);
}
