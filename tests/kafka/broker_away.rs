//! Kafka is away: at the start, in the middle, at the end. No answer waits for it, and nothing is lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::proof::prove_plainly;
use support::bridge::Bridge;
use support::events::{Event, Maker, Source};
use support::kafka::Kafka;
use support::ledger::Ledger;
use support::sender::{send_all, start_sending};
use support::settings::Settings;

fn stories(maker: &mut Maker, source: &Arc<Source>, count: usize) -> Vec<Vec<Event>> {
    (0..count).map(|_| maker.story(source)).collect()
}

/// Every event was kept at the first attempt: no answer depended on Kafka.
fn assert_kept_at_once(ledger: &Ledger) {
    let late: Vec<_> =
        ledger.entries.iter().map(|entry| &entry.statuses).filter(|statuses| statuses.len() != 1).collect();
    assert!(late.is_empty(), "{} events needed more than one attempt: {:?}", late.len(), late[0]);
}

#[test]
fn a_broker_that_goes_and_comes_back_twice_in_the_middle_costs_nothing() {
    let mut kafka = Kafka::start();
    let source = Source::new("default", "/webhook", "away.");
    kafka.create_all(&[&source], 3, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let sending = start_sending(&bridge, stories(&mut Maker::new(41), &source, 400), 6, Duration::from_millis(100));
    sending.wait_share(20);
    kafka.stop();
    sending.wait_share(40);
    kafka.up();
    sending.wait_share(65);
    kafka.kill();
    sending.wait_share(80);
    assert!(bridge.is_ready(), "Kafka never gates readiness");
    kafka.up();
    let ledger = sending.finish();
    assert_kept_at_once(&ledger);
    prove_plainly(&kafka, &mut bridge, "away.", &ledger);
}

#[test]
fn started_without_a_broker_it_is_ready_at_once_and_everything_arrives_when_the_broker_comes() {
    let mut kafka = Kafka::prepare();
    let source = Source::new("default", "/webhook", "late.");
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    assert!(bridge.is_ready(), "a bridge that listens is ready, broker or not");
    println!("listening {:?} after the command", bridge.started_in);
    // The promise is one second; the rest is for a machine that builds and runs brokers beside.
    assert!(bridge.started_in < Duration::from_secs(5), "it took {:?}", bridge.started_in);
    let ledger = send_all(&bridge, stories(&mut Maker::new(42), &source, 60), 4, Duration::ZERO);
    assert_kept_at_once(&ledger);
    assert_eq!(bridge.metrics().get("kafka_up", &[]), 0.0);
    kafka.up();
    kafka.create_all(&[&source], 2, &[]);
    prove_plainly(&kafka, &mut bridge, "late.", &ledger);
}

#[test]
fn told_to_stop_with_a_dead_broker_it_ends_in_time_and_the_next_start_publishes_the_rest() {
    let mut kafka = Kafka::start();
    let source = Source::new("default", "/webhook", "dead.");
    kafka.create_all(&[&source], 2, &[]);
    let deadline = Duration::from_secs(4);
    let settings = Settings::new(&kafka.brokers(), &[&source]);
    let mut bridge = Bridge::start(settings.with(json!({ "shutdown": { "deadline": "4s" } })));
    let mut maker = Maker::new(43);
    let mut ledger = send_all(&bridge, stories(&mut maker, &source, 40), 4, Duration::ZERO);
    // What is on its way when the broker dies is in doubt, and may come twice; here nothing is.
    kafka.wait_count("dead.", ledger.kept(), Duration::from_secs(60));
    bridge.wait_metrics("an empty backlog", |m| m.get("journal_backlog_events", &[]) == 0.0);
    kafka.kill();
    ledger.extend(send_all(&bridge, stories(&mut maker, &source, 40), 4, Duration::ZERO));

    let (status, took) = bridge.stop();
    assert_eq!(status.code(), Some(0), "what is left in the journal is no failure");
    assert!(took < deadline + Duration::from_secs(10), "it took {took:?}");

    bridge.start_again();
    bridge.wait_ready();
    ledger.extend(send_all(&bridge, stories(&mut maker, &source, 20), 4, Duration::ZERO));
    assert_kept_at_once(&ledger);
    kafka.up();
    let records = prove_plainly(&kafka, &mut bridge, "dead.", &ledger);
    assert_eq!(records.len(), ledger.kept(), "the stop marked what was sent, so nothing is sent again");
}
