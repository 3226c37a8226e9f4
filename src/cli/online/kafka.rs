//! Names, connection, login, topics, rights, limits, retention.
//!
//! What Write alone allows is looked at; the rest is `unknown` with the right that would show it.

use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{Check, Standing};
use crate::config::{Config, Time};
use crate::kafka::checkup;
use crate::kafka::topics::{self, Step, TopicPlan};

/// To one address of one broker.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Of what librdkafka says about a trouble.
const WORDS_MAX_BYTES: usize = 300;
/// TLS and login included.
const LOG_IN_WITHIN: Duration = Duration::from_secs(10);

pub fn checks(config: &Config) -> Vec<Check> {
    let brokers = config.kafka.brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty());
    let mut checks: Vec<Check> = brokers.map(connect).collect();
    let names = config.topics.lanes();
    let first = names.first().cloned().unwrap_or_default();
    match checkup::reach(&config.kafka, &first, LOG_IN_WITHIN) {
        Ok(count) => checks.push(Check::ok("kafka", format!("{count} broker(s), logged in"))),
        Err(trouble) => {
            let found = format!("{}: {}", trouble.kind.what(), shortened(&trouble.text));
            checks.push(Check::new(Standing::Fail, "kafka", found, trouble.kind.cure()));
            return checks;
        }
    }
    match topics::plan(&config.kafka, &names, &config.topics_shape) {
        Ok(plans) => checks.extend(topics_checks(&names, &plans)),
        Err(error) => checks.push(Check::new(Standing::Fail, "topics", error.to_string(), "")),
    }
    checks.extend(batches(config, &names));
    let cleanups = topics::cleanups(&config.kafka, &names);
    checks.extend(cleanups.iter().filter_map(|(topic, cleanup)| compaction(topic, cleanup)));
    checks.extend(retention(config, &names));
    checks
}

fn connect(broker: &str) -> Check {
    let about = format!("kafka.brokers {broker}");
    // librdkafka takes a bare name, and a protocol before it.
    let address = broker.rsplit_once("://").map_or(broker, |(_, address)| address);
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { address.to_owned() } else { format!("{address}:9092") };
    let addresses: Vec<_> = match address.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let cure = "correct it, or look at this machine's DNS";
            return Check::new(Standing::Fail, &about, format!("the name cannot be resolved: {error}"), cure);
        }
    };
    let mut last = None;
    for address in &addresses {
        match TcpStream::connect_timeout(address, CONNECT_WITHIN) {
            Ok(_) => return Check::ok(&about, format!("connects ({address})")),
            Err(error) => last = Some(error),
        }
    }
    let error = last.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    Check::new(Standing::Fail, &about, format!("no connection: {error}"), "is the port right, and open from here?")
}

/// One line for each topic that lacks something, one for all the others.
fn topics_checks(names: &[String], plans: &[TopicPlan]) -> Vec<Check> {
    let mut checks: Vec<Check> = plans.iter().map(lacking).collect();
    let whole = names.iter().filter(|name| plans.iter().all(|plan| plan.topic != **name)).count();
    if whole > 0 {
        checks.push(Check::ok("topics", format!("{whole} of {} are there and take the largest body", names.len())));
    }
    checks
}

fn lacking(plan: &TopicPlan) -> Check {
    let (standing, found, cure) = match &plan.step {
        Step::Create { .. } => (Standing::Fail, "it is missing".to_owned(), "`topics apply` makes it".to_owned()),
        Step::Forbidden => {
            let cure = "grant Write on it; one prefixed rule is enough for all";
            (Standing::Fail, "this user has no right to it".to_owned(), cure.to_owned())
        }
        Step::RaiseLimit { from_bytes, to_bytes } => {
            let found = format!("max.message.bytes is {from_bytes}, the largest body needs {to_bytes}");
            (Standing::Warn, found, "`topics apply` raises it; until then larger events become dead letters".to_owned())
        }
        Step::AddPartitions { from, to, .. } => {
            let found = format!("{from} partitions, not {to}");
            (
                Standing::Warn,
                found,
                "more of them change the order of keys: `topics apply --change-key-order`".to_owned(),
            )
        }
        Step::LimitUnknown { needs_bytes } => {
            let found = format!("it is there; the largest body needs max.message.bytes {needs_bytes}");
            (Standing::Unknown, found, "grant DescribeConfigs to see the limit".to_owned())
        }
    };
    Check::new(standing, &plan.topic, found, cure)
}

