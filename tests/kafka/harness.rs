//! The harness itself: a broker that starts, stops and keeps its data, and two readers that agree.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use support::kafka::Kafka;
use support::records::Record;
use support::sign::sha256;
use support::topics::{LARGE, client};

fn produce(kafka: &Kafka, topic: &str, key: &str, value: &[u8]) -> Result<(), String> {
    let mut config = client(&kafka.brokers());
    config.set("partitioner", "murmur2_random").set("message.max.bytes", "4000000").set("message.timeout.ms", "20000");
    let producer: BaseProducer = config.create().expect("the settings are valid");
    let headers = OwnedHeaders::new().insert(Header { key: "note", value: Some("é") });
    let record = BaseRecord::to(topic).key(key).payload(value).headers(headers).timestamp(1_700_000_000_000);
    producer.send(record).map_err(|(error, _)| error.to_string())?;
    producer.flush(Duration::from_secs(30)).map_err(|error| error.to_string())
}

fn count(kafka: &Kafka, topic: &str) -> i64 {
    kafka.counts(&[topic.to_string()])[topic]
}

#[test]
fn both_readers_find_what_was_produced_and_java_would_choose_the_same_partition() {
    let kafka = Kafka::shared();
    kafka.create_topic("harness.read", 5, &[("max.message.bytes", LARGE)]);
    let large = vec![b'x'; 2 << 20];
    for key in ["a", "é", "call_1234", "Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6"] {
        produce(kafka, "harness.read", key, key.as_bytes()).expect("the broker takes it");
    }
    produce(kafka, "harness.read", "large", &large).expect("the broker takes it");
    let records = kafka.read_all("harness.read");
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| Some(record.partition) == record.java_partition));
    let found: Vec<&Record> = records.iter().filter(|r| r.key.as_deref() == Some(b"large")).collect();
    assert_eq!((found[0].length, found[0].sha256.clone()), (large.len(), sha256(&large)));
    assert_eq!(found[0].headers, [("note".to_string(), "é".as_bytes().to_vec())]);
    assert_eq!(found[0].timestamp, 1_700_000_000_000);
}

#[test]
fn a_topic_can_be_limited_and_removed() {
    let kafka = Kafka::shared();
    kafka.create_topic("harness.limit", 1, &[("max.message.bytes", "1000")]);
    let noise: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    produce(kafka, "harness.limit", "k", &noise).expect("flush returns");
    assert_eq!(count(kafka, "harness.limit"), 0, "the broker refuses what is too large");
    kafka.alter_topic("harness.limit", &[("max.message.bytes", "8000")]);
    produce(kafka, "harness.limit", "k", &noise).expect("flush returns");
    assert_eq!(count(kafka, "harness.limit"), 1);
    kafka.delete_topic("harness.limit");
    assert!(kafka.topics("harness.limit").is_empty());
}

#[test]
fn a_broker_that_is_killed_or_stopped_comes_back_with_its_records() {
    let mut kafka = Kafka::start();
    kafka.create_topic("harness.back", 1, &[]);
    produce(&kafka, "harness.back", "k", b"one").expect("the broker takes it");
    kafka.kill();
    kafka.up();
    assert_eq!(count(&kafka, "harness.back"), 1);
    produce(&kafka, "harness.back", "k", b"two").expect("the broker takes it");
    kafka.stop();
    kafka.up();
    assert_eq!(count(&kafka, "harness.back"), 2);
}
