//! Which cases are run, how many at a time, and what is told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::case::{Case, Fault, Place, SCENES, Scene};
use super::verdict::Outcome;
use super::{scene, strace};
use crate::figure::repeat;
use crate::random::Random;
use crate::{Effort, Figure, Order};

/// Cases wait more than they work.
const AT_A_TIME: usize = 4;
/// On the journal's paths, on others, and of the binary with its large segments.
const PER_COMMIT: [usize; 3] = [96, 8, 4];

const FIRST_SEED: u64 = 1;
/// Cases that are tried to strike a call with a fault before it counts as one that cannot be struck.
const TRIES_OF_A_PAIR: usize = 6;

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
    let seed = order.seed.unwrap_or(FIRST_SEED);
    let all = watch_all()?;
    if all.len() < CASES_LEAST {
        return Err(format!(
            "{} cases were seen in the watched runs, fewer than {CASES_LEAST}: it proves nothing",
            all.len()
        ));
    }
    let mut tally = run_all(&chosen(&all, order, seed), order)?;
    strike_the_rest(&all, seed, &mut tally)?;
    Ok(figure(&tally, all.len()))
}

/// What became of the cases.
#[derive(Default)]
struct Tally {
    taken: usize,
    outcomes: BTreeMap<Outcome, u64>,
    /// Which calls were struck with which fault.
    struck: BTreeSet<(&'static str, Fault)>,
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

/// Every call of the watched runs is struck with every fault at least once, in whatever order a long run has taken cases.
fn strike_the_rest(all: &[Case], seed: u64, tally: &mut Tally) -> Result<(), String> {
    let pairs: BTreeSet<_> = all.iter().map(pair).collect();
    for missing in &pairs - &tally.struck {
        let cases: Vec<Case> = all.iter().filter(|case| pair(case) == missing).copied().collect();
        for case in spaced(&cases, TRIES_OF_A_PAIR, seed) {
            let outcome = scene::run(&case, false).map_err(|story| told(&case, &story))?;
            tally.count(&case, outcome);
            if tally.struck.contains(&missing) {
                break;
            }
        }
        if !tally.struck.contains(&missing) {
            return Err(format!("{} was never struck with {:?}, {} cases tried", missing.0, missing.1, cases.len()));
        }
    }
    Ok(())
}

fn pair(case: &Case) -> (&'static str, Fault) {
    (case.call(), case.fault)
}

impl Tally {
    fn count(&mut self, case: &Case, outcome: Outcome) {
        *self.outcomes.entry(outcome).or_default() += 1;
        if outcome != Outcome::Missed {
            self.struck.insert(pair(case));
        }
    }
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
                Ok(outcome) => tally.count(&case, outcome),
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
    let calls: BTreeSet<&str> = tally.struck.iter().map(|(call, _)| *call).collect();
    let more = format!(
        "of {all} cases; {} killed, {} poisoned, {} not started, {} went on, {} fell over a write elsewhere; {} calls \
         not reached; every call it makes with every fault: {}",
        of(Outcome::Killed),
        of(Outcome::Poisoned),
        of(Outcome::NotStarted),
        of(Outcome::WentOn),
        of(Outcome::Fell),
        of(Outcome::Missed),
        calls.into_iter().collect::<Vec<_>>().join(", "),
    );
    Figure { count: struck, unit: "struck lives", none: "lost", more }
}
