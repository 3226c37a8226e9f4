//! One round: a fresh receiver, a load, a wait until all is on Kafka, a verdict on what arrived.
//!
//! In: a receiver's kind and a load. Out: [`Measured`], or what was lost. Never happens: a figure of a round that lost,
//! changed, invented or repeated something.

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
            "p50_ms": self.outcome.answer_ms(0.5),
            "p99_ms": self.outcome.answer_ms(0.99),
            "largest_ms": self.outcome.answers.max() as f64 / 1e3,
            "cpu_us_per_event": self.cpu_us(),
            "generator_cpu_us_per_event": self.outcome.cpu.as_secs_f64() * 1e6 / self.outcome.kept().max(1) as f64,
            "generator_late_p99_ms": load::late_ms(&self.outcome, 0.99),
            "peak_bytes": self.peak_bytes,
            "kept_by_second": self.outcome.by_second,
        })
    }
}

/// A whole round.
pub fn run(stage: &Stage, kind: Kind, size: Size, pace: Pace, until: Until) -> Result<Measured, String> {
    let series = stage.series();
    let mut receiver = Receiver::start(kind, &stage.kafka.brokers(), &series)?;
    let measured = on(stage, &mut receiver, &series, kind, (size, pace, until))?;
    drop(receiver);
    stage.end(&series);
    Ok(measured)
}

/// A round on a receiver that runs; it has published nothing yet.
pub fn on(
    stage: &Stage,
    receiver: &mut Receiver,
    series: &Series,
    kind: Kind,
    (size, pace, until): (Size, Pace, Until),
) -> Result<Measured, String> {
    let (pid, began) = (receiver.pid(), Instant::now());
    let cpu = usage::cpu(pid);
    let library = &stage.library;
    let outcome = load::run(&Order {
        to: receiver.address(),
        paths: &series.paths,
        library,
        size,
        first: series.first,
        pace,
        until,
    });
    let keeps = !matches!(kind, Kind::Http | Kind::Hmac);
    if keeps {
        wait_published(stage, receiver, series, outcome.kept())?;
    }
    let (published_in, cpu, peak_bytes) = (began.elapsed(), usage::cpu(pid) - cpu, usage::peak_bytes(pid));
    let arrived = if keeps { arrived::judge(stage, series, &[(size, &outcome)]) } else { Arrived::default() };
    arrived.check(false).map_err(|wrong| format!("{}, {}: {wrong}", kind.name(), size.name()))?;
    if outcome.kept() == 0 {
        return Err(format!("{} has answered nothing 2xx: {:?}", kind.name(), outcome.first_refusal));
    }
    Ok(Measured { kind, size, outcome, arrived, cpu, published_in, peak_bytes })
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
