//! What became of an event, as an operator asks: `journal find` beside the bridge, `tail` on the topics.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use support::bridge::{Bridge, PATIENCE};
use support::events::{Event, Maker, Source};
use support::kafka::Kafka;
use support::process::{Lines, Process, wait_until};
use support::sender::Sender;
use support::settings::Settings;
use support::tools;
use support::topics::LARGE;

fn command(bridge: &Bridge, words: &[&str]) -> Command {
    let mut command = Command::new(tools::binary("retell-bridge"));
    command.args(words).arg("--config").arg(bridge.settings_file());
    command
}

fn run(bridge: &Bridge, words: &[&str]) -> Output {
    command(bridge, words).output().expect("the binary can be run")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn key(event: &Event) -> &str {
    event.key.as_deref().expect("these have keys")
}

/// What `journal find` says of the event: topic and state.
fn fate(bridge: &Bridge, event: &Event) -> (String, String) {
    let found = lines(&run(bridge, &["journal", "find", "--key", key(event), "--type", &event.kind, "--json"]));
    assert_eq!(found.len(), 1, "{found:?}");
    let lane = &found[0]["lanes"][0];
    let text = |name: &str| lane[name].as_str().expect("a lane has names").to_owned();
    (text("topic"), text("state"))
}

fn wait_fate(bridge: &Bridge, event: &Event, state: &str) {
    let wanted = (event.topic.clone(), state.to_owned());
    let reached = wait_until(PATIENCE, || (fate(bridge, event) == wanted).then_some(()));
    assert!(reached.is_some(), "{:?} is not {state}", fate(bridge, event));
}

/// The log's lines for single events with this message.
fn events_told(bridge: &Bridge, message: &str) -> Vec<Value> {
    let lines = bridge.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// A bridge with two events of one call, sent.
fn scene(kafka: &Kafka, prefix: &str) -> (Bridge, [Event; 2]) {
    let source = Source::new("default", "/webhook", prefix);
    let settings = Settings::new(&kafka.brokers(), &[&source]).with(json!({ "log": { "events": true } }));
    let bridge = Bridge::start(settings);
    let mut maker = Maker::new(23);
    let id = maker.id();
    let events = ["call_started", "call_ended"].map(|kind| maker.event(&source, kind, &id, false));
    let mut sender = Sender::to(&bridge);
    assert!(events.iter().all(|event| sender.send(event)));
    (bridge, events)
}

#[test]
fn an_event_waits_until_its_topic_is_there_and_is_settled_when_tail_shows_it() {
    let kafka = Kafka::shared();
    kafka.create_topic("became.call_started", 3, &[("max.message.bytes", LARGE)]);
    let (mut bridge, [started, ended]) = scene(kafka, "became.");
    wait_fate(&bridge, &started, "settled");
    assert_eq!(fate(&bridge, &ended).1, "waiting", "its topic is not there");

    let absent = run(&bridge, &["tail", "call_ended", "--last", "1", "--until-end"]);
    assert_eq!((absent.status.code(), absent.stdout.len()), (Some(1), 0));
    assert!(said(&absent).contains("`topics apply` makes them: became.call_ended"), "{}", said(&absent));
    assert_eq!(kafka.partitions("became.call_ended"), 0, "a look made the topic");

    kafka.create_topic("became.call_ended", 3, &[("max.message.bytes", LARGE)]);
    wait_fate(&bridge, &ended, "settled");
    let found = lines(&run(&bridge, &["journal", "find", "--key", key(&ended), "--json"]));
    let shown = run(&bridge, &["tail", "--since", "1h", "--until-end", "--key", key(&ended), "--json"]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    assert!(said(&shown).contains("became.unrecognized"), "those that are not there are named: {}", said(&shown));
    let mut shown = lines(&shown);
    shown.sort_by_key(|line| line["position"].as_u64());
    for (line, record) in found.iter().zip(&shown) {
        for name in ["position", "journal", "id", "key", "type", "source", "body_bytes"] {
            assert_eq!(line[name], record[name], "{name}");
        }
        assert_eq!((&line["lanes"][0]["topic"], &line["received"]), (&record["topic"], &record["time"]));
    }
    assert_eq!((found.len(), shown.len()), (2, 2));
    let mut without_settings = Command::new(tools::binary("retell-bridge"));
    without_settings.args(["journal", "find", "--json"]).arg(bridge.journal_dir());
    let lane = &lines(&without_settings.output().expect("the binary can be run"))[1]["lanes"][0];
    assert_eq!((&lane["state"], &lane["topic"]), (&json!("settled"), &Value::Null), "every lane is past it");
    let published = events_told(&bridge, "event published");
    for line in &found {
        let told = published.iter().find(|told| told["id"] == line["id"]).expect("each has its line");
        assert_eq!((&told["position"], &told["topic"]), (&line["position"], &line["lanes"][0]["topic"]));
        assert!(told["after_ms"].is_u64());
    }
    assert_eq!((published.len(), events_told(&bridge, "event kept").len()), (2, 2));
    bridge.stop_cleanly();
}

#[test]
fn an_event_that_no_topic_takes_is_told_as_set_aside_with_the_reason() {
    let kafka = Kafka::shared();
    kafka.create_topic("toolarge.call_analyzed", 1, &[("max.message.bytes", "100000")]);
    let source = Source::new("default", "/webhook", "toolarge.");
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let event = Maker::new(25).sized(&source, "call_analyzed", "cidmklarge", false, 300_000);
    assert!(Sender::to(&bridge).send(&event));
    wait_fate(&bridge, &event, "dead_letter");
    let found = run(&bridge, &["journal", "find", "--key", "cidmklarge"]);
    let text = String::from_utf8(found.stdout).expect("it is text");
    assert!(text.contains("  set aside toolarge.call_analyzed  (too_large; see dead-letters)"), "{text}");
    bridge.stop_cleanly();
}

#[test]
fn tail_shows_bodies_only_when_asked_and_ends_after_so_many_lines_or_with_its_reader() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "tailed.");
    kafka.create_all(&[&source], 2, &[]);
    let (mut bridge, [started, ended]) = scene(kafka, "tailed.");
    [&started, &ended].into_iter().for_each(|event| wait_fate(&bridge, event, "settled"));

    let plain = run(&bridge, &["tail", "--last", "5", "--until-end"]);
    let text = String::from_utf8(plain.stdout).expect("it is text");
    assert_eq!((plain.status.code(), text.lines().count()), (Some(0), 2), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100 && line.contains(key(&started))), "{text}");
    assert!(!text.contains("transcript") && !text.contains('\u{1b}'), "{text}");

    let body = run(&bridge, &["tail", "call_ended", "--last", "1", "--max", "1", "--body"]);
    assert_eq!(body.stdout, [&ended.body[..], b"\n"].concat());
    let none = run(&bridge, &["tail", "--last", "5", "--until-end", "--key", "call_nobody"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));

    // Nothing arrives and nobody reads: as `tail -f` does, it notices.
    let mut piped = command(&bridge, &["tail"]);
    let mut child = piped.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary can be run");
    drop(child.stdout.take());
    let ended = wait_until(PATIENCE, || child.try_wait().expect("a child can be waited for"));
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    bridge.stop_cleanly();
}

