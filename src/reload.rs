//! Files that are read again while the bridge runs: keys of sources, the intake's certificate, Kafka's credentials.
//!
//! In: [`Reload`]s, each with its files and what takes them. Out: their contents, handed over when they have changed. What
//! stands in the files counts when it has been the same for two readings in a row, so that a file caught
//! half-written is not believed; where one of them does not end with a line end, and so may be cut short, it takes
//! five. Links are followed at each reading, so the exchange of a mounted Secret is seen.
//!
//! Never happens: what cannot be read or is not taken changes what is in force (it raises the alarm, once); what stands in
//! a file in a log line; a reading that holds a request up.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::planted::Bug;

/// How often the files are read.
const READ_EVERY: Duration = Duration::from_secs(1);
const SIGHTINGS: u32 = 2;
const SIGHTINGS_UNFINISHED: u32 = 5;
/// Largest file: a bundle of all public authorities has some 200 KiB. More is some other file.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Why a file cannot be read. Does not tell what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("cannot be read: {}", told(*.0))]
    Unreadable(io::ErrorKind),
    /// Larger than 4 MiB.
    #[error("is larger than 4 MiB")]
    TooLarge,
}

/// As people say it; the standard library's "entity not found" is no sentence for an operator.
fn told(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        other => other.to_string(),
    }
}

/// What stands in a file, read once.
pub fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let unreadable = |error: io::Error| ReadError::Unreadable(error.kind());
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(FILE_MAX_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_MAX_BYTES { Err(ReadError::TooLarge) } else { Ok(text) }
}

/// Takes the contents of the files, in their order, or says which is wrong and why, without what stands in it.
pub type Take = Box<dyn FnMut(&[Contents]) -> Result<(), String> + Send>;

/// Of one file.
pub type Contents = Result<Vec<u8>, ReadError>;

/// Files that belong together, under watch.
pub struct Reload {
    /// For log lines: "keys of source default".
    what: String,
    files: Vec<PathBuf>,
    take: Take,
    /// What was read when that which is in force was taken.
    believed: Vec<Sight>,
    /// What was read since, and how often in a row.
    doubted: Option<(Vec<Sight>, u32)>,
    is_trouble_told: bool,
}

/// What one reading saw of one file: a fingerprint, so that the text is not kept.
#[derive(Clone, PartialEq, Eq)]
enum Sight {
    Text { fingerprint: blake3::Hash, is_finished: bool },
    Trouble(ReadError),
}

impl Sight {
    fn of(contents: &Contents) -> Sight {
        match contents {
            Ok(text) => Sight::Text { fingerprint: blake3::hash(text), is_finished: text.ends_with(b"\n") },
            Err(trouble) => Sight::Trouble(trouble.clone()),
        }
    }
}

impl Reload {
    /// Watches `files`, of which `contents` have been taken.
    pub fn new(what: String, files: Vec<PathBuf>, contents: &[Contents], take: Take) -> Reload {
        let believed = contents.iter().map(Sight::of).collect();
        Reload { what, files, take, believed, doubted: None, is_trouble_told: false }
    }

    /// Reads the files again; says whether all is well with what was last believed.
    pub fn look(&mut self) -> bool {
        let contents: Vec<Contents> = self.files.iter().map(|file| read(file)).collect();
        let sights: Vec<Sight> = contents.iter().map(Sight::of).collect();
        if sights == self.believed {
            self.doubted = None;
            if std::mem::take(&mut self.is_trouble_told) {
                info!(what = self.what, files = self.named(), "files are as they were");
            }
            return true;
        }
        let sightings = match &self.doubted {
            Some((doubted, sightings)) if *doubted == sights => sightings + 1,
            _ => 1,
        };
        let needed = needed(&sights);
        self.doubted = Some((sights.clone(), sightings));
        if sightings < needed {
            return !self.is_trouble_told;
        }
        match (self.take)(&contents) {
            Ok(()) => {
                info!(what = self.what, files = self.named(), "files changed, what they hold is in force");
                self.believed = sights;
                self.doubted = None;
                self.is_trouble_told = false;
            }
            Err(trouble) => self.tell(&trouble),
        }
        !self.is_trouble_told
    }

    fn tell(&mut self, trouble: &str) {
        if !std::mem::replace(&mut self.is_trouble_told, true) {
            warn!(what = self.what, trouble, "files are not believed, what was last good stays in force");
        }
    }

    fn named(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
    }
}

