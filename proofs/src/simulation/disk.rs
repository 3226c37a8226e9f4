//! The simulated disk: the journal's [`Storage`], deterministic from a seed.
//!
//! In: the journal's own calls; from the driver a plan of trouble (power cut at the n-th change, an error at the n-th
//! call of a kind, a full disk) and restarts. Out: what a real file system would answer. Each change (create, write,
//! length, sync, rename, remove, folder sync) has a number, so that a cut can be put at every one of them. Never
//! happens: a call succeeds after the cut; a handle of a process that died works again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

mod calls;

use super::folder::Folder;
use super::inode::{Cut, Inode};
use crate::random::Random;

/// A kind of call, for faults and for the record of what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    CreateFolder,
    Create,
    Open,
    List,
    Read,
    Write,
    Sync,
    SetLen,
    Rename,
    Remove,
    SyncFolder,
}

impl Call {
    /// Whether the call changes something, and so has a number at which the power may be cut.
    fn changes(self) -> bool {
        !matches!(self, Call::Open | Call::List | Call::Read)
    }
}

/// An error that is to happen once: at the n-th call (from 1, counted from when the fault was set) of this kind.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub call: Call,
    pub countdown: u64,
    pub errno: i32,
}

/// An error that did happen.
#[derive(Debug, Clone)]
pub struct Failed {
    pub call: Call,
    /// The file's name at that time.
    pub path: PathBuf,
}

impl Failed {
    /// Whether it must poison the journal: a write or sync of a segment in use, or of the checkpoint. What is being made
    /// has another name.
    pub fn poisons(&self) -> bool {
        let is_used = self.path.extension().is_some_and(|suffix| suffix == "segment")
            || self.path == Path::new("journal/checkpoint");
        is_used && matches!(self.call, Call::Write | Call::Sync)
    }

    /// Whether a copy for the quarantine may be missing by it.
    pub fn hinders_a_copy(&self) -> bool {
        self.path.starts_with("quarantine") || matches!(self.call, Call::Read | Call::Open)
    }
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// kill -9: what was written is still in the page cache, un-synced as before.
    Killed,
    /// The machine lost its power.
    PowerCut,
}

#[derive(Clone)]
struct State {
    random: Random,
    /// Of the running process; handles of earlier ones are dead.
    epoch: u64,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    folders: BTreeMap<PathBuf, Folder>,
    changes: u64,
    cut_at: Option<u64>,
    is_down: bool,
    fault: Option<Fault>,
    failed: Vec<Failed>,
    capacity_bytes: u64,
    /// Calls of this process, kept for the scene of a failure.
    trace: Option<Vec<String>>,
}

/// Clones share one disk; [`SimDisk::copy`] makes another.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    pub fn new(random: Random, capacity_bytes: u64) -> SimDisk {
        let mut folders = BTreeMap::new();
        folders.insert(PathBuf::new(), Folder::durable());
        SimDisk(Arc::new(Mutex::new(State {
            random,
            epoch: 0,
            inodes: BTreeMap::new(),
            next_inode: 1,
            folders,
            changes: 0,
            cut_at: None,
            is_down: false,
            fault: None,
            failed: Vec::new(),
            capacity_bytes,
            trace: None,
        })))
    }

    /// Another disk that holds the same.
    pub fn copy(&self) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(self.state().clone())))
    }

    /// Keeps every call from now on, for [`SimDisk::take_trace`].
    pub fn keep_trace(&self) {
        self.state().trace.get_or_insert_default();
    }

    pub fn take_trace(&self) -> Vec<String> {
        self.state().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many changes there were so far, over all processes.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Cuts at the change with this number, or not at all.
    pub fn cut_at(&self, change: Option<u64>) {
        self.state().cut_at = change;
    }

    pub fn is_down(&self) -> bool {
        self.state().is_down
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// The errors that were injected since the last restart.
    pub fn failed(&self) -> Vec<Failed> {
        self.state().failed.clone()
    }

    /// Whether something could not be read since the last restart.
    pub fn has_failed_read(&self) -> bool {
        self.state().failed.iter().any(|failed| matches!(failed.call, Call::Read | Call::Open | Call::List))
    }

    /// Whether a name may be there again that was to go.
    pub fn has_failed_removal(&self) -> bool {
        self.state().failed.iter().any(|failed| matches!(failed.call, Call::Remove | Call::SyncFolder))
    }

    pub fn set_capacity_bytes(&self, bytes: u64) {
        self.state().capacity_bytes = bytes;
    }

    /// The process is gone; the next one finds what is left.
    pub fn restart(&self, end: End) {
        let mut state = self.state();
        state.epoch += 1;
        state.is_down = false;
        state.cut_at = None;
        state.fault = None;
        state.failed.clear();
        if end == End::PowerCut {
            state.cut_power();
        }
        state.forget_unnamed();
    }

    /// Names in a folder, as reads see them; empty where there is none.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let state = self.state();
        state.folders.get(Path::new(folder)).map(|folder| folder.names.keys().cloned().collect()).unwrap_or_default()
    }

    /// A file's bytes, as reads see them.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.find(Path::new(path)).ok()?;
        Some(state.inodes[&inode].bytes().to_vec())
    }

    /// Turns one bit of a file over, in the cache and on the platter. Only for a file without un-synced writes,
    /// where both are the same. The byte as it is then.
    pub fn flip(&self, path: &str, bit: u64) -> u8 {
        let mut state = self.state();
        let inode = state.find(Path::new(path)).expect("the driver flips in files that are there");
        state.inode(inode).flip(bit)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a simulated disk is used by one thread at a time")
    }
}

