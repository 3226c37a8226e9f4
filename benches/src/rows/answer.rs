//! Row `answer`: 500 events/s of the mix in an open loop, while Kafka is there, while it is away, while a backlog drains.
//!
//! Each round: slices of the quiet bridge, of a second bridge whose Kafka is away, of bare actix-web that only checks the
//! signature, and of an fdatasync of equal-sized writes, in turns, and of 4 KiB each, for whoever compares machines; then
//! the second bridge gets a backlog, is killed, and started with Kafka, and answers while it drains.
//!
//! Never happens: an answer's time from anything but the planned time; a slice counted as draining in which the backlog ended.

use serde_json::json;
use support::tools;

use super::Bench;
use super::slices::{PER_SECOND, Slices};
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal, significant};
use crate::floors::disk::Disk;
use crate::load::{self, Order, Outcome, Pace, Until};
use crate::receiver::{self, Kind, NOBODY, Receiver};
use crate::round::wait_published;
use crate::stage::Series;

/// Slices of each kind in a round.
const TURNS: usize = 3;

/// Quantiles of one round, milliseconds.
struct Round {
    disk: [f64; 2],
    block: [f64; 2],
    bare: [f64; 2],
    quiet: [f64; 2],
    /// By how much the generator was late with events of the quiet ones, p99 of the worst slice.
    late: f64,
    away: [f64; 2],
    draining: [f64; 2],
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let rounds: Vec<Round> = (0..bench.effort.rounds()).map(|number| round(bench, number)).collect::<Result<_, _>>()?;
    let pairs = |one: fn(&Round) -> f64, other: fn(&Round) -> f64| {
        rounds.iter().map(|round| (one(round), other(round))).collect::<Vec<_>>()
    };
    let disk = "write and fdatasync";
    let sum = "bare actix-web with HMAC, and one write and fdatasync";
    let late = rounds.iter().map(|round| round.late).fold(0.0, f64::max);
    Ok(vec![
        Figure::ratio("answer-quiet", "p50", Goal::AtMost(1.7), "ms", &pairs(|r| r.quiet[0], |r| r.disk[0]), disk),
        Figure::ratio("answer-quiet", "p99", Goal::AtMost(2.5), "ms", &pairs(|r| r.quiet[1], |r| r.disk[1]), disk)
            .noted(format!("in it the load generator's own lateness, p99 of the worst slice {} ms", significant(late))),
        Figure::ratio(
            "answer-quiet",
            "p50, against the sum of two floors' p50",
            Goal::Told,
            "ms",
            &pairs(|r| r.quiet[0], |r| r.disk[0] + r.bare[0]),
            sum,
        ),
        Figure::ratio(
            "answer-quiet",
            "p99, against the sum of two floors' p99",
            Goal::Told,
            "ms",
            &pairs(|r| r.quiet[1], |r| r.disk[1] + r.bare[1]),
            sum,
        ),
        Figure::ratio(
            "answer-trouble",
            "Kafka away, p99",
            Goal::AtMost(1.5),
            "ms",
            &pairs(|r| r.away[1], |r| r.quiet[1]),
            "quiet",
        )
        .noted("a broker at work on the same processors stands beside the quiet one alone"),
        Figure::ratio(
            "answer-trouble",
            "a backlog draining, p99",
            Goal::AtMost(1.5),
            "ms",
            &pairs(|r| r.draining[1], |r| r.quiet[1]),
            "quiet",
        ),
        Figure::plain("disk", "p50", Goal::Told, "ms", &rounds.iter().map(|r| r.block[0]).collect::<Vec<_>>()),
        Figure::plain("disk", "p99", Goal::Told, "ms", &rounds.iter().map(|r| r.block[1]).collect::<Vec<_>>()),
    ])
}

