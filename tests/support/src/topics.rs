//! Topics: made, changed, removed, listed and counted, through librdkafka's admin client.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::events::{Source, TYPES};
use super::kafka::Kafka;
use super::process::wait_until;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Enough for bodies of 2 MiB and their headers.
pub const LARGE: &str = "4194304";

/// A client that makes no topic by asking for it.
pub fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    config.set("reconnect.backoff.max.ms", "500").set("log_level", "0");
    config
}

impl Kafka {
    /// Makes a topic, and returns when its partitions have leaders.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.create_topics(&[name], partitions, settings);
    }

    pub fn create_topics(&self, names: &[&str], partitions: i32, settings: &[(&str, &str)]) {
        let make = |name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(self.replication()));
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        };
        let topics: Vec<NewTopic> = names.iter().map(|name| make(*name)).collect();
        let results = wait(self.admin().create_topics(&topics, &options())).expect("the broker answers");
        results.into_iter().for_each(|result| drop(result.expect("a topic can be made")));
        let there = || names.iter().all(|name| self.partitions(name) == partitions).then_some(());
        wait_until(TIMEOUT, there).expect("new topics get leaders");
    }

    /// The fifteen topics of each source, large enough for every body, but those named in `but`.
    pub fn create_all(&self, sources: &[&Source], partitions: i32, but: &[&str]) {
        let kinds = TYPES.iter().copied().chain(["unrecognized", "dead_letter"]);
        for source in sources {
            let names: Vec<String> = kinds
                .clone()
                .filter(|kind| !but.contains(kind))
                .map(|kind| format!("{}{kind}", source.prefix))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.create_topics(&names, partitions, &[("max.message.bytes", LARGE)]);
        }
    }

    /// Replaces a topic's own settings.
    pub fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(name));
        let change = settings.iter().fold(change, |change, (key, value)| change.set(key, value));
        let results = wait(self.admin().alter_configs([&change], &options())).expect("the broker answers");
        results.into_iter().for_each(|result| drop(result.expect("a topic's settings can be changed")));
    }

    pub fn delete_topic(&self, name: &str) {
        let results = wait(self.admin().delete_topics(&[name], &options())).expect("the broker answers");
        results.into_iter().for_each(|result| drop(result.expect("a topic can be removed")));
        wait_until(TIMEOUT, || (!self.topics(name).contains(&name.to_string())).then_some(())).expect("it goes");
    }

    /// Names of all topics that begin with `prefix`.
    pub fn topics(&self, prefix: &str) -> Vec<String> {
        let metadata = self.consumer().fetch_metadata(None, TIMEOUT).expect("the broker answers");
        let names = metadata.topics().iter().map(|topic| topic.name().to_string());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// Number of partitions of `topic`, once all have a leader (after a restart that takes a moment); 0 where the topic
    /// does not exist.
    pub fn partitions(&self, topic: &str) -> i32 {
        let consumer = self.consumer();
        let all_led = || {
            let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).expect("the broker answers");
            let partitions = metadata.topics()[0].partitions();
            partitions.iter().all(|partition| partition.leader() >= 0).then_some(partitions.len() as i32)
        };
        wait_until(TIMEOUT, all_led).expect("every partition gets a leader")
    }

    /// First offset and end of a partition; asked again while a broker that has just come back knows neither.
    pub fn ends(&self, consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
        let ask = || consumer.fetch_watermarks(topic, partition, TIMEOUT).ok();
        wait_until(TIMEOUT, ask).expect("a partition knows its ends")
    }

    /// How many records each of `topics` holds.
    pub fn counts(&self, topics: &[String]) -> BTreeMap<String, i64> {
        let consumer = self.consumer();
        let count = |topic: &String| {
            let ends = (0..self.partitions(topic)).map(|partition| {
                let (low, high) = self.ends(&consumer, topic, partition);
                high - low
            });
            ends.sum()
        };
        topics.iter().map(|topic| (topic.clone(), count(topic))).collect()
    }

    /// Waits until the topics of `prefix` hold `wanted` records together; fails with what each holds.
    pub fn wait_count(&self, prefix: &str, wanted: usize, timeout: Duration) {
        let end = Instant::now() + timeout;
        loop {
            let counts = self.counts(&self.topics(prefix));
            let found: i64 = counts.values().sum();
            if found >= wanted as i64 {
                return;
            }
            assert!(Instant::now() < end, "{found} of {wanted} records after {timeout:?}: {counts:#?}");
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    pub fn consumer(&self) -> BaseConsumer {
        client(&self.brokers()).create().expect("the settings are valid")
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.brokers()).create().expect("the settings are valid")
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers").block_on(answer)
}
