//! The keys for `sign` and `verify`: from a file or from `RETELL_API_KEY`, never from a flag, which every user of the
//! machine could read.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Usage;
use crate::config::{API_KEY_VARIABLE, key_trouble};
use crate::signature::ApiKey;

/// Where the key is.
#[derive(Debug, Clone, clap::Args)]
pub struct KeyArgs {
    /// File with the API key, one a line. Without it: the variable RETELL_API_KEY.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// All keys, at least one.
    pub fn keys(&self) -> anyhow::Result<Vec<ApiKey>> {
        match &self.key_file {
            Some(file) => of_file(file),
            None => match std::env::var(API_KEY_VARIABLE) {
                Ok(text) if !text.trim().is_empty() => of_text(&text).context(API_KEY_VARIABLE),
                _ => Err(Usage(format!("no key: set {API_KEY_VARIABLE} or name a file with --key-file")).into()),
            },
        }
    }
}

fn of_file(file: &Path) -> anyhow::Result<Vec<ApiKey>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the key file {name}"))?;
    of_text(&text).with_context(|| format!("the key file {name} is of no use"))
}

fn of_text(text: &str) -> anyhow::Result<Vec<ApiKey>> {
    let keys: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(trouble) = keys.iter().find_map(|key| key_trouble(key)) {
        bail!("a key {trouble}");
    }
    if keys.is_empty() {
        bail!("it holds no key");
    }
    Ok(keys.into_iter().map(ApiKey::new).collect())
}
