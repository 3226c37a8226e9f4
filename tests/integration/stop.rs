//! The end of the real binary, as signals bring it about.

use std::time::{Duration, Instant};

use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::sender::Sender;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

#[test]
fn a_second_signal_ends_a_bridge_that_waits_for_kafka_at_once_and_its_events_stay() {
    let source = Source::new("default", "/webhook", "stop.");
    let mut bridge = Bridge::start(Settings::new(NOWHERE, &[&source]));
    let mut maker = Maker::new(51);
    let id = maker.id();
    assert!(Sender::to(&bridge).send(&maker.event(&source, "call_ended", &id, false)));
    let began = Instant::now();
    let status = bridge.stop_hurried(Duration::from_secs(1));
    assert_eq!(status.code(), Some(1), "what waits was not published");
    assert!(began.elapsed() < Duration::from_secs(10), "the deadline is 20 s, and it took {:?}", began.elapsed());
    bridge.start_again();
    bridge.wait_metrics("the event in the backlog", |metrics| metrics.get("journal_backlog_events", &[]) == 1.0);
    bridge.kill();
}
