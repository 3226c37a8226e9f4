//! `topics plan` and `topics apply`: what the topics lack, and doing it. Also the comparison of limits at start.
//!
//! Never happens: a topic that is deleted; a limit that is lowered; a partition that is added unless it is asked for,
//! because that sends the same key elsewhere from then on.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::admin::{Admin, Denied};
use super::context::Reach;
use super::settings::{self, SettingsError};
use super::{Options, checkup};
use rdkafka::types::RDKafkaErrorCode as Code;

const LIMIT: &str = "max.message.bytes";
const RETENTION: &str = "retention.ms";
const CLEANUP: &str = "cleanup.policy";
const ASK_FOR: Duration = Duration::from_secs(5);

/// How new topics are made.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// At least 1.
    pub partitions: usize,
    /// `None`: the broker's default.
    pub replication: Option<u16>,
    /// Further settings, e.g. `retention.ms`.
    pub config: BTreeMap<String, String>,
    /// Adds partitions to topics that have fewer; the same key then goes to another partition.
    pub change_key_order: bool,
}

/// What one topic lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    pub topic: String,
    pub step: Step,
}

/// One thing to do, or that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is missing.
    Create { partitions: usize, replication: Option<u16>, config: BTreeMap<String, String> },
    /// Its `max.message.bytes` is below what `intake.body_max` needs.
    RaiseLimit { from_bytes: usize, to_bytes: usize },
    /// It has fewer partitions than the settings say; done only with [`Shape::change_key_order`].
    AddPartitions { from: usize, to: usize, allowed: bool },
    /// Its limit cannot be read: the right DescribeConfigs is not there.
    LimitUnknown { needs_bytes: usize },
    /// The right Describe (or Write) is not there.
    Forbidden,
}

impl Step {
    /// Whether `apply` does something about it.
    pub fn is_applied(&self) -> bool {
        match self {
            Step::Create { .. } | Step::RaiseLimit { .. } => true,
            Step::AddPartitions { allowed, .. } => *allowed,
            Step::LimitUnknown { .. } | Step::Forbidden => false,
        }
    }
}

/// Why the topics cannot be looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Nothing was asked.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No broker answered.
    #[error("Kafka at {brokers} does not answer: {cause}")]
    Away { brokers: String, cause: String },
    /// The steps before this one are done, and this one may be.
    #[error("topic {topic}: Kafka has given no answer in time; look again with `topics plan`")]
    Silent { topic: String },
    /// The steps before this one are done.
    #[error("topic {topic}: {cause}")]
    Refused { topic: String, cause: String },
}

/// What the topics lack; empty where nothing is to do.
pub fn plan(options: &Options, topics: &[String], shape: &Shape) -> Result<Vec<TopicPlan>, TopicsError> {
    let admin = Admin::new(options, &Arc::new(Reach::new()))?;
    let mut steps = Vec::new();
    let mut there = Vec::new();
    for topic in topics {
        let step = match look(&admin, options, topic)? {
            Found::Missing => create(shape, options.record_max_bytes()),
            Found::Forbidden => Step::Forbidden,
            Found::Partitions(partitions) => {
                there.push((topic.clone(), partitions));
                continue;
            }
        };
        steps.push(TopicPlan { topic: topic.clone(), step });
    }
    let names: Vec<String> = there.iter().map(|(topic, _)| topic.clone()).collect();
    let limits = values(&admin, &names, LIMIT);
    for (topic, from) in there {
        let limit = limit_step(limits.get(&topic).copied(), options.record_max_bytes());
        let (to, allowed) = (shape.partitions, shape.change_key_order);
        let more = (from < to).then_some(Step::AddPartitions { from, to, allowed });
        steps.extend([limit, more].into_iter().flatten().map(|step| TopicPlan { topic: topic.clone(), step }));
    }
    Ok(steps)
}

/// Does one step of a plan; does nothing about those that [`Step::is_applied`] denies.
pub fn apply(options: &Options, plan: &TopicPlan) -> Result<(), TopicsError> {
    let admin = Admin::new(options, &Arc::new(Reach::new()))?;
    let topic = &plan.topic;
    let done = match &plan.step {
        Step::Create { partitions, replication, config } => {
            let partitions = i32::try_from(*partitions).unwrap_or(i32::MAX);
            admin.create(topic, partitions, replication.map(i32::from), config)
        }
        Step::RaiseLimit { to_bytes, .. } => admin.set(topic, LIMIT, &to_bytes.to_string()),
        Step::AddPartitions { to, allowed: true, .. } => admin.add_partitions(topic, *to),
        Step::AddPartitions { allowed: false, .. } | Step::LimitUnknown { .. } | Step::Forbidden => Ok(()),
    };
    done.map_err(|denied| match denied {
        Denied::NoAnswer => TopicsError::Silent { topic: topic.clone() },
        Denied::Refused(cause) => TopicsError::Refused { topic: topic.clone(), cause },
    })
}

