//! One bridge, one seed, all kinds of abuse one after the other; then the journal is read and judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use retell_bridge::event::Event;
use retell_bridge::health::Health;
use retell_bridge::journal::storage::Disk;
use retell_bridge::journal::{Item, Journal, Options, Position};
use retell_bridge::metrics::Metrics;
use serde_json::json;
use support::bridge::Bridge;
use support::events::Source;
use support::process::wait_until;
use support::settings::Settings;
use support::tools;

use super::hostile::{self, ABUSES, ALL_GROWTH_MAX_BYTES, Abuse, CONNECTIONS_MAX, Target};
use super::ledger::Ledger;
use super::{honest, percentile, watch};
use crate::random::Random;

/// Connections beyond `connections_max` that each worker of the intake takes from the kernel before it looks at them.
const ACCEPTED_BEYOND: u64 = 8 * 64;
/// What may be open for a moment beside the connections: segments, Kafka's sockets, `/livez`.
const DESCRIPTORS_MARGIN: u64 = 64;
/// Generous, as the machine may be busy: below the 8 s after which the bridge itself gives up.
const HONEST_P99_MAX: Duration = Duration::from_secs(8);

#[derive(Default)]
pub(super) struct Outcome {
    pub hostile_tries: u64,
    pub honest_events: u64,
    pub kept_records: u64,
    pub retried: u64,
    pub memory_high_bytes: u64,
    pub descriptors_high: u64,
    pub livez_answers: u64,
    pub livez_worst: Duration,
    /// Of each stretch, in order.
    pub latencies: Vec<(&'static str, Vec<Duration>)>,
}

/// What the stretches share.
struct Stage<'a> {
    bridge: &'a Bridge,
    source: &'a Source,
    ledger: Ledger,
    tries: AtomicU64,
    known: Mutex<BTreeMap<&'static str, (u64, u64)>>,
    seed: u64,
    quiet_descriptors: u64,
}

