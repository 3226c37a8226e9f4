//! What is one event and what are two.

use std::thread;

use crate::proof::{prove, prove_plainly};
use support::bridge::Bridge;
use support::events::{BY_CLOCK, Event, Maker, Source, TYPES};
use support::judge::Circumstances;
use support::kafka::Kafka;
use support::ledger::{Entry, Ledger};
use support::sender::Sender;
use support::settings::Settings;
use support::sign::now_ms;

/// Sends again what is in the ledger, as it was signed, or where bytes alone identify, signed anew.
fn repeat(bridge: &Bridge, ledger: &mut Ledger, sign_anew: bool) -> usize {
    let repeats = |entry: &&Entry| !sign_anew || !entry.event.by_clock;
    let entries: Vec<Entry> = ledger.by_id().into_values().filter(|entry| repeats(&entry)).collect();
    let mut sender = Sender::to(bridge);
    for entry in &entries {
        sender.send_at(&entry.event, if sign_anew { entry.v + 1 } else { entry.v });
    }
    ledger.extend(sender.ledger);
    entries.len()
}

#[test]
fn a_repeat_within_the_window_adds_nothing_also_after_a_stop_and_after_a_kill() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "repeats.");
    kafka.create_all(&[&source], 2, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(5);
    let mut sender = Sender::to(&bridge);
    for kind in TYPES.iter().cycle().take(39) {
        let id = maker.id();
        sender.send(&maker.sized(&source, kind, &id, kind.starts_with("chat"), 1000));
    }
    let mut ledger = sender.ledger;
    let first = ledger.kept();

    let repeated = repeat(&bridge, &mut ledger, false) + repeat(&bridge, &mut ledger, true);
    let metrics = bridge.metrics();
    assert_eq!(metrics.get("events_received_total", &[]), first as f64);
    assert_eq!(metrics.get("events_duplicate_total", &[]), repeated as f64);
    bridge.stop_cleanly();
    bridge.start_again();
    repeat(&bridge, &mut ledger, false);
    bridge.kill();
    bridge.start_again();
    let last = repeat(&bridge, &mut ledger, false) + repeat(&bridge, &mut ledger, true);
    assert_eq!(bridge.metrics().get("events_duplicate_total", &[]), last as f64);

    ledger.assert_all_kept();
    assert_eq!(ledger.kept(), first);
    prove(kafka, &mut bridge, "repeats.", &ledger, &Circumstances { kills: 1, ..Circumstances::default() });
}

#[test]
fn one_event_sent_by_eight_connections_at_once_is_one_record() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "at_once.");
    kafka.create_topic("at_once.call_ended", 2, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(6);
    let mut ledger = Ledger::default();
    for _ in 0..25 {
        let id = maker.id();
        let (event, v) = (maker.sized(&source, "call_ended", &id, false, 2000), now_ms());
        let send = |event: Event| {
            let mut sender = Sender::to(&bridge);
            thread::spawn(move || {
                sender.send_at(&event, v);
                sender.ledger
            })
        };
        let threads: Vec<_> = (0..8).map(|_| send(event.clone())).collect();
        threads.into_iter().for_each(|thread| ledger.extend(thread.join().expect("a sender does not panic")));
    }
    assert_eq!((ledger.entries.len(), ledger.kept()), (200, 25));
    let records = prove_plainly(kafka, &mut bridge, "at_once.", &ledger);
    assert_eq!(records.len(), 25);
}

#[test]
fn two_transfers_with_equal_bytes_and_different_clocks_are_two_events() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "clocks.");
    kafka.create_all(&[&source], 1, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let mut maker = Maker::new(8);
    let mut sender = Sender::to(&bridge);
    let now = now_ms();
    for kind in BY_CLOCK {
        let id = maker.id();
        let event = maker.sized(&source, kind, &id, kind.starts_with("chat"), 700);
        sender.send_at(&event, now);
        sender.send_at(&event, now + 1);
        sender.send_at(&event, now);
    }
    let ledger = sender.ledger;
    assert_eq!(ledger.kept(), 2 * BY_CLOCK.len());
    let records = prove_plainly(kafka, &mut bridge, "clocks.", &ledger);
    assert_eq!(records.len(), 2 * BY_CLOCK.len());
}
