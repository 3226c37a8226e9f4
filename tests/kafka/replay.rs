//! `replay`: retained events on their topics again, beside a running bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use support::bridge::{Bridge, run};
use support::events::{Event, Maker, Source};
use support::judge::{Circumstances, judge};
use support::kafka::Kafka;
use support::process::{Lines, Process, wait_until};
use support::records::Record;
use support::sender::{send_all, start_sending};
use support::settings::Settings;
use support::tools;
use support::topics::LARGE;

/// Sizes of a call's events, of which the first will be too large.
const LARGE_FIRST: &[usize] = &[48 << 10, 900];

fn replay(bridge: &Bridge, words: &[&str]) -> (Option<i32>, String, String) {
    let settings = bridge.settings_file();
    let settings = settings.to_str().expect("a plain name");
    let Output { status, stdout, stderr } = run(&[&["replay", "--config", settings], words].concat(), "", b"");
    let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
    (status.code(), text(stdout), text(stderr))
}

/// Waits until the checkpoint, by which a replay goes, knows that everything is on its topics.
fn wait_settled(bridge: &Bridge) {
    let dir = bridge.journal_dir();
    let settled = || {
        let output = run(&["journal", "inspect", "--json", dir.to_str().expect("a plain name")], "", b"");
        let seen: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let lanes = seen["checkpoint"]["lanes"].as_array().expect("there is a checkpoint");
        let is_settled =
            seen["checkpoint"]["synced_up_to"] == seen["end"] && lanes.iter().all(|lane| lane["waiting"] == 0);
        is_settled.then_some(())
    };
    wait_until(Duration::from_secs(30), settled).expect("the checkpoint comes after the receipts");
}

/// Those of a replay, and the others.
fn split(records: Vec<Record>) -> (Vec<Record>, Vec<Record>) {
    records.into_iter().partition(|record| record.header("retell_origin").is_some())
}

fn position(record: &Record) -> u64 {
    record.header("retell_position").expect("every record has it").parse().expect("it is a number")
}

