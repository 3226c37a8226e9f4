//! The journal's disk: its kind, its room, how long a sync takes.
//!
//! Never happens: a file of the journal touched; anything left behind. The folder itself is not made: where it is not there
//! yet, the nearest one above it is looked at.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Check, Standing};
use crate::cli::output;
use crate::config::Config;
use crate::journal::inspect::{Depth, inspect};
use crate::journal::storage::{Disk, Storage};

const SYNCS: usize = 100;
/// A batch as it often is.
const WRITE_BYTES: usize = 16 << 10;
const ALL_WITHIN: Duration = Duration::from_secs(8);
/// Above this, answers take long; Retell waits for 10 s.
const SLOW: Duration = Duration::from_millis(250);
const TOO_SLOW: Duration = Duration::from_secs(4);

pub fn checks(config: &Config) -> Vec<Check> {
    let dir = nearest(&config.journal_dir);
    let disk = Disk::read_only(&dir);
    let shown = dir.display();
    let mut checks = Vec::new();
    match disk.ephemeral() {
        Ok(Some(kind)) if !config.journal.allow_ephemeral => {
            let cure = "use a local disk (ext4, XFS), or set journal.allow_ephemeral to accept the loss";
            checks.push(Check::new(Standing::Fail, "journal.dir", format!("{shown} is on {kind}"), cure));
        }
        Ok(Some(kind)) => {
            let found = format!("{shown} is on {kind}, where synced data does not survive a crash");
            checks.push(Check::new(Standing::Warn, "journal.dir", found, "it is what journal.allow_ephemeral says"));
        }
        Ok(None) => {
            checks.push(Check::ok("journal.dir", format!("{shown} is on a file system that keeps what it synced")))
        }
        Err(error) => checks.push(Check::new(Standing::Unknown, "journal.dir", format!("{shown}: {error}"), "")),
    }
    checks.extend(room(config, &disk));
    checks.push(syncs(&dir));
    checks
}

/// The folder, or the nearest one above it that is there.
fn nearest(dir: &Path) -> PathBuf {
    let there = dir.ancestors().find(|above| above.is_dir());
    there.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn room(config: &Config, disk: &Disk) -> Option<Check> {
    let free_bytes = disk.free_bytes().ok()?;
    let used_bytes =
        inspect(&Disk::read_only(&config.journal_dir), Depth::Summary).map_or(0, |inspection| inspection.used_bytes);
    let (size_max, has) = (config.journal.size_max_bytes, free_bytes.saturating_add(used_bytes));
    if has < size_max {
        let found = format!("{} are wanted, {} can be had", output::size(size_max), output::size(has));
        return Some(Check::new(
            Standing::Warn,
            "journal.size_max",
            found,
            "lower it, or give the journal a larger disk",
        ));
    }
    // Size through rate times bytes of a record and its header, at 50 events a second of 15 kB, each batch of many.
    let hours = size_max as f64 / (50.0 * 15_100.0 * 3_600.0);
    let found = format!("{} hold {hours:.1} h without Kafka at 50 events/s of 15 kB", output::size(size_max));
    Some(Check::ok("journal.size_max", found))
}

fn syncs(dir: &Path) -> Check {
    let about = "disk sync";
    match measure(dir) {
        Ok(times) => judge(about, &times),
        Err(error) => {
            let found = format!("{} cannot be written: {error}", dir.display());
            Check::new(Standing::Fail, about, found, "let the bridge's user write there, or run this as that user")
        }
    }
}

/// Sorted. The file has no name, so that nothing can be left.
fn measure(dir: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(dir)?;
    let (bytes, began, mut times) = (vec![0x5a; WRITE_BYTES], Instant::now(), Vec::new());
    while times.len() < SYNCS && (times.is_empty() || began.elapsed() < ALL_WITHIN) {
        file.write_all(&bytes)?;
        let before = Instant::now();
        file.sync_data()?;
        times.push(before.elapsed());
    }
    times.sort();
    Ok(times)
}

fn judge(about: &str, times: &[Duration]) -> Check {
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let found = format!("p50 {:.1} ms, p99 {:.1} ms of {}", ms(at(50)), ms(at(99)), times.len());
    let cure = "events are answered after a sync: give the journal a faster disk of its own";
    match at(99) {
        slow if slow >= TOO_SLOW => Check::new(Standing::Fail, about, found, cure),
        slow if slow >= SLOW => Check::new(Standing::Warn, about, found, cure),
        _ => Check::ok(about, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_measured_above_it_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("not/yet");
        assert_eq!(nearest(&dir), folder.path());
        assert_eq!(measure(&nearest(&dir)).unwrap().len(), SYNCS);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn slow_syncs_warn_and_slower_ones_fail() {
        let times = |slowest_ms| {
            let mut times = vec![Duration::from_millis(1); 98];
            times.extend([Duration::from_millis(slowest_ms); 2]);
            times
        };
        for (slowest_ms, standing) in [(2, Standing::Ok), (300, Standing::Warn), (5_000, Standing::Fail)] {
            let check = judge("disk sync", &times(slowest_ms));
            assert_eq!(check.standing, standing, "{check:?}");
        }
    }
}
