//! A file system of one's own, as small as a case wants it.
//!
//! In: a kind and a size. Out: a mount point. Never happens: a mount, a loop device or an image left over; a loop device
//! touched that somebody else took.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use support::process::{output_apart, wait_until};
use support::tools;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Tmpfs,
}

/// Mounted until it is dropped.
pub struct Volume {
    folder: PathBuf,
    device: Option<String>,
    is_mounted: bool,
}

/// Whether volumes can be made here; if not, the sentence that says so.
pub fn check() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("small file systems are made and mounted: run as root".to_owned());
    }
    for (tool, package) in [("losetup", "mount"), ("mkfs.ext4", "e2fsprogs"), ("mount", "mount")] {
        if Command::new(tool).arg("-V").output().is_err() {
            return Err(format!("{tool} is not there: apt-get install {package}"));
        }
    }
    Ok(())
}

impl Volume {
    pub fn make(kind: Kind, bytes: u64) -> Result<Volume, String> {
        let mut volume = Volume { folder: tools::folder("volume"), device: None, is_mounted: false };
        fs::create_dir_all(volume.path()).map_err(|error| format!("no mount point: {error}"))?;
        let mut mount = Command::new("mount");
        match kind {
            Kind::Tmpfs => {
                mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]);
            }
            Kind::Ext4 => {
                let image = volume.folder.join("image");
                let sized = File::create(&image).and_then(|file| file.set_len(bytes));
                sized.map_err(|error| format!("no image file: {error}"))?;
                let shown = run(Command::new("losetup").args(["-f", "--show"]).arg(&image))?;
                let device = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
                volume.device = Some(device.clone());
                run(Command::new("mkfs.ext4").args(["-q", "-m", "0", &device]))?;
                mount.args(["-t", "ext4", &device]);
            }
        }
        run(mount.arg(volume.path()))?;
        volume.is_mounted = true;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.join("mount")
    }

    /// Where the bridge may put its journal.
    pub fn journal_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Fills it to the last byte with somebody else's file, however full it is already.
    pub fn fill(&self) -> Result<(), String> {
        let path = self.ballast();
        let failed = |error| format!("the ballast cannot be written: {error}");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        for bytes in [1 << 20, 64 << 10, 4 << 10, 512] {
            let piece = vec![1; bytes];
            while file.write_all(&piece).is_ok() {}
        }
        // Blocks that ext4 has put off are taken now.
        let _ = file.sync_all();
        Ok(())
    }

    /// Takes the file away again.
    pub fn empty(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            let unmount = || run(Command::new("umount").arg(self.path())).ok();
            if wait_until(Duration::from_secs(10), unmount).is_none() {
                let _ = run(Command::new("umount").arg("-l").arg(self.path()));
            }
        }
        if let Some(device) = &self.device {
            let _ = run(Command::new("losetup").args(["-d", device]));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(command: &mut Command) -> Result<Output, String> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = output_apart(command).map_err(|error| format!("{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{name} fails ({said}): run as root, where loop devices and mounts are allowed"))
}
