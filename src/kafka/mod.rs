//! Kafka: the only folder that imports rdkafka.
//!
//! In: [`Options`]. Out: [`KafkaProducer`] (the publisher's [`Producer`](crate::publisher::Producer)), [`topics`] for
//! `topics plan|apply`, [`consumer`] for `dev` and `tail`, the client's version and features.
//!
//! | file | holds |
//! | --- | --- |
//! | `settings` | librdkafka properties: ours, the user's, which may not be overridden |
//! | `current` | the settings in force; their files, read again |
//! | `errors` | error code to action and reason |
//! | `trouble` | what stands between a client and a broker, with the cure |
//! | `context` | callbacks: receipts, errors, log lines |
//! | `producer` | the producer and its replacement |
//! | `wakeup` | a wait for the producer's next event |
//! | `prober` | metadata on a thread of its own; whether a broker answers; the topics' limits at start |
//! | `admin`, `alter` | admin requests, blocking |
//! | `topics` | plan and apply |
//! | `checkup` | what `config check --online` asks |
//! | `consumer` | a small reader of topics |
//!
//! Never happens: a password or a property's value in a log line or an error; a topic made by asking for it; a record
//! that the client gives up by time.

mod admin;
mod alter;
pub mod checkup;
pub mod consumer;
mod context;
mod current;
mod errors;
mod prober;
mod producer;
mod settings;
#[cfg(test)]
mod tests;
pub mod topics;
mod trouble;
mod wakeup;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, DefaultProducerContext};

pub use current::names_a_file;
pub use producer::KafkaProducer;
pub use settings::SettingsError;
pub use trouble::{Kind as TroubleKind, Trouble};

/// How Kafka is reached; made by `config`.
#[derive(Clone)]
pub struct Options {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// librdkafka properties as given; may hold secrets, so no `Debug`.
    pub properties: BTreeMap<String, String>,
    /// Property: file that holds its value.
    pub properties_files: BTreeMap<String, PathBuf>,
    /// Largest body, for `message.max.bytes` and the check of the topics' limits.
    pub body_max_bytes: usize,
}

impl Options {
    /// Whether a producer can be made of these: every property is known, none breaks the promise, files can be read.
    /// Asks no broker.
    pub fn check(&self) -> Result<(), SettingsError> {
        let config = settings::producer(self, false)?;
        settings::build::<_, BaseProducer>(&config, DefaultProducerContext).map(drop)
    }

    /// Every property that the producer gets, secrets among them: for a producer that is measured beside it.
    pub fn producer_properties(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        let config = settings::producer(self, false)?;
        Ok(config.config_map().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// What a record of the largest body takes in a topic: `max.message.bytes` has to be at least this.
    pub fn record_max_bytes(&self) -> usize {
        settings::record_max_bytes(self.body_max_bytes)
    }
}

/// Version of librdkafka, e.g. `2.12.1`.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// What librdkafka was built with, e.g. `ssl`, `sasl_scram`, `lz4`, `zstd`, in its own order.
pub fn builtin_features() -> Vec<String> {
    let read = || -> Option<String> {
        let native = ClientConfig::new().create_native_config().ok()?;
        native.get("builtin.features").ok()
    };
    read().unwrap_or_default().split(',').map(str::to_owned).filter(|feature| !feature.is_empty()).collect()
}
