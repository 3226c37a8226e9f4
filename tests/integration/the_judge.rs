//! The judge is judged: one planted fault at a time, and it must be named.

use std::sync::Arc;

use support::events::{Event, Maker, Source};
use support::judge::{Circumstances, Report, judge};
use support::ledger::{Entry, Ledger};
use support::records::Record;
use support::sign::signature;
use support::sweep::betrayals;

const V: u64 = 1_700_000_000_123;
const TIME: &str = "2023-11-14T22:13:20.123Z";

/// Three updates of one call, promised one after the other, and the records that they should have become.
fn scene() -> (Ledger, Vec<Record>) {
    let source = Source::new("default", "/webhook", "t.");
    let mut maker = Maker::new(7);
    let id = maker.id();
    let events: Vec<Event> = (0..3).map(|_| maker.sized(&source, "call_analyzed", &id, false, 400)).collect();
    let entries: Vec<Entry> = events.into_iter().enumerate().map(|(i, event)| promised(event, i as u64)).collect();
    let records = entries.iter().enumerate().map(|(i, entry)| record(entry, i as i64)).collect();
    (Ledger { entries }, records)
}

fn promised(event: Event, number: u64) -> Entry {
    let signature = signature(&event.source.api_key, &event.body, V);
    let mut entry = Entry::new(event, V, signature);
    (entry.sent_turn, entry.kept_turn) = (number * 2 + 1, Some(number * 2 + 2));
    (entry.sent_ms, entry.answered_ms) = (V, V + 10);
    entry.statuses = vec![204];
    entry
}

fn record(entry: &Entry, offset: i64) -> Record {
    let event = &entry.event;
    let mut headers = vec![
        ("ce_specversion", "1.0".to_string()),
        ("ce_id", entry.ce_id.clone()),
        ("ce_source", "/retell/default".to_string()),
        ("ce_type", format!("com.retellai.{}", event.kind)),
        ("ce_time", TIME.to_string()),
        ("content-type", "application/json".to_string()),
        ("retell_signature", entry.signature.clone()),
        ("retell_journal", "j1".to_string()),
        ("retell_position", (offset + 10).to_string()),
    ];
    headers.extend(event.key.clone().map(|key| ("ce_subject", key)));
    Record {
        topic: event.topic.clone(),
        partition: 2,
        offset,
        timestamp: V as i64 + 5,
        key: event.key.clone().map(String::into_bytes),
        headers: headers.into_iter().map(|(name, value)| (name.to_string(), value.into_bytes())).collect(),
        length: event.body.len(),
        sha256: entry.sha256.clone(),
        java_partition: Some(2),
    }
}

fn set_header(record: &mut Record, name: &str, value: &str) {
    record.headers.retain(|(n, _)| n != name);
    record.headers.push((name.to_string(), value.as_bytes().to_vec()));
}

/// The verdict on the scene with one fault planted.
fn verdict(plant: impl FnOnce(&mut Ledger, &mut Vec<Record>)) -> Report {
    verdict_after(0, plant)
}

fn verdict_after(kills: usize, plant: impl FnOnce(&mut Ledger, &mut Vec<Record>)) -> Report {
    let (mut ledger, mut records) = scene();
    plant(&mut ledger, &mut records);
    judge(&ledger, &records, &Circumstances { kills, all_topic: None })
}

fn kinds(report: &Report) -> Vec<&'static str> {
    report.wrong.keys().copied().collect()
}

#[test]
fn a_faultless_scene_is_clean() {
    verdict(|_, _| ()).assert_clean();
}

#[test]
#[should_panic(expected = "lost: 1")]
fn a_report_with_a_fault_panics_with_the_scene() {
    verdict(|_, records| drop(records.remove(1))).assert_clean();
}

#[test]
fn an_event_that_is_missing_is_lost_only_if_it_was_promised() {
    assert_eq!(kinds(&verdict(|_, records| drop(records.remove(1)))), ["lost"]);
    let never_promised = verdict(|ledger, records| {
        ledger.entries[1].kept_turn = None;
        records.remove(1);
    });
    never_promised.assert_clean();
}

#[test]
fn a_changed_byte_is_altered() {
    assert_eq!(kinds(&verdict(|_, records| records[0].sha256.replace_range(0..1, "x"))), ["altered"]);
}

#[test]
fn a_record_that_nobody_sent_is_unknown() {
    let stranger = |_: &mut Ledger, records: &mut Vec<Record>| {
        let mut stranger = Record { offset: 9, ..records[0].clone() };
        set_header(&mut stranger, "ce_id", "00");
        set_header(&mut stranger, "retell_position", "99");
        records.push(stranger);
    };
    assert_eq!(kinds(&verdict(stranger)), ["unknown"]);
}