/// `max.message.bytes` by topic, as far as it can be read: without the right DescribeConfigs, or without an answer, empty.
pub fn limits(options: &Options, topics: &[String]) -> BTreeMap<String, usize> {
    ask(options, topics, LIMIT)
}

/// `retention.ms` by topic, as far as it can be read; -1: for ever.
pub fn retentions_ms(options: &Options, topics: &[String]) -> BTreeMap<String, i64> {
    ask(options, topics, RETENTION)
}

/// The topics' `cleanup.policy`; what cannot be read is not there.
pub fn cleanups(options: &Options, topics: &[String]) -> BTreeMap<String, String> {
    ask(options, topics, CLEANUP)
}

fn ask<N: FromStr>(options: &Options, topics: &[String], name: &str) -> BTreeMap<String, N> {
    let admin = Admin::new(options, &Arc::new(Reach::new()));
    admin.map_or_else(|_| BTreeMap::new(), |admin| values(&admin, topics, name))
}

/// A topic as Kafka tells it.
enum Found {
    Missing,
    Forbidden,
    Partitions(usize),
}

fn look(admin: &Admin, options: &Options, topic: &str) -> Result<Found, TopicsError> {
    let away = |cause: String| TopicsError::Away { brokers: options.brokers.clone(), cause };
    let metadata = admin.metadata(topic, ASK_FOR).map_err(|error| away(checkup::cause(options, topic, &error)))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.ok_or_else(|| away("an answer without the topic".into()))?;
    match found.error().map(Code::from) {
        None => Ok(Found::Partitions(found.partitions().len())),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => Ok(Found::Missing),
        Some(Code::TopicAuthorizationFailed) => Ok(Found::Forbidden),
        Some(code) => Err(TopicsError::Refused { topic: topic.to_owned(), cause: code.to_string() }),
    }
}

/// One setting by topic, read as what is wanted; what cannot be read, for want of a right or of an answer, is not there.
fn values<N: FromStr>(admin: &Admin, topics: &[String], name: &str) -> BTreeMap<String, N> {
    if topics.is_empty() {
        return BTreeMap::new();
    }
    let answer = admin.setting(topics, name).unwrap_or_default();
    answer.into_iter().filter_map(|(topic, value)| Some((topic, value.parse().ok()?))).collect()
}

fn create(shape: &Shape, needs_bytes: usize) -> Step {
    let mut config = shape.config.clone();
    config.entry(LIMIT.to_owned()).or_insert_with(|| needs_bytes.to_string());
    Step::Create { partitions: shape.partitions.max(1), replication: shape.replication, config }
}

fn limit_step(limit: Option<usize>, needs_bytes: usize) -> Option<Step> {
    match limit {
        None => Some(Step::LimitUnknown { needs_bytes }),
        Some(from_bytes) if from_bytes < needs_bytes => Some(Step::RaiseLimit { from_bytes, to_bytes: needs_bytes }),
        Some(_) => None,
    }
}

/// Tells, at start and once, which topics take less than the largest body, or than a batch. What cannot be read is
/// unknown and not told.
pub(super) fn warn_of_limits(options: &Options, topics: &[String]) {
    let needs_bytes = options.record_max_bytes();
    let batch_bytes = settings::batch_bytes(options);
    for (topic, limit_bytes) in limits(options, topics) {
        if limit_bytes < needs_bytes {
            tracing::warn!(
                topic,
                limit_bytes,
                needs_bytes,
                cure = "raise max.message.bytes (retell-bridge topics apply), or lower intake.body_max; \
                        what does not fit becomes a dead letter",
                "topic takes less than the largest body"
            );
        }
        if limit_bytes < batch_bytes {
            tracing::warn!(
                topic,
                limit_bytes,
                batch_bytes,
                cure = "set kafka.properties.batch.size to the smallest limit, or raise max.message.bytes",
                "topic takes less than a batch: one large record makes it refuse the others with it"
            );
        }
    }
}
