//! Row `backlog`: what a backlog of 8.6 kB events costs while it grows, and how fast it goes.
//!
//! Each round, with Kafka away: cost and memory at a backlog of nearly nothing, the backlog, cost and memory again. Then
//! three times `kill -9` and the time to the first 204: with all of it unpublished, of a bridge that has Kafka from then on;
//! in the middle of the drain, with a part of it left; with all of it published and retained. The drain is timed up to the
//! second kill, and beside it stands librdkafka alone with as many records. Before the first two kills the journal's files
//! leave the page cache: start and drain read them from the disk.
//!
//! Never happens: a drain that counts before the first record was confirmed, or one that was on its way then; a start in the
//! middle of a drain that was over.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use serde_json::json;
use support::settings::Settings;

use super::answer::{closed, fill};
use super::{Bench, Effort, cost};
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal, significant};
use crate::load::Outcome;
use crate::receiver::{self, NOBODY, Receiver};
use crate::round::wait_published_again;
use crate::stage::Series;
use crate::usage;

/// Fewer than the first events of each run, which fill it.
const INDEXED_EVENTS: u64 = 1_000;
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// Half of the shortest backlog is drained in a few of these.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How large it is: events of the backlog, and those of them that are left when the bridge is killed in the drain.
#[derive(Clone, Copy)]
struct Extent {
    events: u64,
    left: u64,
}

/// What one round gave.
struct Round {
    /// Microseconds for an event at no backlog, and at the backlog.
    cost: [f64; 2],
    peak_mib: [f64; 2],
    /// None of it published, all but [`Extent::left`], all.
    restart_seconds: [f64; 3],
    drain: Drain,
    /// librdkafka alone, events a second.
    floor: f64,
}

/// From the first event that is seen confirmed on.
struct Drain {
    events: u64,
    per_second: f64,
    /// Microseconds for an event.
    cost: f64,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let extent = Extent {
        events: bench.effort.pick(20_000, 150_000, 1_200_000),
        left: bench.effort.pick(10_000, 50_000, 120_000),
    };
    // A backlog of ten gigabytes takes its time and room: one round shows it.
    let count = if bench.effort == Effort::Long { 1 } else { bench.effort.few_rounds() };
    let rounds: Vec<Round> = (0..count).map(|number| round(bench, number, extent)).collect::<Result<_, _>>()?;
    Ok(figures(bench, extent, &rounds))
}

