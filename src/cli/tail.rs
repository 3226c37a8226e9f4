//! `retell-bridge tail`: what arrives on the topics, one line a record.
//!
//! In: the topics that the settings name, a place to begin. Out: lines, in the order in which they come; within a partition
//! that is the order of its offsets, across partitions there is none. Never happens: a commit, a group's membership, a topic
//! made by asking; a body that nobody asked for; an end with a lost record before it.

pub(super) mod line;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;

use super::choice::{Moment, parse_moment};
use super::settings::Settings;
use super::{Usage, ending, output};
use crate::config::nearest;
use crate::kafka::consumer::{ReadError, Reader, Start, TopicRecord};
use crate::publisher::Topics;

/// How long one look at the topics waits.
const LOOK: Duration = Duration::from_millis(200);
/// The topic for all, among short names.
const ALL: &str = "all";

/// Read the topics, one line a record, from now on; Ctrl-C ends it.
///
/// Without TYPE all topics of the settings but `topics.all`. Needs the right Read on them and no group; commits nothing.
/// A line: time of receipt in UTC, topic, partition/offset, size, begin of the ce_id, why it is unrecognized or a dead
/// letter, key; a terminal gets 100 columns of it. Partitions are read side by side: lines are in order within each.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  retell-bridge tail --config config.yaml
  retell-bridge tail call_ended call_analyzed --since 2h --until-end --json
  retell-bridge tail unrecognized --last 10 --until-end
  retell-bridge tail --since 1d --until-end --key call_0123456789abcdef --body")]
