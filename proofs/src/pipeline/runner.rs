//! Many scenes, on all cores.
//!
//! In: how many, or one seed. Out: the figure, or what is wrong in which scene and the command that repeats it. Never
//! happens: a scene that depends on which thread ran it.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::scene::{self, Outcome};
use crate::figure::{grouped, repeat};
use crate::{Figure, Order};

/// The first seed of a run where none is given; later seeds follow.
const FIRST_SEED: u64 = 1;
/// Deaths in one scene.
const LIVES: u64 = 10;
const SCENES_PER_COMMIT: u64 = 600;
/// Lines of a story that a failure tells.
const STORY_LINES: usize = 60;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    let first = order.seed.unwrap_or(FIRST_SEED);
    if order.only {
        let outcome = scene::run(first, LIVES, true).map_err(|(wrong, story)| {
            format!("{}\n\nseed {first}: {wrong}\nrepeat it with {}", story.join("\n"), repeat("pipeline", first))
        })?;
        return Ok(figure(1, &outcome));
    }
    let (scenes, outcome) = run_many(order, first)?;
    Ok(figure(scenes, &outcome))
}

fn figure(scenes: u64, total: &Outcome) -> Figure {
    let Outcome { restarts, letters, late, left, poisoned, producers, virtual_hours, count } = total;
    let more = format!(
        "{} restarts, {} events sent, {} answers 2xx ({} of them repeats), {} refused, {late} late, {left} left early; \
         {} deliveries, {} dead letters, {producers} new producers, {} checkpoints, {poisoned} poisoned; {} virtual hours",
        grouped(*restarts),
        grouped(*letters),
        grouped(count.promised),
        grouped(count.repeats),
        grouped(count.refused),
        grouped(count.deliveries),
        grouped(count.dead_letters),
        grouped(count.marks),
        grouped(*virtual_hours),
    );
    Figure { count: scenes, unit: "scenes", none: "lost", more }
}

fn run_many(order: &Order, first: u64) -> Result<(u64, Outcome), String> {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let total = Mutex::new((0, Outcome::default()));
    let failures = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..cores {
            threads.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !order.goes_on(began, seed - first, SCENES_PER_COMMIT) {
                        return;
                    }
                    match catch_unwind(|| scene::run(seed, LIVES, false)) {
                        Ok(Ok(outcome)) => {
                            let mut total = total.lock().expect("no thread panics here");
                            total.0 += 1;
                            total.1.add(outcome);
                        }
                        Ok(Err((wrong, _))) => {
                            failed.store(true, Ordering::Relaxed);
                            failures.lock().expect("no thread panics here").push(tell(seed, &wrong));
                        }
                        Err(_) => {
                            failed.store(true, Ordering::Relaxed);
                            failures.lock().expect("no thread panics here").push(tell(seed, "a panic"));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics here");
    if failures.is_empty() {
        Ok(total.into_inner().expect("no thread panics here"))
    } else {
        Err(failures.join("\n\n"))
    }
}

/// The end of the story, from a second run of the same seed.
fn tell(seed: u64, wrong: &str) -> String {
    let again = catch_unwind(|| scene::run(seed, LIVES, true));
    let story = match again {
        Ok(Err((_, story))) => story,
        _ => Vec::new(),
    };
    let last = story.len().saturating_sub(STORY_LINES);
    format!("{}\n\nseed {seed}: {wrong}\nrepeat it with {}", story[last..].join("\n"), repeat("pipeline", seed))
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.restarts += other.restarts;
        self.letters += other.letters;
        self.late += other.late;
        self.left += other.left;
        self.poisoned += other.poisoned;
        self.producers += other.producers;
        self.virtual_hours += other.virtual_hours;
        self.count.add(other.count);
    }
}
