//! The keys of a source, and the file some of them come from.
//!
//! In: the keys of the settings, a file with one key a line, read again every second. Out: the keys in force. What stands
//! in the file counts when it has been the same for [`SIGHTINGS`] readings in a row, so that a file caught half-written
//! is not believed; without a line end behind the last key, which may then be half a key, it takes
//! [`SIGHTINGS_UNFINISHED`]. Links are followed at each reading, so the exchange of a mounted Secret is seen.
//!
//! Never happens: a file that is unreadable, empty or not one key a line changes the keys in force (it raises the alarm,
//! once); a key or a line of the file in a log line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::planted::Bug;
use crate::signature::ApiKey;

/// How often the files are read.
const READ_EVERY: Duration = Duration::from_secs(1);
const SIGHTINGS: u32 = 2;
const SIGHTINGS_UNFINISHED: u32 = 5;
/// Largest file: some thousand keys. More is some other file.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Why a key file is not believed. Does not tell what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be opened or read.
    #[error("cannot be read: {}", told(*.0))]
    Unreadable(std::io::ErrorKind),
    /// Larger than 64 KiB.
    #[error("is larger than 64 KiB: is it a file of keys?")]
    TooLarge,
    /// No key in it.
    #[error("holds no key")]
    Empty,
    /// A line holds something else than one key.
    #[error("line {0} is not one key: printable ASCII without spaces")]
    NotAKey(usize),
}

/// The keys in force.
pub(super) struct Keys {
    in_force: RwLock<Arc<[ApiKey]>>,
}

impl Keys {
    pub(super) fn new(keys: Vec<ApiKey>) -> Keys {
        Keys { in_force: RwLock::new(keys.into()) }
    }

    pub(super) fn in_force(&self) -> Arc<[ApiKey]> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, keys: Vec<ApiKey>) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }
}

/// A key file under watch.
pub(super) struct KeyFile {
    source: String,
    path: PathBuf,
    /// The keys of the settings, which stay whatever the file says.
    fixed: Vec<ApiKey>,
    keys: Arc<Keys>,
    /// What was read when the keys in force were taken.
    believed: Sight,
    /// What was read since, and how often in a row.
    doubted: Option<(Sight, u32)>,
    is_trouble_told: bool,
}

/// What one reading saw: a fingerprint, so that the text is not kept.
#[derive(Clone, PartialEq, Eq)]
enum Sight {
    Text { fingerprint: blake3::Hash, is_finished: bool },
    Trouble(KeyFileError),
}

impl KeyFile {
    /// Reads the file for the first time: here, what it says counts at once, and trouble is the caller's.
    pub(super) fn open(source: &str, path: &Path, fixed: Vec<ApiKey>) -> Result<KeyFile, KeyFileError> {
        let text = read(path)?;
        let keys = with_fixed(&fixed, parse(&text)?);
        Ok(KeyFile {
            source: source.to_owned(),
            path: path.to_owned(),
            fixed,
            keys: Arc::new(Keys::new(keys)),
            believed: sight(&Ok(text)),
            doubted: None,
            is_trouble_told: false,
        })
    }

    pub(super) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Reads the file again; says whether all is well with what was last believed.
    pub(super) fn look(&mut self, metrics: &Metrics) -> bool {
        let text = read(&self.path);
        let sight = sight(&text);
        if sight == self.believed {
            self.doubted = None;
            self.all_is_well("key file is as it was");
            return true;
        }
        let sightings = match &self.doubted {
            Some((doubted, sightings)) if *doubted == sight => sightings + 1,
            _ => 1,
        };
        let needed = match sight {
            Sight::Text { is_finished: false, .. } if !Bug::KeyFileHalfWritten.is_planted() => SIGHTINGS_UNFINISHED,
            _ => SIGHTINGS,
        };
        self.doubted = Some((sight.clone(), sightings));
        if sightings < needed {
            return !self.is_trouble_told;
        }
        match text.and_then(|text| parse(&text)) {
            Ok(keys) => {
                self.believed = sight;
                self.doubted = None;
                self.take(keys, metrics);
            }
            Err(trouble) => self.tell(&trouble),
        }
        !self.is_trouble_told
    }

