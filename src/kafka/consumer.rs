//! A small reader of topics, without a group: for `dev` and `tail`.
//!
//! Never happens: a commit, or anything else that a cluster remembers.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::Options;
use super::settings::{self, SettingsError};

const ASK_FOR: Duration = Duration::from_secs(5);

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first record that is there.
    Beginning,
    /// With the first record that arrives from now on.
    Now,
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
    /// The topic's partitions or places are not known: no broker answered, or it is missing or forbidden.
    #[error("topic {topic} cannot be read: {cause}")]
    Topic { topic: String, cause: String },
    /// Reading may go on.
    #[error("Kafka: {0}")]
    Kafka(String),
}

/// Reads topics; made for one thread.
pub struct Reader {
    consumer: BaseConsumer<DefaultConsumerContext>,
    assigned: TopicPartitionList,
}

impl Reader {
    /// A reader of nothing yet.
    pub fn new(options: &Options) -> Result<Reader, SettingsError> {
        let mut config = settings::client(options)?;
        // A name is asked for; without commits and assigned by hand it means nothing to the cluster.
        config.set("group.id", "retell-bridge-reader").set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "false").set("fetch.wait.max.ms", "50");
        let consumer = settings::build(&config, DefaultConsumerContext)?;
        Ok(Reader { consumer, assigned: TopicPartitionList::new() })
    }

    /// Adds a topic. With [`Start::Now`] every record that is written after this returns is read.
    pub fn add(&mut self, topic: &str, start: Start) -> Result<(), ReadError> {
        let failed = |cause: String| ReadError::Topic { topic: topic.to_owned(), cause };
        let metadata = self.consumer.fetch_metadata(Some(topic), ASK_FOR).map_err(|error| failed(error.to_string()))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.map(|found| found.partitions()).unwrap_or_default();
        if partitions.is_empty() {
            return Err(failed("it has no partitions, or is not there".into()));
        }
        for partition in partitions {
            let offset = match start {
                Start::Beginning => Offset::Beginning,
                Start::Now => {
                    let watermarks = self.consumer.fetch_watermarks(topic, partition.id(), ASK_FOR);
                    Offset::Offset(watermarks.map_err(|error| failed(error.to_string()))?.1)
                }
            };
            let added = self.assigned.add_partition_offset(topic, partition.id(), offset);
            added.map_err(|error| failed(error.to_string()))?;
        }
        self.keep_places();
        self.consumer.assign(&self.assigned).map_err(|error| failed(error.to_string()))
    }

    /// Topics that are read already go on where they are.
    fn keep_places(&mut self) {
        let Ok(reached) = self.consumer.position() else { return };
        for place in reached.elements() {
            if let (Some(mut mine), Offset::Offset(next)) =
                (self.assigned.find_partition(place.topic(), place.partition()), place.offset())
            {
                // The place is one that was assigned, so that the offset can be set.
                let _ = mine.set_offset(Offset::Offset(next));
            }
        }
    }

    /// The next record; `None` when none came in time.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<TopicRecord>, ReadError> {
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(record(&message))),
            Some(Err(error)) => Err(ReadError::Kafka(error.to_string())),
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
