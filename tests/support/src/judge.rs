//! The judge: what was promised (the ledger) against what is there (every record of every topic).
//!
//! Every event answered 2xx is on its topic, byte for byte, with its key, its headers and the partition that Java would
//! choose, once, and in the order in which the events of its key were promised. Nothing else is there. A killed bridge
//! may send again what it had sent: the same record, from the same place in the journal, and only after the kill.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, UNIX_EPOCH};

use super::ledger::{Entry, Ledger};
use super::records::Record;

/// What a test did that changes the verdict.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// `kill -9` of the bridge: each may repeat what was sent and not yet marked.
    pub kills: usize,
    /// The topic that takes every event.
    pub all_topic: Option<String>,
}

/// What was found wrong, by kind. Empty kinds do not appear.
#[derive(Debug, Default)]
pub struct Report {
    pub wrong: BTreeMap<&'static str, Vec<String>>,
    pub promised: usize,
    pub found: usize,
    /// Records that a kill excuses.
    pub repeated: usize,
}

pub fn judge(ledger: &Ledger, records: &[Record], circumstances: &Circumstances) -> Report {
    let entries = ledger.by_id();
    let mut report = Report { promised: ledger.kept(), found: records.len(), ..Report::default() };
    let mut copies: HashMap<(&str, &str), Vec<&Record>> = HashMap::new();
    for record in records {
        match record.header("ce_id").and_then(|id| entries.get_key_value(id)) {
            Some((id, entry)) => {
                check_record(&mut report, entry, record, circumstances);
                copies.entry((record.topic.as_str(), id)).or_default().push(record);
            }
            None => report.add("unknown", record, "no event that was sent has this ce_id"),
        }
    }
    check_lost(&mut report, &entries, &copies, circumstances);
    check_copies(&mut report, &copies, circumstances);
    check_positions(&mut report, records, circumstances);
    check_order(&mut report, &entries, &copies);
    report
}

impl Report {
    fn add(&mut self, kind: &'static str, record: &Record, what: &str) {
        let place = format!("{} [{}] at {}", record.topic, record.partition, record.offset);
        self.wrong.entry(kind).or_default().push(format!("{place}: {what}"));
    }

    /// The test goes on only when nothing is wrong; if not, the whole scene is printed.
    pub fn assert_clean(&self) {
        let Report { promised, found, repeated, .. } = self;
        println!("{promised} events promised, {found} records found, {repeated} of them repeated after a kill");
        if self.wrong.is_empty() {
            return;
        }
        let mut scene = format!("{promised} events promised, {found} records found");
        for (kind, cases) in &self.wrong {
            scene.push_str(&format!("\n{kind}: {}", cases.len()));
            cases.iter().take(8).for_each(|case| scene.push_str(&format!("\n    {case}")));
        }
        panic!("{scene}");
    }
}

fn check_record(report: &mut Report, entry: &Entry, record: &Record, circumstances: &Circumstances) {
    let event = &entry.event;
    if record.sha256 != entry.sha256 || record.length != event.body.len() {
        report.add("altered", record, "the value is not the body that was sent");
    }
    let on_all = circumstances.all_topic.as_ref() == Some(&record.topic);
    if record.topic != event.topic && !on_all {
        report.add("wrong topic", record, &format!("belongs on {}", event.topic));
    }
    if record.key_text() != event.key {
        report.add("wrong key", record, &format!("{:?} instead of {:?}", record.key_text(), event.key));
    }
    if record.key.is_some() && record.java_partition != Some(record.partition) {
        report.add("wrong partition", record, &format!("Java would choose {:?}", record.java_partition));
    }
    let slack = 50;
    let received =
        record.timestamp + slack >= entry.sent_ms as i64 && record.timestamp <= entry.answered_ms as i64 + slack;
    if !received {
        let (from, to) = (entry.sent_ms, entry.answered_ms);
        report.add("wrong timestamp", record, &format!("{} is not within {from} and {to}", record.timestamp));
    }
    for complaint in wrong_headers(entry, record, on_all) {
        report.add("wrong headers", record, &complaint);
    }
}

