//! The embedded broker: librdkafka's mock cluster, on a free port of the loopback. The only file outside `kafka/` that
//! imports rdkafka.
//!
//! In: topic names. Out: a bootstrap address that librdkafka's clients (kcat, Python, Go, Node, .NET, Rust …) can use as
//! long as [`Broker`] lives. What it is not: it keeps the newest 5 MiB of each partition in memory, makes no topic by
//! the admin protocol, and Java's clients cannot use it. Never happens: a listener on another address than 127.0.0.1.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// Few enough to read with one `kcat` line, enough to see that keys spread.
const PARTITIONS: i32 = 3;

/// Runs until it is dropped.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

/// Why there is no embedded broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port or no memory for it.
    #[error("the embedded broker does not start; a real Kafka can be named with --brokers")]
    Start(#[source] KafkaError),
    /// librdkafka refused a topic's name.
    #[error("the embedded broker does not take the topic {0}")]
    Topic(String, #[source] KafkaError),
}

impl Broker {
    /// Starts one broker that has `topics`.
    pub fn start<'t>(topics: impl IntoIterator<Item = &'t str>) -> Result<Broker, BrokerError> {
        let cluster = MockCluster::new(1).map_err(BrokerError::Start)?;
        for topic in topics {
            let made = cluster.create_topic(topic, PARTITIONS, 1);
            made.map_err(|error| BrokerError::Topic(topic.to_owned(), error))?;
        }
        Ok(Broker { cluster })
    }

    /// For `bootstrap.servers`.
    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn it_listens_on_the_loopback_and_has_the_topics_it_was_given_and_no_other() {
        let broker = Broker::start(["retell.call_ended", "retell.dead_letter"]).unwrap();
        assert!(broker.address().starts_with("127.0.0.1:"), "{}", broker.address());
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
        let mut topics: Vec<_> =
            metadata.topics().iter().map(|topic| (topic.name(), topic.partitions().len())).collect();
        topics.sort_unstable();
        assert_eq!(topics, [("retell.call_ended", 3), ("retell.dead_letter", 3)]);
    }
}