#[test]
fn beside_a_bridge_under_load_the_chosen_events_come_again_byte_for_byte_and_nothing_else_changes() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "again.");
    kafka.create_all(&[&source], 3, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(29);
    let mut stories = |count| -> Vec<Vec<Event>> { (0..count).map(|_| maker.story(&source)).collect() };
    let (first, second) = (stories(40), stories(80));
    let mut ledger = send_all(&bridge, first, 8, Duration::ZERO);
    let last = ledger.entries.len();
    wait_settled(&bridge);
    let range = format!("1..{last}");

    let (code, planned, said) = replay(&bridge, &["--type", "call_ended", "--position", &range, "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    let sending = start_sending(&bridge, second, 8, Duration::from_millis(5));
    let (code, told, said) = replay(&bridge, &["--type", "call_ended", "--position", &range]);
    assert_eq!(code, Some(0), "{told}{said}");
    ledger.entries.extend(sending.finish().entries);
    ledger.assert_all_kept();
    bridge.wait_metrics("an empty backlog", |m| m.get("journal_backlog_events", &[]) == 0.0);
    bridge.stop_cleanly();

    let (again, live) = split(kafka.read_all("again."));
    judge(&ledger, &live, &Circumstances::default()).assert_clean();
    let live: BTreeMap<u64, &Record> = live
        .iter()
        .filter(|record| record.topic == "again.call_ended")
        .map(|record| (position(record), record))
        .collect();
    let expected = live.range(..=last as u64).count();
    assert!(expected > 10 && again.len() == expected, "{} of {expected}", again.len());
    assert!(planned.contains(&format!("{expected:>9}  ")), "{planned}");
    let run_id = told.lines().next().and_then(|line| line.strip_prefix("run ")).expect("the run's id comes first");
    for record in &again {
        let first = live[&position(record)];
        assert_eq!((&record.topic, &record.key, &record.sha256), (&first.topic, &first.key, &first.sha256));
        for name in ["ce_id", "ce_time", "ce_type", "ce_source", "retell_signature", "retell_journal"] {
            assert_eq!(record.header(name), first.header(name), "{name}");
        }
        assert_eq!(record.header("retell_origin"), Some(format!("replay:{run_id}").as_str()));
        assert!(record.timestamp > first.timestamp && record.partition == first.partition);
    }
}

#[test]
fn a_refusal_ends_it_with_the_position_from_which_the_next_run_goes_on() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "goon.");
    kafka.create_all(&[&source], 1, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(31);
    let ledger = send_all(&bridge, (0..20).map(|_| maker.story(&source)).collect(), 4, Duration::ZERO);
    ledger.assert_all_kept();
    wait_settled(&bridge);

    for (words, code, told) in [
        (&[][..], 2, "nothing is chosen"),
        (&["--key", "call_of_nobody"], 1, "no event of the journal is meant by this choice"),
        (&["--key", "call_of_nobody", "--dry-run"], 1, "no event of the journal is meant by this choice"),
        (&["--all", "--to-topic", "no topic!"], 2, "has a character that Kafka takes in no topic name"),
        (&["--all", "--to-topic", "goon.copy"], 1, "there is no topic goon.copy"),
        (&["--all", "--to-topic", "goon.copy"], 1, "go on with --position 1.. and the other options as before\n"),
        (
            &["--position", "5..9", "--to-topic", "goon.copy"],
            1,
            "go on with --position 5..9 and the other options as before\n",
        ),
        (&["--all", "--set", "kafka.brokers=127.0.0.1:1"], 1, "Kafka has not answered for 30 s"),
        (&["/nowhere", "--all"], 1, "name the folder of `journal.dir`"),
    ] {
        let (ended, _, said) = replay(&bridge, words);
        assert_eq!((ended, said.lines().count()), (Some(code), 1), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    }
    kafka.create_topic("goon.copy", 1, &[("max.message.bytes", LARGE)]);
    let (code, told, said) = replay(&bridge, &["--position", "1..", "--to-topic", "goon.copy"]);
    assert_eq!(code, Some(0), "{told}{said}");
    let (again, _) = split(kafka.read_all("goon."));
    let positions: Vec<u64> = again.iter().map(position).collect();
    let all: Vec<u64> = (1..=ledger.entries.len() as u64).collect();
    assert_eq!(positions, all, "each once, in the journal's order");
    bridge.stop_cleanly();
}

#[test]
fn what_is_too_large_for_a_topic_is_told_and_passed_over_and_the_rest_arrives() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "narrow.");
    kafka.create_all(&[&source], 1, &[]);
    for topic in ["narrow.copy", "narrow.slow"] {
        kafka.create_topic(topic, 1, &[("max.message.bytes", "100000")]);
    }
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(37);
    let id = maker.id();
    let sizes = [900, 900, 300_000, 900, 900, 300_000, 900];
    let story = sizes.iter().map(|size| maker.sized(&source, "call_analyzed", &id, false, *size)).collect();
    send_all(&bridge, vec![story], 1, Duration::ZERO).assert_all_kept();
    wait_settled(&bridge);
    // At five a second, a refusal falls between two records, and takes the client with it.
    for (topic, rate) in [("narrow.copy", "1000"), ("narrow.slow", "5")] {
        let (code, told, said) = replay(&bridge, &["--all", "--to-topic", topic, "--rate", rate, "--json"]);
        assert_eq!(code, Some(1), "{told}{said}");
        let end: serde_json::Value = serde_json::from_str(&told).expect("one line of JSON");
        assert_eq!((&end["too_large"], &end["go_on_from"]), (&serde_json::json!([3, 6]), &().into()), "{end}");
        for at in [3, 6] {
            assert!(said.contains(&format!("position {at}: too large for topic {topic}, passed over")), "{said}");
        }
        let (again, _) = split(kafka.read_all(topic));
        let positions: Vec<u64> = again.iter().map(position).collect();
        assert_eq!(positions, [1, 2, 4, 5, 7], "each once and in order: {said}");
    }
    bridge.stop_cleanly();
}

