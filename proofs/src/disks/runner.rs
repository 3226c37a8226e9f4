//! Which cases are run, and what is told of them.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::trouble::{KINDS, Trouble};
use super::{failing, full, slow, volume};
use crate::figure::{grouped, repeat};
use crate::syscalls::strace;
use crate::{Effort, Figure, Order};

/// Cases wait more than they work.
const AT_A_TIME: usize = 4;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    strace::check()?;
    volume::check()?;
    if order.only {
        let number = order.seed.unwrap_or_default();
        let trouble = Trouble::of(number);
        println!("{trouble}");
        let answers = run(&trouble, number).map_err(|story| told(number, &trouble, &story))?;
        return Ok(figure(1, answers));
    }
    let first = match order.effort {
        Effort::Commit => order.seed.unwrap_or_default(),
        // Behind those of a commit.
        Effort::For(_) => order.seed.unwrap_or_default().wrapping_rem(u64::MAX / KINDS / 2) + KINDS,
    };
    run_all(first, order)
}

fn run(trouble: &Trouble, seed: u64) -> Result<u64, String> {
    match *trouble {
        Trouble::Others { kind, program } => full::by_others(kind, program, seed),
        Trouble::Backlog { kind } => full::by_backlog(kind, seed),
        Trouble::SizeMax => full::by_size_max(seed),
        Trouble::Slow { delay } => slow::prove(delay, seed),
        Trouble::FullAndSlow { delay } => full::and_slow(delay, seed),
        Trouble::Failing { delay, nth, has_kafka } => failing::prove(delay, nth, has_kafka, seed),
    }
}

/// Cases taken, cases done, answers, and what went wrong.
#[derive(Default)]
struct Tally {
    taken: u64,
    done: u64,
    answers: u64,
    wrong: Option<String>,
}

fn run_all(first: u64, order: &Order) -> Result<Figure, String> {
    let (tally, began) = (Mutex::new(Tally::default()), Instant::now());
    let next = || {
        let mut tally = tally.lock().expect("no holder panics");
        let goes_on = order.goes_on(began, tally.taken, KINDS) && tally.wrong.is_none();
        tally.taken += u64::from(goes_on);
        goes_on.then_some(first + tally.taken - 1)
    };
    let work = || {
        while let Some(number) = next() {
            let trouble = Trouble::of(number);
            let ran = std::panic::catch_unwind(|| run(&trouble, number));
            let mut tally = tally.lock().expect("no holder panics");
            match ran.unwrap_or_else(|_| Err("the case panicked (see above)".to_owned())) {
                Ok(answers) => (tally.done, tally.answers) = (tally.done + 1, tally.answers + answers),
                Err(story) => tally.wrong = Some(told(number, &trouble, &story)),
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let tally = tally.into_inner().expect("no holder panics");
    match tally.wrong {
        Some(story) => Err(story),
        None => Ok(figure(tally.done, tally.answers)),
    }
}

fn told(number: u64, trouble: &Trouble, story: &str) -> String {
    format!("{trouble}: {story}\nrepeat it with {}", repeat("disks", number))
}

fn figure(cases: u64, answers: u64) -> Figure {
    Figure { count: cases, unit: "bad disks", none: "lost", more: format!("{} answers judged", grouped(answers)) }
}
