//! Many scenes, on all cores.
//!
//! In: how many recoveries, or one seed. Out: the count, or the failing scene and the command that repeats it. Never
//! happens: a scene that depends on which thread ran it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::figure::{repeat, repeat_with};
use crate::{Effort, Figure, Order};

use super::rot_walk;
use super::scene::{self, CutPlan, Failure, Outcome};

/// Deaths in one scene.
const LIVES: u64 = 12;
/// The first seed of a run where none is given; later seeds follow.
const FIRST_SEED: u64 = 1;

/// Names the change to cut at.
const CUT: &str = "CUT";

/// Walks through short scenes with each commit.
const WALKS_PER_COMMIT: u64 = 8;
/// Recoveries with each commit, in scenes by chance.
const RECOVERIES_PER_COMMIT: u64 = 100_000;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    if order.only {
        return repeat_one(order.seed.unwrap_or(FIRST_SEED));
    }
    let began = Instant::now();
    let walk = walk_through()?;
    let turned = rot_walk::walk(None)?;
    let total = run_many(order, began)?;
    // A long run is added to others: the walks, always the same, count with each commit alone.
    let walked = if order.effort == Effort::Commit { walk.recoveries + turned } else { 0 };
    let more = format!(
        "{} with rot by chance, {} damaged places found whole in quarantine, {} with a failing call, {} poisoned, {} refused for \
         room; beside them {} from a cut at each of {} changes, {turned} with rot at one bit after the other",
        total.rotten, total.copies, total.troubled, total.poisoned, total.full, walk.recoveries, walk.cuts
    );
    Ok(Figure { count: walked + total.recoveries, unit: "recoveries", none: "lost", more })
}

/// One scene, every call on the disk printed where it fails. `CUT=n` beside it: the power is cut at that change alone.
/// `ROT=n`: that step alone of the walk through the turned bits.
fn repeat_one(seed: u64) -> Result<Figure, String> {
    if let Some(step) = step(rot_walk::STEP)? {
        let count = rot_walk::walk(Some(step as usize))?;
        if count == 0 {
            return Err(format!("{}={step}: the walk has no such step", rot_walk::STEP));
        }
        return Ok(Figure { count, unit: "recoveries", none: "lost", more: format!("step {step}") });
    }
    let cut = step(CUT)?;
    let (lives, plan) = cut.map_or((LIVES, CutPlan::Random), |change| (1, CutPlan::At(change)));
    let outcome = scene::run(seed, lives, plan, true).map_err(|failure| tell(&failure))?;
    Ok(Figure { count: outcome.recoveries, unit: "recoveries", none: "lost", more: format!("seed {seed}") })
}

/// The number that the environment gives a walk.
fn step(name: &str) -> Result<Option<u64>, String> {
    let told = std::env::var(name).ok();
    told.map(|told| told.parse().map_err(|_| format!("{name}={told}: not a number"))).transpose()
}

struct Walk {
    recoveries: u64,
    cuts: u64,
}

/// A cut at every change of short scenes.
fn walk_through() -> Result<Walk, String> {
    let mut walk = Walk { recoveries: 0, cuts: 0 };
    for seed in 0..WALKS_PER_COMMIT {
        let whole = scene::run(seed, 0, CutPlan::At(u64::MAX), false).map_err(|failure| tell(&failure))?;
        for change in 1..=whole.changes {
            let outcome = scene::run(seed, 1, CutPlan::At(change), false)
                .map_err(|failure| story(&failure, &repeat_with(&format!("{CUT}={change} "), "simulation", seed)))?;
            walk.recoveries += outcome.recoveries;
            walk.cuts += 1;
        }
    }
    Ok(walk)
}

fn run_many(order: &Order, began: Instant) -> Result<Outcome, String> {
    let next = AtomicU64::new(order.seed.unwrap_or(FIRST_SEED));
    let done = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Outcome::default());
    let failures = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..cores {
            threads.spawn(|| {
                let goes_on = || order.goes_on(began, done.load(Ordering::Relaxed), RECOVERIES_PER_COMMIT);
                while !failed.load(Ordering::Relaxed) && goes_on() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let ran = std::panic::catch_unwind(|| scene::run(seed, LIVES, CutPlan::Random, false));
                    match ran {
                        Ok(Ok(outcome)) => {
                            done.fetch_add(outcome.recoveries, Ordering::Relaxed);
                            total.lock().expect("no thread panics").add(outcome);
                        }
                        Ok(Err(failure)) => {
                            failed.store(true, Ordering::Relaxed);
                            failures.lock().expect("no thread panics").push(tell(&failure));
                        }
                        Err(_) => {
                            failed.store(true, Ordering::Relaxed);
                            let line = format!("seed {seed} panics; repeat it with {}", repeat("simulation", seed));
                            failures.lock().expect("no thread panics").push(line);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    if failures.is_empty() { Ok(total.into_inner().expect("no thread panics")) } else { Err(failures.join("\n\n")) }
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.recoveries += other.recoveries;
        self.changes += other.changes;
        self.rotten += other.rotten;
        self.poisoned += other.poisoned;
        self.full += other.full;
        self.copies += other.copies;
        self.troubled += other.troubled;
    }
}

fn tell(failure: &Failure) -> String {
    story(failure, &repeat("simulation", failure.seed))
}

fn story(failure: &Failure, command: &str) -> String {
    let scene = failure.scene.join("\n");
    format!("{scene}\n\nseed {}: {}\nrepeat it with {command}", failure.seed, failure.wrong)
}
