//! What `dev` puts on disk: a temporary journal, and the file with broker, key and URL for other tools. Both go when it
//! ends.
//!
//! Never happens: a file overwritten that `dev` did not write; a file or folder that others than its owner can read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// First line of an env file; what begins otherwise is not ours.
const ENV_FILE_HEAD: &str = "# written by retell-bridge dev, removed when it ends";

/// The journal's folder.
pub struct JournalDir {
    path: PathBuf,
    is_kept: bool,
}

impl JournalDir {
    /// `keep`, or a fresh folder of its own that goes when this is dropped.
    pub fn new(keep: Option<&Path>) -> anyhow::Result<JournalDir> {
        let (is_kept, unique) = (keep.is_some(), random_hex()?);
        let path =
            keep.map_or_else(|| std::env::temp_dir().join(format!("retell-bridge-dev-{unique}")), Path::to_owned);
        let made = DirBuilder::new().recursive(is_kept).mode(0o700).create(&path);
        made.with_context(|| format!("cannot make the journal's folder {}", path.display()))?;
        Ok(JournalDir { path, is_kept })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl Drop for JournalDir {
    fn drop(&mut self) {
        if !self.is_kept {
            // In the system's folder for temporary files: what cannot be removed now is removed by the system.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Shell-style lines for `set -a; . FILE; set +a`, and for `docker run --env-file`.
pub struct EnvFile {
    path: PathBuf,
    text: String,
}

impl EnvFile {
    /// Writes it whole or not at all; its owner alone can read it.
    pub fn write(path: &Path, lines: &[(&str, &str)]) -> anyhow::Result<EnvFile> {
        let trouble = || format!("cannot write the env file {}", path.display());
        match fs::read_to_string(path) {
            Ok(text) if text.starts_with(ENV_FILE_HEAD) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => anyhow::bail!("{} is not a file of dev's; name another with --env-file", path.display()),
            Err(error) => return Err(error).with_context(trouble),
        }
        let mut text = format!("{ENV_FILE_HEAD}\n");
        lines.iter().for_each(|(name, value)| text.push_str(&format!("{name}={value}\n")));
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{}.tmp", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let written = write_new(&unfinished, &text).and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written.with_context(trouble)?;
        Ok(EnvFile { path: path.to_owned(), text })
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        // It names a broker that is gone; where it cannot be removed, its first line says so. Another process may have
        // written one of its own meanwhile.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// 32 hex digits that nobody can guess.
pub fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // The system fills up to 256 bytes whole.
    filled.context("the system gives no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_env_file_is_its_owners_alone_and_goes_with_dev() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.env");
        // Left behind by a dev that was killed, it is written anew.
        fs::write(&path, ENV_FILE_HEAD).unwrap();
        let file = EnvFile::write(&path, &[("KAFKA_BROKERS", "127.0.0.1:1"), ("RETELL_API_KEY", "key_1")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("\nKAFKA_BROKERS=127.0.0.1:1\nRETELL_API_KEY=key_1\n"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
        let older = EnvFile::write(&path, &[("KAFKA_BROKERS", "127.0.0.1:1")]).unwrap();
        let newer = EnvFile::write(&path, &[("KAFKA_BROKERS", "127.0.0.1:2")]).unwrap();
        drop(older);
        assert!(path.exists(), "another process has taken its place");
        drop(newer);
    }

    #[test]
    fn a_file_that_dev_did_not_write_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        fs::write(&path, "MINE=1\n").unwrap();
        assert!(EnvFile::write(&path, &[]).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "MINE=1\n");
    }

    #[test]
    fn a_temporary_journal_goes_and_a_kept_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("a/b");
        drop(JournalDir::new(Some(&kept)).unwrap());
        assert!(kept.is_dir());
        let temporary = JournalDir::new(None).unwrap();
        let path = temporary.path().to_owned();
        fs::write(path.join("segment"), "x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(temporary);
        assert!(!path.exists());
    }
}