#[test]
fn what_was_confirmed_before_a_batch_was_refused_is_not_sent_again_and_counts_once() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "once.");
    kafka.create_all(&[&source], 3, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(59);
    let mut stories: Vec<Vec<Event>> = Vec::new();
    for _ in 0..10 {
        for (kind, sizes) in [("call_started", &[900; 10][..]), ("chat_ended", &[900; 10]), ("call_ended", LARGE_FIRST)]
        {
            let id = maker.id();
            let about_chat = kind == "chat_ended";
            stories.push(sizes.iter().map(|size| maker.sized(&source, kind, &id, about_chat, *size)).collect());
        }
    }
    send_all(&bridge, stories, 8, Duration::ZERO).assert_all_kept();
    wait_settled(&bridge);
    kafka.alter_topic("once.call_ended", &[("max.message.bytes", "20000")]);
    let (_, first) = split(kafka.read_all("once."));
    let mut large: Vec<u64> = first.iter().filter(|record| record.length > 20_000).map(position).collect();
    large.sort_unstable();
    assert_eq!((large.len(), first.len()), (10, 220));

    for round in 1..=2 {
        let (code, told, said) = replay(&bridge, &["--all", "--json"]);
        assert_eq!(code, Some(1), "not all of them are on Kafka again: {told}{said}");
        let end: serde_json::Value = serde_json::from_str(&told).expect("one line of JSON");
        assert_eq!((&end["confirmed"], &end["too_large"]), (&210.into(), &serde_json::json!(large)), "{end}");
        assert!(end["go_on_from"].is_null(), "{end}");
        let mut copies: BTreeMap<u64, usize> = BTreeMap::new();
        let (again, _) = split(kafka.read_all("once."));
        again.iter().for_each(|record| *copies.entry(position(record)).or_default() += 1);
        copies.retain(|_, count| *count != round);
        assert!(copies.is_empty() && again.len() == 210 * round, "{} after {round} runs: {copies:?}", again.len());
    }
    bridge.stop_cleanly();
}

/// A replay of everything to `topic`, fifty a second, of which some records have arrived there.
fn in_the_middle(kafka: &Kafka, bridge: &Bridge, topic: &str) -> (Process, Arc<Lines>) {
    let mut command = Command::new(tools::binary("retell-bridge"));
    command.args(["replay", "--all", "--rate", "50", "--to-topic", topic, "--config"]).arg(bridge.settings_file());
    let lines = Arc::<Lines>::default();
    let process = Process::start(command, Arc::clone(&lines)).expect("the binary can be run");
    kafka.wait_count(topic, 5, Duration::from_secs(30));
    (process, lines)
}

#[test]
fn one_that_is_killed_or_told_to_end_has_changed_nothing_and_the_next_one_brings_the_rest() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "ended.");
    kafka.create_all(&[&source], 1, &[]);
    for topic in ["ended_killed", "ended_told"] {
        kafka.create_topic(topic, 1, &[("max.message.bytes", LARGE)]);
    }
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(41);
    let ledger = send_all(&bridge, (0..60).map(|_| maker.story(&source)).collect(), 8, Duration::ZERO);
    ledger.assert_all_kept();
    wait_settled(&bridge);
    let all: BTreeSet<u64> = (1..=ledger.entries.len() as u64).collect();
    assert!(all.len() > 100, "{}", all.len());
    let positions = |topic: &str| -> Vec<u64> { kafka.read_all(topic).iter().map(position).collect() };

    let (mut killed, _) = in_the_middle(kafka, &bridge, "ended_killed");
    killed.kill();
    let before = positions("ended_killed");
    assert!(before.len() < all.len(), "it was over before it was killed");
    let (code, told, said) = replay(&bridge, &["--all", "--to-topic", "ended_killed"]);
    assert_eq!(code, Some(0), "{told}{said}");
    let after = positions("ended_killed");
    assert_eq!(
        (after.iter().copied().collect::<BTreeSet<u64>>(), after.len()),
        (all.clone(), before.len() + all.len())
    );

    let (mut ended, lines) = in_the_middle(kafka, &bridge, "ended_told");
    ended.terminate();
    let status = ended.wait(Duration::from_secs(30)).expect("it ends when it is told to");
    let go_on = |line: &str| {
        let (_, rest) = line.split_once("ended by a signal; go on with --position ")?;
        rest.strip_suffix(" and the other options as before").map(str::to_owned)
    };
    let rest = lines.find(0, Duration::from_secs(5), go_on).expect("it says from where to go on");
    assert_eq!(status.code(), Some(1));
    let (code, told, said) = replay(&bridge, &["--position", &rest, "--to-topic", "ended_told"]);
    assert_eq!(code, Some(0), "{told}{said}");
    assert_eq!(positions("ended_told"), all.iter().copied().collect::<Vec<u64>>(), "each once, in order");

    bridge.stop_cleanly();
    judge(&ledger, &kafka.read_all("ended."), &Circumstances::default()).assert_clean();
}
