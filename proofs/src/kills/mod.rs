//! `kill -9` of the bridge and of Apache Kafka's nodes, under load; brokers paused, silent, forgotten, cut off; and the
//! judge.
//!
//! In: a number of kills, or a time. Out: how many troubles of each kind there were, and how much was sent again after a
//! kill. Never happens: a round that is counted before the judge has let it pass.
//!
//! ```text
//! round ─▶ world (one node behind proxy, or three), load (senders and ledger), scene (the bridge's lives),
//!          trouble (what is done when)
//! ```
//!
//! A round's seed fixes its events, its troubles, their order and the pauses between them. It cannot fix the timing of
//! processes and disks: a repeat does the same things at about the same moments, no more.

mod load;
mod proxy;
mod round;
mod scene;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::figure::{grouped, repeat};
use crate::random::Random;
use crate::{Effort, Figure, Order};
use round::{Outcome, Plan};
use trouble::{KINDS, Trouble};
use world::World;

const FIRST_SEED: u64 = 1;
/// Rounds that one start of Apache Kafka serves; the first two starts serve one each, so that every kind has its turn early.
const ROUNDS_PER_WORLD: u64 = 2;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    let (began, mut seed) = (Instant::now(), order.seed.unwrap_or(FIRST_SEED));
    let mut total = Outcome::default();
    let per_commit = if order.only { 1 } else { 2 };
    let mut worlds = 0;
    let goes_on = |done| if order.only { done == 0 } else { order.goes_on(began, done, per_commit) };
    while goes_on(total.rounds) {
        let shape = match order.effort {
            _ if order.only => Shape::of(seed),
            Effort::Commit => Shape { is_short: true, of_three: worlds == 1 },
            Effort::For(_) => Shape { is_short: false, of_three: worlds % 2 == 1 },
        };
        worlds += 1;
        seed = shape.first_seed(seed);
        let mut world = guarded(seed, || if shape.of_three { World::of_three() } else { World::of_one() })?;
        for _ in 0..if shape.is_short || worlds <= 2 { 1 } else { ROUNDS_PER_WORLD } {
            if !goes_on(total.rounds) {
                break;
            }
            let plan = Plan { seed, is_short: shape.is_short, is_told: order.only, troubles: troubles(seed) };
            match guarded(seed, || round::run(&mut world, &plan)).flatten() {
                Ok(outcome) => total.add(outcome),
                Err(story) => return Err(left_behind(&mut world, &plan, story)),
            }
            seed += SHAPES;
        }
    }
    let left_out = without_turn(&total);
    match left_out.as_slice() {
        // What takes a minute to be found out is left to a long run.
        [] | [Trouble::Forgotten] => {}
        _ if order.only || order.effort != Effort::Commit => {}
        _ => return Err(format!("no turn for {}: it proves too little", names(&left_out))),
    }
    Ok(figure(&total))
}

fn without_turn(total: &Outcome) -> Vec<Trouble> {
    KINDS.into_iter().filter(|kind| !total.troubles.contains_key(kind)).collect()
}

fn names(kinds: &[Trouble]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

/// A round's size and world, which its seed's last bits name, so that a seed alone repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// The size of a commit.
    is_short: bool,
    of_three: bool,
}

const SHAPES: u64 = 4;

impl Shape {
    fn of(seed: u64) -> Shape {
        Shape { is_short: matches!(seed % SHAPES, 1 | 2), of_three: matches!(seed % SHAPES, 2 | 3) }
    }

    /// The first seed from `seed` on that names it.
    fn first_seed(self, seed: u64) -> u64 {
        (seed..seed + SHAPES).find(|seed| Shape::of(*seed) == self).expect("each shape has one of four seeds")
    }
}