    fn take(&mut self, keys: Vec<ApiKey>, metrics: &Metrics) {
        let before = self.keys.in_force();
        let after = with_fixed(&self.fixed, keys);
        let is_in = |keys: &[ApiKey], key: &ApiKey| keys.iter().any(|other| other.fingerprint() == key.fingerprint());
        for gone in before.iter().filter(|key| !is_in(&after, key)) {
            metrics.forget_key(&self.source, gone.fingerprint());
        }
        after.iter().for_each(|key| metrics.expect_key(&self.source, key.fingerprint()));
        info!(source = self.source, path = %self.path.display(), keys = after.len(), "keys changed");
        self.keys.replace(after);
        self.is_trouble_told = false;
    }

    fn all_is_well(&mut self, message: &'static str) {
        if std::mem::take(&mut self.is_trouble_told) {
            info!(source = self.source, path = %self.path.display(), "{message}");
        }
    }

    fn tell(&mut self, trouble: &KeyFileError) {
        if !std::mem::replace(&mut self.is_trouble_told, true) {
            let path = self.path.display();
            warn!(source = self.source, %path, %trouble, "key file is not believed, the last good keys stay in force");
        }
    }
}

/// The keys in a file, at least one.
pub fn keys_of_file(path: &Path) -> Result<Vec<ApiKey>, KeyFileError> {
    parse(&read(path)?)
}

/// As people say it; the standard library's "entity not found" is no sentence for an operator.
fn told(kind: std::io::ErrorKind) -> String {
    match kind {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        other => other.to_string(),
    }
}

fn sight(text: &Result<Vec<u8>, KeyFileError>) -> Sight {
    match text {
        Ok(text) => Sight::Text { fingerprint: blake3::hash(text), is_finished: text.ends_with(b"\n") },
        Err(trouble) => Sight::Trouble(trouble.clone()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| KeyFileError::Unreadable(error.kind());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(FILE_MAX_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_MAX_BYTES { Err(KeyFileError::TooLarge) } else { Ok(text) }
}

/// One key a line; empty lines and spaces around a key do not count.
fn parse(text: &[u8]) -> Result<Vec<ApiKey>, KeyFileError> {
    let mut keys = Vec::new();
    for (line, text) in text.split(|byte| *byte == b'\n').enumerate() {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let is_key = text.iter().all(u8::is_ascii_graphic);
        let key = std::str::from_utf8(text).ok().filter(|_| is_key).ok_or(KeyFileError::NotAKey(line + 1))?;
        keys.push(ApiKey::new(key));
    }
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

fn with_fixed(fixed: &[ApiKey], keys: Vec<ApiKey>) -> Vec<ApiKey> {
    fixed.iter().cloned().chain(keys).collect()
}

/// The thread that reads the files; ends when dropped.
pub(super) struct Watch {
    /// Dropping it is the word to end.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the files, of which there may be none.
    pub(super) fn start(mut files: Vec<KeyFile>, metrics: Arc<Metrics>) -> std::io::Result<Watch> {
        metrics.set_reload_successful(true);
        if files.is_empty() {
            return Ok(Watch { end: None, thread: None });
        }
        let (end, ended) = mpsc::channel::<()>();
        let look = move || {
            while ended.recv_timeout(READ_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Every file is read, whatever is wrong with another.
                let in_trouble = files.iter_mut().filter_map(|file| (!file.look(&metrics)).then_some(())).count();
                metrics.set_reload_successful(in_trouble == 0);
            }
        };
        let thread = std::thread::Builder::new().name("key-files".into()).spawn(look)?;
        Ok(Watch { end: Some(end), thread: Some(thread) })
    }
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
#[path = "tests/key_files.rs"]
mod tests;
