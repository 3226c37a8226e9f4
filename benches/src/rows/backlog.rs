//! Row `backlog`: what a backlog of 8.6 kB events costs while it grows, and how fast it goes.
//!
//! Each round, with Kafka away: cost and memory at a backlog of nearly nothing, the backlog, cost and memory again; `kill -9`,
//! the time to the first 204 of a bridge that now has Kafka; the drain, and librdkafka alone with as many records; `kill -9`
//! again, with all of it published and retained. Before the first kill the journal's files leave the page cache: start and
//! drain read them from the disk.
//!
//! Never happens: a drain that counts before the first record was confirmed, or one that was on its way then.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use serde_json::json;

use super::answer::{closed, fill};
use super::{Bench, Effort, cost};
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::load::Outcome;
use crate::receiver::{self, Kind, NOBODY, Receiver};
use crate::stage::Series;
use crate::usage;

/// What one round gave.
struct Round {
    /// Microseconds for an event at no backlog, and at the backlog.
    cost: [f64; 2],
    peak_mib: [f64; 2],
    restart_seconds: [f64; 2],
    drain: f64,
    floor: f64,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let events = bench.effort.pick(5_000, 100_000, 1_000_000);
    // A backlog of ten gigabytes takes its time and room: one round shows it.
    let count = if bench.effort == Effort::Long { 1 } else { bench.effort.few_rounds() };
    let rounds: Vec<Round> = (0..count).map(|number| round(bench, number, events)).collect::<Result<_, _>>()?;
    let of = |one: fn(&Round) -> f64| rounds.iter().map(one).collect::<Vec<_>>();
    let pairs =
        |one: fn(&Round) -> f64, other: fn(&Round) -> f64| of(one).into_iter().zip(of(other)).collect::<Vec<_>>();
    let grown = crate::figures::significant(events as f64);
    let size = format!("{:.1} GB", events as f64 * bench.stage.library.mean_bytes(Size::Middle) / 1e9);
    let case = format!("{} events", crate::figures::significant(events as f64));
    let flat = Goal::AtMost(1.1);
    Ok(vec![
        Figure::ratio(
            "drain",
            &case,
            Goal::AtLeast(0.8),
            "events/s",
            &pairs(|r| r.drain, |r| r.floor),
            "librdkafka alone",
        ),
        Figure::ratio(
            "scale",
            &format!("backlog {case}, received and kept while Kafka is away"),
            flat,
            "µs",
            &pairs(|r| r.cost[1], |r| r.cost[0]),
            "nearly no backlog",
        ),
        Figure::ratio(
            "memory-backlog",
            &format!("{size} of backlog"),
            flat,
            "MiB",
            &pairs(|r| r.peak_mib[1], |r| r.peak_mib[0]),
            "nearly no backlog",
        )
        .by_largest()
        .noted(format!("the index of duplicates grows by up to {grown} events meanwhile, and is in it")),
        Figure::bound(
            "restart",
            &format!("{size} in the journal, none of it published"),
            Goal::AtMost(2.0),
            "s",
            &of(|r| r.restart_seconds[0]),
        ),
        Figure::bound(
            "restart",
            &format!("{size} in the journal, all of it published"),
            Goal::AtMost(2.0),
            "s",
            &of(|r| r.restart_seconds[1]),
        ),
    ])
}

