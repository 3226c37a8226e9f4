//! Many scenes, on all cores.
//!
//! In: `RECOVERIES` (how many, 100,000 where nothing is said), `SEED` (one scene, with every call on the disk;
//! `CUT` with it: the power is cut at that change, as in the walk). Out: one line with the count, or the failing scene and the command that repeats it. Never
//! happens: a scene that depends on which thread ran it.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::scene::{self, CutPlan, Failure, Outcome};

/// Deaths in one scene.
const LIVES: u64 = 12;
/// The first seed of a run where none is given; later seeds follow.
const FIRST_SEED: u64 = 1;

#[test]
fn every_recovery_keeps_what_was_promised() {
    if let Some(seed) = number("SEED") {
        let (lives, plan) = number("CUT").map_or((LIVES, CutPlan::Random), |change| (1, CutPlan::At(change)));
        match scene::run(seed, lives, plan, true) {
            Ok(outcome) => say(&format!("seed {seed}: {} recoveries, 0 lost", outcome.recoveries)),
            Err(failure) => panic!("{}", tell(&failure)),
        }
        return;
    }
    let wanted = number("RECOVERIES").unwrap_or(100_000);
    let first = number("FIRST_SEED").unwrap_or(FIRST_SEED);
    let total = run_many(wanted, first);
    say(&format!(
        "{} recoveries from seed {first}, 0 lost ({} with rot, {} poisoned, {} refused for room)",
        total.recoveries, total.rotten, total.poisoned, total.full
    ));
    assert!(total.recoveries >= wanted);
}

/// A cut at every change of short scenes.
#[test]
fn a_cut_at_every_change_of_a_scene_keeps_what_was_promised() {
    let (mut recoveries, mut cuts) = (0, 0);
    for seed in 0..number("WALKS").unwrap_or(8) {
        let whole =
            scene::run(seed, 0, CutPlan::At(u64::MAX), false).unwrap_or_else(|failure| panic!("{}", tell(&failure)));
        for change in 1..=whole.changes {
            let outcome = scene::run(seed, 1, CutPlan::At(change), false)
                .unwrap_or_else(|failure| panic!("{}\nwith CUT={change}", tell(&failure)));
            recoveries += outcome.recoveries;
            cuts += 1;
        }
    }
    say(&format!("{recoveries} recoveries from a cut at each of {cuts} changes, 0 lost"));
}

fn run_many(wanted: u64, first: u64) -> Outcome {
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Outcome::default());
    let failures = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..cores {
            threads.spawn(|| {
                while !failed.load(Ordering::Relaxed) && total.lock().expect("no thread panics").recoveries < wanted {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let ran = std::panic::catch_unwind(|| scene::run(seed, LIVES, CutPlan::Random, false));
                    match ran {
                        Ok(Ok(outcome)) => total.lock().expect("no thread panics").add(outcome),
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
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    total.into_inner().expect("no thread panics")
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.recoveries += other.recoveries;
        self.changes += other.changes;
        self.rotten += other.rotten;
        self.poisoned += other.poisoned;
        self.full += other.full;
    }
}

fn tell(failure: &Failure) -> String {
    let scene = failure.scene.join("\n");
    format!("{scene}\n\nseed {}: {}\nrepeat it with {}", failure.seed, failure.wrong, command(failure.seed))
}

fn command(seed: u64) -> String {
    format!("SEED={seed} cargo test --profile proof --test simulation every_recovery")
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

/// Past the harness's capture: a proof that prints nothing proves nothing to its reader.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("standard output takes a line");
}
