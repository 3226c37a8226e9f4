//! A record that its topic will never take is set aside, alone, and what stands around it goes on in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::proof::prove_plainly;
use support::bridge::Bridge;
use support::events::{Event, Maker, Source};
use support::kafka::Kafka;
use support::ledger::Ledger;
use support::sender::send_all;
use support::settings::Settings;
use support::topics::LARGE;

const LIMIT: &str = "100000";
const TOO_LARGE: usize = 300_000;

/// One large record in the middle of its own call's small ones, among the small ones of a hundred other calls.
fn stories(source: &Arc<Source>) -> Vec<Vec<Event>> {
    let mut maker = Maker::new(99);
    let mut stories: Vec<Vec<Event>> = (0..100)
        .map(|_| {
            let id = maker.id();
            (0..4).map(|_| maker.sized(source, "call_analyzed", &id, false, 900)).collect()
        })
        .collect();
    let id = maker.id();
    let sizes = [500, 500, 500, TOO_LARGE, 500, 500, 500];
    let mut story: Vec<Event> =
        sizes.iter().map(|size| maker.sized(source, "call_analyzed", &id, false, *size)).collect();
    story[3] = story[3].clone().dead_letter("too_large");
    stories.insert(20, story);
    stories
}

fn send(kafka: &Kafka, source: &Arc<Source>) -> (Bridge, Ledger) {
    kafka.create_topic(&format!("{}call_analyzed", source.prefix), 3, &[("max.message.bytes", LIMIT)]);
    let bridge = Bridge::start(Settings::new(&kafka.brokers(), &[source]));
    let ledger = send_all(&bridge, stories(source), 16, Duration::ZERO);
    ledger.assert_all_kept();
    (bridge, ledger)
}

fn assert_one_dead_letter(bridge: &Bridge) {
    let is_too_large = ["reason=\"too_large\""];
    let metrics = bridge.wait_metrics("a dead letter", |m| m.get("events_dead_lettered_total", &is_too_large) >= 1.0);
    assert_eq!(metrics.get("events_dead_lettered_total", &[]), 1.0);
}

/// Files below `folder` that hold `body` in one piece.
fn holders(folder: &Path, body: &[u8]) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).expect("a file of the bridge can be read");
        // From the first bytes on: comparing at every offset is slow in a debug build.
        let start = &body[..16];
        bytes.windows(16).enumerate().any(|(at, window)| window == start && bytes[at..].starts_with(body))
    };
    entries
        .map(|entry| entry.path())
        .map(|path| if path.is_dir() { holders(&path, body) } else { holds(&path).into() })
        .sum()
}

#[test]
fn a_record_too_large_among_small_ones_is_alone_a_dead_letter_on_its_topic() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "letter.");
    kafka.create_topic("letter.dead_letter", 1, &[("max.message.bytes", LARGE)]);
    let (mut bridge, ledger) = send(kafka, &source);
    assert_one_dead_letter(&bridge);
    let records = prove_plainly(kafka, &mut bridge, "letter.", &ledger);
    let letters: Vec<_> = records.iter().filter(|record| record.topic == "letter.dead_letter").collect();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].length >= TOO_LARGE - 1000);
    let settings = bridge.settings_file();
    let settings = settings.to_str().expect("a plain name");
    let listed = support::bridge::run(&["dead-letters", "list", "--topic", "--json", "--config", settings], "", b"");
    let listed = String::from_utf8(listed.stdout).expect("JSON is text");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let line: serde_json::Value = serde_json::from_str(&listed).expect("a line is JSON");
    assert_eq!((&line["reason"], &line["meant_for"]), (&"too_large".into(), &"letter.call_analyzed".into()));
}

/// The dead-letter topic does not take it either: the folder does, and nothing else waits for that.
fn goes_to_the_folder(kafka: &Kafka, source: &Arc<Source>) {
    let (mut bridge, mut ledger) = send(kafka, source);
    assert_one_dead_letter(&bridge);
    let at = ledger.entries.iter().position(|entry| entry.event.meant_for.is_some()).expect("it was sent");
    let letter = ledger.entries.remove(at);
    assert_eq!(holders(&bridge.journal_dir().join("dead"), &letter.event.body), 1);
    prove_plainly(kafka, &mut bridge, &source.prefix, &ledger);
    assert_eq!(holders(&bridge.journal_dir().join("dead"), &letter.event.body), 1, "it stays until it is sent again");
}

#[test]
fn where_the_dead_letter_topic_refuses_it_the_folder_takes_it() {
    let kafka = Kafka::shared();
    kafka.create_topic("refused.dead_letter", 1, &[("max.message.bytes", LIMIT)]);
    goes_to_the_folder(kafka, &Source::new("default", "/webhook", "refused."));
}

#[test]
fn where_there_is_no_dead_letter_topic_the_folder_takes_it() {
    goes_to_the_folder(Kafka::shared(), &Source::new("default", "/webhook", "nowhere."));
    assert_eq!(Kafka::shared().partitions("nowhere.dead_letter"), 0);
}
