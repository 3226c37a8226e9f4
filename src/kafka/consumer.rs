//! A small reader of topics, without a group: for `dev` and `tail`.
//!
//! Never happens: a commit, or anything else that a cluster remembers.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::settings::{self, SettingsError};
use super::{Options, TroubleKind, checkup};

const ASK_FOR: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first record that is there.
    Beginning,
    /// With the first record that arrives from now on.
    Now,
    /// With the last so many records of each partition.
    Last(u64),
    /// With the first record of that time or later, Unix milliseconds; older ones may be among those that follow.
    Since(u64),
}

/// One record of a topic.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicRecord {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    /// In order.
    pub headers: Vec<(String, Vec<u8>)>,
    pub value: Vec<u8>,
    pub timestamp_ms: Option<i64>,
}

impl TopicRecord {
    /// The first header of that name, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// Why topics cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("Kafka at {brokers} does not answer: {cause}")]
    Away { brokers: String, cause: String },
    #[error("topic {topic} is not there; make it with `topics apply`")]
    Missing { topic: String },
    /// Not even seen: the right Describe, which Read brings along, is not there.
    #[error("topic {topic} may not be read by this user; grant Read on it")]
    Forbidden { topic: String },
    /// Seen and not read; the client does not say which.
    #[error("this user may see the topics and not read them; grant Read on each (no group is needed)")]
    NoRead,
    #[error("topic {topic} cannot be read: {cause}")]
    Topic { topic: String, cause: String },
    /// Reading may go on.
    #[error("Kafka: {0}")]
    Kafka(String),
}

/// Reads topics; made for one thread.
pub struct Reader {
    consumer: BaseConsumer<DefaultConsumerContext>,
    options: Options,
    /// Where reading begins of what was added and is not read yet.
    added: TopicPartitionList,
    /// Of each partition that held more than was read of it: where it ended when it was added.
    ends: BTreeMap<(String, i32), i64>,
}

