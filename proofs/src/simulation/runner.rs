//! Many scenes, on all cores.
//!
//! In: how many recoveries, or one seed. Out: the count, or the failing scene and the command that repeats it. Never
//! happens: a scene that depends on which thread ran it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::{Figure, Order};

use super::rot_walk;
use super::scene::{self, CutPlan, Failure, Outcome};

/// Deaths in one scene.
const LIVES: u64 = 12;
/// The first seed of a run where none is given; later seeds follow.
const FIRST_SEED: u64 = 1;

/// Walks through short scenes with each commit.
const WALKS_PER_COMMIT: u64 = 8;
/// Recoveries with each commit, in scenes by chance.
const RECOVERIES_PER_COMMIT: u64 = 100_000;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    if order.only {
        return repeat(order.seed.unwrap_or(FIRST_SEED));
    }
    let began = Instant::now();
    let walk = walk_through()?;
    let turned = rot_walk::walk()?;
    let total = run_many(order, began)?;
    let more = format!(
        "{} with rot by chance, {} damaged places found whole in quarantine, {} poisoned, {} refused for room; {} from a cut at each of {} changes; {turned} with \
         rot at one bit after the other",
        total.rotten, total.copies, total.poisoned, total.full, walk.recoveries, walk.cuts
    );
    Ok(Figure { count: walk.recoveries + turned + total.recoveries, unit: "recoveries", none: "lost", more })
}

/// One scene, every call on the disk printed where it fails. `CUT=n` beside it: the power is cut at that change alone.
fn repeat(seed: u64) -> Result<Figure, String> {
    let cut = std::env::var("CUT").ok().and_then(|cut| cut.parse().ok());
    let (lives, plan) = cut.map_or((LIVES, CutPlan::Random), |change| (1, CutPlan::At(change)));
    let outcome = scene::run(seed, lives, plan, true).map_err(|failure| tell(&failure))?;
    Ok(Figure { count: outcome.recoveries, unit: "recoveries", none: "lost", more: format!("seed {seed}") })
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
                .map_err(|failure| format!("{}\nwith CUT={change}", tell(&failure)))?;
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
                            let line = format!("seed {seed} panics; repeat it with {}", command(seed));
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
    }
}

fn tell(failure: &Failure) -> String {
    let scene = failure.scene.join("\n");
    format!("{scene}\n\nseed {}: {}\nrepeat it with {}", failure.seed, failure.wrong, command(failure.seed))
}

fn command(seed: u64) -> String {
    format!("cargo run --profile proof -p proofs -- run simulation --only --seed {seed}")
}
