//! Where an event goes that is not as documented, and the topic that takes them all.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::proof::{prove, prove_plainly};
use support::bridge::Bridge;
use support::events::{Event, Maker, Source, TYPES};
use support::judge::Circumstances;
use support::kafka::Kafka;
use support::sender::{Sender, send_all};
use support::settings::Settings;
use support::topics::LARGE;

/// Events as no document describes them, each with what must become of it.
fn oddities(source: &Arc<Source>) -> Vec<Event> {
    let no = |reason, key, body: &str| Event::unrecognized(source, reason, key, body);
    let yes = |kind, key: &str, body: &str| Event::known(source, kind, Some(key), body);
    let longest = format!("cidmk{}", "k".repeat(251));
    let ended = |call: &str| format!(r#"{{"event":"call_ended","call":{call}}}"#);
    let with_id = |id: &str| ended(&format!(r#"{{"call_id":{id}}}"#));
    let mut events = vec![
        no("unknown_type", Some("cidmk1"), r#"{"event":"call_teleported","call":{"call_id":"cidmk1"}}"#),
        no("unknown_type", Some("cidmk2"), r#"{"event":"CALL_ENDED","chat":{"chat_id":"cidmk2"}}"#),
        no("unknown_type", Some("cidmk3"), r#"{"event":"../x","data":{"call_id":"cidmk3"}}"#),
        no("unknown_type", Some("cidmk4"), r#"{"event":"unrecognized","call":{"call_id":"cidmk4"}}"#),
        no("not_listed", Some("cidmk5"), r#"{"event":"chat_started","chat":{"chat_id":"cidmk5"}}"#),
        no("no_key", None, &ended("{}")),
        no("no_key", None, &ended("null")),
        no("no_key", None, r#"{"event":"call_ended"}"#),
        no("no_key", None, &with_id("17")),
        no("no_key", None, &with_id(r#""""#)),
        no("no_key", None, &with_id(&format!("\"{longest}k\""))),
        no("unreadable", None, "not JSON"),
        no("unreadable", None, r#"{"ev"#),
        no("unreadable", None, r#"["call_ended"]"#),
        no("unreadable", None, ""),
        no("test", None, r#"{"event":"retell_bridge_test"}"#),
        yes("call_started", &longest, &format!(r#"{{"event":"call_started","call":{{"call_id":"{longest}"}}}}"#)),
        yes("call_started", "cidmké/x", r#"{"event":"call_started","call":{"call_id":"cidmk\u00e9\/x"}}"#),
        yes("call_started", "cidmk6", r#"{"event":"call_started","data":{"call_id":"cidmk6"}}"#),
        yes(
            "call_started",
            "cidmk7",
            r#"{"data":{"call_id":"no"},"call":{"call_id":"cidmk7"},"event":"call_started"}"#,
        ),
        yes("call_started", "cidmk8", r#"{"event":"call_started","call":{"call_id":"cidmk8"}, and then nothing sane"#),
    ];
    events.push(Event::unrecognized(source, "unreadable", None, *b"\xff\xfe\x00\x80"));
    events
}

#[test]
fn what_is_not_as_documented_goes_to_unrecognized_with_its_reason_and_makes_no_topic() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "odd.");
    let types: Vec<&str> = TYPES.into_iter().filter(|kind| *kind != "chat_started").collect();
    kafka.create_all(&[&source], 2, &["chat_started", "call_analyzed"]);
    kafka.create_topic("odd-renamed", 2, &[("max.message.bytes", LARGE)]);
    let topics = kafka.topics("odd");
    let settings = Settings::new(&kafka.brokers(), &[&source])
        .with(json!({ "topics": { "types": types, "overrides": { "call_analyzed": "odd-renamed" } } }));
    let mut bridge = Bridge::start(settings);
    let mut sender = Sender::to(&bridge);
    let renamed = Event::known(
        &source,
        "call_analyzed",
        Some("cidmk9"),
        r#"{"event":"call_analyzed","call":{"call_id":"cidmk9"}}"#,
    );
    let renamed = Event { topic: "odd-renamed".to_string(), ..renamed };
    let mut events = oddities(&source);
    events.push(renamed);
    events.iter().for_each(|event| assert!(sender.send(event), "kept, readable or not"));
    let records = prove_plainly(kafka, &mut bridge, "odd", &sender.ledger);
    assert_eq!(records.len(), events.len());
    let mut after = kafka.topics("odd");
    let mut before = topics;
    (before.sort(), after.sort());
    assert_eq!(before, after, "a sender made a topic");
}

#[test]
fn the_topic_for_all_takes_every_event_of_every_source_in_the_order_of_each_call() {
    let kafka = Kafka::shared();
    let sources = [Source::new("default", "/webhook", "every.one."), Source::new("other", "/other", "every.two.")];
    kafka.create_all(&sources.each_ref().map(|source| &**source), 2, &[]);
    kafka.create_topic("every.thing", 3, &[("max.message.bytes", LARGE)]);
    let settings = Settings::new(&kafka.brokers(), &sources.each_ref());
    let mut bridge = Bridge::start(settings.with(json!({ "topics": { "all": "every.thing" } })));
    let mut maker = Maker::new(15);
    let mut stories: Vec<Vec<Event>> = (0..80).map(|n| maker.story(&sources[n % 2])).collect();
    let unknown = r#"{"event":"call_teleported","call":{"call_id":"cidmk1"}}"#;
    stories.push(vec![Event::unrecognized(&sources[0], "unknown_type", Some("cidmk1"), unknown)]);
    let ledger = send_all(&bridge, stories, 8, Duration::ZERO);
    ledger.assert_all_kept();
    let circumstances = Circumstances { all_topic: Some("every.thing".to_string()), ..Circumstances::default() };
    let records = prove(kafka, &mut bridge, "every.", &ledger, &circumstances);
    assert_eq!(records.len(), 2 * ledger.kept());
}
