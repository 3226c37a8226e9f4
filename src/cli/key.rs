//! The keys for `sign` and `verify`: from a file or from `RETELL_API_KEY`, never from a flag, which every user of the
//! machine could read.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::Usage;
use crate::config::{API_KEY_VARIABLE, key_trouble};
use crate::intake::keys_of_file;
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
        let Some(file) = &self.key_file else { return Ok(vec![of_variable()?]) };
        keys_of_file(file).with_context(|| format!("--key-file {}", file.display()))
    }
}

fn of_variable() -> anyhow::Result<ApiKey> {
    let text = std::env::var(API_KEY_VARIABLE).unwrap_or_default();
    match key_trouble(text.trim()) {
        None => Ok(ApiKey::new(text.trim())),
        Some(_) if text.trim().is_empty() => {
            Err(Usage(format!("no key: set {API_KEY_VARIABLE} or name a file with --key-file")).into())
        }
        Some(trouble) => bail!("{API_KEY_VARIABLE} {trouble}: write the key as Retell's dashboard shows it"),
    }
}
