//! What a topic holds, read twice: by Kafka's own Java consumer and by librdkafka. They must agree.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::kafka::Kafka;
use super::sign::{sha256, unhex};
use super::tools;
use super::topics::client;

/// One record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Unix milliseconds.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub length: usize,
    pub sha256: String,
    /// Where Java's default partitioner puts this key; known from the Java reader alone.
    pub java_partition: Option<i32>,
}

impl Record {
    /// The one header of this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let value = found.next().and_then(|(_, value)| std::str::from_utf8(value).ok());
        if found.next().is_some() { None } else { value }
    }

    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned())
    }
}

impl Kafka {
    /// Every record of every topic whose name begins with `prefix`, by topic, partition and offset, as both readers
    /// found it. Fails when they differ.
    pub fn read_all(&self, prefix: &str) -> Vec<Record> {
        let topics = self.topics(prefix);
        assert!(!topics.is_empty(), "no topic begins with {prefix}");
        let (by_java, by_librdkafka) = (self.read_with_java(&topics), self.read_with_librdkafka(&topics));
        assert_eq!(by_java.len(), by_librdkafka.len(), "the two readers found different numbers of records");
        for (java, rust) in by_java.iter().zip(&by_librdkafka) {
            let java = Record { java_partition: None, ..java.clone() };
            assert_eq!(&java, rust, "the two readers differ");
        }
        by_java
    }

    pub fn read_with_java(&self, topics: &[String]) -> Vec<Record> {
        let output = tools::java()
            .args(["-Xmx512m", "ReadTopics", &self.brokers()])
            .args(topics)
            .output()
            .expect("java has run before");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the Java reader failed:\n{complaint}");
        let text = String::from_utf8(output.stdout).expect("the reader prints ASCII");
        sorted(text.lines().map(parse).collect())
    }

    pub fn read_with_librdkafka(&self, topics: &[String]) -> Vec<Record> {
        let mut config = client(&self.brokers());
        config.set("group.id", "tests").set("enable.auto.commit", "false").set("check.crcs", "true");
        config.set("fetch.message.max.bytes", "8388608").set("enable.partition.eof", "false");
        let consumer: BaseConsumer = config.create().expect("the settings are valid");
        let mut partitions = TopicPartitionList::new();
        let mut missing: i64 = 0;
        for topic in topics {
            for partition in 0..self.partitions(topic) {
                let (low, high) = self.ends(&consumer, topic, partition);
                missing += high - low;
                partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset may be set");
            }
        }
        consumer.assign(&partitions).expect("partitions may be assigned");
        collect(&consumer, missing)
    }
}

fn collect(consumer: &BaseConsumer, mut missing: i64) -> Vec<Record> {
    let mut records = Vec::new();
    let mut heard = Instant::now();
    while missing > 0 {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            assert!(heard.elapsed() < Duration::from_secs(30), "librdkafka misses {missing} records for 30 s");
            continue;
        };
        let message = message.expect("a topic can be read");
        heard = Instant::now();
        missing -= 1;
        let headers = message.headers().map(|headers| headers.iter().collect::<Vec<_>>()).unwrap_or_default();
        records.push(Record {
            topic: message.topic().to_string(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(<[u8]>::to_vec),
            headers: headers
                .iter()
                .map(|header| (header.key.to_string(), header.value.unwrap_or_default().to_vec()))
                .collect(),
            length: message.payload().unwrap_or_default().len(),
            sha256: sha256(message.payload().unwrap_or_default()),
            java_partition: None,
        });
    }
    sorted(records)
}

fn parse(line: &str) -> Record {
    let value: Value = serde_json::from_str(line).expect("the reader prints JSON lines");
    let text = |name: &str| value[name].as_str().map(str::to_string);
    let number = |name: &str| value[name].as_i64();
    let header = |pair: &Value| {
        let (name, value) = (pair[0].as_str().expect("a header has a name"), pair[1].as_str().unwrap_or_default());
        (String::from_utf8_lossy(&unhex(name)).into_owned(), unhex(value))
    };
    Record {
        topic: text("topic").expect("a topic"),
        partition: number("partition").expect("a partition") as i32,
        offset: number("offset").expect("an offset"),
        timestamp: number("timestamp").expect("a timestamp"),
        key: text("key").map(|key| unhex(&key)),
        headers: value["headers"].as_array().expect("headers").iter().map(header).collect(),
        length: number("length").expect("a length") as usize,
        sha256: text("sha256").expect("a hash"),
        java_partition: number("java_partition").map(|partition| partition as i32),
    }
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
    records
}
