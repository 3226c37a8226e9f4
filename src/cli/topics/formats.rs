//! A plan for other tools: resources for Strimzi's topic operator, commands of Kafka's own scripts, JSON. Pure.
//!
//! In: names, the shape of new topics, a plan. Out: YAML, shell. Never happens: a name or value that the other tool would
//! read as anything but text.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::kafka::topics::{Shape, Step, TopicPlan, TopicsError};

/// Longest name of a Kubernetes resource.
const RESOURCE_NAME_MAX: usize = 253;
/// Longest value of a label.
const LABEL_BYTES_MAX: usize = 63;

/// A name that Strimzi's label takes: that of a Kubernetes resource, within the 63 bytes of a label's value.
pub fn parse_cluster(text: &str) -> Result<String, String> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with('-') && !part.ends_with('-');
    if text.len() <= LABEL_BYTES_MAX && text.split('.').all(is_part) {
        return Ok(text.to_owned());
    }
    Err("no name of a Kubernetes resource (a-z, 0-9, - and ., 63 at most)".into())
}

/// One `KafkaTopic` for each topic of the settings, whether or not Kafka has it (Strimzi 0.49 and later).
pub fn strimzi(topics: &[String], shape: &Shape, record_max_bytes: usize, cluster: &str) -> String {
    let mut taken = BTreeSet::new();
    let mut text = String::new();
    for topic in topics {
        let mut name = resource_name(topic);
        if !taken.insert(name.clone()) {
            let hash = blake3::hash(topic.as_bytes()).to_hex();
            name.truncate(RESOURCE_NAME_MAX - 9);
            name = format!("{name}-{}", &hash[..8]);
            taken.insert(name.clone());
        }
        let mut lines = vec![
            "---".to_owned(),
            "apiVersion: kafka.strimzi.io/v1".to_owned(),
            "kind: KafkaTopic".to_owned(),
            "metadata:".to_owned(),
            format!("  name: {}", quoted(&name)),
            "  labels:".to_owned(),
            format!("    strimzi.io/cluster: {}", quoted(cluster)),
            "spec:".to_owned(),
            format!("  topicName: {}", quoted(topic)),
            format!("  partitions: {}", shape.partitions.max(1)),
        ];
        lines.extend(shape.replication.map(|replication| format!("  replicas: {replication}")));
        lines.push("  config:".to_owned());
        for (key, value) in settings(shape, record_max_bytes) {
            lines.push(format!("    {}: {}", quoted(&key), quoted(&value)));
        }
        text += &(lines.join("\n") + "\n");
    }
    text
}

