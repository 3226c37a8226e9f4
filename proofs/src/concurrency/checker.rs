//! Batches of schedules on all cores.
//!
//! In: how much, and the first seed. Out: how many schedules were tried, or the story of the one that failed. Never
//! happens: a batch that depends on anything but its seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use crate::Order;

use super::{appends, equals, readers};

/// Schedules of one seed.
const SCHEDULES: usize = 100;
/// Batches with each commit.
const BATCHES_PER_COMMIT: u64 = 1_200;
/// Changes of priority in one schedule, and one.
const DEPTH: usize = 3;
/// The journal needs more than the checker's own 60 KiB.
const STACK_BYTES: usize = 512 << 10;

type Scenario = (&'static str, fn());

const SCENARIOS: [Scenario; 7] = [
    ("appends are answered once, after their sync", appends::answered),
    ("appends against a close", appends::closed),
    ("appends against a sync that fails", appends::poisoned),
    ("appends against a poison while the writer hangs", appends::poisoned_without_a_writer),
    ("readers wait for what is synced", readers::woken),
    ("equal events wait for the first", equals::settled),
    ("marks are handed to the keeper", readers::marked),
];

/// See the module.
pub fn check(order: &Order) -> Result<u64, String> {
    let first = order.seed.unwrap_or(1);
    if order.only {
        return batch(first);
    }
    let began = Instant::now();
    let (next, count, failed) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(None));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..cores {
            threads.spawn(|| {
                loop {
                    let done = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = failed.lock().expect("nobody panics with it").is_some();
                    if is_over || !order.goes_on(began, done, BATCHES_PER_COMMIT) {
                        return;
                    }
                    match batch(first.wrapping_add(done)) {
                        Ok(tried) => drop(count.fetch_add(tried, Ordering::Relaxed)),
                        Err(story) => *failed.lock().expect("nobody panics with it") = Some(story),
                    }
                }
            });
        }
    });
    match failed.into_inner().expect("nobody panics with it") {
        Some(story) => Err(story),
        None => Ok(count.into_inner()),
    }
}

fn batch(seed: u64) -> Result<u64, String> {
    let (name, scenario) = SCENARIOS[(seed % SCENARIOS.len() as u64) as usize];
    let is_random = (seed / SCENARIOS.len() as u64).is_multiple_of(2);
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let tried = catch_unwind(AssertUnwindSafe(|| match is_random {
        true => Runner::new(RandomScheduler::new_from_seed(seed, SCHEDULES), config).run(scenario),
        false => Runner::new(PctScheduler::new_from_seed(seed, DEPTH, SCHEDULES), config).run(scenario),
    }));
    tried.map(|tried| tried as u64).map_err(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let command = crate::figure::repeat("concurrency", seed);
        format!("{name}: {}\nrepeat it with {command}", what.unwrap_or("a panic"))
    })
}

/// A number below `end` that is part of the schedule.
pub fn choose(end: u64) -> u64 {
    shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 0..end)
}
