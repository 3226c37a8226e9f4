//! One simulated folder: names as the process sees them, and as the platter has them.
//!
//! In: creations, renames, removals, folder syncs, power cuts. Out: which name leads to which inode. Until the folder
//! is synced each operation may be undone by itself: at a power cut either a prefix of them survives (how the journals
//! of ext4 and XFS work) or any subset (what POSIX allows). A rename is one operation: never half of it.

use std::collections::BTreeMap;
use std::io;

use crate::random::Random;

#[derive(Debug, Clone)]
enum Operation {
    Create { name: String, inode: u64 },
    Rename { from: String, to: String, inode: u64 },
    Remove { name: String, inode: u64 },
}

#[derive(Debug, Default, Clone)]
pub struct Folder {
    pub names: BTreeMap<String, u64>,
    /// Whether the folder's own name survives a power cut.
    pub is_durable: bool,
    platter: BTreeMap<String, u64>,
    pending: Vec<Operation>,
}

impl Folder {
    /// One that is there from the start.
    pub fn durable() -> Folder {
        Folder { is_durable: true, ..Folder::default() }
    }

    pub fn create(&mut self, name: &str, inode: u64) -> io::Result<()> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.names.insert(name.to_owned(), inode);
        self.pending.push(Operation::Create { name: name.to_owned(), inode });
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.to_owned(), inode);
        self.pending.push(Operation::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        let inode = self.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        self.pending.push(Operation::Remove { name: name.to_owned(), inode });
        Ok(())
    }

    pub fn sync(&mut self) {
        self.platter.clone_from(&self.names);
        self.pending.clear();
    }

    pub fn cut_power(&mut self, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let prefix = random.chance(50).then(|| random.below(pending.len() as u64 + 1));
        for (number, operation) in pending.into_iter().enumerate() {
            if prefix.map_or_else(|| random.chance(50), |count| (number as u64) < count) {
                self.apply(operation);
            }
        }
        self.names.clone_from(&self.platter);
    }

    /// Every inode that some name leads to, now or after a power cut.
    pub fn inodes(&self) -> impl Iterator<Item = u64> {
        let pending = self.pending.iter().map(|operation| match operation {
            Operation::Create { inode, .. } | Operation::Rename { inode, .. } | Operation::Remove { inode, .. } => {
                *inode
            }
        });
        self.names.values().copied().chain(self.platter.values().copied()).chain(pending)
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Create { name, inode } => {
                self.platter.insert(name, inode);
            }
            Operation::Rename { from, to, inode } => {
                if self.platter.get(&from) == Some(&inode) {
                    self.platter.remove(&from);
                }
                self.platter.insert(to, inode);
            }
            Operation::Remove { name, inode } => {
                if self.platter.get(&name) == Some(&inode) {
                    self.platter.remove(&name);
                }
            }
        }
    }
}
