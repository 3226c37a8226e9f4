//! Row `memory`: the index of duplicates is filled to its bound, then 500 events/s of the mix come, then a burst of it over 64
//! connections and one over 512.
//!
//! Never happens: a peak from before the part that it is told of; an index that is called full and is not.

use std::time::Duration;

use serde_json::json;

use super::Bench;
use super::slices::Slices;
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal, significant};
use crate::load::{self, Order, Outcome, Pace, Until};
use crate::receiver::{Kind, Receiver};
use crate::round::wait_published;
use crate::stage::Series;
use crate::usage;

/// `duplicates.events_max` as it comes.
const INDEX_EVENTS: u64 = 500_000;
const BURSTS: [usize; 2] = [64, 512];

/// The most that was resident in each part, MiB.
struct Peaks {
    quiet: f64,
    /// Not the most, but what it was at the quiet part's end.
    resident: f64,
    bursts: [f64; 2],
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let events = bench.effort.pick(20_000, INDEX_EVENTS, INDEX_EVENTS);
    let mut rounds = Vec::new();
    for number in 0..bench.effort.pick(1, 1, 3) {
        let peaks = round(bench, events)?;
        let told = json!({
            "index": events,
            "peak_mib": peaks.quiet,
            "resident_mib": peaks.resident,
            "burst_of_64_and_512_peak_mib": peaks.bursts,
        });
        bench.keep("memory", number, told);
        rounds.push(peaks);
    }
    let of = |one: &dyn Fn(&Peaks) -> f64| rounds.iter().map(one).collect::<Vec<_>>();
    let index = format!("{} events in the index", significant(events as f64));
    let quiet = Figure::bound("memory-index", &index, Goal::AtMost(64.0), "MiB", &of(&|peaks| peaks.quiet));
    let bursts = (0..BURSTS.len()).map(|at| {
        let case = format!("mix, {} connections, {index}", BURSTS[at]);
        Figure::bound("memory-burst", &case, Goal::AtMost(160.0), "MiB", &of(&|peaks| peaks.bursts[at]))
    });
    Ok(std::iter::once(quiet).chain(bursts).collect())
}

fn round(bench: &Bench, events: u64) -> Result<Peaks, String> {
    let stage = &bench.stage;
    let series = stage.series();
    let receiver = Receiver::start(Kind::Bridge, &stage.kafka.brokers(), &series)?;
    let fill = (Size::Small, 256, Until::events(events));
    let filled = closed(bench, &receiver, &series, series.first, fill);
    if filled.kept() != events {
        return Err(format!("{} of {events} events were answered 2xx: the index is not full", filled.kept()));
    }
    let mut wanted = filled.kept();
    wait_published(stage, &receiver, &series, wanted)?;
    let mut first = series.first + events;
    let mut quiet = Slices::default();
    // What the burst has left behind goes first.
    quiet.load(bench, &receiver, &series, &mut first, bench.effort.seconds(1.0, 5.0, 10.0));
    usage::reset_peak(receiver.pid());
    quiet.load(bench, &receiver, &series, &mut first, bench.effort.seconds(1.0, 10.0, 60.0));
    let (peak, resident) = (mib(usage::peak_bytes(receiver.pid())), mib(usage::resident_bytes(receiver.pid())));
    quiet.check_all_kept()?;
    wanted += quiet.kept();
    wait_published(stage, &receiver, &series, wanted)?;
    let (mut bursts, mut sent) = ([0.0; 2], Vec::new());
    for (at, connections) in BURSTS.into_iter().enumerate() {
        usage::reset_peak(receiver.pid());
        let load = (Size::Mix, connections, Until::time(bench.effort.burst_time()));
        let burst = closed(bench, &receiver, &series, first, load);
        first += burst.statuses.len() as u64;
        wanted += burst.kept();
        sent.push(burst);
        wait_published(stage, &receiver, &series, wanted)?;
        bursts[at] = mib(usage::peak_bytes(receiver.pid()));
        // Memory that is given back late is not the next burst's.
        std::thread::sleep(Duration::from_secs(1));
    }
    let sent = sent.iter().map(|burst| (Size::Mix, burst)).chain(quiet.sent()).chain([(Size::Small, &filled)]);
    arrived::judge(stage, &series, &sent.collect::<Vec<_>>()).check(false)?;
    drop(receiver);
    stage.end(&series);
    Ok(Peaks { quiet: peak, resident, bursts })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn closed(
    bench: &Bench,
    receiver: &Receiver,
    series: &Series,
    first: u64,
    (size, connections, until): (Size, usize, Until),
) -> Outcome {
    load::run(&Order {
        to: receiver.address(),
        paths: &series.paths,
        library: &bench.stage.library,
        size,
        first,
        pace: Pace::Closed { connections },
        until,
    })
}
