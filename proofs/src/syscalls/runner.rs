//! Which cases are run, how many at a time, and what is told of them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::case::{Case, Place, SCENES, Scene};
use super::verdict::Outcome;
use super::{scene, strace};
use crate::figure::repeat;
use crate::random::Random;
use crate::{Effort, Figure, Order, published};

/// Cases wait more than they work.
const AT_A_TIME: usize = 4;
/// On the journal's paths, on others, and of the binary with its large segments.
const PER_COMMIT: [usize; 3] = [96, 8, 4];

/// Watched runs that show fewer were not watched: there are some 2,500.
const CASES_LEAST: usize = 1_000;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    strace::check()?;
    if order.only {
        let number = order.seed.unwrap_or_default();
        let case = Case::of(number).ok_or_else(|| format!("{number} is no case"))?;
        let outcome = scene::run(&case, true).map_err(|story| told(&case, &story))?;
        return Ok(figure(&Tally { outcomes: BTreeMap::from([(outcome, 1)]), ..Tally::default() }, 1));
    }
    let seed = order.seed.unwrap_or_else(|| published::fresh_seed() >> 32);
    let all = watch_all()?;
    if all.len() < CASES_LEAST {
        return Err(format!(
            "{} cases were seen in the watched runs, fewer than {CASES_LEAST}: it proves nothing",
            all.len()
        ));
    }
    let figure = figure(&run_all(&chosen(&all, order, seed), order)?, all.len());
    if figure.count == 0 {
        return Err("no call was struck: it proves nothing".to_owned());
    }
    Ok(figure)
}

/// What became of the cases.
#[derive(Default)]
struct Tally {
    taken: usize,
    outcomes: BTreeMap<Outcome, u64>,
    wrong: Option<String>,
}

fn watch_all() -> Result<Vec<Case>, String> {
    let watched: Vec<Result<Vec<Case>, String>> = thread::scope(|scope| {
        let threads: Vec<_> = SCENES.map(|scene| scope.spawn(move || scene::watch(scene))).into();
        let panicked = || Err("a watched run panicked (see above)".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    Ok(watched.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// For a commit evenly spaced ones, beginning where the seed says; otherwise all, in an order that the seed says.
fn chosen(all: &[Case], order: &Order, seed: u64) -> Vec<Case> {
    if order.effort != Effort::Commit {
        let mut random = Random::new(seed);
        let mut cases = all.to_vec();
        for index in (1..cases.len()).rev() {
            cases.swap(index, random.below(index as u64 + 1) as usize);
        }
        return cases;
    }
    let (binary, small): (Vec<Case>, Vec<Case>) = all.iter().partition(|case| case.scene == Scene::Binary);
    let (elsewhere, journal): (Vec<Case>, Vec<Case>) = small.iter().partition(|case| case.place == Place::ANYWHERE);
    let shares = [binary, elsewhere, journal].into_iter().zip(PER_COMMIT.into_iter().rev());
    shares.flat_map(|(all, count)| spaced(&all, count, seed)).collect()
}

fn spaced(all: &[Case], count: usize, seed: u64) -> Vec<Case> {
    let count = count.min(all.len());
    let first = seed as usize % all.len().max(1);
    (0..count).map(|index| all[(first + index * all.len() / count) % all.len()]).collect()
}

/// Runs them, a few at a time; where time is left, all once more.
fn run_all(cases: &[Case], order: &Order) -> Result<Tally, String> {
    let (tally, began) = (Mutex::new(Tally::default()), Instant::now());
    let next = || {
        let mut tally = tally.lock().expect("no holder panics");
        let goes_on = order.goes_on(began, tally.taken as u64, cases.len() as u64) && tally.wrong.is_none();
        let case = cases.get(tally.taken % cases.len().max(1)).copied().filter(|_| goes_on);
        tally.taken += usize::from(case.is_some());
        case
    };
    let work = || {
        while let Some(case) = next() {
            let ran = std::panic::catch_unwind(|| scene::run(&case, false));
            let ran = ran.unwrap_or_else(|_| Err("the case panicked (see above)".to_owned()));
            let mut tally = tally.lock().expect("no holder panics");
            match ran {
                Ok(outcome) => *tally.outcomes.entry(outcome).or_default() += 1,
                Err(story) => tally.wrong = Some(told(&case, &story)),
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let tally = tally.into_inner().expect("no holder panics");
    match tally.wrong {
        Some(story) => Err(story),
        None => Ok(tally),
    }
}

fn told(case: &Case, story: &str) -> String {
    format!("{case}: {story}\nrepeat it with {}", repeat("syscalls", case.number()))
}

fn figure(tally: &Tally, all: usize) -> Figure {
    let of = |outcome| tally.outcomes.get(&outcome).copied().unwrap_or_default();
    let struck = tally.outcomes.values().sum::<u64>() - of(Outcome::Missed);
    let more = format!(
        "of {all} cases; {} killed, {} poisoned, {} not started, {} went on, {} fell over a write elsewhere; {} calls \
         not reached",
        of(Outcome::Killed),
        of(Outcome::Poisoned),
        of(Outcome::NotStarted),
        of(Outcome::WentOn),
        of(Outcome::Fell),
        of(Outcome::Missed),
    );
    Figure { count: struck, unit: "struck lives", none: "lost", more }
}