#[test]
fn from_now_on_tail_shows_what_arrives_until_it_is_interrupted() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "follow.");
    kafka.create_all(&[&source], 2, &[]);
    let (mut bridge, [before, ended]) = scene(kafka, "follow.");
    wait_fate(&bridge, &ended, "settled");
    let printed: Arc<Lines> = Arc::default();
    let mut tail = Process::start(command(&bridge, &["tail", "--json"]), Arc::clone(&printed)).expect("it can be run");
    let is_reading = |line: &str| line.contains("reading 15 topic(s)").then_some(());
    printed.find(0, PATIENCE, is_reading).expect("it says when it has its places");
    let event = Maker::new(24).event(&source, "call_analyzed", "cidmkafter", false);
    assert!(Sender::to(&bridge).send(&event));
    printed.find(0, PATIENCE, |line| line.contains("cidmkafter").then_some(())).expect("it is shown");
    let pid = Pid::from_raw(tail.pid() as i32).expect("a child has a process id");
    rustix::process::kill_process(pid, Signal::INT).expect("a child can be signalled");
    let status = tail.wait(Duration::from_secs(10)).expect("it ends at Ctrl-C");
    assert_eq!(status.code(), Some(0));
    assert!(!printed.since(0).iter().any(|line| line.contains(key(&before))), "that was before");
    bridge.stop_cleanly();
}