#[test]
fn a_wrong_topic_key_partition_timestamp_or_header_is_named() {
    let wrong_topic = kinds(&verdict(|_, records| records[0].topic = "t.call_ended".to_string()));
    assert_eq!(wrong_topic, ["lost", "wrong topic"]);
    let wrong_key = kinds(&verdict(|_, records| records[0].key = Some(b"other".to_vec())));
    assert_eq!(wrong_key, ["wrong key"]);
    assert_eq!(kinds(&verdict(|_, records| records[0].java_partition = Some(1))), ["wrong partition"]);
    assert_eq!(kinds(&verdict(|_, records| records[0].timestamp += 5000)), ["wrong timestamp"]);
    let headers: Vec<_> = scene().1[0].headers.iter().map(|(name, _)| name.clone()).filter(|n| n != "ce_id").collect();
    for name in headers {
        let report = verdict(|_, records| records[0].headers.retain(|(n, _)| *n != name));
        assert_eq!(kinds(&report), ["wrong headers"], "{name} was taken away");
    }
    assert_eq!(kinds(&verdict(|_, records| set_header(&mut records[0], "retell_origin", "x"))), ["wrong headers"]);
}

#[test]
fn a_second_copy_is_excused_by_a_kill_and_only_from_the_same_position() {
    let again = |_: &mut Ledger, records: &mut Vec<Record>| {
        let copy = Record { offset: 3, ..records[1].clone() };
        let next = Record { offset: 4, ..records[2].clone() };
        records.extend([copy, next]);
    };
    assert_eq!(kinds(&verdict(again)), ["duplicated by position", "stepped back"]);
    let excused = verdict_after(1, again);
    excused.assert_clean();
    assert_eq!(excused.repeated, 2);
    let stored_twice = |_: &mut Ledger, records: &mut Vec<Record>| {
        let mut copy = Record { offset: 3, ..records[1].clone() };
        set_header(&mut copy, "retell_position", "77");
        records.push(copy);
    };
    assert_eq!(kinds(&verdict_after(1, stored_twice)), ["duplicated by content"]);
}

#[test]
fn events_of_one_key_in_another_order_are_named() {
    let swap = |_: &mut Ledger, records: &mut Vec<Record>| {
        for (record, offset) in records.iter_mut().zip([1, 0, 2]) {
            record.offset = offset;
            set_header(record, "retell_position", &(offset + 10).to_string());
        }
        records.sort_by_key(|record| record.offset);
    };
    assert_eq!(kinds(&verdict(swap)), ["out of order"]);
    let sent_at_once = verdict(|ledger, records| {
        swap(ledger, records);
        ledger.entries.iter_mut().for_each(|entry| entry.kept_turn = Some(100));
    });
    sent_at_once.assert_clean();
}

#[test]
fn one_position_for_two_events_is_named() {
    let report = verdict(|_, records| set_header(&mut records[1], "retell_position", "10"));
    assert_eq!(kinds(&report), ["position used twice"]);
}

#[test]
fn the_topic_for_all_must_hold_every_event_too() {
    let (ledger, mut records) = scene();
    let circumstances = Circumstances { all_topic: Some("t.everything".to_string()), kills: 0 };
    assert_eq!(kinds(&judge(&ledger, &records, &circumstances)), ["lost"]);
    let second: Vec<_> = records.iter().map(|r| Record { topic: "t.everything".to_string(), ..r.clone() }).collect();
    records.extend(second);
    judge(&ledger, &records, &circumstances).assert_clean();
}

#[test]
fn the_sweep_finds_what_may_not_be_said() {
    let source: Arc<Source> = Source::new("default", "/webhook", "t.");
    let mut maker = Maker::new(1);
    let id = maker.id();
    let event = maker.sized(&source, "call_ended", &id, false, 400);
    let body = String::from_utf8_lossy(&event.body).into_owned();
    let signed = signature(&source.api_key, &event.body, V);
    for secret in [body.as_str(), &id, &source.api_key, &signed, "+12137775555", "/webhook?agent=querymk"] {
        assert_eq!(betrayals([secret]).len(), 1, "not found: {secret}");
    }
    let harmless = r#"{"level":"INFO","message":"intake listening","address":"127.0.0.1:8080","ce_id":"0123456789abcdef0123456789abcdef"}"#;
    assert!(betrayals([harmless]).is_empty());
}
