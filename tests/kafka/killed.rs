//! `kill -9` of the bridge, under load.

use std::time::Duration;

use crate::proof::prove;
use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::judge::Circumstances;
use support::kafka::Kafka;
use support::sender::start_sending;
use support::settings::Settings;

#[test]
fn a_bridge_killed_three_times_in_the_middle_loses_nothing_and_repeats_only_what_it_had_sent() {
    let kafka = Kafka::shared();
    let sources = [Source::new("default", "/webhook", "killed.one."), Source::new("other", "/other", "killed.two.")];
    kafka.create_all(&sources.each_ref().map(|source| &**source), 3, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &sources.each_ref()));
    let mut maker = Maker::new(9);
    let stories = (0..400).map(|n| maker.story(&sources[n % 2])).collect();
    let sending = start_sending(&bridge, stories, 8, Duration::from_millis(15));
    for share in [20, 45, 70] {
        sending.wait_share(share);
        bridge.kill();
        assert!(sending.sent() < sending.total, "the kill came too late to prove anything");
        bridge.start_again();
    }
    let ledger = sending.finish();
    ledger.assert_all_kept();
    let interrupted = ledger.entries.iter().filter(|entry| entry.statuses.len() > 1).count();
    println!("{interrupted} events had to be sent again by the sender");
    let circumstances = Circumstances { kills: 3, ..Circumstances::default() };
    prove(kafka, &mut bridge, "killed.", &ledger, &circumstances);
}
