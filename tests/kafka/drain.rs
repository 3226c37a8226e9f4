//! `drain`: the journal of a bridge that is gone goes to Kafka, without an intake.

use std::process::Output;
use std::time::Duration;

use support::bridge::{Bridge, run};
use support::events::{Maker, Source};
use support::judge::{Circumstances, judge};
use support::kafka::Kafka;
use support::ledger::Ledger;
use support::sender::send_all;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// A bridge that has kept forty calls, and no Kafka.
fn scene(kafka: &Kafka, prefix: &str) -> (Bridge, Ledger) {
    let source = Source::new("default", "/webhook", prefix);
    kafka.create_all(&[&source], 3, &[]);
    // Nothing can be published, so that no stop need wait for it.
    let settings = Settings::new(NOWHERE, &[&source]).with(serde_json::json!({ "shutdown": { "deadline": "1s" } }));
    let bridge = Bridge::start(settings);
    let mut maker = Maker::new(23);
    let stories = (0..40).map(|_| maker.story(&source)).collect();
    let ledger = send_all(&bridge, stories, 8, Duration::ZERO);
    ledger.assert_all_kept();
    (bridge, ledger)
}

fn drain(bridge: &Bridge, words: &[&str]) -> Output {
    let (dir, settings) = (bridge.journal_dir(), bridge.settings_file());
    let text = |path: &std::path::Path| path.to_str().expect("a plain name").to_owned();
    let (dir, settings) = (text(&dir), text(&settings));
    run(&[&["drain", &dir, "--config", &settings], words].concat(), "", b"")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn everything_that_a_killed_bridge_had_kept_is_on_kafka_in_order_and_a_second_drain_finds_nothing_to_do() {
    let kafka = Kafka::shared();
    let (mut bridge, ledger) = scene(kafka, "drained.");
    bridge.kill();
    let brokers = format!("kafka.brokers={}", kafka.brokers());
    let output = drain(&bridge, &["--set", &brokers]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("is on Kafka, the folder may be removed"), "{}", told(&output));
    let records = kafka.read_all("drained.");
    judge(&ledger, &records, &Circumstances::default()).assert_clean();
    let again = drain(&bridge, &["--set", &brokers]);
    assert_eq!(again.status.code(), Some(0), "{}", told(&again));
    assert_eq!(kafka.read_all("drained.").len(), records.len(), "nothing goes out twice");
}

#[test]
fn a_drain_that_gives_up_says_what_is_left_and_the_next_goes_on() {
    let kafka = Kafka::shared();
    let (mut bridge, ledger) = scene(kafka, "given.");
    let locked = drain(&bridge, &[]);
    assert_eq!(locked.status.code(), Some(1));
    assert!(told(&locked).contains("another process has the journal open"), "{}", told(&locked));
    bridge.kill();
    let output = drain(&bridge, &["--within", "2s", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let end: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert!(end["drained"] == false && end["left"].as_u64() >= Some(ledger.kept() as u64), "{end}");
    assert!(told(&output).contains("nothing is lost: run it again"), "{}", told(&output));
    let away = "Kafka does not answer: check kafka.brokers and the network";
    assert!(end["reason"] == away && told(&output).contains(away), "{}", told(&output));
    let unmade = ["--set", "sources.default.topic_prefix=unmade.", "--set", "topics.prefix=unmade."];
    let brokers = format!("kafka.brokers={}", kafka.brokers());
    let output = drain(&bridge, &[&unmade[..], &["--within", "8s", "--set", &brokers]].concat());
    assert_eq!(output.status.code(), Some(1));
    for says in ["topic unmade.", " takes nothing (topic_missing): make the topic"] {
        assert!(told(&output).contains(says), "{}", told(&output));
    }
    let output = drain(&bridge, &["--set", &format!("kafka.brokers={}", kafka.brokers())]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    judge(&ledger, &kafka.read_all("given."), &Circumstances::default()).assert_clean();
}

#[test]
fn a_checkpoint_that_is_missing_costs_nothing_and_is_told_by_each_command() {
    let kafka = Kafka::shared();
    let (mut bridge, ledger) = scene(kafka, "marks.");
    bridge.kill();
    let dir = bridge.journal_dir();
    std::fs::remove_file(dir.join("journal/checkpoint")).expect("the test's folder can be written");
    let dir = dir.to_str().expect("a plain name").to_owned();
    let verified = run(&["journal", "verify", &dir], "", b"");
    let says = "damage: the checkpoint is missing; nothing is lost, all that is retained would go out again";
    assert!(verified.status.code() == Some(1) && told(&verified).contains(says), "{}", told(&verified));
    let found = run(&["journal", "find", &dir, "--position", "1"], "", b"");
    assert!(told(&found).contains("no checkpoint that can be read; the next start sends it"), "{}", told(&found));
    let output = drain(&bridge, &["--set", &format!("kafka.brokers={}", kafka.brokers())]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("damage was found that has cost nothing"), "{}", told(&output));
    judge(&ledger, &kafka.read_all("marks."), &Circumstances::default()).assert_clean();
}

#[test]
fn what_damage_has_cost_is_told_by_position_and_the_folder_is_to_be_kept() {
    let kafka = Kafka::shared();
    let (mut bridge, ledger) = scene(kafka, "rotten.");
    bridge.stop_cleanly();
    let segment = bridge.journal_dir().join(format!("journal/{:020}.segment", 1));
    let mut bytes = std::fs::read(&segment).expect("the first segment is there");
    bytes[4096 + 200] ^= 1;
    std::fs::write(&segment, bytes).expect("the test's folder can be written");
    let output = drain(&bridge, &["--set", &format!("kafka.brokers={}", kafka.brokers()), "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let end: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert_eq!((&end["lost_positions"], &end["left"]), (&serde_json::json!([[1, 1]]), &0.into()), "{end}");
    for says in ["damage has cost position 1: not on Kafka", "is on Kafka; keep the folder"] {
        assert!(told(&output).contains(says), "{}", told(&output));
    }
    assert_eq!(kafka.read_all("rotten.").len(), ledger.kept() - 1);
    assert_eq!(end["quarantine_files"], 1, "what this run has put there counts");
    stays_told(kafka, &bridge, &serde_json::json!([[1, 1]]));
}

/// Further drains tell the same loss, and fail, until somebody has emptied the quarantine.
fn stays_told(kafka: &Kafka, bridge: &Bridge, lost: &serde_json::Value) {
    let brokers = format!("kafka.brokers={}", kafka.brokers());
    for _ in 0..2 {
        let output = drain(bridge, &["--set", &brokers, "--json"]);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let end: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
        assert!(end["lost_positions"] == *lost && end["drained"] == false && end["quarantine_files"] == 1, "{end}");
        for says in ["it may not be on Kafka", "look at them, then remove them", "keep the folder"] {
            assert!(told.contains(says), "{says} is not in {told}");
        }
        assert!(!told.contains("may be removed"), "{told}");
    }
    let (journal, quarantine) = (bridge.journal_dir(), bridge.journal_dir().join("quarantine"));
    let verified = run(&["journal", "verify", journal.to_str().expect("a plain name")], "", b"");
    assert!(told(&verified).contains("damage of earlier days: 1 file(s) in quarantine"), "{}", told(&verified));
    for file in std::fs::read_dir(&quarantine).expect("it is there") {
        std::fs::remove_file(file.expect("it can be read").path()).expect("the test's folder can be written");
    }
    let output = drain(bridge, &["--set", &brokers]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn what_a_segment_that_is_gone_has_cost_is_told_by_every_drain_until_the_quarantine_is_emptied() {
    let kafka = Kafka::shared();
    for (prefix, gone) in [("oldest.", 1), ("newest.", 2)] {
        let (mut bridge, ledger) = scene(kafka, prefix);
        bridge.stop_cleanly();
        bridge.start_again();
        let mut maker = Maker::new(29);
        let stories = (0..10).map(|_| maker.story(&Source::new("default", "/webhook", prefix))).collect();
        let more = send_all(&bridge, stories, 4, Duration::ZERO);
        bridge.stop_cleanly();
        let (first, all) = (ledger.kept(), ledger.kept() + more.kept());
        let segment = bridge.journal_dir().join(format!("journal/{gone:020}.segment"));
        std::fs::remove_file(segment).expect("the segment is there");
        let lost = if gone == 1 { 1..first + 1 } else { first + 1..all + 1 };
        let output = drain(&bridge, &["--set", &format!("kafka.brokers={}", kafka.brokers()), "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let end: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
        let told_lost = serde_json::json!([[lost.start, lost.end - 1]]);
        assert_eq!((&end["lost_positions"], &end["is_end_lost"]), (&told_lost, &(gone == 2).into()), "{end}");
        assert_eq!(kafka.read_all(prefix).len(), all - lost.len());
        stays_told(kafka, &bridge, &told_lost);
    }
}
