//! The keys of a source, and the file some of them come from.
//!
//! In: the keys of the settings, a file with one key a line, [read again](crate::reload) while the bridge runs. Out: the
//! keys in force.
//!
//! Never happens: a file that is unreadable, empty or not one key a line changes the keys in force; a key or a line of the
//! file in a log line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::metrics::Metrics;
use crate::reload::{self, Contents, ReadError, Reload};
use crate::signature::ApiKey;

/// Largest file: some thousand keys. More is some other file.
const FILE_MAX_BYTES: usize = 64 * 1024;

/// Why a key file is not believed. Does not tell what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
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

    /// Puts others in force; says which they were before.
    fn replace(&self, keys: Vec<ApiKey>) -> Arc<[ApiKey]> {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut in_force, keys.into())
    }
}

/// Reads a source's key file for the first time, which counts at once; the keys, and what reads them again. `fixed`: the
/// keys of the settings, which stay whatever the file says.
pub(super) fn open(
    source: &str,
    path: PathBuf,
    fixed: Vec<ApiKey>,
    metrics: Arc<Metrics>,
) -> Result<(Arc<Keys>, Reload), KeyFileError> {
    let contents = [reload::read(&path)];
    let keys = Arc::new(Keys::new(with_fixed(&fixed, parse(&contents[0])?)));
    let (source, in_force) = (source.to_owned(), Arc::clone(&keys));
    let what = format!("keys of source {source}");
    let take = move |contents: &[Contents]| {
        // One file, so there is one text.
        let after = with_fixed(&fixed, parse(&contents[0]).map_err(|error| format!("the file {error}"))?);
        after.iter().for_each(|key| metrics.expect_key(&source, key.fingerprint()));
        let before = in_force.replace(after.clone());
        let stays = |key: &ApiKey| after.iter().any(|other| other.fingerprint() == key.fingerprint());
        before.iter().filter(|key| !stays(key)).for_each(|gone| metrics.forget_key(&source, gone.fingerprint()));
        Ok(())
    };
    Ok((keys, Reload::new(what, vec![path], &contents, Box::new(take))))
}

/// The keys in a file, at least one.
pub fn keys_of_file(path: &Path) -> Result<Vec<ApiKey>, KeyFileError> {
    parse(&reload::read(path))
}

/// One key a line; empty lines and spaces around a key do not count.
fn parse(contents: &Contents) -> Result<Vec<ApiKey>, KeyFileError> {
    let text = contents.as_ref().map_err(Clone::clone)?;
    if text.len() > FILE_MAX_BYTES {
        return Err(KeyFileError::TooLarge);
    }
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

#[cfg(test)]
#[path = "tests/key_files.rs"]
mod tests;
