//! The settings as given: names, meanings and defaults of every key, and nothing checked but its type. The sentences here
//! are what `config schema` and the README's table say.
//!
//! No `Debug`: Kafka's properties may hold passwords.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::units::{Secret, Size, Time};

/// Name of the source that is there without being configured.
pub const DEFAULT_SOURCE: &str = "default";
/// Its path.
pub const DEFAULT_PATH: &str = "/webhook";

/// The settings of retell-bridge. Sizes (`8MiB`) and times (`24h`) are written with units.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "retell-bridge")]
pub struct Given {
    /// Address and port of the intake. Port 0 takes a free one and logs it.
    pub listen: String,
    /// TLS on the intake: both files, or neither where TLS ends in front of the bridge. Read again when they change.
    pub tls: Tls,
    /// Who posts, and to which path: one entry for each Retell workspace or agent, by a name of your choice.
    pub sources: BTreeMap<String, Source>,
    /// The HTTP front door and its bounds.
    pub intake: Intake,
    /// Where events are kept before they are answered.
    pub journal: Journal,
    /// How Kafka is reached.
    pub kafka: Kafka,
    /// Which events go to which topic.
    pub topics: Topics,
    /// How far back a repeated event is recognised; whichever bound is reached first. Older repeats keep their `ce_id`.
    pub duplicates: Duplicates,
    /// The listener for probes and metrics.
    pub admin: Admin,
    /// The watch for fields that Retell has added or changed. It changes no event.
    pub drift: Drift,
    /// What is written to stderr.
    pub log: Log,
    /// How the bridge stops. Both times count from the signal.
    pub shutdown: Shutdown,
}

/// TLS 1.2 and 1.3 on the intake.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM, the intake's own certificate first.
    pub cert_file: Option<String>,
    /// Its key, PEM, without a passphrase.
    pub key_file: Option<String>,
}

/// One source.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    /// Path that Retell posts to, with or without a trailing slash. The source `default` has `/webhook`; every other needs
    /// one of its own.
    pub path: Option<String>,
    /// API keys of the workspace (those with the webhook badge), several while a key is being changed. `RETELL_API_KEY` is
    /// the key of `default` where none is set.
    pub keys: Vec<Secret>,
    /// File with the keys, one a line. Read again when it changes.
    pub keys_file: Option<String>,
    /// Addresses or networks that may post, such as `100.20.5.228/32`, which is Retell's. Empty: any.
    pub allow: Vec<String>,
    /// How far the signed clock may be from ours, both ways.
    pub signature_window: Time,
    /// Prefix of this source's topics. None: `topics.prefix`.
    pub topic_prefix: Option<String>,
    /// What the two inbound events are answered with.
    pub inbound_answer: InboundAnswer,
}

/// The JSON answers to the inbound events.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InboundAnswer {
    /// JSON object; answered as `{"call_inbound": …}`.
    pub call_inbound: Map<String, Value>,
    /// JSON object; answered as `{"chat_inbound": …}`.
    pub chat_inbound: Map<String, Value>,
}

/// The HTTP front door.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Intake {
    /// Largest body. A call of an hour is about 1 MiB.
    pub body_max: Size,
    /// Bytes of all unfinished requests together.
    pub in_flight_max: Size,
    /// Open connections.
    pub connections_max: u32,
    /// From the first byte of a request to its answer; 503 when it passes. Retell gives up after 10 s.
    pub answer_within: Time,
    /// Addresses or networks of proxies that may set `X-Forwarded-For`.
    pub trusted_proxies: Vec<String>,
    /// Path on which the intake answers as `/readyz` does, for load balancers that probe this port. Empty: none.
    pub health_path: String,
}

/// The journal.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// Folder on a disk of its own. The bridge makes `journal`, `quarantine` and `dead` in it.
    pub dir: String,
    /// What these three folders may take together. When that is reached, events are refused with 503.
    pub size_max: Size,
    /// How long published events are kept, for `replay` and to recognise duplicates after a restart. At least
    /// `duplicates.window`.
    pub retention: Time,
    /// How long damaged bytes are kept.
    pub quarantine_retention: Time,
    /// Take a file system on which a sync promises nothing (tmpfs, overlayfs, NFS, FUSE). For trials.
    pub allow_ephemeral: bool,
}

/// Kafka.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Bootstrap addresses, `host:port`, comma-separated.
    pub brokers: String,
    /// Any librdkafka property. In the environment `sasl.username` is `RETELL_BRIDGE_KAFKA_PROPERTY_SASL_USERNAME`.
    #[schemars(schema_with = "single_values")]
    pub properties: BTreeMap<String, String>,
    /// Property: file that holds its value, for secrets. Read again when it changes.
    pub properties_files: BTreeMap<String, String>,
}

