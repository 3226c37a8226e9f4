//! One round: a fresh receiver, a load, a wait until all is on Kafka, a verdict on what arrived.
//!
//! In: a receiver's kind and a load. Out: [`Measured`], or what was lost. A receiver gets a little of the same load before the
//! clock starts: the first request of a fresh process finds no metadata, no caches, nothing compiled. Never happens: a figure
//! of a round that lost, changed, invented or repeated something.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::arrived::{self, Arrived};
use crate::bodies::Size;
use crate::load::{self, Order, Outcome, Pace, Until};
use crate::receiver::{Kind, Receiver};
use crate::stage::{Series, Stage};
use crate::usage;

/// How long all may take to be on Kafka once the load is over.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For what is on its way when copies make the topics look complete.
const AFTER_COPIES: Duration = Duration::from_secs(1);
/// Of the load's time, for as long a receiver is warmed up; never longer than a second.
const WARM_SHARE: u32 = 6;
const WARM_MAX: Duration = Duration::from_secs(1);

/// What is sent, how, for how long.
pub type Load = (Size, Pace, Until);

/// What one round gave.
pub struct Measured {
    pub kind: Kind,
    pub size: Size,
    pub outcome: Outcome,
    pub arrived: Arrived,
    /// Processor time of the receiver, from the first request until all is on Kafka.
    pub cpu: Duration,
    /// From the first request until all is on Kafka.
    pub published_in: Duration,
    /// The most memory that was resident, bytes.
    pub peak_bytes: u64,
}

impl Measured {
    /// Microseconds of processor time for each event answered 2xx.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.kept().max(1) as f64
    }

    /// Events on Kafka for each second from the first request on.
    pub fn published_per_second(&self) -> f64 {
        self.outcome.kept() as f64 / self.published_in.as_secs_f64()
    }

    /// Seconds from the last answer until all is on Kafka.
    pub fn published_after(&self) -> f64 {
        self.published_in.saturating_sub(self.outcome.took).as_secs_f64()
    }

    /// Megabytes of bodies answered for each second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.outcome.kept_bytes as f64 / 1e6 / self.outcome.took.as_secs_f64()
    }

    /// For the results beside the table.
    pub fn json(&self) -> Value {
        json!({
            "receiver": self.kind.name(),
            "size": self.size.name(),
            "kept": self.outcome.kept(),
            "refused": self.outcome.refused(),
            "unanswered": self.outcome.unanswered(),
            "kept_per_second": self.outcome.kept_per_second(),
            "published_per_second": self.published_per_second(),
            "published_after_seconds": self.published_after(),
            "p50_ms": self.outcome.answer_ms(0.5),
            "p99_ms": self.outcome.answer_ms(0.99),
            "largest_ms": self.outcome.answers.max() as f64 / 1e3,
            "cpu_us_per_event": self.cpu_us(),
            "generator_cpu_us_per_event": self.outcome.cpu.as_secs_f64() * 1e6 / self.outcome.kept().max(1) as f64,
            "generator_cpu_share": self.outcome.cpu_share(),
            "generator_late_p99_ms": load::late_ms(&self.outcome, 0.99),
            "peak_bytes": self.peak_bytes,
            "kept_by_second": self.outcome.by_second,
        })
    }
}

/// A whole round. Its topics go, whatever becomes of it.
pub fn run(stage: &Stage, kind: Kind, size: Size, pace: Pace, until: Until) -> Result<Measured, String> {
    let series = if kind.keeps() { stage.series() } else { stage.bare() };
    let measured = fresh(stage, &series, kind, (size, pace, until));
    stage.end(&series);
    measured
}

fn fresh(stage: &Stage, series: &Series, kind: Kind, load: Load) -> Result<Measured, String> {
    let receiver = Receiver::start(kind, &stage.kafka.brokers(), series)?;
    warmed(stage, &receiver, series, kind, load)
}

/// A round on a receiver that was just started.
pub fn warmed(stage: &Stage, receiver: &Receiver, series: &Series, kind: Kind, load: Load) -> Result<Measured, String> {
    let (size, pace, until) = load;
    let time = (until.time / WARM_SHARE).min(WARM_MAX);
    let warm = send(stage, receiver, series, (size, pace, Until::time(time)), series.first);
    if kind.keeps() {
        wait_published(stage, receiver, series, warm.kept())?;
    }
    on(stage, receiver, series, kind, load, Some(&warm))
}

/// A round on a receiver that runs; it has published nothing yet but what `before` says, all of it.
pub fn on(
    stage: &Stage,
    receiver: &Receiver,
    series: &Series,
    kind: Kind,
    load: Load,
    before: Option<&Outcome>,
) -> Result<Measured, String> {
    let size = load.0;
    let sent_before = before.map_or(0, |before| before.statuses.len() as u64);
    let (pid, began) = (receiver.pid(), Instant::now());
    usage::reset_peak(pid);
    let cpu = usage::cpu(pid);
    let outcome = send(stage, receiver, series, load, series.first + sent_before);
    if kind.keeps() {
        wait_published(stage, receiver, series, outcome.kept() + before.map_or(0, Outcome::kept))?;
    }
    // Who waits for Kafka has published what it has answered; a look at the topics would cost it a fifth of a second.
    let published_in = if kind.waits() { outcome.took } else { began.elapsed() };
    let (cpu, peak_bytes) = (usage::cpu(pid) - cpu, usage::peak_bytes(pid));
    let sent: Vec<(Size, &Outcome)> = before.into_iter().chain([&outcome]).map(|outcome| (size, outcome)).collect();
    let arrived = if kind.keeps() { arrived::judge(stage, series, &sent) } else { Arrived::default() };
    arrived.check(false).map_err(|wrong| format!("{}, {}: {wrong}", kind.name(), size.name()))?;
    if outcome.kept() == 0 {
        return Err(format!("{} has answered nothing 2xx: {:?}", kind.name(), outcome.first_refusal));
    }
    Ok(Measured { kind, size, outcome, arrived, cpu, published_in, peak_bytes })
}

fn send(stage: &Stage, receiver: &Receiver, series: &Series, (size, pace, until): Load, first: u64) -> Outcome {
    let (library, paths) = (&stage.library, &series.paths[..]);
    load::run(&Order { to: receiver.address(), paths, library, size, first, pace, until })
}

/// Waits until everything answered is on Kafka: by the receiver's word where it tells, else by the topics.
pub fn wait_published(stage: &Stage, receiver: &Receiver, series: &Series, wanted: u64) -> Result<(), String> {
    let began = Instant::now();
    while !receiver.has_published(wanted).unwrap_or_else(|| arrived::count(stage, series) >= wanted) {
        if began.elapsed() > PUBLISHED_WITHIN {
            return Err(format!("{wanted} events were answered and are not on Kafka after {PUBLISHED_WITHIN:?}"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// The same for a bridge that was killed and started again: it counts from 0 then, and learns of its backlog only by and by. The
/// topics tell first, where copies may count; then the bridge.
pub fn wait_published_again(stage: &Stage, receiver: &Receiver, series: &Series, wanted: u64) -> Result<(), String> {
    let found = support::process::wait_until(PUBLISHED_WITHIN, || {
        (arrived::count(stage, series) >= wanted && receiver.has_drained() == Some(true)).then_some(())
    });
    std::thread::sleep(AFTER_COPIES);
    found.ok_or_else(|| {
        format!("{wanted} events were answered before a kill and are not on Kafka after {PUBLISHED_WITHIN:?}")
    })
}
