//! A file system of its own: sparse image, loop device, mount, and the cut.
//!
//! In: which file system. Out: a mounted folder. Never happens: a mount, a loop device or an image left behind, also
//! where a scene fails or panics; a loop device touched that is not this volume's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::ioctl::{Opcode, Setter, opcode};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// `_IOR('X', 125, u32)`: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
const IMAGE_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Ext4,
    Xfs,
}

impl FileSystem {
    pub const BOTH: [FileSystem; 2] = [FileSystem::Ext4, FileSystem::Xfs];

    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }

    fn make(self) -> (&'static str, &'static [&'static str]) {
        match self {
            FileSystem::Ext4 => ("mkfs.ext4", &["-q", "-F", "-E", "nodiscard"]),
            // An XFS of less than 300 MB is for tests alone, as its maker says.
            FileSystem::Xfs => ("mkfs.xfs", &["--unsupported", "-q", "-f", "-K", "-d", "agcount=1"]),
        }
    }
}

/// How the log of the file system is treated by a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Written out first.
    Log = 1,
    Nothing = 2,
}

/// What is missing on this machine, with the cure.
pub fn check_machine() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("power cuts need root, to mount file systems: run this proof as root".into());
    }
    for file_system in FileSystem::BOTH {
        if let Err(error) = Command::new(file_system.make().0).arg("-V").output() {
            return Err(format!("{}: {error}: install e2fsprogs and xfsprogs", file_system.make().0));
        }
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err(
            "there are no loop devices here (/dev/loop-control): load the kernel's module `loop`, or run this \
                    proof outside the container or with --privileged"
                .into(),
        );
    }
    Ok(())
}

pub struct Volume {
    file_system: FileSystem,
    folder: PathBuf,
    device: Option<String>,
    is_mounted: bool,
}

impl Volume {
    /// Makes the file system and mounts it.
    pub fn make(file_system: FileSystem) -> Result<Volume, String> {
        let folder = support::tools::folder("power");
        let mut volume = Volume { file_system, folder, device: None, is_mounted: false };
        let image = volume.folder.join("image");
        let made = fs::create_dir_all(volume.folder()).and_then(|()| fs::File::create(&image)?.set_len(IMAGE_BYTES));
        made.map_err(|error| format!("{}: {error}", image.display()))?;
        let (tool, flags) = file_system.make();
        run(Command::new(tool).args(flags).arg(&image))?;
        let device = run(Command::new("losetup").args(["-f", "--show"]).arg(&image));
        volume.device = Some(device.map_err(|error| format!("no loop device: {error}; free some with losetup -d"))?);
        volume.mount()?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn folder(&self) -> PathBuf {
        self.folder.join("mount")
    }

    pub fn mount(&mut self) -> Result<(), String> {
        let device = self.device.as_deref().expect("a volume has its device when it is made");
        mount(device, self.folder(), self.file_system.name(), MountFlags::NOATIME, None)
            .map_err(|error| format!("{} does not mount on {device}: {error}", self.file_system.name()))?;
        self.is_mounted = true;
        Ok(())
    }

    /// All files on it must be closed; a moment is given to threads that end.
    pub fn unmount(&mut self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            match unmount(self.folder(), UnmountFlags::empty()) {
                Ok(()) => break,
                Err(rustix::io::Errno::BUSY) if began.elapsed() < Duration::from_secs(10) => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(format!("{} does not unmount: {error}", self.folder().display())),
            }
        }
        self.is_mounted = false;
        Ok(())
    }

    /// What cuts the power of this mount, from any thread.
    pub fn switch(&self) -> io::Result<Switch> {
        Ok(Switch(fs::File::open(self.folder())?))
    }

    /// Fills the file system up to the last `free_bytes`, or gives all of it back.
    pub fn fill_up_to(&self, free_bytes: Option<u64>) -> io::Result<()> {
        let path = self.folder().join("ballast");
        let Some(free_bytes) = free_bytes else {
            return if path.exists() { fs::remove_file(path) } else { Ok(()) };
        };
        let stats = rustix::fs::statvfs(self.folder())?;
        let bytes = (stats.f_bavail * stats.f_frsize).saturating_sub(free_bytes);
        let filled = fs::File::create(path).and_then(|file| {
            if bytes > 0 {
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
            }
            file.sync_all()
        });
        match filled {
            // The journal takes room meanwhile, and so does what the file system keeps of the file: it is full, then.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            other => other,
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted && self.unmount().is_err() {
            // The last resort: what still has files open keeps the mount until it ends.
            let _ = unmount(self.folder(), UnmountFlags::DETACH);
        }
        if let Some(device) = &self.device {
            let _ = run(Command::new("losetup").args(["-d", device]));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Cuts the power of one mount.
pub struct Switch(fs::File);

impl Switch {
    pub fn cut(&self, flush: Flush) -> Result<(), String> {
        // SAFETY: the opcode's argument is one u32 that the kernel reads, and that is what it is given.
        let done = unsafe { rustix::ioctl::ioctl(&self.0, Setter::<SHUTDOWN, u32>::new(flush as u32)) };
        done.map_err(|error| format!("the file system takes no shutdown ioctl: {error}"))
    }
}

/// What it printed.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