/// A line for Kafka's scripts for each step that `topics apply` would do, and a comment for each other one.
pub fn commands(plans: &[TopicPlan], brokers: &str) -> String {
    let mut text = "# Where Kafka wants credentials, add --command-config FILE to each line.\n".to_owned();
    let server = format!("--bootstrap-server {}", shell(brokers));
    for TopicPlan { topic, step } in plans {
        let name = shell(topic);
        let line = match step {
            Step::Create { partitions, replication, config } => {
                let replication = replication.map_or_else(String::new, |r| format!(" --replication-factor {r}"));
                let config =
                    config.iter().map(|(key, value)| format!(" --config {}", shell(&format!("{key}={value}"))));
                let config: String = config.collect();
                let more = format!("--partitions {partitions}{replication}{config}");
                format!("kafka-topics.sh {server} --create --if-not-exists --topic {name} {more}")
            }
            Step::RaiseLimit { to_bytes, .. } => {
                let entity = format!("--entity-type topics --entity-name {name}");
                format!("kafka-configs.sh {server} --alter {entity} --add-config max.message.bytes={to_bytes}")
            }
            Step::AddPartitions { from, to, .. } => {
                format!("# {topic} has {from} partitions, not {to}; more of them would change the order of keys")
            }
            Step::LimitUnknown { needs_bytes } => {
                format!("# {topic} needs max.message.bytes {needs_bytes}; what it has cannot be read")
            }
            Step::Forbidden => format!("# {topic} may not be seen by this user"),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

/// What a new topic is made with, as `topics apply` does it.
fn settings(shape: &Shape, record_max_bytes: usize) -> Vec<(String, String)> {
    let mut settings = shape.config.clone();
    settings.entry("max.message.bytes".to_owned()).or_insert_with(|| record_max_bytes.to_string());
    settings.into_iter().collect()
}

/// Lower-case letters, digits, `-` and `.`, with a letter or digit at both ends.
fn resource_name(topic: &str) -> String {
    let allowed =
        |each: char| if each.is_ascii_alphanumeric() || each == '.' { each.to_ascii_lowercase() } else { '-' };
    let name: String = topic.chars().map(allowed).take(RESOURCE_NAME_MAX).collect();
    let name = name.trim_matches(['-', '.']);
    // Each label between dots begins and ends with a letter or digit.
    let labels = name.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty());
    let name = labels.collect::<Vec<_>>().join(".");
    if name.is_empty() { "topic".to_owned() } else { name }
}

/// A JSON string is a YAML one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One word for a POSIX shell.
fn shell(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:,=/-".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// One line about what a topic lacks, and what came of it where that was tried; names and meanings are stable.
pub fn json(plan: &TopicPlan, applied: Option<&Result<(), TopicsError>>) -> Value {
    let (step, from, to) = match &plan.step {
        Step::Create { partitions, .. } => ("create", None, Some(*partitions)),
        Step::RaiseLimit { from_bytes, to_bytes } => ("raise_limit", Some(*from_bytes), Some(*to_bytes)),
        Step::AddPartitions { from, to, .. } => ("add_partitions", Some(*from), Some(*to)),
        Step::LimitUnknown { needs_bytes } => ("limit_unknown", None, Some(*needs_bytes)),
        Step::Forbidden => ("forbidden", None, None),
    };
    let error = applied.and_then(|applied| applied.as_ref().err()).map(ToString::to_string);
    json!({
        "topic": plan.topic,
        "step": step,
        "from": from,
        "to": to,
        "for_apply": plan.step.is_applied(),
        "done": applied.map(Result::is_ok),
        "error": error,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use config::{Config, File, FileFormat};

    use super::*;

    fn shape() -> Shape {
        let config = BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]);
        Shape { partitions: 6, replication: Some(3), config, change_key_order: false }
    }

    #[test]
    fn a_resource_says_the_same_as_apply_would_do() {
        let text = strimzi(&["retell.call_ended".to_owned()], &shape(), 8_404_992, "main");
        let document = text.strip_prefix("---\n").unwrap();
        let read = Config::builder().add_source(File::from_str(document, FileFormat::Yaml)).build().unwrap();
        let read: serde_json::Value = read.try_deserialize().unwrap();
        assert_eq!(read["metadata"]["name"], "retell.call-ended");
        assert_eq!(read["metadata"]["labels"]["strimzi.io/cluster"], "main");
        assert_eq!((&read["spec"]["topicName"], &read["spec"]["partitions"]), (&"retell.call_ended".into(), &6.into()));
        assert_eq!(read["spec"]["config"]["max.message.bytes"], "8404992");
        assert_eq!(
            (&read["spec"]["config"]["retention.ms"], &read["spec"]["replicas"]),
            (&"86400000".into(), &3.into())
        );
    }

    #[test]
    fn a_cluster_whose_name_kubernetes_would_refuse_as_a_label_is_refused() {
        for name in ["my-kafka", "a", "kafka.prod-1", &"a".repeat(63)] {
            assert_eq!(parse_cluster(name).as_deref(), Ok(name));
        }
        for name in ["a\"b: c", "", "Main", "-a", "a-", "a..b", "a.-b", "a_b", "ä", &"a".repeat(64)] {
            assert!(parse_cluster(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_kubernetes_would_refuse_or_confuse_are_made_its_own() {
        assert_eq!(resource_name("__Team_A.calls_"), "team-a.calls");
        assert_eq!(resource_name("a._b.-.c"), "a.b.c");
        assert_eq!(resource_name("___"), "topic");
        let text = strimzi(&["a_b".to_owned(), "a-b".to_owned()], &shape(), 1, "main");
        let names: Vec<&str> = text.lines().filter(|line| line.starts_with("  name:")).collect();
        assert_eq!(names[0], "  name: \"a-b\"");
        assert!(names[1].starts_with("  name: \"a-b-") && names[1].len() == names[0].len() + 9, "{names:?}");
    }

    #[test]
    fn commands_are_one_line_for_each_step_and_quote_what_a_shell_would_read() {
        let plan = |topic: &str, step| TopicPlan { topic: topic.into(), step };
        let create = Step::Create { partitions: 6, replication: Some(3), config: shape().config };
        let text = commands(
            &[
                plan("retell.call_ended", create),
                plan("it's", Step::RaiseLimit { from_bytes: 1, to_bytes: 2 }),
                plan("retell.call_started", Step::AddPartitions { from: 3, to: 6, allowed: false }),
            ],
            "kafka-1:9092,kafka-2:9092",
        );
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines[0],
            "kafka-topics.sh --bootstrap-server kafka-1:9092,kafka-2:9092 --create --if-not-exists --topic \
             retell.call_ended --partitions 6 --replication-factor 3 --config retention.ms=86400000"
        );
        assert!(lines[1].contains(r"--entity-name 'it'\''s' --add-config max.message.bytes=2"), "{}", lines[1]);
        assert!(lines[2].starts_with("# retell.call_started has 3 partitions"), "{}", lines[2]);
    }

    #[test]
    fn each_topic_is_an_object_with_what_it_lacks_and_what_came_of_it() {
        let step = Step::RaiseLimit { from_bytes: 5, to_bytes: 7 };
        let plan = TopicPlan { topic: "retell.call_ended".into(), step };
        let told = json(&plan, None);
        assert_eq!((&told["step"], &told["from"], &told["to"]), (&"raise_limit".into(), &5.into(), &7.into()));
        assert_eq!((&told["for_apply"], &told["done"], &told["error"]), (&true.into(), &Value::Null, &Value::Null));
        assert_eq!(json(&plan, Some(&Ok(())))["done"], true);
        let refused = Err(TopicsError::Silent { topic: "retell.call_ended".into() });
        let told = json(&plan, Some(&refused));
        assert!(told["done"] == false && told["error"].as_str().unwrap().contains("no answer in time"), "{told}");
    }
}