fn round(bench: &Bench, number: usize, events: u64) -> Result<Round, String> {
    let stage = &bench.stage;
    let series = stage.series();
    let mut receiver = Receiver::start(Kind::Bridge, NOBODY, &series)?;
    let mut sent = Vec::new();
    let step = bench.effort.pick(2_000, 20_000, 20_000);
    // The first ones fill the caches and are not looked at.
    let (_, _) = part(bench, &receiver, &series, step / 2, &mut sent)?;
    let before = part(bench, &receiver, &series, step, &mut sent)?;
    let filled = sent.iter().map(Outcome::kept).sum::<u64>();
    part(bench, &receiver, &series, events.saturating_sub(filled + step).max(1), &mut sent)?;
    let after = part(bench, &receiver, &series, step, &mut sent)?;
    receiver.as_bridge().configure(&receiver::settings(&stage.kafka.brokers(), &series));
    forget(&receiver.as_bridge().journal_dir())?;
    let unpublished = restart(bench, &mut receiver, &series, &mut sent)?;
    let wanted = sent.iter().map(Outcome::kept).sum();
    let drain = drained(&receiver, wanted)?;
    crate::round::wait_published(stage, &receiver, &series, wanted)?;
    let floor = cost::kafka(bench, Size::Middle, wanted)?.events_per_second();
    let published = restart(bench, &mut receiver, &series, &mut sent)?;
    crate::round::wait_published(stage, &receiver, &series, 1)?;
    let all: Vec<_> = sent.iter().map(|outcome| (Size::Middle, outcome)).collect();
    arrived::judge(stage, &series, &all).check(true)?;
    drop(receiver);
    stage.end(&series);
    let round = Round {
        cost: [before.0, after.0],
        peak_mib: [before.1, after.1],
        restart_seconds: [unpublished, published],
        drain,
        floor,
    };
    bench.keep(
        "backlog",
        number,
        json!({
            "events": wanted,
            "cpu_us_per_event": round.cost,
            "peak_mib": round.peak_mib,
            "restart_seconds": round.restart_seconds,
            "drain_per_second": drain,
            "librdkafka_per_second": floor,
        }),
    );
    Ok(round)
}

/// Some more events; microseconds for each, and the most memory meanwhile.
fn part(
    bench: &Bench,
    receiver: &Receiver,
    series: &Series,
    events: u64,
    sent: &mut Vec<Outcome>,
) -> Result<(f64, f64), String> {
    let first = series.first + sent.iter().map(|outcome| outcome.statuses.len() as u64).sum::<u64>();
    usage::reset_peak(receiver.pid());
    let cpu = usage::cpu(receiver.pid());
    sent.push(fill(bench, receiver, series, first, events)?);
    let cpu = usage::cpu(receiver.pid()) - cpu;
    let peak_mib = usage::peak_bytes(receiver.pid()) as f64 / f64::from(1 << 20);
    Ok((cpu.as_secs_f64() * 1e6 / events as f64, peak_mib))
}

/// Lets the kernel forget what it has cached of the files in `folder`, all of which are synced.
fn forget(folder: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_file() {
            let file = File::open(&path).map_err(told)?;
            fadvise(&file, 0, None, Advice::DontNeed).map_err(|error| told(error.into()))?;
        }
    }
    Ok(())
}

/// `kill -9`, and seconds until the first 204.
fn restart(bench: &Bench, receiver: &mut Receiver, series: &Series, sent: &mut Vec<Outcome>) -> Result<f64, String> {
    let first = series.first + sent.iter().map(|outcome| outcome.statuses.len() as u64).sum::<u64>();
    let began = Instant::now();
    receiver.kill();
    let outcome = closed(bench, receiver, series, first, 1, 1);
    let took = began.elapsed().as_secs_f64();
    let kept = outcome.kept();
    sent.push(outcome);
    if kept == 1 { Ok(took) } else { Err("the first event after kill -9 was not answered 2xx".to_owned()) }
}

/// Events a second, from the first that is seen confirmed to the last.
fn drained(receiver: &Receiver, wanted: u64) -> Result<f64, String> {
    let (mut first, began) = (None, Instant::now());
    loop {
        let published = receiver.published().unwrap_or_default();
        match first {
            None if published > 0 => first = Some((published, Instant::now())),
            Some((at, since)) if published >= wanted => {
                let events = (published - at) as f64;
                return Ok(events / since.elapsed().as_secs_f64());
            }
            _ => {}
        }
        if began.elapsed() > Duration::from_secs(600) {
            return Err(format!("{published} of {wanted} events are published after ten minutes"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
