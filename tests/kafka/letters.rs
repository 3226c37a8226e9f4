//! Dead letters in the folder: listed, shown, sent again by hand and by the bridge itself.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::proof::prove;
use support::bridge::{Bridge, run};
use support::events::{Event, Maker, Source};
use support::judge::Circumstances;
use support::kafka::Kafka;
use support::ledger::Ledger;
use support::process::{Lines, Process};
use support::sender::send_all;
use support::settings::Settings;
use support::tools;
use support::topics::LARGE;

const LIMIT: &str = "100000";
const TOO_LARGE: usize = 300_000;

/// A call_analyzed too large for its topic, of a call of its own, among small ones; there is no dead-letter topic.
fn scene(kafka: &Kafka, source: &Arc<Source>, large: usize) -> (Bridge, Ledger) {
    kafka.create_topic(&format!("{}call_analyzed", source.prefix), 3, &[("max.message.bytes", LIMIT)]);
    let bridge = Bridge::start(Settings::new(&kafka.brokers(), &[source]));
    let mut maker = Maker::new(17);
    let mut story = |size: usize| -> Vec<Event> {
        let id = maker.id();
        vec![maker.sized(source, "call_analyzed", &id, false, size)]
    };
    let stories = (0..20).map(|at| story(if at < large { TOO_LARGE } else { 900 })).collect();
    let ledger = send_all(&bridge, stories, 4, Duration::ZERO);
    ledger.assert_all_kept();
    bridge.wait_metrics("dead letters", |m| m.get("events_dead_lettered_total", &[]) >= large as f64);
    (bridge, ledger)
}

struct Hands {
    settings: String,
}

impl Hands {
    fn of(bridge: &Bridge) -> Hands {
        Hands { settings: bridge.settings_file().to_str().expect("a plain name").to_owned() }
    }

    fn type_in(&self, words: &[&str]) -> Output {
        let words = [&["dead-letters"], words, &["--config", &self.settings]].concat();
        run(&words, "", b"")
    }

    fn list(&self) -> Vec<Value> {
        let output = self.type_in(&["list", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// Letters that are sent again stand behind what came after them.
    fn excuse(letters: &[Value]) -> Circumstances {
        let id = |letter: &Value| letter["ce_id"].as_str().expect("a letter has one").to_owned();
        Circumstances { sent_again: letters.iter().map(id).collect(), ..Circumstances::default() }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what it says is text")
}

#[test]
fn letters_are_listed_shown_and_sent_again_by_hand_once_the_topic_takes_them() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "hands.");
    let (mut bridge, ledger) = scene(kafka, &source, 2);
    let hands = Hands::of(&bridge);
    let letters = hands.list();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!((&letters[0]["reason"], &letters[0]["topic"]), (&"too_large".into(), &"hands.call_analyzed".into()));
    let id = letters[0]["id"].as_str().expect("a letter has an id");
    let key = letters[0]["key"].as_str().expect("it has a key");
    let of = |entry: &&support::ledger::Entry| entry.event.key.as_deref() == Some(key);
    let entry = ledger.entries.iter().find(of).expect("it was sent");
    assert_eq!(letters[0]["ce_id"], entry.ce_id);
    let body = hands.type_in(&["show", id, "--body"]).stdout;
    assert_eq!(body, *entry.event.body, "byte for byte, so that the signature holds");

    let refused = hands.type_in(&["retry", id]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("stays: topic hands.call_analyzed does not take a record of this size"), "{said}");
    assert_eq!(hands.list().len(), 2, "nothing has changed");

    // The bridge itself would be first; in order, since after a kill it may repeat what no checkpoint covers yet.
    bridge.stop_cleanly();
    kafka.alter_topic("hands.call_analyzed", &[("max.message.bytes", LARGE)]);
    let dry = hands.type_in(&["retry", "--all", "--dry-run"]);
    assert_eq!((dry.status.code(), text(&dry.stdout).lines().count()), (Some(0), 2));
    assert_eq!(hands.list().len(), 2);
    let sent = hands.type_in(&["retry", "--key", key]);
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    assert_eq!(hands.list().len(), 1, "only what was chosen has gone");
    let sent = hands.type_in(&["retry", "--all"]);
    assert_eq!((sent.status.code(), hands.list().len()), (Some(0), 0), "{}", text(&sent.stderr));
    bridge.start_again();
    prove(kafka, &mut bridge, "hands.", &ledger, &Hands::excuse(&letters));
}

#[test]
fn a_retry_that_is_killed_leaves_each_letter_in_the_folder_or_on_its_topic() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "cut.");
    let (mut bridge, ledger) = scene(kafka, &source, 12);
    let hands = Hands::of(&bridge);
    let letters = hands.list();
    bridge.stop_cleanly();
    kafka.alter_topic("cut.call_analyzed", &[("max.message.bytes", LARGE)]);
    let mut command = Command::new(tools::binary("retell-bridge"));
    command.args(["dead-letters", "retry", "--all", "--config", &hands.settings]);
    let lines = Arc::<Lines>::default();
    let mut retry = Process::start(command, Arc::clone(&lines)).expect("the binary can be run");
    let sent = |line: &str| line.starts_with("sent ").then_some(());
    lines.find(0, Duration::from_secs(30), sent).expect("the first one is sent");
    retry.kill();
    let left = hands.list().len();
    assert!(left < letters.len(), "what was sent has gone");
    let topics = ["cut.call_analyzed".to_owned()];
    let on_topic = kafka.counts(&topics).values().sum::<i64>() as usize;
    // One at most was confirmed and still lay in the folder.
    let (small, gone) = (20 - letters.len(), letters.len() - left);
    assert!(on_topic == small + gone || on_topic == small + gone + 1, "{on_topic} on the topic, {left} in the folder");
    let again = hands.type_in(&["retry", "--all"]);
    assert_eq!((again.status.code(), hands.list().len()), (Some(0), 0), "{}", text(&again.stderr));
    bridge.start_again();
    let circumstances = Circumstances { kills: 1, ..Hands::excuse(&letters) };
    prove(kafka, &mut bridge, "cut.", &ledger, &circumstances);
}

