//! The real disk.
//!
//! In: calls on paths below one folder. Out: what the kernel says, unchanged. Never happens: a file that others may
//! read (0600 in folders of 0700: bodies are transcripts).

use std::any::Any;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, Advice, FlockOperation, OFlags, access, fadvise, fcntl_getfl, fcntl_setfl, flock, statfs, statvfs,
};

use super::{Entry, File, Storage};

/// File systems on which a sync is a no-op or somebody else's promise, by the magic number of statfs.
const EPHEMERAL: [(u64, &str); 9] = [
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs"),
    (0x6969, "NFS"),
    (0x6573_5546, "FUSE"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
];

/// A folder of this machine.
#[derive(Debug, Clone)]
pub struct Disk {
    folder: PathBuf,
    read_only: bool,
}

impl Disk {
    /// Makes the folder where there is none.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Disk> {
        let disk = Disk { folder: folder.into(), read_only: false };
        if !disk.folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&disk.folder)?;
            if let Some(parent) = disk.folder.parent().filter(|parent| parent.is_dir()) {
                std::fs::File::open(parent)?.sync_all()?;
            }
        }
        Ok(disk)
    }

    /// To look only: opens files to read, makes nothing.
    pub fn read_only(folder: impl Into<PathBuf>) -> Disk {
        Disk { folder: folder.into(), read_only: true }
    }

    /// Locks an existing file that this process may remove, for as long as the guard lives.
    /// [`io::ErrorKind::WouldBlock`]: another one has it. [`io::ErrorKind::NotFound`]: it is gone.
    pub fn claim(&self, path: &Path) -> io::Result<Claim> {
        self.refuse_read_only()?;
        let path = self.folder.join(path);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        if let Some(folder) = path.parent() {
            // Asked and not tried: a file made on trial would need room, which a full disk has not.
            access(folder, Access::WRITE_OK | Access::EXEC_OK)?;
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Whoever had it between the two calls may have removed it.
        let (own, named) = (file.metadata()?, std::fs::metadata(&path)?);
        if (own.dev(), own.ino()) != (named.dev(), named.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Claim { _file: file })
    }

    fn refuse_read_only(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

/// A file that is this process's alone; see [`Disk::claim`].
#[derive(Debug)]
pub struct Claim {
    _file: std::fs::File,
}

impl Storage for Disk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.refuse_read_only()?;
        match DirBuilder::new().mode(0o700).create(self.folder.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.folder.join(path).is_dir() => Ok(()),
            other => other,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.refuse_read_only()?;
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.folder.join(path))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(!self.read_only).open(self.folder.join(path))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(self.folder.join(folder))? {
            let entry = entry?;
            // A file may go between the two calls, and a name that is no text is foreign.
            let Ok(metadata) = entry.metadata() else { continue };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.refuse_read_only()?;
        std::fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.refuse_read_only()?;
        std::fs::remove_file(self.folder.join(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::File::open(self.folder.join(folder))?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stats = statvfs(&self.folder)?;
        Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.refuse_read_only()?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(self.folder.join(path))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn ephemeral(&self) -> io::Result<Option<&'static str>> {
        // The type of `f_type` differs between targets; magic numbers have 32 bits.
        let magic = statfs(&self.folder)?.f_type as u64 & 0xffff_ffff;
        Ok(EPHEMERAL.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name))
    }
}

struct DiskFile(std::fs::File);

impl File for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(&self.0, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn bypass_cache(&self, wanted: bool) -> bool {
        let set = fcntl_getfl(&self.0).and_then(|mut flags| {
            flags.set(OFlags::DIRECT, wanted);
            fcntl_setfl(&self.0, flags)
        });
        set.is_ok() && wanted
    }

    fn forget_cached(&self, bytes: Range<u64>) {
        // Advice: a file system that does not take it keeps the bytes where they are.
        let _ = fadvise(&self.0, bytes.start, NonZeroU64::new(bytes.end - bytes.start), Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::journal::storage::{read_full_at, write_all_at};

    #[test]
    fn files_are_for_their_owner_alone_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("data")).unwrap();
        disk.create_folder(Path::new("journal")).unwrap();
        disk.create_folder(Path::new("journal")).unwrap();
        let file = disk.create(Path::new("journal/a")).unwrap();
        write_all_at(file.as_ref(), b"hello", 3).unwrap();
        file.sync_all().unwrap();
        let mut buffer = [1; 9];
        assert_eq!(read_full_at(file.as_ref(), &mut buffer, 0).unwrap(), 8);
        assert_eq!(&buffer[..8], b"\0\0\0hello");
        let mode = |path: &str| folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("data/journal"), mode("data/journal/a")), (0o700, 0o600));
        assert_eq!(disk.list(Path::new("journal")).unwrap(), vec![Entry { name: "a".into(), bytes: 8 }]);
        assert!(disk.free_bytes().unwrap() > 0);
    }

    #[test]
    fn what_was_written_around_the_cache_is_read_through_it_and_outlives_its_advice() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let file = disk.create(Path::new("a")).unwrap();
        let buffer = vec![7; 3 * 4096];
        let aligned = &buffer[buffer.as_ptr().align_offset(4096)..][..2 * 4096];
        file.bypass_cache(true);
        write_all_at(file.as_ref(), aligned, 0).unwrap();
        assert!(!file.bypass_cache(false));
        write_all_at(file.as_ref(), b"unaligned", 4095).unwrap();
        file.sync_data().unwrap();
        file.forget_cached(0..8192);
        let mut read = [0; 8192];
        assert_eq!(read_full_at(file.as_ref(), &mut read, 0).unwrap(), 8192);
        assert_eq!((&read[4094..4105], read[8191]), (&b"\x07unaligned\x07"[..], 7));
    }

    #[test]
    fn the_lock_is_held_until_its_guard_goes() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let guard = disk.lock(Path::new("lock")).unwrap();
        let second = disk.lock(Path::new("lock")).err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(guard);
        disk.lock(Path::new("lock")).unwrap();
    }

    #[test]
    fn a_file_is_claimed_by_one_at_a_time_and_not_once_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"x").unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let claim = disk.claim(Path::new("a")).unwrap();
        assert_eq!(disk.claim(Path::new("a")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(claim);
        drop(disk.claim(Path::new("a")).unwrap());
        disk.remove(Path::new("a")).unwrap();
        assert_eq!(disk.claim(Path::new("a")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let read_only = Disk::read_only(folder.path()).claim(Path::new("a"));
        assert_eq!(read_only.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
    }

    #[test]
    fn a_read_only_disk_makes_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"x").unwrap();
        let disk = Disk::read_only(folder.path());
        assert!(disk.create(Path::new("b")).is_err() && disk.remove(Path::new("a")).is_err());
        let file = disk.open(Path::new("a")).unwrap();
        assert!(file.write_at(b"y", 0).is_err());
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"x");
    }

    #[test]
    fn proc_is_not_taken_for_a_disk_that_forgets() {
        assert_eq!(Disk::read_only("/proc").ephemeral().unwrap(), None);
    }
}
