//! The calls of the journal, as the simulated disk answers them.
//!
//! In: a call of [`Storage`] or of an open [`File`]. Out: what a real file system would answer, or the trouble that the plan
//! has for this call. Never happens: a call succeeds after the cut; a handle of a process that died works again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use retell_bridge::journal::storage::{Entry, File, Storage};

use super::super::folder::Folder;
use super::super::inode::Inode;
use super::{Call, ENOSPC, Failed, SimDisk, State, Verdict, split};

/// One open file.
struct Handle {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
    epoch: u64,
}

impl Storage for SimDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.folders.contains_key(path) {
            return Ok(());
        }
        let verdict = state.begin(Call::CreateFolder, |_| path.to_owned(), String::new)?;
        if !matches!(verdict, Verdict::Fails(_)) {
            state.folders.insert(path.to_owned(), Folder::default());
        }
        verdict.answer()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        let verdict = state.begin(Call::Create, |_| path.to_owned(), String::new)?;
        let (number, epoch) = (state.next_inode, state.epoch);
        if !matches!(verdict, Verdict::Fails(_)) {
            let (folder, name) = split(path);
            state.folder(folder)?.create(name, number)?;
            state.inodes.insert(number, Inode::default());
            state.next_inode += 1;
        }
        verdict.answer()?;
        Ok(Box::new(Handle { disk: self.clone(), path: path.to_owned(), inode: number, epoch }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.begin(Call::Open, |_| path.to_owned(), String::new)?.answer()?;
        let inode = state.find(path)?;
        Ok(Box::new(Handle { disk: self.clone(), path: path.to_owned(), inode, epoch: state.epoch }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.begin(Call::List, |_| folder.to_owned(), String::new)?.answer()?;
        let names = state.folder(folder)?.names.clone();
        let entry = |(name, number): (String, u64)| Entry { name, bytes: state.inodes[&number].byte_len() };
        Ok(names.into_iter().map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let verdict = state.begin(Call::Rename, |_| from.to_owned(), || format!("-> {}", to.display()))?;
        if !matches!(verdict, Verdict::Fails(_)) {
            let ((folder, from), (to_folder, to)) = (split(from), split(to));
            assert_eq!(folder, to_folder, "renames between folders are not simulated");
            state.folder(folder)?.rename(from, to)?;
        }
        verdict.answer()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let verdict = state.begin(Call::Remove, |_| path.to_owned(), String::new)?;
        if !matches!(verdict, Verdict::Fails(_)) {
            let (folder, name) = split(path);
            state.folder(folder)?.remove(name)?;
        }
        verdict.answer()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        let verdict = state.begin(Call::SyncFolder, |_| folder.to_owned(), String::new)?;
        if verdict == Verdict::Works {
            state.folder(folder)?.sync();
            for (path, inner) in &mut state.folders {
                if path.parent() == Some(folder) {
                    inner.is_durable = true;
                }
            }
        }
        verdict.answer()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free_bytes())
    }
}

impl Handle {
    fn begin(&self, call: Call, detail: impl FnOnce() -> String) -> io::Result<(MutexGuard<'_, State>, Verdict)> {
        let mut state = self.disk.state();
        assert_eq!(state.epoch, self.epoch, "a handle of a process that died is used: {}", self.path.display());
        let verdict = state.begin(call, |state| self.name(state), detail)?;
        Ok((state, verdict))
    }

    /// The file's name now.
    fn name(&self, state: &State) -> PathBuf {
        state.name_of(self.inode).unwrap_or_else(|| self.path.clone())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, verdict) = self.begin(Call::Sync, String::new)?;
        match verdict {
            Verdict::Works => state.inode(self.inode).sync(),
            Verdict::Cut => {}
            Verdict::Fails(_) => {
                let mut random = state.random.split();
                state.inode(self.inode).fail_sync(&mut random);
            }
        }
        verdict.answer()
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, verdict) = self.begin(Call::Read, || format!("{} bytes at {offset}", buffer.len()))?;
        verdict.answer()?;
        // Short reads happen; whoever cannot go on after one is found here.
        let short = buffer.len() > 1 && state.random.chance(2);
        let wanted = if short { buffer.len() / 2 } else { buffer.len() };
        Ok(state.inode(self.inode).read(&mut buffer[..wanted], offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut state, verdict) = self.begin(Call::Write, || format!("{} bytes at {offset}", bytes.len()))?;
        let free_bytes = state.free_bytes();
        let fitting = state.inode(self.inode).fitting(offset, bytes.len() as u64, free_bytes) as usize;
        let count = match verdict {
            Verdict::Works if bytes.len() > 1 && state.random.chance(1) => fitting.min(bytes.len() / 2),
            Verdict::Works | Verdict::Cut => fitting,
            // An error in the middle leaves a part.
            Verdict::Fails(_) => state.random.below(fitting as u64 + 1) as usize,
        };
        state.inode(self.inode).write(&bytes[..count], offset);
        verdict.answer()?;
        if count == 0 && !bytes.is_empty() {
            let path = self.name(&state);
            state.failed.push(Failed { call: Call::Write, path });
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let (mut state, verdict) = self.begin(Call::SetLen, || format!("{bytes} bytes"))?;
        if !matches!(verdict, Verdict::Fails(_)) {
            state.inode(self.inode).set_len(bytes);
        }
        verdict.answer()
    }

    fn byte_len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        Ok(state.inode(self.inode).byte_len())
    }
}