fn needed(sights: &[Sight]) -> u32 {
    let is_cut_short = |sight: &Sight| matches!(sight, Sight::Text { is_finished: false, .. });
    let is_doubtful = sights.iter().any(is_cut_short) && !Bug::KeyFileHalfWritten.is_planted();
    if is_doubtful { SIGHTINGS_UNFINISHED } else { SIGHTINGS }
}

/// The thread that reads the files; ends when dropped.
pub struct Watch {
    reloads: Arc<Mutex<Vec<Reload>>>,
    /// Dropping it is the word to end.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches what is [added](Watch::add).
    pub fn start(metrics: Arc<Metrics>) -> io::Result<Watch> {
        metrics.set_reload_successful(true);
        let reloads = Arc::new(Mutex::new(Vec::<Reload>::new()));
        let (end, ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&reloads);
        let look = move || {
            while ended.recv_timeout(READ_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Every file is read, whatever is wrong with another.
                let in_trouble = lock(&watched).iter_mut().filter_map(|reload| (!reload.look()).then_some(())).count();
                metrics.set_reload_successful(in_trouble == 0);
            }
        };
        let thread = std::thread::Builder::new().name("reload".into()).spawn(look)?;
        Ok(Watch { reloads, end: Some(end), thread: Some(thread) })
    }

    /// Watches this, too.
    pub fn add(&self, reload: Reload) {
        lock(&self.reloads).push(reload);
    }
}

fn lock(reloads: &Mutex<Vec<Reload>>) -> MutexGuard<'_, Vec<Reload>> {
    // A panic in one reading has been told by the panic hook; the list is whole.
    reloads.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        reload: Reload,
        taken: Arc<Mutex<Vec<String>>>,
    }

    impl Scene {
        /// Two files, of which nothing is taken that holds "bad".
        fn new() -> Scene {
            let folder = tempfile::tempdir().unwrap();
            let files: Vec<PathBuf> = ["one", "two"].map(|name| folder.path().join(name)).into();
            files.iter().for_each(|file| std::fs::write(file, "first\n").unwrap());
            let contents: Vec<Contents> = files.iter().map(|file| read(file)).collect();
            let taken = Arc::new(Mutex::new(Vec::new()));
            let to = Arc::clone(&taken);
            let take = move |contents: &[Contents]| {
                let mut text = String::new();
                for each in contents {
                    let each = each.as_ref().map_err(ToString::to_string)?;
                    text.push_str(std::str::from_utf8(each).unwrap().trim());
                }
                if text.contains("bad") {
                    return Err("is bad".to_owned());
                }
                to.lock().unwrap().push(text);
                Ok(())
            };
            let reload = Reload::new("a pair".to_owned(), files, &contents, Box::new(take));
            Scene { folder, reload, taken }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        /// What `count` looks say.
        fn look(&mut self, count: usize) -> Vec<bool> {
            (0..count).map(|_| self.reload.look()).collect()
        }

        fn taken(&self) -> Vec<String> {
            self.taken.lock().unwrap().clone()
        }
    }

    #[test]
    fn a_pair_is_taken_together_and_only_when_both_have_stood_still() {
        let mut scene = Scene::new();
        assert_eq!(scene.look(3), [true; 3]);
        scene.write("one", "a\n");
        scene.look(1);
        scene.write("two", "b\n");
        assert_eq!((scene.look(1), scene.taken()), (vec![true], vec![]));
        assert_eq!((scene.look(1), scene.taken()), (vec![true], vec!["ab".to_owned()]));
    }

    #[test]
    fn what_is_not_taken_raises_the_alarm_until_something_good_stands_there() {
        let mut scene = Scene::new();
        scene.write("one", "bad\n");
        assert_eq!(scene.look(4), [true, false, false, false]);
        scene.write("one", "good\n");
        assert_eq!((scene.look(2), scene.taken()), (vec![false, true], vec!["goodfirst".to_owned()]));
    }

    #[test]
    fn what_was_in_force_ends_the_alarm_without_being_taken_again() {
        let mut scene = Scene::new();
        std::fs::remove_file(scene.folder.path().join("two")).unwrap();
        assert_eq!(scene.look(3), [true, false, false]);
        scene.write("two", "first\n");
        assert_eq!((scene.look(1), scene.taken()), (vec![true], vec![]));
    }

    #[test]
    fn a_file_that_may_be_cut_short_takes_longer() {
        let mut scene = Scene::new();
        scene.write("one", "half");
        assert_eq!((scene.look(4), scene.taken()), (vec![true; 4], vec![]));
        assert_eq!((scene.look(1), scene.taken()), (vec![true], vec!["halffirst".to_owned()]));
    }
}
