//! Kafka in this process: librdkafka's mock cluster, which needs nothing and comes up at once.
//!
//! In: the topics of one source. Out: an address for the bridge, and every record that it wrote. What it is not: Apache
//! Kafka; it keeps the newest 5 MiB of each partition, so a case publishes less.

use std::cell::Cell;
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use support::events::{Source, TYPES};
use support::process::between_spawns;
use support::records::Record;
use support::sign::sha256;
use support::topics::client;

const PARTITIONS: i32 = 1;
const PATIENCE: Duration = Duration::from_secs(20);
/// What a dead bridge had sent may lie in a socket for a moment.
const STANDS_STILL: Duration = Duration::from_millis(300);

/// Runs until it is dropped.
pub struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    topics: Vec<String>,
    is_up: Cell<bool>,
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
        Ok(Mock { cluster, topics, is_up: Cell::new(true) })
    }

    /// For `kafka.brokers`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Takes Kafka away, or brings it back.
    pub fn set_up(&self, up: bool) -> Result<(), String> {
        // It closes its port and takes it again, and ends this process where it cannot.
        let done = between_spawns(|| if up { self.cluster.broker_up(-1) } else { self.cluster.broker_down(-1) });
        self.is_up.set(up);
        done.map_err(|error| format!("the mock cluster does not obey: {error}"))
    }

    /// The end of each partition, when none grows any more. For that it is up for a moment: no bridge may run.
    pub fn last_ends(&self) -> Result<HashMap<(String, i32), i64>, String> {
        let was_up = self.is_up.get();
        self.set_up(true)?;
        let (mut before, mut now) = (HashMap::new(), self.ends()?);
        while now != before {
            thread::sleep(STANDS_STILL);
            (before, now) = (now, self.ends()?);
        }
        self.set_up(was_up)?;
        Ok(now)
    }

    /// The end of each partition, as it is now.
    pub fn ends(&self) -> Result<HashMap<(String, i32), i64>, String> {
        let failed = |error| format!("the mock cluster does not tell its ends: {error}");
        let consumer: BaseConsumer = client(&self.brokers()).create().map_err(failed)?;
        let mut ends = HashMap::new();
        for topic in &self.topics {
            for partition in 0..PARTITIONS {
                let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(failed)?;
                ends.insert((topic.clone(), partition), end);
            }
        }
        Ok(ends)
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
