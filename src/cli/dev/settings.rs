//! `dev`'s settings: the same keys and the same checks as `serve`'s, from `dev`'s few flags.
//!
//! The environment counts only as far as it is meant for this: `RETELL_API_KEY` always, what says how to reach a real
//! Kafka and its topics only with `--brokers`. So settings of a real bridge that lie around in a shell change nothing.

use std::ffi::OsString;
use std::path::Path;

use super::Args;
use crate::config::{API_KEY_VARIABLE, Config, ConfigErrors, Inputs};
use crate::intake::Observer;
use crate::signature::ApiKey;

/// Prefixes of the variables that count with `--brokers`.
const KAFKA_VARIABLES: [&str; 2] = ["RETELL_BRIDGE_KAFKA", "RETELL_BRIDGE_TOPICS__"];
/// The intake's own line for a refused request would say again what the console explains; librdkafka's remarks are about
/// settings that are the bridge's, and the publisher tells when Kafka is away.
const LOG_LEVEL: &str = "warn,retell_bridge::intake::voice=error,librdkafka=error";

/// The checked settings, with the user's key where there is one.
pub(super) fn config(args: &Args, journal: &Path) -> Result<Config, ConfigErrors> {
    let counts = |name: &OsString| {
        let name = name.to_string_lossy();
        let is_of_kafka = KAFKA_VARIABLES.iter().any(|prefix| name.starts_with(prefix));
        name == API_KEY_VARIABLE && args.key_file.is_none() || is_of_kafka && args.brokers.is_some()
    };
    let mut flags = vec![
        format!("listen={}", args.address()),
        "admin.listen=127.0.0.1:0".to_owned(),
        format!("journal.dir={}", journal.display()),
        "journal.allow_ephemeral=true".to_owned(),
        "journal.size_max=2GiB".to_owned(),
        "shutdown.delay=0s".to_owned(),
        "shutdown.deadline=5s".to_owned(),
        "log.format=text".to_owned(),
        format!("log.level={LOG_LEVEL}"),
    ];
    flags.extend(args.brokers.iter().map(|brokers| format!("kafka.brokers={brokers}")));
    flags.extend(args.key_file.iter().map(|file| format!("sources.default.keys_file={}", file.display())));
    let environment = std::env::vars_os().filter(|(name, _)| counts(name)).collect();
    let inputs = Inputs { environment, flags, ..Inputs::default() };
    Ok(Config::load_without_keys(&inputs)?.config)
}

/// How the user's own key is named on the screen: by its fingerprint or its file.
pub(super) fn own_key(config: &Config) -> Option<String> {
    let source = config.intake.sources.first()?;
    let fingerprint = source.keys.first().map(|key| format!("fingerprint {}", key.fingerprint()));
    fingerprint.or_else(|| source.keys_file.as_ref().map(|file| format!("from {}", file.display())))
}

/// What only `dev` may set: its own key beside the user's, the ear at the intake, and unsigned calls.
pub(super) fn open_doors(config: &mut Config, dev_key: &str, allow_unsigned: bool, observer: Observer) {
    config.intake.observer = Some(observer);
    for source in &mut config.intake.sources {
        source.keys.push(ApiKey::new(dev_key));
        source.allow_unsigned = allow_unsigned;
    }
}

/// The path that is posted to.
pub(super) fn webhook_path(config: &Config) -> String {
    config.intake.sources.first().map(|source| source.path.clone()).unwrap_or_default()
}

/// A topic for the example of how to read one.
pub(super) fn shown_topic(topics: &[String]) -> String {
    topics.iter().find(|topic| topic.ends_with("call_ended")).or(topics.first()).cloned().unwrap_or_default()
}
