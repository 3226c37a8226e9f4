//! Where a command's settings come from: the arguments that several commands share.

use std::path::PathBuf;

use crate::config::{Config, ConfigErrors, Inputs, Loaded};

/// Files and single settings; the environment comes by itself.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// File with settings, YAML or TOML; several: later ones win.
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One setting, over files and environment: --set kafka.brokers=kafka:9092.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Settings {
    /// All layers.
    pub fn inputs(&self) -> Inputs {
        Inputs { files: self.files.clone(), environment: std::env::vars_os().collect(), flags: self.set.clone() }
    }

    /// Checked settings of a bridge.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        Config::load(&self.inputs())
    }

    /// Checked settings for what takes no events.
    pub fn load_without_keys(&self) -> Result<Loaded, ConfigErrors> {
        Config::load_without_keys(&self.inputs())
    }
}
