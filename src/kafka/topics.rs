//! Looking at topics and making them, for `topics plan` and `topics apply`. The bridge itself never makes one.
//!
//! In: topic names. Out: what is there, what was done. Never happens: a topic made by asking for it; a setting of a topic
//! lost because another one was changed; a wait without an end.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use tokio::runtime::Runtime;

use super::{Options, client_config};

/// One question; a broker that answers at all answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Topic setting that bounds a batch, and so a record.
pub const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// Asks and changes. Blocks: not for async threads.
pub struct TopicAdmin {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
    runtime: Runtime,
}

/// What is known of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    Missing,
    /// This user may not even see it.
    Forbidden,
    Found(Found),
}

/// A topic that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub partitions: usize,
    /// `None` where this user may not read settings (DescribeConfigs).
    pub max_message_bytes: Option<u64>,
    /// Settings of its own, beside the broker's.
    own: Vec<(String, String)>,
}

/// A topic to make.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub partitions: i32,
    /// `None`: the broker's default.
    pub replication: Option<i16>,
    pub settings: Vec<(&'a str, &'a str)>,
}

/// Why Kafka did not answer or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// librdkafka takes a property not.
    #[error("kafka.properties: {0}")]
    Properties(String),
    /// No broker answered.
    #[error(
        "no answer from {brokers}: {cause}; is kafka.brokers right, and are TLS and SASL properties what the broker wants?"
    )]
    Unreachable { brokers: String, cause: String },
    /// A broker said no.
    #[error("{0}")]
    Refused(String),
}

impl TopicAdmin {
    /// Connects when it is first asked.
    pub fn new(options: &Options) -> Result<TopicAdmin, AdminError> {
        let properties = |error: KafkaError| AdminError::Properties(error.to_string());
        let client = client_config(options).map_err(|error| AdminError::Properties(error.to_string()))?;
        let client = client.create().map_err(properties)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| AdminError::Refused(format!("no runtime: {error}")))?;
        Ok(TopicAdmin { client, options: AdminOptions::new().request_timeout(Some(TIMEOUT)), runtime })
    }

    /// What is known of each of `names`, in their order.
    pub fn look(&self, names: &[String], brokers: &str) -> Result<Vec<Lookup>, AdminError> {
        names.iter().map(|name| self.look_at(name, brokers)).collect()
    }

    fn look_at(&self, name: &str, brokers: &str) -> Result<Lookup, AdminError> {
        let unreachable = |error: KafkaError| AdminError::Unreachable {
            brokers: brokers.to_owned(),
            cause: error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string()),
        };
        let metadata = self.client.inner().fetch_metadata(Some(name), TIMEOUT).map_err(unreachable)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(Lookup::Missing);
        };
        match topic.error() {
            None => {}
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => return Ok(Lookup::Forbidden),
            Some(
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            ) => return Ok(Lookup::Missing),
            Some(other) => return Err(AdminError::Refused(format!("{name}: {}", RDKafkaErrorCode::from(other)))),
        }
        let (max_message_bytes, own) = self.settings(name);
        Ok(Lookup::Found(Found { partitions: topic.partitions().len(), max_message_bytes, own }))
    }

    /// The record limit and the topic's own settings; without the right to read them: unknown, not zero.
    fn settings(&self, name: &str) -> (Option<u64>, Vec<(String, String)>) {
        let question = [ResourceSpecifier::Topic(name)];
        let answer = self.runtime.block_on(self.client.describe_configs(&question, &self.options));
        let Some(Ok(settings)) = answer.ok().and_then(|mut each| each.pop()) else { return (None, Vec::new()) };
        let limit = settings.get(MAX_MESSAGE_BYTES).and_then(|entry| entry.value.as_ref()?.parse().ok());
        let own = settings.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        (limit, own.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// Makes a topic.
    pub fn make(&self, wanted: &Wanted<'_>) -> Result<(), AdminError> {
        let replication = TopicReplication::Fixed(wanted.replication.map_or(-1, i32::from));
        let mut topic = NewTopic::new(wanted.name, wanted.partitions, replication);
        for (name, value) in &wanted.settings {
            topic = topic.set(name, value);
        }
        let answer = self.runtime.block_on(self.client.create_topics([&topic], &self.options));
        done(answer, |each| each)
    }

    /// Raises the record limit. The protocol's request replaces all of a topic's own settings, so those that were read
    /// are sent along.
    pub fn raise_limit(&self, name: &str, found: &Found, bytes: u64) -> Result<(), AdminError> {
        let bytes = bytes.to_string();
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(MAX_MESSAGE_BYTES, &bytes);
        for (own, value) in found.own.iter().filter(|(own, _)| own != MAX_MESSAGE_BYTES) {
            change = change.set(own, value);
        }
        let answer = self.runtime.block_on(self.client.alter_configs([&change], &self.options));
        done(answer, |each| each.map(|_| String::new()).map_err(|(_, code)| (String::new(), code)))
    }

    /// Adds partitions, up to `partitions`. Keys change their partition by it.
    pub fn add_partitions(&self, name: &str, partitions: usize) -> Result<(), AdminError> {
        let change = NewPartitions::new(name, partitions);
        let answer = self.runtime.block_on(self.client.create_partitions([&change], &self.options));
        done(answer, |each| each)
    }
}

/// The verdict on the one thing that was asked.
fn done<T>(
    answer: Result<Vec<T>, KafkaError>,
    verdict: impl Fn(T) -> Result<String, (String, RDKafkaErrorCode)>,
) -> Result<(), AdminError> {
    let each = answer.map_err(|error| AdminError::Refused(error.to_string()))?;
    for one in each {
        match verdict(one) {
            // Made by somebody else in the meantime is made.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(AdminError::Refused(code.to_string())),
        }
    }
    Ok(())
}