fn round(bench: &Bench, number: usize) -> Result<Round, String> {
    let stage = &bench.stage;
    let time = bench.effort.seconds(1.0, 3.0, 6.0);
    let folder = tools::folder("disk");
    let mut disk = Disk::new(&folder).map_err(|error| error.to_string())?;
    let (calm, troubled, nothing) = (stage.series(), stage.series(), stage.bare());
    let quiet_bridge = Receiver::start(Kind::Bridge, &stage.kafka.brokers(), &calm)?;
    let mut away_bridge = Receiver::start(Kind::Bridge, NOBODY, &troubled)?;
    let bare_actix = Receiver::start(Kind::Hmac, NOBODY, &nothing)?;
    let (mut floor, mut block, mut bare) = (Slices::default(), Slices::default(), Slices::default());
    let (mut quiet, mut away) = (Slices::default(), Slices::default());
    let (mut calm_first, mut troubled_first, mut nothing_first) = (calm.first, troubled.first, nothing.first);
    for _ in 0..TURNS {
        let slice = disk.slice(&stage.library, Size::Mix, PER_SECOND, time).map_err(|error| error.to_string())?;
        floor.add(&slice);
        // With the frame around it the smallest body is one block.
        let slice = disk.slice(&stage.library, Size::Small, PER_SECOND, time / 3).map_err(|error| error.to_string())?;
        block.add(&slice);
        bare.load(bench, &bare_actix, &nothing, &mut nothing_first, time);
        quiet.load(bench, &quiet_bridge, &calm, &mut calm_first, time);
        away.load(bench, &away_bridge, &troubled, &mut troubled_first, time);
    }
    bare.check_all_kept()?;
    quiet.check_all_kept()?;
    away.check_all_kept()?;
    drop(bare_actix);
    stage.end(&nothing);
    wait_published(stage, &quiet_bridge, &calm, quiet.kept())?;
    arrived::judge(stage, &calm, &quiet.sent().collect::<Vec<_>>()).check(false)?;
    drop(quiet_bridge);
    stage.end(&calm);
    let draining = drain(bench, &mut away_bridge, &troubled, &mut troubled_first, &away)?;
    drop((away_bridge, disk));
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    stage.end(&troubled);
    let both = |slices: &Slices| [slices.ms(0.5), slices.ms(0.99)];
    let round = Round {
        disk: both(&floor),
        block: both(&block),
        bare: both(&bare),
        quiet: both(&quiet),
        late: quiet.late_ms(),
        away: both(&away),
        draining: both(&draining),
    };
    bench.keep(
        "answer",
        number,
        json!({
            "fdatasync_p50_p99_ms": round.disk,
            "fdatasync_4k_p50_p99_ms": round.block,
            "bare_actix_p50_p99_ms": round.bare,
            "quiet_p50_p99_ms": round.quiet,
            "away_p50_p99_ms": round.away,
            "draining_p50_p99_ms": round.draining,
            "generator_late_p99_ms": round.late,
        }),
    );
    Ok(round)
}

/// A backlog, `kill -9`, a start with Kafka, and answers until the backlog is gone.
fn drain(
    bench: &Bench,
    receiver: &mut Receiver,
    series: &Series,
    first: &mut u64,
    before: &Slices,
) -> Result<Slices, String> {
    let stage = &bench.stage;
    let backlog = fill(bench, receiver, series, *first, bench.effort.pick(20_000, 100_000, 200_000))?;
    *first += backlog.statuses.len() as u64;
    receiver.as_bridge().configure(&receiver::settings(&stage.kafka.brokers(), series));
    receiver.kill();
    let wanted = before.kept() + backlog.kept();
    let (mut draining, mut last) = (Slices::default(), Slices::default());
    let (is_draining, time) =
        (|| receiver.published().unwrap_or_default() < wanted, bench.effort.seconds(0.2, 1.0, 1.0));
    while last.outcomes.is_empty() {
        let mut slice = Slices::default();
        slice.load(bench, receiver, series, first, time);
        let kind = if is_draining() { &mut draining } else { &mut last };
        kind.join(slice);
    }
    draining.check_all_kept()?;
    last.check_all_kept()?;
    wait_published(stage, receiver, series, wanted + draining.kept() + last.kept())?;
    let sent = before.sent().chain([(Size::Middle, &backlog)]).chain(draining.sent()).chain(last.sent());
    arrived::judge(stage, series, &sent.collect::<Vec<_>>()).check(true)?;
    if draining.outcomes.is_empty() {
        Err("the backlog was gone before a slice was over".to_owned())
    } else {
        Ok(draining)
    }
}

/// So many events of 8.6 kB, as fast as they are taken.
pub fn fill(bench: &Bench, receiver: &Receiver, series: &Series, first: u64, events: u64) -> Result<Outcome, String> {
    let outcome = closed(bench, receiver, series, first, 64, events);
    match outcome.kept() {
        kept if kept == events => Ok(outcome),
        kept => Err(format!("{kept} of {events} were answered 2xx: {:?}", outcome.first_refusal)),
    }
}

/// Events of 8.6 kB in a closed loop.
pub fn closed(
    bench: &Bench,
    receiver: &Receiver,
    series: &Series,
    first: u64,
    connections: usize,
    events: u64,
) -> Outcome {
    load::run(&Order {
        to: receiver.address(),
        paths: &series.paths,
        library: &bench.stage.library,
        size: Size::Middle,
        first,
        pace: Pace::Closed { connections },
        until: Until::events(events),
    })
}
