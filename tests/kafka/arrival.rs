//! The main job: what is answered 2xx is on its topic.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::proof::prove_plainly;
use support::bridge::Bridge;
use support::events::{Event, Maker, Source, TYPES};
use support::kafka::Kafka;
use support::sender::send_all;
use support::settings::Settings;

const STORIES: usize = 700;

#[test]
fn thousands_of_mixed_events_from_concurrent_senders_arrive_whole_once_and_in_order() {
    let kafka = Kafka::shared();
    let sources = [
        Source::new("default", "/webhook", "arrival.one."),
        Source::new("sales", "/hooks/sales", "arrival.two."),
        Source::new("support", "/hooks/support/", "arrival.three."),
    ];
    kafka.create_all(&sources.each_ref().map(|source| &**source), 3, &[]);
    let settings = Settings::new(&kafka.brokers(), &sources.each_ref());
    // While a key is being changed both are live; the senders sign with the later one.
    let two_keys = json!({ "sources": { "sales": { "keys": ["key_made_up_before", sources[1].api_key] } } });
    let mut bridge = Bridge::start(settings.with(two_keys));

    let mut maker = Maker::new(20_261_123);
    let mut stories: Vec<Vec<Event>> = (0..STORIES).map(|n| maker.story(&sources[n % 3])).collect();
    for (source, size) in sources.iter().zip([2 << 20, 300, (2 << 20) - 1]) {
        let id = maker.id();
        stories.push(vec![maker.sized(source, "call_analyzed", &id, false, size)]);
    }
    let types: BTreeSet<String> = stories.iter().flatten().map(|event| event.kind.clone()).collect();
    assert_eq!(types.len(), TYPES.len(), "every documented type is among them");

    let ledger = send_all(&bridge, stories, 12, Duration::ZERO);
    kafka.wait_count("arrival.", ledger.kept(), Duration::from_secs(90));
    let metrics = bridge.wait_metrics("an empty backlog", |m| m.get("journal_backlog_events", &[]) == 0.0);
    let records = prove_plainly(kafka, &mut bridge, "arrival.", &ledger);

    assert!(records.len() > 2000, "only {} records", records.len());
    assert_eq!(metrics.get("events_received_total", &[]), ledger.kept() as f64);
    assert_eq!(metrics.get("events_refused_total", &[]), 0.0);
    assert_eq!(metrics.get("events_duplicate_total", &[]), 0.0);
    for topic in records.iter().map(|record| record.topic.as_str()).collect::<BTreeSet<_>>() {
        let found = records.iter().filter(|record| record.topic == topic).count();
        let counted = metrics.get("events_published_total", &[&format!("topic=\"{topic}\"")]);
        assert_eq!(counted, found as f64, "events_published_total of {topic}");
    }
}