pub struct Args {
    /// Types such as call_ended; also unrecognized, dead_letter, all (the topic that takes every event).
    #[arg(value_name = "TYPE")]
    types: Vec<String>,
    /// Begin with records of that time: an age (90m, 3d) or a time in UTC (2026-01-31T23:59:00Z).
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
    /// Begin with the last N records of each partition.
    #[arg(long, value_name = "N", conflicts_with = "since", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// Only records with this key. May be repeated.
    #[arg(long = "key", value_name = "ID")]
    keys: Vec<String>,
    /// End after N lines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// End when everything has been read that was there at the start.
    #[arg(long)]
    until_end: bool,
    /// Print the bodies alone, as they are, each with a line break behind it.
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// One line of JSON for each record.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.until_end && args.since.is_none() && args.last.is_none() {
        return Err(Usage("--until-end from now on reads nothing; say where to begin: --since or --last".into()).into());
    }
    let config = args.settings.load_without_keys()?.config;
    let wanted = wanted(&args.types, &config.topics)?;
    let is_ending = ending::at_signal()?;
    let mut reader = Reader::new(&config.kafka)?;
    let topics = add(&mut reader, wanted, args.start(), &is_ending)?;
    output::complain(&format!("reading {} topic(s) on {}{}", topics.len(), config.kafka.brokers, args.from()));
    let width = topics.iter().map(|topic| topic.chars().count()).max().unwrap_or_default();
    let mut left = args.max.unwrap_or(u64::MAX);
    let mut told_trouble = false;
    while left > 0 && !is_ending.load(Ordering::Acquire) && !(args.until_end && reader.is_at_end()) {
        match reader.next(LOOK) {
            Ok(Some(record)) => {
                told_trouble = false;
                if args.takes(&record) {
                    args.show(&record, width)?;
                    left -= 1;
                }
            }
            Ok(None) if output::is_stdout_closed() => break,
            Ok(None) if args.until_end => reader.look_for_removed(),
            Ok(None) => {}
            Err(error @ ReadError::Away { .. }) if args.until_end => return Err(error.into()),
            Err(error @ (ReadError::Away { .. } | ReadError::Kafka(_))) if !told_trouble => {
                told_trouble = true;
                output::complain(&format!("{error}; reading goes on when that is over"));
            }
            Err(ReadError::Away { .. } | ReadError::Kafka(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn start(&self) -> Start {
        match (self.since, self.last) {
            (Some(Moment(unix_ms)), _) => Start::Since(unix_ms),
            (None, Some(count)) => Start::Last(count),
            (None, None) => Start::Now,
        }
    }

    fn from(&self) -> &'static str {
        if self.start() == Start::Now { " from now on" } else { "" }
    }

    fn takes(&self, record: &TopicRecord) -> bool {
        let own = record.key.as_deref();
        let is_older =
            |Moment(since_ms)| record.timestamp_ms.is_some_and(|ms| ms < i64::try_from(since_ms).unwrap_or(i64::MAX));
        if self.since.is_some_and(is_older) {
            return false;
        }
        self.keys.is_empty() || self.keys.iter().any(|key| own == Some(key.as_bytes()))
    }

    fn show(&self, record: &TopicRecord, width: usize) -> std::io::Result<()> {
        if self.body {
            output::raw_line(&record.value)
        } else if self.json {
            output::line(line::json(record))
        } else {
            let columns_max = std::io::stdout().is_terminal().then_some(output::COLUMNS);
            output::line(line::text(record, width, columns_max))
        }
    }
}

/// Full names of the topics of these types; of all where none is given.
fn wanted(types: &[String], topics: &Topics) -> Result<BTreeSet<String>, Usage> {
    if types.is_empty() {
        return Ok(topics.short_names().flat_map(|short| topics.of_short(short)).collect());
    }
    let mut wanted = BTreeSet::new();
    for name in types {
        let known = || topics.short_names().chain(topics.all.as_ref().map(|_| ALL));
        match &topics.all {
            Some(all) if name == ALL => drop(wanted.insert(all.clone())),
            _ if known().any(|short| short == name) => wanted.extend(topics.of_short(name)),
            _ => {
                let nearest = nearest(name, known()).unwrap_or_default();
                let name = output::printable(name, 60);
                return Err(Usage(format!("the settings have no topic for the type {name}; did you mean {nearest}?")));
            }
        }
    }
    Ok(wanted)
}

/// Adds those that can be read, and tells of the others; an error where none can be.
fn add(
    reader: &mut Reader,
    wanted: BTreeSet<String>,
    start: Start,
    is_ending: &AtomicBool,
) -> anyhow::Result<Vec<String>> {
    let (mut added, mut missing, mut forbidden) = (Vec::new(), Vec::new(), Vec::new());
    for topic in wanted {
        if is_ending.load(Ordering::Acquire) {
            break;
        }
        match reader.add(&topic, start) {
            Ok(()) => added.push(topic),
            Err(ReadError::Missing { topic }) => missing.push(topic),
            Err(ReadError::Forbidden { topic }) => forbidden.push(topic),
            Err(error) => return Err(error.into()),
        }
    }
    let told: Vec<String> = [(missing, "not there, `topics apply` makes them"), (forbidden, "forbidden, grant Read")]
        .into_iter()
        .filter(|(topics, _)| !topics.is_empty())
        .map(|(topics, why)| format!("{why}: {}", topics.join(", ")))
        .collect();
    if added.is_empty() && !is_ending.load(Ordering::Acquire) {
        return Err(anyhow!("no topic can be read; {}", told.join("; ")));
    }
    told.iter().for_each(output::complain);
    Ok(added)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::Kind;

    fn topics() -> Topics {
        Topics {
            prefix: "retell.".into(),
            source_prefixes: BTreeMap::from([("team".into(), "team.".into())]),
            types: vec![Kind::CallStarted, Kind::CallEnded],
            all: Some("retell.all".into()),
            overrides: BTreeMap::from([("call_ended".into(), "ends".into())]),
        }
    }

    fn named(types: &[&str], topics: &Topics) -> Result<Vec<String>, String> {
        let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
        wanted(&types, topics).map(|names| names.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_type_means_its_topics_under_every_prefix_and_no_type_all_but_the_topic_for_all() {
        let topics = topics();
        assert_eq!(named(&["call_started"], &topics).unwrap(), ["retell.call_started", "team.call_started"]);
        assert_eq!(named(&["all", "call_ended"], &topics).unwrap(), ["ends", "retell.all"]);
        let every = named(&[], &topics).unwrap();
        assert_eq!(every.len(), 2 + 1 + 2 + 2, "{every:?}");
        assert!(!every.contains(&"retell.all".to_owned()));
    }

    #[test]
    fn a_type_without_a_topic_is_wrong_usage_that_names_the_nearest() {
        let told = named(&["call_end"], &topics()).unwrap_err();
        assert_eq!(told, "the settings have no topic for the type call_end; did you mean call_ended?");
        let none = Topics { all: None, ..topics() };
        assert!(named(&["all"], &none).unwrap_err().contains("no topic for the type all"));
        assert!(named(&["call_analyzed"], &none).is_err(), "not listed");
    }
}
