//! `journal find`, as an operator types it: beside a running bridge, on a damaged journal, and wrongly.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use support::bridge::Bridge;
use support::events::{Event, Maker, Source};
use support::sender::Sender;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

struct Ran {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Ran {
    fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.stdout).expect("JSON is UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

fn find(dir: &Path, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
    let output = command.args(["journal", "find"]).arg(dir).args(words).output().expect("the binary runs");
    let stderr = String::from_utf8(output.stderr).expect("what it says is text");
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

/// A bridge without a Kafka that has kept a call_started and a call_ended of each of three calls.
fn scene(prefix: &str) -> (Bridge, Vec<Event>) {
    let source = Source::new("default", "/webhook", prefix);
    // Nothing can be published, so that no stop need wait for it.
    let settings = Settings::new(NOWHERE, &[&source]).with(serde_json::json!({ "shutdown": { "deadline": "1s" } }));
    let bridge = Bridge::start(settings);
    let events = events(&source);
    let mut sender = Sender::to(&bridge);
    assert!(events.iter().all(|event| sender.send(event)));
    (bridge, events)
}

fn events(source: &Arc<Source>) -> Vec<Event> {
    let mut maker = Maker::new(7);
    let ids: Vec<String> = (0..3).map(|_| maker.id()).collect();
    let of = |maker: &mut Maker, id: &String| {
        ["call_started", "call_ended"].map(|kind| maker.event(source, kind, id, false))
    };
    ids.iter().flat_map(|id| of(&mut maker, id)).collect()
}

fn key(event: &Event) -> &str {
    event.key.as_deref().expect("these have keys")
}

#[test]
fn an_event_is_found_by_its_key_beside_the_running_bridge_and_waits_without_kafka() {
    let (mut bridge, events) = scene("found.");
    let dir = bridge.journal_dir();
    let settings = bridge.settings_file();
    let settings = settings.to_str().expect("the tests' folder has a plain name");
    let ran = find(&dir, &["--key", key(&events[2]), "--config", settings, "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines = ran.lines();
    let told: Vec<_> = lines.iter().map(|line| (line["position"].as_u64(), line["type"].as_str())).collect();
    assert_eq!(told, [(Some(3), Some("call_started")), (Some(4), Some("call_ended"))]);
    assert_eq!(lines[1]["lanes"][0]["topic"], "found.call_ended");
    assert_eq!(lines[1]["lanes"][0]["state"], "waiting");
    assert_eq!(lines[1]["body_bytes"], events[3].body.len());

    let id = lines[1]["id"].as_str().expect("it has an id");
    let by_id = find(&dir, &["--id", id, "--json"]).lines();
    assert_eq!((by_id.len(), &by_id[0]["position"]), (1, &lines[1]["position"]));
    // Without the bridge's settings nobody can say which topic it waits for.
    assert_eq!(by_id[0]["lanes"][0]["state"], "unknown");

    let ended = find(&dir, &["--type", "call_ended", "--since", "1h", "--position", "3..", "--json"]);
    assert_eq!(ended.lines().iter().map(|line| line["position"].as_u64()).collect::<Vec<_>>(), [Some(4), Some(6)]);
    bridge.kill();
}

#[test]
fn a_body_is_printed_as_it_came_where_it_is_asked_for_and_never_otherwise() {
    let (mut bridge, events) = scene("bodies.");
    let dir = bridge.journal_dir();
    let ran = find(&dir, &["--position", "4", "--body"]);
    assert_eq!(ran.stdout, [&events[3].body[..], b"\n"].concat());
    for words in [&["--position", "4"][..], &["--position", "4", "--json"]] {
        let shown = find(&dir, words).stdout;
        assert!(!shown.windows(10).any(|window| window == b"transcript"), "{}", String::from_utf8_lossy(&shown));
        assert!(shown.split(|byte| *byte == b'\n').all(|line| words.len() > 2 || line.len() <= 100));
    }
    bridge.kill();
}

#[test]
fn what_is_not_there_is_told_with_where_was_looked_and_1() {
    let (mut bridge, _) = scene("absent.");
    let ran = find(&bridge.journal_dir(), &["--key", "call_nobody"]);
    assert_eq!((ran.code, ran.stdout.len(), ran.stderr.lines().count()), (Some(1), 0, 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("not found among positions 1 to 6, the oldest looked at received 2"), "{}", ran.stderr);
    bridge.kill();
}

#[test]
fn damage_is_told_with_the_positions_that_it_costs_and_the_rest_is_found() {
    let (mut bridge, _) = scene("rotten.");
    let dir = bridge.journal_dir();
    bridge.stop_cleanly();
    let segment = dir.join(format!("journal/{:020}.segment", 1));
    let mut bytes = fs::read(&segment).expect("the first segment is there");
    bytes[4096 + 200] ^= 1;
    fs::write(&segment, bytes).expect("the test's folder can be written");
    let before = files(&dir);
    let ran = find(&dir, &["--since", "1h", "--json"]);
    assert_eq!((ran.code, ran.lines().len()), (Some(0), 5), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("damage in segment 1") && ran.stderr.contains("position 1 is lost: not on Kafka"),
        "{}",
        ran.stderr
    );
    assert_eq!(files(&dir), before, "a look changes nothing");
}

#[test]
fn what_lay_in_the_quarantine_already_is_told_where_it_may_be_what_is_meant() {
    let (mut bridge, _) = scene("aside.");
    let dir = bridge.journal_dir();
    // Of a segment that is gone: positions 40 to 42, put aside in 2020.
    let name = format!("quarantine/{:020}-{:012}-{:020}-{:020}-{}.bytes", 9, 4096, 40, 43, 1_580_000_000_000_u64);
    fs::write(dir.join(name), b"broken").expect("the test's folder can be written");
    for (words, code, is_told) in [
        (&["--position", "41"][..], 1, true),
        (&["--key", "call_nobody"], 1, true),
        (&["--key", "call_nobody", "--since", "1h"], 1, false),
        (&["--position", "2"], 0, false),
        (&["--type", "call_ended"], 0, true),
    ] {
        let ran = find(&dir, words);
        let told = ran.stderr.contains("has cost 3 event(s), positions 40 to 42 (6 bytes kept)");
        assert_eq!((ran.code, told), (Some(code), is_told), "{words:?}: {}", ran.stderr);
    }
    bridge.kill();
}

#[test]
fn what_a_segment_that_is_gone_held_is_told_as_lost_and_not_as_published_and_expired() {
    for gone in [1, 2] {
        let (mut bridge, _) = scene(&format!("gone{gone}."));
        let dir = bridge.journal_dir();
        bridge.stop_cleanly();
        bridge.start_again();
        let mut sender = Sender::to(&bridge);
        let mut maker = Maker::new(8);
        let source = Source::new("default", "/webhook", &format!("gone{gone}."));
        let id = maker.id();
        assert!(sender.send(&maker.event(&source, "call_ended", &id, false)));
        bridge.stop_cleanly();
        fs::remove_file(dir.join(format!("journal/{gone:020}.segment"))).expect("it is there");
        let (lost, told) = if gone == 1 { ("2..3", "positions 1 to 6 are lost") } else { ("7", "position 7 is lost") };
        let ran = find(&dir, &["--position", lost]);
        assert_eq!((ran.code, ran.stdout.len(), ran.stderr.lines().count()), (Some(1), 0, 2), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{told}: not on Kafka")), "{}", ran.stderr);
        assert!(ran.stderr.contains("; damage has taken what stood there"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("journal.retention"), "{}", ran.stderr);
        let ran = find(&dir, &["--key", "call_nobody"]);
        assert!(ran.stderr.contains("damage may have taken it; or else: what was published leaves"), "{}", ran.stderr);
        let kept = if gone == 1 { "7" } else { "2" };
        let ran = find(&dir, &["--position", kept]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    }
}

fn files(dir: &Path) -> Vec<(String, u64)> {
    let folders = ["journal", "quarantine", "dead"].map(|folder| dir.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("it is there")).flatten();
    let mut found: Vec<_> = entries
        .map(|entry| (entry.path().display().to_string(), entry.metadata().expect("it can be looked at").len()))
        .collect();
    found.sort();
    found
}

#[test]
fn what_is_typed_wrongly_is_refused_in_one_line_that_says_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (words, code, told) in [
        (&["--type", "call_end"][..], 2, "did you mean call_ended?"),
        (&["--since", "tomorrow"], 2, "neither an age nor a time in UTC"),
        (&["--body", "--json"], 2, "cannot be used with"),
        (&["--config", "/nowhere.yaml"], 78, "/nowhere.yaml"),
        (&[], 1, "name the folder of `journal.dir`"),
    ] {
        let ran = find(folder.path(), words);
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(code), 1), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{words:?}: {}", ran.stderr);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0, "nothing was made there");
}

#[test]
fn each_event_has_its_line_in_the_log_where_that_is_asked_for_and_nothing_private_in_it() {
    for events_wanted in [true, false] {
        let source = Source::new("default", "/webhook", "told.");
        let settings = Settings::new(NOWHERE, &[&source]);
        let mut bridge = Bridge::start(settings.with(serde_json::json!({ "log": { "events": events_wanted } })));
        let events = events(&source);
        let mut sender = Sender::to(&bridge);
        assert!(events.iter().chain(&events[..1]).all(|event| sender.send(event)));
        let found = find(&bridge.journal_dir(), &["--json"]).lines();
        bridge.stop_cleanly();
        let told = |message: &str| -> Vec<Value> {
            let lines = bridge.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
            lines.filter(|line| line["message"] == message).collect()
        };
        let (kept, repeated) = (told("event kept"), told("event repeated"));
        if !events_wanted {
            assert!(kept.is_empty() && repeated.is_empty());
            continue;
        }
        let names =
            [("position", "position"), ("id", "id"), ("type", "type"), ("source", "source"), ("bytes", "body_bytes")];
        assert_eq!((kept.len(), found.len(), repeated.len()), (events.len(), events.len(), 1));
        for (line, found) in kept.iter().zip(&found) {
            assert!(names.iter().all(|(told, found_as)| line[told] == found[found_as]), "{line} is not {found}");
        }
        assert_eq!(repeated[0]["id"], kept[0]["id"]);
        assert!(repeated[0]["ago_ms"].is_u64(), "{}", repeated[0]);
        // That no call's id is there, and nothing else that is private, is looked at when the bridge is dropped.
    }
}
