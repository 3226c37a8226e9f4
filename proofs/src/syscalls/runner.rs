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

/// So few calls that are not reached are no sign.
const MISSED_AT_EASE: u64 = 3;
/// One of so many may be missed: threads share their work as it comes, and where the watched run had a slower machine than
/// the cases it shows calls that they do not make. A twelfth were missed at four times the load that two cores bear.
const MISSED_SHARE: u64 = 4;

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
    let tally = run_all(&chosen(&all, order, seed), order)?;
    tally.is_worth_telling()?;
    Ok(figure(&tally, all.len()))
}

/// What became of the cases.
#[derive(Default)]
struct Tally {
    taken: usize,
    outcomes: BTreeMap<Outcome, u64>,
    missed: Vec<Case>,
    wrong: Option<String>,
}

impl Tally {
    fn add(&mut self, case: Case, outcome: Outcome) {
        *self.outcomes.entry(outcome).or_default() += 1;
        self.missed.extend((outcome == Outcome::Missed).then_some(case));
    }

    fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or_default()
    }

    /// Cases that do not come to their call prove nothing, and pass.
    fn is_worth_telling(&self) -> Result<(), String> {
        let (done, missed) = (self.outcomes.values().sum::<u64>(), self.of(Outcome::Missed));
        if done == missed {
            return Err("no call was struck: it proves nothing".to_owned());
        }
        if missed > MISSED_AT_EASE && missed * MISSED_SHARE > done {
            let cases: Vec<String> = self.missed.iter().take(8).map(|case| format!("\n    {case}")).collect();
            let told = "calls were not reached, more than one in four: it proves too little";
            return Err(format!("{missed} of {done} {told}:{}", cases.concat()));
        }
        Ok(())
    }
}

fn watch_all() -> Result<Vec<Case>, String> {
    let watched: Vec<Result<Vec<Case>, String>> = thread::scope(|scope| {
        let threads: Vec<_> = SCENES.map(|scene| scope.spawn(move || scene::watch(scene))).into();
        let panicked = || Err("a watched run panicked (see above)".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    Ok(watched.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// For a commit one of each call of each scene, and evenly spaced ones, beginning where the seed says; otherwise all, in an
/// order that the seed says.
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
    let share = |(all, count): (Vec<Case>, usize)| {
        let firsts = one_of_each(&all, seed);
        let more = spaced(&all, count.saturating_sub(firsts.len()), seed);
        firsts.into_iter().chain(more)
    };
    shares.flat_map(share).collect()
}

/// One case of each call of each scene, which one the seed says: a call with few cases falls between spaced ones.
fn one_of_each(all: &[Case], seed: u64) -> Vec<Case> {
    let mut kinds: BTreeMap<(Scene, &str), Vec<Case>> = BTreeMap::new();
    all.iter().for_each(|case| kinds.entry((case.scene, case.call())).or_default().push(*case));
    // Not the same of each, as every third case is of the same fault.
    kinds.into_values().enumerate().map(|(nth, cases)| cases[(seed as usize % 997 + nth) % cases.len()]).collect()
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
                Ok(outcome) => tally.add(case, outcome),
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
    let of = |outcome| tally.of(outcome);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::case::cases;
    use super::*;

    #[test]
    fn a_commit_strikes_each_call_of_each_scene_however_few_its_cases_are() {
        let mut trace = "1 fdatasync(27</d/journal/checkpoint>) = 0\n".repeat(1_000);
        trace.push_str("1 rename(\"/d/journal/00000000000000000002.new\") = 0\n1 write(25<pipe:[1]>, \"x\", 1) = 1\n");
        let all: Vec<Case> = SCENES.iter().flat_map(|scene| cases(*scene, &trace, Path::new("/d"))).collect();
        for seed in [0, 4, 1 << 40] {
            let chosen = chosen(&all, &Order::COMMIT, seed);
            for (scene, call) in
                SCENES.iter().flat_map(|scene| ["fdatasync", "rename", "write"].map(|call| (scene, call)))
            {
                assert!(chosen.iter().any(|case| case.scene == *scene && case.call() == call), "{scene:?} {call}");
            }
        }
    }

    #[test]
    fn calls_that_are_not_reached_prove_too_little_where_they_are_many() {
        let told = |struck, missed| {
            let outcomes = BTreeMap::from([(Outcome::Killed, struck), (Outcome::Missed, missed)]);
            Tally { outcomes, ..Tally::default() }.is_worth_telling()
        };
        assert_eq!((told(1, 3), told(75, 25)), (Ok(()), Ok(())));
        assert!(told(0, 1).is_err() && told(74, 26).is_err());
    }
}
