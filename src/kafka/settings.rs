//! librdkafka's properties: the bridge's own, then `kafka.properties`, then `kafka.properties_files`.
//!
//! In: [`Options`]. Out: a client configuration, or which setting is wrong and what would be right. Never happens: a
//! property's value in an error; a property that would break the promise (a record given up, reordered, or confirmed too
//! early).

use std::collections::BTreeMap;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use super::Options;

/// Headers, key and frame beside the largest body.
const RECORD_OVERHEAD_BYTES: usize = 16 * 1024;
/// The client's queue, where bodies are not larger than half of it. librdkafka's own default is 1 GiB.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// Names that mean the same property; the first is the one that is set.
const ALIASES: [(&str, &str); 7] = [
    ("bootstrap.servers", "metadata.broker.list"),
    ("acks", "request.required.acks"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("retries", "message.send.max.retries"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("compression.type", "compression.codec"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
];

/// Properties that keep the promise: name, the values that do, why.
const KEPT: [(&str, &[&str], &str); 7] = [
    ("acks", &["all", "-1"], "an event counts as published when all in-sync replicas have it"),
    ("enable.idempotence", &["true"], "without it a retry can reorder or double records"),
    ("enable.gapless.guarantee", &["true"], "without it records overtake one that was refused"),
    ("message.timeout.ms", &["0"], "the journal is the retry buffer; a record given up would leave a gap"),
    ("allow.auto.create.topics", &["false"], "a question for a topic must not make it; use `topics apply`"),
    ("delivery.report.only.error", &["false"], "every delivery needs its receipt"),
    ("retries", &["2147483647"], "the journal is the retry buffer; a record given up would leave a gap"),
];

/// Properties that cannot be given: name, what to do instead.
const REFUSED: [(&str, &str); 2] = [
    ("bootstrap.servers", "set kafka.brokers instead"),
    ("transactional.id", "leave it out: the bridge does not publish in transactions"),
];

/// Which setting is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SettingsError {
    /// The key's path, e.g. `kafka.properties.acks`.
    pub path: String,
    pub problem: String,
}

/// Bytes that a record of a body of `body_bytes` may take in a topic.
pub(super) fn record_max_bytes(body_bytes: usize) -> usize {
    body_bytes + RECORD_OVERHEAD_BYTES
}

/// The producer's configuration. `alone`: each record travels in a batch of its own.
pub(super) fn producer(options: &Options, alone: bool) -> Result<ClientConfig, SettingsError> {
    let given = given(options)?;
    let mut config = common(options);
    let record_max = record_max_bytes(options.body_max_bytes);
    let queue_kbytes = QUEUE_BYTES.max(2 * record_max).div_ceil(1024);
    for (name, value) in [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("enable.gapless.guarantee", "true"),
        ("partitioner", "murmur2_random"),
        ("message.timeout.ms", "0"),
        ("compression.type", "lz4"),
        ("linger.ms", "2"),
        ("message.max.bytes", &record_max.to_string()),
        ("queue.buffering.max.kbytes", &queue_kbytes.to_string()),
    ] {
        config.set(name, value);
    }
    for (name, property) in &given {
        property.keeps_the_promise(name, record_max)?;
        config.set(name, &property.value);
    }
    if alone {
        config.set("batch.num.messages", "1");
    }
    Ok(config)
}

/// Bytes that one batch may take; librdkafka's default where none is given.
pub(super) fn batch_bytes(options: &Options) -> usize {
    let given = given(options).ok();
    given.and_then(|given| given.get("batch.size")?.value.trim().parse().ok()).unwrap_or(1_000_000)
}

/// The configuration of a client that only asks or reads. Of the properties given, those about the producer's work are
/// left out.
pub(super) fn client(options: &Options) -> Result<ClientConfig, SettingsError> {
    let mut config = common(options);
    for (name, property) in given(options)? {
        if is_about_connections(&name) {
            config.set(name, property.value);
        }
    }
    Ok(config)
}

fn common(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", "retell-bridge")
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.keepalive.enable", "true")
        .set_log_level(RDKafkaLogLevel::Info);
    config
}

fn is_about_connections(name: &str) -> bool {
    const PREFIXES: [&str; 9] =
        ["sasl.", "ssl.", "security.", "socket.", "broker.", "reconnect.", "client.", "enable.ssl", "enable.sasl"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || matches!(name, "debug" | "api.version.request")
}

/// One property as given.
struct Given {
    path: String,
    value: String,
}

/// The same options with the values of their files in them.
pub(super) fn resolved(options: &Options) -> Result<Options, SettingsError> {
    let properties = given(options)?.into_iter().map(|(name, property)| (name, property.value)).collect();
    Ok(Options { properties, properties_files: BTreeMap::new(), ..options.clone() })
}

/// All properties as given, under their first names, files over texts.
fn given(options: &Options) -> Result<BTreeMap<String, Given>, SettingsError> {
    let mut given = BTreeMap::new();
    for (name, value) in &options.properties {
        let path = format!("kafka.properties.{name}");
        given.insert(first_name(name), Given { path, value: value.clone() });
    }
    for (name, file) in &options.properties_files {
        let path = format!("kafka.properties_files.{name}");
        let value = std::fs::read_to_string(file).map_err(|error| SettingsError {
            path: path.clone(),
            problem: format!("{} cannot be read: {error}", file.display()),
        })?;
        let value = value.trim_end_matches(['\r', '\n']).to_owned();
        if value.is_empty() {
            return Err(SettingsError { path, problem: format!("{} is empty; put the value into it", file.display()) });
        }
        if value.contains('\n') && !name.ends_with(".pem") {
            let problem = format!("{} holds several lines; keep the value's own line alone", file.display());
            return Err(SettingsError { path, problem });
        }
        given.insert(first_name(name), Given { path, value });
    }
    Ok(given)
}

fn first_name(name: &str) -> String {
    let first = ALIASES.iter().find(|(_, alias)| *alias == name).map_or(name, |(first, _)| first);
    first.to_owned()
}

impl Given {
    fn keeps_the_promise(&self, name: &str, record_max: usize) -> Result<(), SettingsError> {
        let wrong = |problem: String| Err(SettingsError { path: self.path.clone(), problem });
        if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return wrong((*instead).to_owned());
        }
        if let Some((_, values, why)) = KEPT.iter().find(|(kept, ..)| *kept == name)
            && !values.contains(&self.value.trim())
        {
            return wrong(format!("must be {} or left out: {why}", values[0]));
        }
        let bytes: Option<usize> = self.value.trim().parse().ok();
        if name == "message.max.bytes" && bytes.is_some_and(|bytes| bytes < record_max) {
            return wrong(format!(
                "must be at least {record_max}, which intake.body_max needs; lower intake.body_max, or leave it out"
            ));
        }
        Ok(())
    }
}

/// Makes a client, and says of the property at fault what is wrong with it.
pub(super) fn build<C, T>(config: &ClientConfig, context: C) -> Result<T, SettingsError>
where
    C: ClientContext,
    T: FromClientConfigAndContext<C>,
{
    T::from_config_and_context(config, context).map_err(|error| told(config, &error))
}

fn told(config: &ClientConfig, error: &KafkaError) -> SettingsError {
    match error {
        KafkaError::ClientConfig(_, description, name, value) => {
            let value = if value.is_empty() { "\0" } else { value };
            let problem = if description.starts_with("No such configuration property") {
                "librdkafka has no such property; its list is CONFIGURATION.md of librdkafka 2.12".to_owned()
            } else {
                format!("librdkafka refuses the value: {}", without_values(config, &description.replace(value, "***")))
            };
            SettingsError { path: format!("kafka.properties.{name}"), problem }
        }
        KafkaError::ClientCreation(description) => SettingsError {
            path: "kafka.properties".into(),
            problem: format!("librdkafka refuses them together: {}", without_values(config, description)),
        },
        other => SettingsError { path: "kafka.properties".into(), problem: without_values(config, &other.to_string()) },
    }
}

/// A text of librdkafka's or a broker's, without the values of secrets.
pub(super) fn without_values(config: &ClientConfig, text: &str) -> String {
    secrets(config).iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// Values that must not show.
pub(super) fn secrets(config: &ClientConfig) -> Vec<String> {
    // `config_map` gives the names, and the values of most, but hides the secret ones.
    let is_secret = |name: &str| {
        let is_file = name.ends_with(".location");
        let words =
            ["password", "secret", "username", "key", "pem", "token", "jaas", "oauthbearer.config", "principal"];
        !is_file && words.iter().any(|word| name.contains(word))
    };
    let names = config.config_map().into_keys().filter(|name| is_secret(name));
    let values = names.filter_map(|name| config.get(name)).filter(|value| value.len() > 2);
    values.map(str::to_owned).collect()
}

#[cfg(test)]
pub(in crate::kafka) mod tests {
    use std::io::Write;

    use super::*;

    pub(in crate::kafka) fn options(properties: &[(&str, &str)]) -> Options {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Options {
            brokers: "127.0.0.1:1".into(),
            properties: properties.iter().map(owned).collect(),
            properties_files: BTreeMap::new(),
            body_max_bytes: 8 * 1024 * 1024,
        }
    }

    fn refusal(properties: &[(&str, &str)]) -> String {
        options(properties).check().expect_err("should be refused").to_string()
    }

    #[test]
    fn the_bridges_own_properties_make_a_producer() {
        assert_eq!(options(&[]).check(), Ok(()));
    }

    #[test]
    fn a_property_nobody_knows_is_refused_by_its_path() {
        let refusal = refusal(&[("comression.type", "lz4")]);
        assert!(refusal.starts_with("kafka.properties.comression.type: librdkafka has no such property"), "{refusal}");
    }

    #[test]
    fn what_would_break_the_promise_is_refused_with_what_would_be_right() {
        for (name, value) in [
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("enable.idempotence", "false"),
            ("enable.gapless.guarantee", "false"),
            ("delivery.timeout.ms", "120000"),
            ("retries", "3"),
            ("allow.auto.create.topics", "true"),
            ("message.max.bytes", "1000000"),
            ("transactional.id", "x"),
            ("metadata.broker.list", "elsewhere:9092"),
        ] {
            let refusal = refusal(&[(name, value)]);
            assert!(refusal.starts_with(&format!("kafka.properties.{name}: ")) && refusal.len() > 40, "{refusal}");
        }
    }

    #[test]
    fn what_users_need_is_passed_through() {
        let given = [("linger.ms", "20"), ("compression.codec", "gzip"), ("acks", "-1"), ("batch.size", "500000")];
        let config = producer(&options(&given), true).unwrap();
        let value = |name: &str| config.get(name).unwrap().to_owned();
        assert_eq!((value("linger.ms"), value("compression.type")), ("20".into(), "gzip".into()));
        assert_eq!(value("batch.num.messages"), "1");
        assert_eq!(options(&given).check(), Ok(()));
    }

    #[test]
    fn a_contradiction_is_refused_at_start() {
        let refusal = refusal(&[("max.in.flight", "50")]);
        assert!(refusal.starts_with("kafka.properties: librdkafka refuses them together: "), "{refusal}");
    }

    #[test]
    fn a_value_from_a_file_wins_and_neither_shows_in_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "hunter2-hunter2").unwrap();
        let mut options = options(&[("sasl.password", "other-secret"), ("security.protocol", "hunter3-hunter3")]);
        options.properties_files.insert("sasl.password".into(), file.path().into());
        assert_eq!(producer(&options, false).unwrap().get("sasl.password"), Some("hunter2-hunter2"));
        let refusal = options.check().unwrap_err().to_string();
        assert!(
            refusal.contains("security.protocol") && !refusal.contains("hunter") && !refusal.contains("other-secret"),
            "{refusal}"
        );
        options.properties_files.insert("sasl.password".into(), "/nowhere/at/all".into());
        assert_eq!(options.check().unwrap_err().path, "kafka.properties_files.sasl.password");
    }
}