fn wrong_headers(entry: &Entry, record: &Record, on_all: bool) -> Vec<String> {
    let event = &entry.event;
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(entry.v)).to_string();
    let mut expected = vec![
        ("ce_specversion", "1.0".to_string()),
        ("ce_id", entry.ce_id.clone()),
        ("ce_source", format!("/retell/{}", event.source.name)),
        ("ce_type", format!("com.retellai.{}", event.kind)),
        ("ce_time", time),
        ("content-type", "application/json".to_string()),
        ("retell_signature", entry.signature.clone()),
    ];
    expected.extend(event.key.clone().map(|key| ("ce_subject", key)));
    // On the topic for all nothing says whether the reason is repeated.
    if !on_all {
        expected.extend(event.reason.map(|reason| ("retell_reason", reason.to_string())));
        expected.extend(event.meant_for.clone().map(|topic| ("retell_topic", topic)));
    }
    let mut wrong: Vec<String> = expected
        .iter()
        .filter(|(name, value)| record.header(name) != Some(value))
        .map(|(name, value)| format!("{name} is {:?} instead of {value:?}", record.header(name)))
        .collect();
    for name in ["retell_journal", "retell_position"] {
        if record.header(name).is_none_or(str::is_empty) {
            wrong.push(format!("{name} is missing"));
        }
    }
    let known: HashSet<&str> =
        expected.iter().map(|(name, _)| *name).chain(["retell_journal", "retell_position"]).collect();
    let excused = |name: &str| on_all && name == "retell_reason";
    let odd = record.headers.iter().filter(|(name, _)| !known.contains(name.as_str()) && !excused(name));
    wrong.extend(odd.map(|(name, _)| format!("{name} does not belong there")));
    wrong
}

/// Every promised event is on each of its topics.
fn check_lost(
    report: &mut Report,
    entries: &HashMap<&str, Entry>,
    copies: &HashMap<(&str, &str), Vec<&Record>>,
    circumstances: &Circumstances,
) {
    for (id, entry) in entries.iter().filter(|(_, entry)| entry.is_kept()) {
        let topics = [Some(&entry.event.topic), circumstances.all_topic.as_ref()];
        for topic in topics.into_iter().flatten().filter(|topic| !copies.contains_key(&(topic.as_str(), *id))) {
            let (length, statuses) = (entry.event.body.len(), &entry.statuses);
            let what = format!("{topic}: {id}, {length} bytes, key {:?}, answered {statuses:?}", entry.event.key);
            report.wrong.entry("lost").or_default().push(what);
        }
    }
}

/// A second copy of an event is excused only by a kill, and only from the same place in the journal.
fn check_copies(report: &mut Report, copies: &HashMap<(&str, &str), Vec<&Record>>, circumstances: &Circumstances) {
    for records in copies.values() {
        let first = records[0];
        for copy in &records[1..] {
            if place(copy) != place(first) {
                report.add("duplicated by content", copy, &format!("{:?} and {:?}", place(first), place(copy)));
            } else if records.len() > circumstances.kills + 1 {
                report.add("duplicated by position", copy, &format!("one of {} copies", records.len()));
            } else {
                report.repeated += 1;
            }
        }
    }
}

/// No place in the journal holds two events, and each partition has them in the journal's order, but where a kill (or a
/// dead letter, which comes when its own lane meets it) sets it back.
fn check_positions(report: &mut Report, records: &[Record], circumstances: &Circumstances) {
    let mut holders: HashMap<(&str, u64), &str> = HashMap::new();
    let mut last: HashMap<(&str, i32, &str), (u64, usize)> = HashMap::new();
    for record in records {
        let (Some((journal, position)), Some(id)) = (place(record), record.header("ce_id")) else {
            continue;
        };
        if *holders.entry((journal, position)).or_insert(id) != id {
            report.add("position used twice", record, &format!("{journal} {position}"));
        }
        if record.header("retell_topic").is_some() {
            continue;
        }
        let (highest, steps) = last.entry((&record.topic, record.partition, journal)).or_insert((position, 0));
        if position < *highest {
            *steps += 1;
            if *steps > circumstances.kills {
                report.add("stepped back", record, &format!("{position} after {highest} ({steps} times)"));
            }
        }
        *highest = position;
    }
}

/// Events of one key on one topic, to be put in the topic's order.
type EventsInPlace<'a> = Vec<(&'a Record, &'a Entry)>;

/// First copies of one key's events on one topic stand in the order in which they were promised.
fn check_order(report: &mut Report, entries: &HashMap<&str, Entry>, copies: &HashMap<(&str, &str), Vec<&Record>>) {
    let mut keys: HashMap<(&str, &[u8]), EventsInPlace> = HashMap::new();
    for ((topic, id), records) in copies {
        if let Some(key) = &records[0].key {
            keys.entry((topic, key)).or_default().push((records[0], &entries[id]));
        }
    }
    for events in keys.values_mut() {
        events.sort_by_key(|(record, _)| (record.partition, record.offset));
        let mut latest = 0;
        for (record, entry) in events {
            if entry.kept_turn.is_some_and(|kept| kept < latest) {
                report.add("out of order", record, "promised before one that stands before it was sent");
            }
            latest = latest.max(entry.sent_turn);
        }
    }
}

fn place(record: &Record) -> Option<(&str, u64)> {
    Some((record.header("retell_journal")?, record.header("retell_position")?.parse().ok()?))
}
