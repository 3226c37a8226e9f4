//! Kafka in this process: librdkafka's mock cluster, which needs nothing and comes up at once.
//!
//! In: the topics of one source. Out: an address for the bridge, and every record that it wrote. What it is not: Apache
//! Kafka; it keeps the newest 5 MiB of each partition, so a case publishes less.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use support::events::{Source, TYPES};
use support::records::Record;
use support::sign::sha256;
use support::topics::client;

const PARTITIONS: i32 = 1;
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs until it is dropped.
pub struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    topics: Vec<String>,
}

impl Mock {
    /// One broker with the fifteen topics of `source`.
    pub fn start(source: &Source) -> Result<Mock, String> {
        let failed = |error| format!("librdkafka's mock cluster does not start: {error}");
        let cluster = MockCluster::new(1).map_err(failed)?;
        let kinds = TYPES.iter().copied().chain(["unrecognized", "dead_letter"]);
        let topics: Vec<String> = kinds.map(|kind| format!("{}{kind}", source.prefix)).collect();
        for topic in &topics {
            cluster.create_topic(topic, PARTITIONS, 1).map_err(failed)?;
        }
        Ok(Mock { cluster, topics })
    }

    /// For `kafka.brokers`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Takes Kafka away, or brings it back.
    pub fn set_up(&self, up: bool) -> Result<(), String> {
        let done = if up { self.cluster.broker_up(-1) } else { self.cluster.broker_down(-1) };
        done.map_err(|error| format!("the mock cluster does not obey: {error}"))
    }

    /// Every record of every topic, by topic, partition and offset.
    pub fn read_all(&self) -> Result<Vec<Record>, String> {
        let failed = |error| format!("the mock cluster cannot be read: {error}");
        let mut config = client(&self.brokers());
        config.set("group.id", "proofs").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        config.set("fetch.wait.max.ms", "10").set("fetch.error.backoff.ms", "10");
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        let mut partitions = TopicPartitionList::new();
        for topic in &self.topics {
            for partition in 0..PARTITIONS {
                partitions.add_partition_offset(topic, partition, Offset::Offset(0)).map_err(failed)?;
            }
        }
        consumer.assign(&partitions).map_err(failed)?;
        let mut records: Vec<Record> = Vec::new();
        let mut unread = partitions.count();
        let end = Instant::now() + PATIENCE;
        while unread > 0 {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
                Some(Err(error)) => return Err(failed(error)),
                None if Instant::now() > end => return Err(format!("{unread} partitions of the mock have no end")),
                None => {}
            }
        }
        records.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
        Ok(records)
    }
}

fn record(message: &impl Message) -> Record {
    let headers = message.headers().map(|headers| headers.iter().collect::<Vec<_>>()).unwrap_or_default();
    let payload = message.payload().unwrap_or_default();
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect(),
        length: payload.len(),
        sha256: sha256(payload),
        // Partitions as Java chooses them are another test's question.
        java_partition: Some(message.partition()),
    }
}