/// What one round does, in this order.
fn troubles(seed: u64) -> Vec<Trouble> {
    let mut random = Random::new(seed);
    let shape = Shape::of(seed);
    match (shape.is_short, shape.of_three) {
        (true, false) => {
            let each = [Trouble::Broker, Trouble::Silence, Trouble::Cut, Trouble::Pause];
            let each = [&each[..], &[Trouble::Both, Trouble::BothBridgeFirst]].concat();
            [vec![Trouble::Bridge], shuffled(&mut random, each)].concat()
        }
        // First two, while the topics are new and no copy has much of them.
        (true, true) => vec![Trouble::TwoNodes, Trouble::Node],
        (false, false) => {
            let often = (0..30).map(|_| Trouble::Bridge);
            let once = KINDS.into_iter().filter(|kind| !kind.needs_three() && *kind != Trouble::Bridge);
            shuffled(&mut random, often.chain(once).collect())
        }
        (false, true) => {
            let often = (0..20).map(|_| Trouble::Bridge);
            shuffled(&mut random, often.chain([Trouble::Node, Trouble::Node, Trouble::TwoNodes]).collect())
        }
    }
}

fn shuffled(random: &mut Random, mut troubles: Vec<Trouble>) -> Vec<Trouble> {
    for last in (1..troubles.len()).rev() {
        troubles.swap(last, random.below(last as u64 + 1) as usize);
    }
    troubles
}

/// The tests' tools panic where something does not come; here that is a story with the command that repeats it.
fn guarded<T>(seed: u64, work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        format!("seed {seed}: {text}\n{}", command(seed))
    })
}

/// What a failure is to be understood by is not repeated by its seed: the nodes' data stays, with the bridge's journal.
fn left_behind(world: &mut World, plan: &Plan, story: String) -> String {
    let kept = plan.kept();
    world.leave(&kept);
    format!("{story}\nthe data of Kafka's nodes, and what the bridge left, is in {}", kept.display())
}

fn command(seed: u64) -> String {
    format!("repeat it with {}", repeat("kills", seed))
}

fn figure(total: &Outcome) -> Figure {
    let kinds =
        KINDS.iter().filter_map(|kind| total.troubles.get(kind).map(|count| format!("{count} {}", kind.name())));
    let (left_out, kills) = (without_turn(total), total.repeated_after.len().max(1));
    let repeated: usize = total.repeated_after.iter().sum();
    let largest = total.repeated_after.iter().max().copied().unwrap_or(0);
    let more = format!(
        "{}{}; {} events in {} rounds; the metrics of {} lives compared; sent again after a kill of the bridge: mean {:.1}, largest {largest}; at most {} MiB, {} descriptors",
        kinds.collect::<Vec<_>>().join(", "),
        if left_out.is_empty() { String::new() } else { format!(", no turn for {}", names(&left_out)) },
        grouped(total.events as u64),
        total.rounds,
        total.lives,
        repeated as f64 / kills as f64,
        total.usage.memory_bytes >> 20,
        total.usage.descriptors,
    );
    Figure { count: total.troubles.values().sum(), unit: "kills and outages", none: "lost", more }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_what_is_done_and_each_kind_has_its_turn() {
        assert_eq!(troubles(4), troubles(4));
        let done = [troubles(4), troubles(3)].concat();
        assert!(KINDS.iter().all(|kind| done.contains(kind)));
        let of_a_commit = [troubles(1), troubles(2)].concat();
        assert_eq!(of_a_commit.len(), 9);
        assert!(KINDS.iter().all(|kind| of_a_commit.contains(kind) || *kind == Trouble::Forgotten));
    }

    #[test]
    fn a_figure_names_the_kinds_that_had_no_turn() {
        let mut total = Outcome::default();
        for kind in KINDS.into_iter().filter(|kind| !kind.needs_three()) {
            total.troubles.insert(kind, 1);
        }
        assert!(figure(&total).more.contains("no turn for one of three nodes, two of three nodes;"));
        total.troubles.extend(KINDS.map(|kind| (kind, 1)));
        assert!(!figure(&total).more.contains("no turn"));
    }

    #[test]
    fn a_seed_alone_names_its_world_and_size() {
        for (is_short, of_three) in [(true, true), (true, false), (false, true), (false, false)] {
            let shape = Shape { is_short, of_three };
            assert_eq!(Shape::of(shape.first_seed(77)), shape);
        }
    }
}
