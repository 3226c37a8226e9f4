//! A topic that does not exist stops its own lane and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::proof::prove_plainly;
use support::bridge::Bridge;
use support::events::{Event, Maker, Source};
use support::kafka::Kafka;
use support::sender::Sender;
use support::settings::Settings;
use support::topics::LARGE;

/// How long the topic stays away, unless `RETELL_BRIDGE_TEST_ABSENT_SECONDS` says otherwise. Beyond librdkafka's 30 s of
/// patience with a topic nobody knows, several times over.
const ABSENT: Duration = Duration::from_secs(120);
const ABSENT_VARIABLE: &str = "RETELL_BRIDGE_TEST_ABSENT_SECONDS";
const TOPIC: &str = "absent.call_ended";

fn absent() -> Duration {
    let seconds = std::env::var(ABSENT_VARIABLE).ok().map(|text| text.parse().expect("a number of seconds"));
    seconds.map_or(ABSENT, Duration::from_secs)
}

fn story(maker: &mut Maker, source: &std::sync::Arc<Source>) -> Vec<Event> {
    let id = maker.id();
    let types = ["call_started", "call_ended", "call_ended", "transcript_updated", "call_ended", "call_analyzed"];
    types.iter().map(|kind| maker.sized(source, kind, &id, false, 3000)).collect()
}

/// Names of the files that hold the journal's segments and more; spares may come and go.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("the bridge has made its journal");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_topic_made_two_minutes_late_gets_its_events_in_order_and_the_others_never_waited() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "absent.");
    kafka.create_all(&[&source], 3, &["call_ended"]);
    // Published segments may go after a minute, but for the lane that has not passed them.
    let short = json!({ "journal": { "retention": "60s" }, "duplicates": { "window": "60s" } });
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]).with(short));
    let mut maker = Maker::new(77);
    let mut sender = Sender::to(&bridge);
    let (began, absent) = (Instant::now(), absent());
    let mut first_files = BTreeSet::new();
    while began.elapsed() < absent {
        story(&mut maker, &source).iter().for_each(|event| assert!(sender.send(event)));
        if first_files.is_empty() {
            first_files = files(&bridge.journal_dir().join("journal"));
        }
        thread::sleep(Duration::from_millis(500));
    }

    let waiting = sender.ledger.kept_on(TOPIC);
    kafka.wait_count("absent.", sender.ledger.kept() - waiting, Duration::from_secs(20));
    assert_eq!(kafka.partitions(TOPIC), 0, "nobody may have made the topic by asking for it");
    let label = format!("topic=\"{TOPIC}\"");
    let stalled = |metrics: &support::bridge::Metrics| metrics.get("lane_stalled", &[&label]) == 1.0;
    let metrics = bridge.wait_metrics("the stalled lane", stalled);
    assert_eq!(metrics.get("lane_stalled", &[]), 1.0, "one lane alone is stalled");
    assert_eq!(metrics.get("journal_backlog_events", &[&label]), waiting as f64);
    assert!(metrics.get("journal_oldest_unpublished_seconds", &[&label]) >= absent.as_secs_f64() * 0.9);
    assert!(bridge.is_ready());
    let now = files(&bridge.journal_dir().join("journal"));
    // A file that is being made has another name when it is ready.
    let gone: Vec<_> = first_files.difference(&now).filter(|name| !name.ends_with(".new")).cloned().collect();
    assert!(gone.is_empty(), "segments that a lane still needs are gone: {gone:?}");

    kafka.create_topic(TOPIC, 3, &[("max.message.bytes", LARGE)]);
    story(&mut maker, &source).iter().for_each(|event| assert!(sender.send(event)));
    let unstalled = |metrics: &support::bridge::Metrics| metrics.get("lane_stalled", &[]) == 0.0;
    bridge.wait_metrics("the lane to go on", unstalled);
    prove_plainly(kafka, &mut bridge, "absent.", &sender.ledger);
}