/// One large record makes a topic refuse the whole batch where that may be larger than the topic takes.
fn batches(config: &Config, names: &[String]) -> Vec<Check> {
    let batch_bytes = checkup::batch_bytes(&config.kafka);
    let limits = topics::limits(&config.kafka, names);
    let narrow = limits.iter().filter(|(_, limit)| **limit < batch_bytes).min_by_key(|(_, limit)| **limit);
    narrow.map(|(topic, limit)| told_of_batches(topic, *limit, batch_bytes)).into_iter().collect()
}

fn told_of_batches(topic: &str, limit: usize, batch_bytes: usize) -> Check {
    let found = format!("batches may have {batch_bytes} bytes, {topic} takes {limit}");
    let cure = format!("set it to {limit}, or raise that topic's max.message.bytes");
    Check::new(Standing::Warn, "kafka.properties.batch.size", found, cure)
}

/// Every event of a call has the call as its key, so that compaction leaves one of them.
fn compaction(topic: &str, cleanup: &str) -> Option<Check> {
    let compacts = cleanup.split(',').any(|policy| policy.trim() == "compact");
    let found =
        format!("cleanup.policy is {cleanup}: Kafka keeps the newest record of each call and removes the others");
    compacts.then(|| {
        Check::new(Standing::Warn, topic, found, "set it to delete, unless one record a call is what you want")
    })
}

/// Records carry the time of their receipt: one that waited longer than its topic keeps records goes as it arrives.
fn retention(config: &Config, names: &[String]) -> Vec<Check> {
    let found: BTreeMap<String, i64> = topics::retentions_ms(&config.kafka, names);
    let kept_ms = i64::try_from(config.journal.retention.as_millis()).unwrap_or(i64::MAX);
    let short = found.into_iter().filter(|(_, ms)| *ms >= 0 && *ms < kept_ms);
    let tell = |(topic, ms): (String, i64)| {
        let kept = Time::written(config.journal.retention);
        let found = format!("retention.ms is {ms}; what waits in the journal for longer is deleted as it arrives");
        Check::new(Standing::Warn, &topic, found, format!("raise it to journal.retention ({kept}) at least"))
    };
    short.map(tell).collect()
}

/// On one line, without the time that it took, so that the same trouble reads the same. Cut between two words.
fn shortened(text: &str) -> String {
    let text = text.split(" (after ").next().unwrap_or_default();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() + word.len() > WORDS_MAX_BYTES {
            line.push_str(" …");
            break;
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_a_topic_lacks_stands_as_it_weighs() {
        let create = Step::Create { partitions: 6, replication: None, config: BTreeMap::new() };
        for (step, standing) in [
            (create, Standing::Fail),
            (Step::Forbidden, Standing::Fail),
            (Step::RaiseLimit { from_bytes: 1, to_bytes: 2 }, Standing::Warn),
            (Step::LimitUnknown { needs_bytes: 2 }, Standing::Unknown),
        ] {
            let names = ["a".to_owned(), "b".to_owned()];
            let checks = topics_checks(&names, &[TopicPlan { topic: "a".into(), step }]);
            assert_eq!((checks[0].standing, checks[1].standing), (standing, Standing::Ok), "{checks:?}");
            assert!(!checks[0].cure.is_empty());
        }
    }

    #[test]
    fn a_topic_that_keeps_one_record_a_call_is_told() {
        for (cleanup, is_told) in [("delete", false), ("compact", true), ("compact,delete", true)] {
            assert_eq!(compaction("a", cleanup).is_some(), is_told, "{cleanup}");
        }
    }

    #[test]
    fn a_reason_is_one_line_without_its_duration_and_ends_with_a_word() {
        assert_eq!(shortened("refused:\n  who (after 308ms in state AUTH_REQ)"), "refused: who");
        let long = shortened(&"word ".repeat(100));
        assert!(long.ends_with("word …") && long.len() < 310, "{long}");
    }

    #[test]
    fn a_name_that_does_not_resolve_and_a_port_that_is_closed_are_told_apart() {
        let unknown = connect("no-such-host.invalid:9092");
        assert!(unknown.standing == Standing::Fail && unknown.found.contains("cannot be resolved"), "{unknown:?}");
        let closed = connect("127.0.0.1:1");
        assert!(closed.standing == Standing::Fail && closed.found.contains("no connection"), "{closed:?}");
    }
}
