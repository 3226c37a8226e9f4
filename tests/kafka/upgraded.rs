//! An upgrade in miniature: what the StatefulSet does to one instance, under load.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::proof::prove_plainly;
use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::kafka::{Kafka, free_port};
use support::sender::start_sending;
use support::settings::Settings;

/// Of `shutdown`, shorter than the chart's 25 s.
const DEADLINE: Duration = Duration::from_secs(10);
/// The chart's `terminationGracePeriodSeconds`: what lives longer is killed.
const GRACE: Duration = Duration::from_secs(10 + 10);
/// Until the volume is mounted again and the image runs.
const AWAY: Duration = Duration::from_millis(500);

#[test]
fn three_upgrades_under_load_lose_and_repeat_nothing_and_senders_meet_only_refused_connections() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "upgraded.");
    kafka.create_all(&[&source], 3, &[]);
    let address = format!("127.0.0.1:{}", free_port());
    let deadline = format!("{}s", DEADLINE.as_secs());
    let settings = Settings::new(&kafka.brokers(), &[&source])
        .with(json!({ "listen": address, "shutdown": { "delay": "1s", "deadline": deadline } }));
    let mut bridge = Bridge::start(settings);
    let mut maker = Maker::new(61);
    let stories = (0..700).map(|_| maker.story(&source)).collect();
    let sending = start_sending(&bridge, stories, 8, Duration::from_millis(20));
    for share in [10, 40, 70] {
        sending.wait_share(share);
        let (status, took) = bridge.stop();
        assert_eq!(status.code(), Some(0), "an upgrade is no failure");
        assert!(took < GRACE, "the kubelet would have killed it: it took {took:?}");
        println!("stopped in {took:?} at {} of {}", sending.sent(), sending.total);
        thread::sleep(AWAY);
        assert!(sending.sent() < sending.total, "the upgrade came too late to prove anything");
        bridge.start_again();
    }
    let ledger = sending.finish();
    let mut met = BTreeMap::new();
    for entry in &ledger.entries {
        entry.failures.iter().for_each(|kind| *met.entry(format!("{kind:?}")).or_insert(0) += 1);
        let refusals = entry.statuses.iter().filter(|status| **status >= 300);
        refusals.for_each(|status| *met.entry(status.to_string()).or_insert(0) += 1);
    }
    println!("met {met:?}");
    prove_plainly(kafka, &mut bridge, "upgraded.", &ledger);
    assert_eq!(met.keys().collect::<Vec<_>>(), ["ConnectionRefused"], "{met:?}");
}
