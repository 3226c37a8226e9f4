//! Row `memory`: the index of duplicates is filled to its bound, then 500 events/s of the mix come.
//!
//! Never happens: a peak from before the quiet part.

use serde_json::json;

use super::Bench;
use super::slices::Slices;
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::load::{self, Order, Pace, Until};
use crate::receiver::{Kind, Receiver};
use crate::round::wait_published;
use crate::usage;

/// `duplicates.events_max` as it comes.
const INDEX_EVENTS: u64 = 500_000;

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let events = bench.effort.pick(20_000, INDEX_EVENTS, INDEX_EVENTS);
    let mut peaks = Vec::new();
    for number in 0..bench.effort.pick(1, 1, 3) {
        let (peak_mib, resident_mib) = round(bench, events)?;
        bench.keep("memory", number, json!({ "index": events, "peak_mib": peak_mib, "resident_mib": resident_mib }));
        peaks.push(peak_mib);
    }
    let case = format!("{} events in the index", crate::figures::significant(events as f64));
    Ok(vec![Figure::plain("memory-index", &case, Goal::AtMost(64.0), "MiB", &peaks)])
}

fn round(bench: &Bench, events: u64) -> Result<(f64, f64), String> {
    let stage = &bench.stage;
    let series = stage.series();
    let receiver = Receiver::start(Kind::Bridge, &stage.kafka.brokers(), &series)?;
    let filled = load::run(&Order {
        to: receiver.address(),
        paths: &series.paths,
        library: &stage.library,
        size: Size::Small,
        first: series.first,
        pace: Pace::Closed { connections: 256 },
        until: Until::events(events),
    });
    wait_published(stage, &receiver, &series, filled.kept())?;
    let mut first = series.first + events;
    let mut quiet = Slices::default();
    // What the burst has left behind goes first.
    quiet.load(bench, &receiver, &series, &mut first, bench.effort.seconds(1.0, 5.0, 10.0));
    usage::reset_peak(receiver.pid());
    quiet.load(bench, &receiver, &series, &mut first, bench.effort.seconds(1.0, 10.0, 60.0));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let told = (mib(usage::peak_bytes(receiver.pid())), mib(usage::resident_bytes(receiver.pid())));
    quiet.check_all_kept()?;
    wait_published(stage, &receiver, &series, filled.kept() + quiet.kept())?;
    let sent: Vec<_> = quiet.sent().chain([(Size::Small, &filled)]).collect();
    arrived::judge(stage, &series, &sent).check(false)?;
    drop(receiver);
    stage.end(&series);
    Ok(told)
}