/// Runs the round of one seed.
pub(super) fn run(seed: u64, tells: bool) -> Result<Outcome, String> {
    let source = Source::new("default", "/webhook", "retell.");
    // Nobody listens on port 1: nothing is published, nothing is freed.
    // Nothing is published: a fast disk takes more of the large bodies in the time than the usual journal holds.
    let settings = Settings::new("127.0.0.1:1", &[&source]).with(json!({ "journal": { "size_max": "12GiB" } }));
    let mut bridge = Bridge::prepare(settings, Arc::new(as_from_a_shell));
    bridge.start_again();
    let quiet_descriptors = watch::descriptors(&bridge);
    let quiet_memory = watch::memory_high_bytes(&bridge);
    let stage = Stage {
        bridge: &bridge,
        source: &source,
        ledger: Ledger::default(),
        tries: AtomicU64::new(0),
        known: Mutex::default(),
        seed,
        quiet_descriptors,
    };
    let (mut outcome, mut wrong) = (Outcome::default(), Vec::new());
    for abuse in &ABUSES {
        wrong.extend(stage.stretch(abuse, &mut outcome, tells));
    }
    wrong.extend(stage.refusals_that_differ());
    outcome.hostile_tries = stage.tries.load(Ordering::Relaxed);
    wrong.extend(bounds(&outcome, quiet_descriptors, quiet_memory));
    let is_back = || (watch::descriptors(&bridge) <= quiet_descriptors + DESCRIPTORS_MARGIN / 4).then_some(());
    if wait_until(Duration::from_secs(15), is_back).is_none() {
        wrong.push(format!("{} descriptors stay open, {quiet_descriptors} before", watch::descriptors(&bridge)));
    }
    let ledger = stage.ledger;
    bridge.stop_cleanly();
    outcome.kept_records = ledger.kept();
    wrong.extend(judge(&bridge, &ledger)?);
    if wrong.is_empty() {
        return Ok(outcome);
    }
    let log = bridge.log();
    let loud = log.iter().filter(|line| line.contains(r#""level":"ERROR""#) || line.contains("panicked"));
    wrong.extend(loud.take(5).map(|line| line.chars().take(400).collect()));
    Err(wrong.join("\n"))
}

/// The plain binary with the soft limit of descriptors that shells and systemd give: fewer than the intake may need.
fn as_from_a_shell(settings: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(r#"ulimit -Sn 1024 && exec "$0" serve --config "$1""#);
    command.arg(tools::binary("retell-bridge")).arg(settings);
    command
}

impl Stage<'_> {
    fn stretch(&self, abuse: &Abuse, outcome: &mut Outcome, tells: bool) -> Vec<String> {
        let said = self.bridge.keep_for_sweep();
        let memory_before = match watch::forget_memory_high(self.bridge) {
            Ok(bytes) => bytes,
            Err(wrong) => return vec![wrong],
        };
        let target = Target {
            name: abuse.name,
            address: self.bridge.intake_address(),
            source: self.source,
            ledger: &self.ledger,
            seed: self.seed,
            until: Instant::now() + abuse.time,
            tries: &self.tries,
            known: &self.known,
            said: &said,
        };
        let (target, is_over, before) = (&target, &AtomicBool::new(false), self.tries.load(Ordering::Relaxed));
        let (felt, seen) = std::thread::scope(|threads| {
            let watch = threads.spawn(move || watch::watch(self.bridge, is_over));
            let honest: Vec<_> =
                (0..honest::SENDERS).map(|nth| threads.spawn(move || honest::send(target, nth, abuse.name))).collect();
            let hostile = |lane| {
                let mut chance = Random::new(self.seed.wrapping_mul(1_000) + lane);
                threads.spawn(move || (abuse.work)(target, lane, &mut chance))
            };
            let hostile: Vec<_> = (0..abuse.threads).map(hostile).collect();
            hostile.into_iter().for_each(|one| one.join().expect("a hostile sender does not panic"));
            let felt: Vec<_> = honest.into_iter().map(|one| one.join().expect("a sender does not panic")).collect();
            is_over.store(true, Ordering::Release);
            (felt, watch.join().expect("the watch does not panic"))
        });
        outcome.retried += felt.iter().map(|one| one.retried).sum::<u64>();
        let mut latencies: Vec<Duration> = felt.into_iter().flat_map(|one| one.latencies).collect();
        latencies.sort_unstable();
        outcome.honest_events += latencies.len() as u64;
        outcome.descriptors_high = outcome.descriptors_high.max(seen.descriptors_high);
        outcome.livez_answers += seen.livez_answers;
        outcome.livez_worst = outcome.livez_worst.max(seen.livez_worst);
        let (p50, p99) = (percentile(&latencies, 50), percentile(&latencies, 99));
        let memory_high = watch::memory_high_bytes(self.bridge);
        let growth_bytes = memory_high.saturating_sub(memory_before);
        outcome.memory_high_bytes = outcome.memory_high_bytes.max(memory_high);
        if tells {
            let tries = self.tries.load(Ordering::Relaxed) - before;
            println!(
                "{:<10} {tries} hostile, {} honest: p50 {p50:?}, p99 {p99:?}, {} MiB at most, {} of them new, {} descriptors, {} retries so far",
                abuse.name,
                latencies.len(),
                memory_high >> 20,
                growth_bytes >> 20,
                seen.descriptors_high,
                outcome.retried,
            );
        }
        let mut wrong = seen.complaints;
        let open = seen.descriptors_high.saturating_sub(self.quiet_descriptors);
        if open < abuse.connections_least {
            let least = abuse.connections_least;
            wrong
                .push(format!("{}: {open} connections were open at most, fewer than {least} are no abuse", abuse.name));
        }
        if growth_bytes > abuse.growth_max_bytes {
            let (grown, most) = (growth_bytes >> 20, abuse.growth_max_bytes >> 20);
            wrong.push(format!("{}: {grown} MiB more of memory, at most {most} MiB follow from settings", abuse.name));
        }
        if p99 > HONEST_P99_MAX {
            wrong.push(format!("{}: the honest p99 is {p99:?}", abuse.name));
        }
        outcome.latencies.push((abuse.name, latencies));
        wrong
    }

    /// The bridge counts at least what was answered, and at most what was sent; and each kind was answered at all.
    fn refusals_that_differ(&self) -> Vec<String> {
        let metrics = self.bridge.metrics();
        let known = self.known.lock().expect("no holder panics");
        let counted = |reason: &str| metrics.get("events_refused_total", &[&format!("reason=\"{reason}\"")]) as u64;
        // Other stretches, too, send what lacks a signature or bears two.
        let is_alone = |reason: &str| matches!(reason, "wrong" | "stale");
        let differs = |reason: &str, sent: u64, answered: u64| {
            counted(reason) < answered || (is_alone(reason) && counted(reason) > sent)
        };
        let counts = hostile::REASONS.map(|reason| (reason, known.get(reason).copied().unwrap_or_default()));
        let all =
            counts.iter().filter(|(reason, (sent, answered))| *answered == 0 || differs(reason, *sent, *answered));
        all.map(|(reason, (sent, answered))| {
            format!("{reason}: {sent} sent, {answered} answered, {} counted", counted(reason))
        })
        .collect()
    }
}

/// What the settings promise of memory and descriptors, over all stretches.
fn bounds(outcome: &Outcome, quiet_descriptors: u64, quiet_memory: u64) -> Vec<String> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 512) as u64;
    let descriptors = quiet_descriptors + workers * (CONNECTIONS_MAX + ACCEPTED_BEYOND) + DESCRIPTORS_MARGIN;
    let memory = quiet_memory + ALL_GROWTH_MAX_BYTES;
    let mut wrong = Vec::new();
    if outcome.descriptors_high > descriptors {
        wrong.push(format!("{} descriptors, at most {descriptors} follow from settings", outcome.descriptors_high));
    }
    if outcome.memory_high_bytes > memory {
        let (high, memory) = (outcome.memory_high_bytes >> 20, memory >> 20);
        wrong.push(format!("{high} MiB of memory, at most {memory} MiB follow from settings"));
    }
    wrong
}

