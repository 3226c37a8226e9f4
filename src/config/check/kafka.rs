//! How Kafka is reached. What the client library knows better, names and values of properties, it is asked.

use std::path::PathBuf;

use crate::config::errors::{Findings, quoted};
use crate::config::given::Given;
use crate::kafka;

/// Checks brokers and properties.
pub fn checked(given: &Given, findings: &mut Findings) -> kafka::Options {
    brokers_are_addresses(&given.kafka.brokers, findings);
    let mut all_can_be_read = true;
    for (name, file) in &given.kafka.properties_files {
        let at = format!("kafka.properties_files.{name}");
        if given.kafka.properties.contains_key(name) {
            findings.add(&at, "stands in kafka.properties as well", "leave one of them out");
        } else {
            all_can_be_read &= can_be_read(&at, file, findings);
        }
    }
    // Asked here: of a file that is not there librdkafka says something about certificates.
    let located = given.kafka.properties.iter().filter(|(name, file)| kafka::names_a_file(name) && *file != "probe");
    for (name, file) in located {
        all_can_be_read &= can_be_read(&format!("kafka.properties.{name}"), file, findings);
    }
    let options = kafka::Options {
        brokers: given.kafka.brokers.clone(),
        properties: given.kafka.properties.clone(),
        properties_files: given
            .kafka
            .properties_files
            .iter()
            .map(|(name, file)| (name.clone(), PathBuf::from(file)))
            .collect(),
        body_max_bytes: usize::try_from(given.intake.body_max.bytes()).unwrap_or(usize::MAX),
    };
    // Names, values and what the promise forbids: the client library is asked, no broker. What follows from a body limit
    // that is wrong itself would mislead.
    if all_can_be_read
        && !findings.is_wrong("intake.body_max")
        && let Err(error) = options.check()
    {
        findings.add(&error.path, error.problem, "");
    }
    options
}

/// Whether the file can be opened, or the folder.
fn can_be_read(at: &str, file: &str, findings: &mut Findings) -> bool {
    let opened = std::fs::File::open(file);
    if let Err(error) = &opened {
        findings.add(at, format!("{} cannot be read: {error}", quoted(file)), "name a file that this user may read");
    }
    opened.is_ok()
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