impl Reader {
    /// A reader of nothing yet.
    pub fn new(options: &Options) -> Result<Reader, SettingsError> {
        let mut config = settings::client(options)?;
        // A name is asked for; without commits and assigned by hand it means nothing to the cluster.
        config.set("group.id", "retell-bridge-reader").set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "false").set("fetch.wait.max.ms", "50");
        // Where retention overtakes the reader, it goes on with what is left.
        config.set("auto.offset.reset", "earliest");
        let consumer = settings::build(&config, DefaultConsumerContext)?;
        Ok(Reader { consumer, options: options.clone(), added: TopicPartitionList::new(), ends: BTreeMap::new() })
    }

    /// Adds a topic, or nothing of it. With [`Start::Now`] every record that is written after this returns is read.
    pub fn add(&mut self, topic: &str, start: Start) -> Result<(), ReadError> {
        let failed = |error: KafkaError| ReadError::Topic { topic: topic.to_owned(), cause: error.to_string() };
        let ends = |partition| {
            let (low, high) = self.watermarks(topic, partition)?;
            Ok((partition, low, high))
        };
        let partitions: Result<Vec<_>, _> = self.partitions(topic)?.into_iter().map(ends).collect();
        let partitions = partitions.map_err(failed)?;
        let since = match start {
            Start::Since(unix_ms) => self.first_since(topic, &partitions, unix_ms).map_err(failed)?,
            _ => HashMap::new(),
        };
        for (partition, low, high) in partitions {
            let place = (topic.to_owned(), partition);
            let first = match start {
                Start::Beginning => low,
                Start::Now => high,
                Start::Last(count) => high.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX)).max(low),
                Start::Since(_) => match since.get(&place) {
                    Some(Offset::Offset(first)) => *first,
                    // Nothing is as young as that.
                    _ => high,
                },
            };
            self.added.add_partition_offset(topic, partition, Offset::Offset(first)).map_err(failed)?;
            if first < high {
                self.ends.insert(place, high);
            }
        }
        Ok(())
    }

    /// A partition without a leader is asked again for a while: its topic may just have been made, or its leader moves.
    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        let began = Instant::now();
        loop {
            let asked = self.consumer.fetch_watermarks(topic, partition, ASK_FOR);
            let code = asked.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            let has_no_leader = matches!(code, Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable));
            if !has_no_leader || began.elapsed() >= ASK_FOR {
                return asked;
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Where the records of a time begin; librdkafka's broker in memory knows no times, and all of its few are read.
    fn first_since(
        &self,
        topic: &str,
        partitions: &[(i32, i64, i64)],
        unix_ms: u64,
    ) -> Result<HashMap<(String, i32), Offset>, KafkaError> {
        let cluster = self.consumer.client().fetch_cluster_id(ASK_FOR).unwrap_or_default();
        if cluster.starts_with("mockCluster") {
            let lows =
                partitions.iter().map(|(partition, low, _)| ((topic.to_owned(), *partition), Offset::Offset(*low)));
            return Ok(lows.collect());
        }
        let time = Offset::Offset(i64::try_from(unix_ms).unwrap_or(i64::MAX));
        let mut times = TopicPartitionList::new();
        partitions.iter().try_for_each(|(partition, ..)| times.add_partition_offset(topic, *partition, time))?;
        let found = self.consumer.offsets_for_times(times, ASK_FOR)?;
        found.elements().iter().try_for_each(|place| place.error())?;
        Ok(found.to_topic_map())
    }

    fn partitions(&self, topic: &str) -> Result<Vec<i32>, ReadError> {
        let away = |error: KafkaError| self.away(checkup::cause(&self.options, topic, &error));
        let metadata = self.consumer.fetch_metadata(Some(topic), ASK_FOR).map_err(away)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let topic = topic.to_owned();
        match found.map(|found| (found.error().map(Code::from), found.partitions())) {
            Some((None, partitions)) if !partitions.is_empty() => Ok(partitions.iter().map(|each| each.id()).collect()),
            Some((Some(Code::TopicAuthorizationFailed), _)) => Err(ReadError::Forbidden { topic }),
            None | Some((None | Some(Code::UnknownTopic | Code::UnknownTopicOrPartition), _)) => {
                Err(ReadError::Missing { topic })
            }
            Some((Some(code), _)) => Err(ReadError::Topic { topic, cause: code.to_string() }),
        }
    }

    fn away(&self, cause: String) -> ReadError {
        ReadError::Away { brokers: self.options.brokers.clone(), cause }
    }

    /// Whether everything was read that was there when the topics were added.
    pub fn is_at_end(&self) -> bool {
        self.ends.is_empty()
    }

    /// Asks whether what is still to be read was removed meanwhile; for when nothing comes.
    pub fn look_for_removed(&mut self) {
        let consumer = &self.consumer;
        let is_removed = |topic: &str, partition, end| {
            consumer.fetch_watermarks(topic, partition, ASK_FOR).is_ok_and(|(low, _)| low >= end)
        };
        self.ends.retain(|(topic, partition), end| !is_removed(topic, *partition, *end));
    }

    /// Begins with what was added. All at once: librdkafka 2.12 has an assertion that fails where assignments that replace
    /// each other follow too closely.
    fn begin_added(&mut self) -> Result<(), ReadError> {
        if self.added.count() == 0 {
            return Ok(());
        }
        let added = std::mem::take(&mut self.added);
        self.consumer.incremental_assign(&added).map_err(|error| ReadError::Kafka(error.to_string()))
    }

    /// The next record; `None` when none came in time.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<TopicRecord>, ReadError> {
        self.begin_added()?;
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => {
                let record = record(&message);
                let place = (record.topic.clone(), record.partition);
                if self.ends.get(&place).is_some_and(|end| record.offset + 1 >= *end) {
                    self.ends.remove(&place);
                }
                Ok(Some(record))
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                // About the group, which is none.
                Some(Code::GroupAuthorizationFailed) => Ok(None),
                Some(Code::TopicAuthorizationFailed) => Err(ReadError::NoRead),
                Some(Code::AllBrokersDown) => Err(self.away(format!("{error}; {}", TroubleKind::Network.cure()))),
                _ => Err(ReadError::Kafka(error.to_string())),
            },
        }
    }
}

fn record(message: &BorrowedMessage<'_>) -> TopicRecord {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    TopicRecord {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        value: message.payload().unwrap_or_default().to_vec(),
        timestamp_ms: message.timestamp().to_millis(),
    }
}