/// Reads the journal as a start would, and asks the ledger.
fn judge(bridge: &Bridge, ledger: &Ledger) -> Result<Vec<String>, String> {
    let disk = Disk::new(bridge.journal_dir()).map_err(|error| format!("the journal's folder: {error}"))?;
    let options = Options {
        segment_bytes: 64 << 20,
        size_max_bytes: 12 << 30,
        retention: Duration::from_secs(24 * 3600),
        quarantine_retention: Duration::from_secs(24 * 3600),
        checkpoint_every: Duration::from_millis(200),
        allow_ephemeral: true,
    };
    let (journal, recovered) =
        Journal::open(Arc::new(disk), options, Arc::new(Metrics::new()), Arc::new(Health::default()))
            .map_err(|error| format!("the journal cannot be opened: {error}"))?;
    let mut reader = journal.reader(Position(1));
    let mut wrong = Vec::new();
    let (mut events, mut unreadable) = (Vec::new(), 0);
    while let Some(item) = reader.next().map_err(|error| format!("the journal cannot be read: {error}"))? {
        match item {
            Item::Record(record) => match Event::decode(record.payload) {
                Ok(event) => events.push(event),
                Err(_) => unreadable += 1,
            },
            Item::Damaged { from, until } => wrong.push(format!("positions {} to {} are damaged", from.0, until.0)),
        }
    }
    if unreadable > 0 || recovered.corrupt_bytes > 0 {
        wrong.push(format!("{unreadable} records unreadable, {} bytes corrupt", recovered.corrupt_bytes));
    }
    wrong.extend(ledger.judge(events.iter().map(|event| (event.signature(), &event.body()[..]))));
    Ok(wrong)
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        self.hostile_tries += other.hostile_tries;
        self.honest_events += other.honest_events;
        self.kept_records += other.kept_records;
        self.retried += other.retried;
        self.memory_high_bytes = self.memory_high_bytes.max(other.memory_high_bytes);
        self.descriptors_high = self.descriptors_high.max(other.descriptors_high);
        self.livez_answers += other.livez_answers;
        self.livez_worst = self.livez_worst.max(other.livez_worst);
        for (name, mut latencies) in other.latencies {
            match self.latencies.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.append(&mut latencies),
                None => self.latencies.push((name, latencies)),
            }
        }
    }

    pub(super) fn told_latencies(&self) -> String {
        let told = self.latencies.iter().map(|(name, latencies)| {
            let mut sorted = latencies.clone();
            sorted.sort_unstable();
            format!("{name} {}/{}", percentile(&sorted, 50).as_millis(), percentile(&sorted, 99).as_millis())
        });
        format!("{}, {} retries", told.collect::<Vec<_>>().join(", "), self.retried)
    }
}