fn figures(bench: &Bench, extent: Extent, rounds: &[Round]) -> Vec<Figure> {
    let of = |one: fn(&Round) -> f64| rounds.iter().map(one).collect::<Vec<_>>();
    let pairs =
        |one: fn(&Round) -> f64, other: fn(&Round) -> f64| of(one).into_iter().zip(of(other)).collect::<Vec<_>>();
    let gigabytes =
        |events: u64| format!("{:.1} GB", events as f64 * bench.stage.library.mean_bytes(Size::Middle) / 1e9);
    let (size, left) = (gigabytes(extent.events), gigabytes(extent.left));
    let grown = significant(extent.events as f64);
    let case = format!("{grown} events");
    let drained = format!("{case}, until {} are left", significant(extent.left as f64));
    let flat = Goal::AtMost(1.1);
    let restart = |of_it: &str, values: Vec<f64>| {
        Figure::bound("restart", &format!("{size} in the journal, {of_it}"), Goal::AtMost(2.0), "s", &values)
    };
    vec![
        Figure::ratio(
            "drain",
            &drained,
            Goal::AtLeast(0.8),
            "events/s",
            &pairs(|r| r.drain.per_second, |r| r.floor),
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
        Figure::plain(
            "scale",
            &format!("drain of {drained}: read and published"),
            Goal::Told,
            "µs",
            &of(|r| r.drain.cost),
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
        .noted(format!("with an index of duplicates of {INDEXED_EVENTS} events, full from the beginning on")),
        restart("none of it published", of(|r| r.restart_seconds[0])),
        restart(&format!("{left} of it unpublished"), of(|r| r.restart_seconds[1])),
        restart("all of it published", of(|r| r.restart_seconds[2])),
    ]
}

fn round(bench: &Bench, number: usize, extent: Extent) -> Result<Round, String> {
    let stage = &bench.stage;
    let series = stage.series();
    let mut receiver = Receiver::bridge(with_a_full_index(receiver::settings(NOBODY, &series)));
    let mut sent = Vec::new();
    let [before, after] = grow(bench, &receiver, &series, extent.events, &mut sent)?;
    receiver.as_bridge().configure(&receiver::settings(&stage.kafka.brokers(), &series));
    forget(&receiver.as_bridge().journal_dir())?;
    let none_published = restart(bench, &mut receiver, &series, &mut sent)?;
    let wanted = kept(&sent);
    let drain = drain(&receiver, wanted - extent.left)?;
    forget(&receiver.as_bridge().journal_dir())?;
    let left = wanted.saturating_sub(receiver.published().unwrap_or_default());
    if left == 0 {
        return Err("the backlog was gone before the kill in its drain".to_owned());
    }
    let some_published = restart(bench, &mut receiver, &series, &mut sent)?;
    wait_published_again(stage, &receiver, &series, kept(&sent))?;
    let floor = cost::kafka(bench, Size::Middle, drain.events)?.events_per_second();
    let all_published = restart(bench, &mut receiver, &series, &mut sent)?;
    wait_published_again(stage, &receiver, &series, kept(&sent))?;
    let all: Vec<_> = sent.iter().map(|outcome| (Size::Middle, outcome)).collect();
    arrived::judge(stage, &series, &all).check(true)?;
    drop(receiver);
    stage.end(&series);
    let round = Round {
        cost: [before.0, after.0],
        peak_mib: [before.1, after.1],
        restart_seconds: [none_published, some_published, all_published],
        drain,
        floor,
    };
    bench.keep(
        "backlog",
        number,
        json!({
            "events": wanted,
            "left_at_the_kill_in_the_drain": left,
            "cpu_us_per_event": round.cost,
            "peak_mib": round.peak_mib,
            "restart_seconds_of_none_some_and_all_published": round.restart_seconds,
            "drained_events": round.drain.events,
            "drain_per_second": round.drain.per_second,
            "drain_cpu_us_per_event": round.drain.cost,
            "librdkafka_per_second": floor,
        }),
    );
    Ok(round)
}

/// An index of duplicates that is full before anything is looked at: what grows behind it is the backlog alone.
fn with_a_full_index(settings: Settings) -> Settings {
    settings.with(json!({ "duplicates": { "events_max": INDEXED_EVENTS } }))
}

/// The backlog, and cost and memory at its beginning and at its end.
fn grow(
    bench: &Bench,
    receiver: &Receiver,
    series: &Series,
    events: u64,
    sent: &mut Vec<Outcome>,
) -> Result<[(f64, f64); 2], String> {
    let step = bench.effort.pick(2_000, 20_000, 20_000);
    // The first ones fill the caches and are not looked at.
    part(bench, receiver, series, step / 2, sent)?;
    let before = part(bench, receiver, series, step, sent)?;
    part(bench, receiver, series, events.saturating_sub(kept(sent) + step).max(1), sent)?;
    let after = part(bench, receiver, series, step, sent)?;
    Ok([before, after])
}

fn kept(sent: &[Outcome]) -> u64 {
    sent.iter().map(Outcome::kept).sum()
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

/// The drain, from the first event that is seen confirmed until `wanted` are.
fn drain(receiver: &Receiver, wanted: u64) -> Result<Drain, String> {
    let (mut first, began) = (None, Instant::now());
    loop {
        let (published, cpu) = (receiver.published().unwrap_or_default(), usage::cpu(receiver.pid()));
        match first {
            None if published > 0 => first = Some((published, cpu, Instant::now())),
            Some((at, cpu_then, since)) if published >= wanted && published > at => {
                let events = published - at;
                let cost = (cpu - cpu_then).as_secs_f64() * 1e6 / events as f64;
                return Ok(Drain { events, per_second: events as f64 / since.elapsed().as_secs_f64(), cost });
            }
            _ => {}
        }
        if began.elapsed() > DRAINED_WITHIN {
            return Err(format!("{published} of {wanted} events are published after {DRAINED_WITHIN:?}"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