/// What is to happen with a call that was let through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Works,
    /// The power fails in the middle: the effect is under way, the caller hears nothing good.
    Cut,
    Fails(i32),
}

impl State {
    /// The name is asked for only where it is told: finding it costs more than most calls.
    fn begin(
        &mut self,
        call: Call,
        name: impl Fn(&State) -> PathBuf,
        detail: impl FnOnce() -> String,
    ) -> io::Result<Verdict> {
        if self.is_down {
            return Err(io::Error::other("the power is off"));
        }
        if call.changes() {
            self.changes += 1;
        }
        let verdict = self.judge(call, &name);
        let name = self.trace.is_some().then(|| name(self));
        if let (Some(trace), Some(name)) = (&mut self.trace, name) {
            let number = if call.changes() { self.changes.to_string() } else { "-".to_owned() };
            let end = match verdict {
                Verdict::Works => String::new(),
                Verdict::Cut => " ** power cut **".to_owned(),
                Verdict::Fails(errno) => format!(" ** fails: {} **", io::Error::from_raw_os_error(errno)),
            };
            trace.push(format!("{number:>6} {call:?} {} {}{end}", name.display(), detail()));
        }
        Ok(verdict)
    }

    fn judge(&mut self, call: Call, name: impl Fn(&State) -> PathBuf) -> Verdict {
        if call.changes() && self.cut_at == Some(self.changes) {
            self.is_down = true;
            return Verdict::Cut;
        }
        if let Some(fault) = &mut self.fault
            && fault.call == call
        {
            fault.countdown -= 1;
            if fault.countdown == 0 {
                let errno = fault.errno;
                self.fault = None;
                let path = name(self);
                self.failed.push(Failed { call, path });
                return Verdict::Fails(errno);
            }
        }
        Verdict::Works
    }

    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        self.folders.get_mut(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        let (folder, name) = split(path);
        let folder = self.folders.get(folder).ok_or(io::ErrorKind::NotFound)?;
        folder.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name_of(&self, inode: u64) -> Option<PathBuf> {
        self.folders.iter().find_map(|(path, folder)| {
            let (name, _) = folder.names.iter().find(|(_, number)| **number == inode)?;
            Some(path.join(name))
        })
    }

    fn inode(&mut self, number: u64) -> &mut Inode {
        self.inodes.get_mut(&number).expect("an inode lives as long as a name or a handle of this process")
    }

    fn free_bytes(&self) -> u64 {
        let named = self.folders.values().flat_map(|folder| folder.names.values());
        let used: u64 = named.map(|number| self.inodes[number].room_bytes()).sum();
        self.capacity_bytes.saturating_sub(used)
    }

    fn cut_power(&mut self) {
        let random = &mut self.random;
        let cut = Cut {
            survive_percent: random.pick(&[0, 10, 50, 50, 90, 97, 100]),
            torn_percent: random.pick(&[0, 0, 20, 100]),
        };
        for inode in self.inodes.values_mut() {
            inode.cut_power(cut, random);
        }
        for folder in self.folders.values_mut() {
            folder.cut_power(random);
        }
        self.folders.retain(|_, folder| folder.is_durable || random.chance(50));
        for folder in self.folders.values_mut() {
            folder.is_durable = true;
        }
    }

    fn forget_unnamed(&mut self) {
        let mut named: Vec<u64> = self.folders.values().flat_map(Folder::inodes).collect();
        named.sort_unstable();
        self.inodes.retain(|number, _| named.binary_search(number).is_ok());
    }
}

impl Verdict {
    fn answer(self) -> io::Result<()> {
        match self {
            Verdict::Works => Ok(()),
            Verdict::Cut => Err(io::Error::other("the power is off")),
            Verdict::Fails(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;

fn split(path: &Path) -> (&Path, &str) {
    let folder = path.parent().expect("a file has a folder");
    let name = path.file_name().and_then(|name| name.to_str()).expect("the journal's names are ASCII");
    (folder, name)
}