/// Topics.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Begins every topic's name: `retell.` makes `retell.call_ended`.
    pub prefix: String,
    /// Event types that have a topic: `all`, or a list. What is not listed goes to `unrecognized`.
    pub types: Types,
    /// Full name of a second topic that takes every event of all sources. None: no such topic.
    pub all: Option<String>,
    /// Full names over any prefix, by type, `unrecognized` or `dead_letter`: `call_ended: my.topic`.
    pub overrides: BTreeMap<String, String>,
    /// Partitions of topics that `topics apply` makes.
    pub partitions: u16,
    /// Replicas of topics that `topics apply` makes. None: the broker's default.
    pub replication: Option<u16>,
    /// Settings of topics that `topics apply` makes: `retention.ms: 604800000`.
    #[schemars(schema_with = "single_values")]
    pub config: BTreeMap<String, String>,
}

/// `all`, or names of types.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Types {
    Named(Vec<String>),
    All(String),
}

/// Duplicates.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Duplicates {
    /// For how long a repeated event is recognised and not published again; `events_max` may end it sooner.
    pub window: Time,
    /// Among how many of the newest events a repeated one is recognised.
    pub events_max: u32,
}

/// Probes and metrics.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port of `/livez`, `/readyz` and `/metrics`.
    pub listen: String,
}

/// The drift watch.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Which events are held against the schema of their type as they are published: `off`, `sampled` (of each type at
    /// most one a second) or `all`, as far as one core keeps up.
    pub check: DriftCheck,
}

/// How many events are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DriftCheck {
    Off,
    Sampled,
    All,
}

/// Logs.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text`, `json`, or `auto`: text on a terminal, JSON lines elsewhere.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; by module: `info,retell_bridge::journal=debug`.
    pub level: String,
    /// A line for each event that is kept, published or repeated: position, source, type, topic, size, `ce_id`, no key.
    pub events: bool,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

/// The stop.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// For how long it is not ready but still answers, so that load balancers turn away first.
    pub delay: Time,
    /// When publishing ends at the latest; what is left is published by the next start.
    pub deadline: Time,
}

/// Texts, which may be written without quotes: `linger.ms: 5`.
fn single_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
}

impl JsonSchema for Types {
    fn schema_name() -> Cow<'static, str> {
        "Types".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = crate::event::Kind::KNOWN.iter().map(|kind| kind.name()).collect();
        json_schema!({"anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "string", "enum": names}}]})
    }
}

impl Default for Given {
    fn default() -> Given {
        let source = Source { path: Some(DEFAULT_PATH.to_owned()), ..Source::default() };
        Given {
            listen: "0.0.0.0:8080".to_owned(),
            tls: Tls::default(),
            sources: BTreeMap::from([(DEFAULT_SOURCE.to_owned(), source)]),
            intake: Intake::default(),
            journal: Journal::default(),
            kafka: Kafka::default(),
            topics: Topics::default(),
            duplicates: Duplicates::default(),
            admin: Admin::default(),
            drift: Drift::default(),
            log: Log::default(),
            shutdown: Shutdown::default(),
        }
    }
}

impl Default for Source {
    fn default() -> Source {
        Source {
            path: None,
            keys: Vec::new(),
            keys_file: None,
            allow: Vec::new(),
            signature_window: Time::literal("5m"),
            topic_prefix: None,
            inbound_answer: InboundAnswer::default(),
        }
    }
}

impl Default for Intake {
    fn default() -> Intake {
        Intake {
            body_max: Size::literal("8MiB"),
            in_flight_max: Size::literal("64MiB"),
            connections_max: 1024,
            answer_within: Time::literal("8s"),
            trusted_proxies: Vec::new(),
            health_path: "/readyz".to_owned(),
        }
    }
}

impl Default for Journal {
    fn default() -> Journal {
        Journal {
            dir: "/var/lib/retell-bridge".to_owned(),
            size_max: Size::literal("10GiB"),
            retention: Time::literal("24h"),
            quarantine_retention: Time::literal("30d"),
            allow_ephemeral: false,
        }
    }
}

impl Default for Kafka {
    fn default() -> Kafka {
        Kafka { brokers: "localhost:9092".to_owned(), properties: BTreeMap::new(), properties_files: BTreeMap::new() }
    }
}

impl Default for Topics {
    fn default() -> Topics {
        Topics {
            prefix: "retell.".to_owned(),
            types: Types::All("all".to_owned()),
            all: None,
            overrides: BTreeMap::new(),
            partitions: 6,
            replication: None,
            config: BTreeMap::new(),
        }
    }
}

impl Default for Duplicates {
    fn default() -> Duplicates {
        Duplicates { window: Time::literal("1h"), events_max: 500_000 }
    }
}

impl Default for Admin {
    fn default() -> Admin {
        Admin { listen: "0.0.0.0:9464".to_owned() }
    }
}

impl Default for Drift {
    fn default() -> Drift {
        Drift { check: DriftCheck::Sampled }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Auto, level: "info".to_owned(), events: false }
    }
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown { delay: Time::literal("5s"), deadline: Time::literal("25s") }
    }
}