#[test]
fn a_kafka_that_goes_away_interrupts_tail_and_does_not_end_it() {
    let mut kafka = Kafka::start();
    kafka.create_topic("back.call_ended", 1, &[("max.message.bytes", LARGE)]);
    let (mut bridge, [_, ended]) = scene(&kafka, "back.");
    wait_fate(&bridge, &ended, "settled");
    let printed: Arc<Lines> = Arc::default();
    let follow = command(&bridge, &["tail", "call_ended", "--last", "1", "--max", "2", "--json"]);
    let mut tail = Process::start(follow, Arc::clone(&printed)).expect("it can be run");
    let shows = |key: &str, from| printed.find(from, PATIENCE, |line| line.contains(key).then_some(()));
    shows(key(&ended), 0).expect("the last one is shown");
    kafka.kill();
    shows("reading goes on when that is over", 0).expect("it says that Kafka is away");
    kafka.up();
    let event = Maker::new(26).event(&ended.source, "call_ended", "cidmkback", false);
    assert!(Sender::to(&bridge).send(&event));
    shows("cidmkback", 0).expect("it reads on");
    let status = tail.wait(Duration::from_secs(10)).expect("it ends after two");
    assert_eq!((status.code(), printed.since(0).iter().filter(|line| line.starts_with('{')).count()), (Some(0), 2));
    bridge.stop_cleanly();
}

#[test]
fn who_may_write_and_not_read_is_told_which_right_is_missing() {
    let kafka = Kafka::start_with(&[
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=true",
    ]);
    kafka.create_topic("secret.call_ended", 1, &[("max.message.bytes", LARGE)]);
    let (mut bridge, [_, ended]) = scene(&kafka, "secret.");
    wait_fate(&bridge, &ended, "settled");
    allow(&kafka, "Write");
    let told = |right: &str| {
        let refused = wait_until(PATIENCE, || {
            let output = run(&bridge, &["tail", "call_ended", "--last", "1", "--until-end"]);
            (output.status.code() == Some(1)).then_some(output)
        });
        let refused = refused.expect("the broker learns of the rule");
        assert!(said(&refused).contains(right), "{}", said(&refused));
        assert_eq!(refused.stdout.len(), 0);
    };
    told("may see the topics and not read them; grant Read");
    // Read alone is enough: no right on any group.
    allow(&kafka, "Read");
    let rule = ["--add", "--deny-principal", "User:ANONYMOUS", "--operation", "All", "--group", "*"];
    acls(&kafka, &rule);
    let read = wait_until(PATIENCE, || {
        let output = run(&bridge, &["tail", "call_ended", "--last", "1", "--until-end", "--json"]);
        (output.status.code() == Some(0)).then_some(output)
    });
    assert_eq!(lines(&read.expect("it may read"))[0]["key"], key(&ended));
    bridge.stop_cleanly();
}

fn allow(kafka: &Kafka, operation: &str) {
    let rule =
        ["--add", "--allow-principal", "User:ANONYMOUS", "--operation", operation, "--topic", "secret.call_ended"];
    acls(kafka, &rule);
}

fn acls(kafka: &Kafka, words: &[&str]) {
    let mut command = tools::java();
    command.arg("org.apache.kafka.tools.AclCommand").args(["--bootstrap-server", &kafka.brokers()]).args(words);
    let output = command.output().expect("java has run before");
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
}
