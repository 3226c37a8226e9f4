//! Kafka: the only folder that imports rdkafka. Contract (draft of the lead; its author completes it).

use std::collections::BTreeMap;
use std::path::PathBuf;

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
