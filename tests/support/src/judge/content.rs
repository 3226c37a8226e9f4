//! One record against the event that it should be: value, topic, key, partition, timestamp, headers.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use super::{Circumstances, Report};
use crate::ledger::Entry;
use crate::records::Record;

pub(super) fn check_record(report: &mut Report, entry: &Entry, record: &Record, circumstances: &Circumstances) {
    let event = &entry.event;
    if record.sha256 != entry.sha256 || record.length != event.body.len() {
        report.add("altered", record, "the value is not the body that was sent");
    }
    let on_all = circumstances.all_topic.as_ref() == Some(&record.topic);
    if event.meant_for.is_none() && record.header("retell_topic") == Some(&event.topic) {
        // Set aside, and nobody expected it: counted, its headers are those of a dead letter.
        report.dead_letters += 1;
        return;
    }
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