/// The topic's limit is raised `after` the letters came, and they are on their topic soon.
fn sends_them_by_itself(prefix: &str, after: Duration) {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", prefix);
    let (mut bridge, ledger) = scene(kafka, &source, 3);
    let hands = Hands::of(&bridge);
    let letters = hands.list();
    assert_eq!(letters.len(), 3);
    std::thread::sleep(after);
    kafka.alter_topic(&format!("{prefix}call_analyzed"), &[("max.message.bytes", LARGE)]);
    kafka.wait_count(prefix, 20, Duration::from_secs(90));
    let published = bridge.wait_metrics("all published", |m| m.get("events_published_total", &[]) >= 20.0);
    assert_eq!(published.get("events_published_total", &[]), 20.0);
    assert_eq!(hands.list().len(), 0);
    prove(kafka, &mut bridge, prefix, &ledger, &Hands::excuse(&letters));
}

#[test]
fn the_bridge_sends_them_by_itself_when_the_topics_limit_has_grown() {
    // Seen once with the small limit: from now on only growth is a cause before the hour is over.
    sends_them_by_itself("grown.", Duration::from_secs(62));
}

#[test]
fn the_bridge_sends_them_by_itself_when_the_limit_was_raised_before_it_looked() {
    sends_them_by_itself("quick.", Duration::ZERO);
}

#[test]
fn two_retries_at_once_send_each_letter_once() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "both.");
    let (mut bridge, ledger) = scene(kafka, &source, 12);
    let hands = Hands::of(&bridge);
    let letters = hands.list();
    bridge.stop_cleanly();
    kafka.alter_topic("both.call_analyzed", &[("max.message.bytes", LARGE)]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| hands.type_in(&["retry", "--all"]));
        }
    });
    assert_eq!(hands.list().len(), 0, "what one passed over, the other has sent");
    let on_topic = kafka.counts(&["both.call_analyzed".to_owned()]).values().sum::<i64>();
    assert_eq!(on_topic, 20, "each once");
    bridge.start_again();
    prove(kafka, &mut bridge, "both.", &ledger, &Hands::excuse(&letters));
}

#[test]
fn a_start_tries_them_once_and_what_is_still_too_large_stays() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "started.");
    let (mut bridge, ledger) = scene(kafka, &source, 1);
    bridge.stop_cleanly();
    bridge.start_again();
    let tried = || bridge.log().iter().any(|line| line.contains("dead letter stays in the folder")).then_some(());
    support::process::wait_until(Duration::from_secs(30), tried).expect("a start tries it");
    let letters = Hands::of(&bridge).list();
    assert_eq!(letters.len(), 1);
    bridge.stop_cleanly();
    kafka.alter_topic("started.call_analyzed", &[("max.message.bytes", LARGE)]);
    bridge.start_again();
    kafka.wait_count("started.", 20, Duration::from_secs(30));
    prove(kafka, &mut bridge, "started.", &ledger, &Hands::excuse(&letters));
}

#[test]
fn a_retry_that_cannot_succeed_changes_nothing_and_says_why() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "vain.");
    let (mut bridge, _) = scene(kafka, &source, 1);
    let hands = Hands::of(&bridge);
    bridge.kill();
    for (words, code, said) in [
        (&["retry"][..], 2, "nothing is chosen"),
        (&["retry", "99999"], 1, "no dead letter 99999"),
        (&["show", "99999"], 1, "no dead letter 99999"),
        (&["retry", "--key", "call_of_nobody"], 1, "no dead letter is meant by this choice"),
        (&["retry", "--all", "--to-topic", ".."], 2, "is a name that Kafka keeps for itself"),
        (&["retry", "--all", "--to-topic", "vain.absent"], 1, "there is no topic vain.absent"),
        (&["retry", "--all", "--set", "kafka.brokers=127.0.0.1:1"], 1, "Kafka has not answered for 30 s"),
        (&["list", "--dir", "/nowhere"], 1, "name the folder of `journal.dir`"),
    ] {
        let output = hands.type_in(words);
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), told.lines().count()), (Some(code), 1), "{words:?}: {told}");
        assert!(told.contains(said), "{words:?}: {told}");
        assert_eq!(hands.list().len(), 1, "{words:?}");
    }
}
