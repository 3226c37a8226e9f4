//! How Kafka is reached. What librdkafka itself knows better (names and values of properties) it is asked at the start.

use std::path::PathBuf;

use crate::config::errors::{Findings, quoted};
use crate::config::given::Given;
use crate::kafka;

/// Properties that the promise rests on, or that have a setting of their own, and what to do instead.
const OURS: [(&str, &str); 12] = [
    ("bootstrap.servers", "set kafka.brokers"),
    ("metadata.broker.list", "set kafka.brokers"),
    ("message.max.bytes", "it follows from intake.body_max"),
    ("acks", "it is all: an event counts as published when every in-sync replica has it"),
    ("request.required.acks", "acks is all: an event counts as published when every in-sync replica has it"),
    ("enable.idempotence", "it is on: retries would write twice"),
    ("enable.gapless.guarantee", "it is on: order would break at a refused batch"),
    ("message.timeout.ms", "there is none: the journal keeps an event until Kafka has it"),
    ("delivery.timeout.ms", "there is none: the journal keeps an event until Kafka has it"),
    ("transactional.id", "the bridge uses no transactions"),
    ("allow.auto.create.topics", "it is off: a sender must not cause a topic to be made; use `topics apply`"),
    ("batch.num.messages", "the bridge itself changes it to tell a record that is too large from its neighbours"),
];

/// Checks brokers and properties.
pub fn checked(given: &Given, findings: &mut Findings) -> kafka::Options {
    brokers_are_addresses(&given.kafka.brokers, findings);
    let maps = [
        ("properties", given.kafka.properties.keys().collect::<Vec<_>>()),
        ("properties_files", given.kafka.properties_files.keys().collect()),
    ];
    for (map, names) in maps {
        for name in names {
            if let Some((_, instead)) = OURS.iter().find(|(ours, _)| ours == name) {
                findings.add(&format!("kafka.{map}.{name}"), "is the bridge's own", format!("leave it out: {instead}"));
            }
        }
    }
    for (name, file) in &given.kafka.properties_files {
        let at = format!("kafka.properties_files.{name}");
        if given.kafka.properties.contains_key(name) {
            findings.add(&at, "stands in kafka.properties as well", "leave one of them out");
        } else if let Err(error) = std::fs::metadata(file).and_then(|_| std::fs::File::open(file)) {
            findings.add(
                &at,
                format!("{} cannot be read: {error}", quoted(file)),
                "name a file that this user may read",
            );
        }
    }
    kafka::Options {
        brokers: given.kafka.brokers.clone(),
        properties: given.kafka.properties.clone(),
        properties_files: given
            .kafka
            .properties_files
            .iter()
            .map(|(name, file)| (name.clone(), PathBuf::from(file)))
            .collect(),
        body_max_bytes: usize::try_from(given.intake.body_max.bytes()).unwrap_or(usize::MAX),
    }
}

fn brokers_are_addresses(brokers: &str, findings: &mut Findings) {
    const CURE: &str = "write host:port, several with commas: kafka-0:9092,kafka-1:9092";
    for broker in brokers.split(',').map(str::trim) {
        let (host, port) = match broker.rsplit_once(':') {
            Some((host, _)) if host.contains(':') && !host.starts_with('[') => (broker, None),
            Some((host, port)) => (host, Some(port)),
            None => (broker, None),
        };
        let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
        let blank = host.is_empty() || host.contains(|each: char| each.is_whitespace() || each == '/');
        if blank || !port_is_right {
            findings.add("kafka.brokers", format!("{} is no broker's address", quoted(broker)), CURE);
        }
    }
}
