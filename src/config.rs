//! Settings: defaults < files < environment < flags, in two steps. As given (`given.rs`: names, types, defaults, nothing
//! else), then checked: [`Config`], which has the parts' own `Options` and holds by itself and together.
//!
//! In: files, variables, flags. Out: [`Loaded`], or every single thing that is wrong ([`ConfigErrors`]), one line each.
//!
//! Never happens: a start with a key that is not known or a value that is not right; an error that hides another; a
//! secret in an error, in `Debug` or in `config show`.

mod check;
mod environment;
mod errors;
mod given;
mod layers;
mod nearest;
mod read;
mod shape;
mod show;
mod table;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{intake, journal, kafka, publisher, schema};

pub use check::topic_name_trouble;
pub use environment::API_KEY as API_KEY_VARIABLE;
pub use errors::{ConfigError, ConfigErrors};
pub use given::LogFormat;
pub use layers::Inputs;
pub use nearest::nearest;
pub use shape::schema;
pub use table::markdown;
pub use units::{Time, key_trouble};

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit that it was built from; `unknown` where the build could not tell.
pub const COMMIT: &str = env!("BUILD_COMMIT");
/// Compiler that built it.
pub const RUSTC: &str = env!("BUILD_RUSTC");

/// The settings, checked: each part's options, ready to be handed over.
pub struct Config {
    /// Of the intake. Port 0 takes a free one.
    pub listen: SocketAddr,
    pub intake: intake::Options,
    /// Holds `journal`, `quarantine` and `dead`.
    pub journal_dir: PathBuf,
    pub journal: journal::Options,
    pub kafka: kafka::Options,
    pub topics: publisher::Topics,
    /// How `topics apply` makes a topic.
    pub topics_shape: kafka::topics::Shape,
    /// Of probes and metrics. Port 0 takes a free one.
    pub admin_listen: SocketAddr,
    pub log: Log,
    pub shutdown: Shutdown,
    /// Which events the drift watch checks.
    pub drift: schema::Mode,
}

/// What is written to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// A filter that `tracing_subscriber` can read.
    pub level: String,
    /// Lets lines of [`event::LOG_TARGET`](crate::event::LOG_TARGET) through, whatever the level.
    pub events: bool,
}

/// How the bridge stops; both count from the signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Not ready, but still answering.
    pub delay: Duration,
    /// Publishing ends here at the latest.
    pub deadline: Duration,
}

/// Settings that hold, and where they came from.
pub struct Loaded {
    pub config: Config,
    effective: given::Given,
    origins: errors::Origins,
}

impl Config {
    /// Reads, merges and checks. The keys of every source must be there.
    pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
        load(inputs, check::Keys::Needed)
    }

    /// The same for commands that take no events: sources may lack their keys.
    pub fn load_without_keys(inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
        load(inputs, check::Keys::NotNeeded)
    }
}

/// The admin listener's address alone, for a health check that must not fail for other reasons.
pub fn admin_listen(inputs: &Inputs) -> Result<SocketAddr, ConfigErrors> {
    let shape = shape::Shape::of_settings();
    let mut findings = errors::Findings::default();
    let tree = layers::merged(inputs, &shape, &mut findings);
    let given = read::given(&tree, &shape, &mut findings);
    let mut own = errors::Findings::with_origins(findings.origins);
    let address = check::address(&given.admin.listen, "admin.listen", "0.0.0.0:9464", &mut own);
    own.finish(address).map(|(address, _)| address)
}

/// Whether a variable means a setting, for checks of documents and charts.
pub fn knows_variable(name: &str) -> bool {
    environment::means_a_setting(name, &shape::Shape::of_settings())
}

fn load(inputs: &Inputs, keys: check::Keys) -> Result<Loaded, ConfigErrors> {
    let shape = shape::Shape::of_settings();
    let mut findings = errors::Findings::default();
    let tree = layers::merged(inputs, &shape, &mut findings);
    let mut effective = read::given(&tree, &shape, &mut findings);
    take_api_key(inputs, &mut effective, &mut findings);
    let config = check::checked(&effective, keys, &mut findings);
    let (config, origins) = findings.finish(config)?;
    Ok(Loaded { config, effective, origins })
}

/// `RETELL_API_KEY` is the default source's key where none is set.
fn take_api_key(inputs: &Inputs, given: &mut given::Given, findings: &mut errors::Findings) {
    let found = inputs.environment.iter().find(|(name, _)| name == environment::API_KEY);
    let Some(key) = found.and_then(|(_, value)| value.to_str()).map(str::trim).filter(|key| !key.is_empty()) else {
        return;
    };
    let Some(source) = given.sources.get_mut(given::DEFAULT_SOURCE) else { return };
    let at = format!("sources.{}.keys", given::DEFAULT_SOURCE);
    let has_file = source.keys_file.as_ref().is_some_and(|file| !file.is_empty());
    if source.keys.is_empty() && !has_file && !findings.is_wrong(&at) {
        source.keys = vec![units::Secret::new(key)];
        findings.origins.insert(at, environment::API_KEY.to_owned());
    }
}

#[cfg(test)]
mod tests;
