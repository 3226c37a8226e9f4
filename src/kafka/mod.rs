//! Kafka: the only folder that imports rdkafka. Contract (draft of the lead; its author completes it).

use std::collections::BTreeMap;
use std::path::PathBuf;

pub mod topics;

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

/// Version of the librdkafka inside, e.g. `2.12.1`.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// What librdkafka was built with, e.g. `gzip`, `ssl`, `sasl_scram`.
pub fn builtin_features() -> Vec<String> {
    let native = rdkafka::ClientConfig::new().create_native_config();
    let features = native.and_then(|config| config.get("builtin.features")).unwrap_or_default();
    features.split(',').map(str::to_owned).collect()
}

/// What a record needs beside its body: key, headers with names of sources and topics, the batch around it.
const RECORD_OVERHEAD_BYTES: usize = 16 * 1024;

/// The largest record: what a topic's `max.message.bytes` must take.
pub fn record_bytes_max(body_max_bytes: usize) -> u64 {
    (body_max_bytes + RECORD_OVERHEAD_BYTES) as u64
}

/// A file of a property cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{property}: {file} cannot be read: {cause}", file = file.display())]
pub struct PropertyFile {
    property: String,
    file: PathBuf,
    cause: std::io::Error,
}

/// What every client needs: addresses and the user's properties, secrets read from their files.
fn client_config(options: &Options) -> Result<rdkafka::ClientConfig, PropertyFile> {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers).set("allow.auto.create.topics", "false");
    for (property, value) in &options.properties {
        config.set(property, value);
    }
    for (property, file) in &options.properties_files {
        let text = std::fs::read_to_string(file).map_err(|cause| PropertyFile {
            property: property.clone(),
            file: file.clone(),
            cause,
        })?;
        config.set(property, text.trim_end_matches(['\r', '\n']));
    }
    Ok(config)
}
