//! One round: a bridge of its own under load, its troubles, a life without trouble at the end, and the verdict.
//!
//! In: a world and a plan. Out: what was done and judged, or what the judge found. Never happens: a verdict before the
//! backlog is empty and the bridge has ended.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use support::events::Source;
use support::judge::aside::Aside;
use support::judge::usage::Usage;
use support::judge::{Circumstances, judge_all};
use support::ledger::Ledger;
use support::records::Record;
use support::tools;

use crate::random::Random;

use super::load::Load;
use super::scene::Scene;
use super::trouble::{self, Trouble};
use super::world::World;

/// Of each topic.
pub const PARTITIONS: i32 = 2;
/// About twice what is used: 37 to 65 MiB; 58 to 68 for ten connections, a dozen files and Kafka's sockets.
const BOUNDS: Usage = Usage { memory_bytes: 130 << 20, descriptors: 120 };

/// What a round is to do.
pub struct Plan {
    pub seed: u64,
    /// The size of a commit: short pauses, and Java reads beside librdkafka.
    pub is_short: bool,
    pub is_told: bool,
    pub troubles: Vec<Trouble>,
}

impl Plan {
    /// Where the journal and the nodes' data are left when the round fails.
    pub fn kept(&self) -> PathBuf {
        tools::kept(&format!("kills-{}", self.seed))
    }
}

/// What was done and judged.
#[derive(Default)]
pub struct Outcome {
    pub rounds: u64,
    pub events: usize,
    pub troubles: BTreeMap<Trouble, u64>,
    /// Lives whose metrics were compared with the truth.
    pub lives: u64,
    /// For each kill of a bridge, how many records came again.
    pub repeated_after: Vec<usize>,
    pub usage: Usage,
}

impl Outcome {
    pub fn add(&mut self, other: Outcome) {
        self.rounds += other.rounds;
        self.events += other.events;
        other.troubles.into_iter().for_each(|(kind, count)| *self.troubles.entry(kind).or_default() += count);
        self.lives += other.lives;
        self.repeated_after.extend(other.repeated_after);
        self.usage.memory_bytes = self.usage.memory_bytes.max(other.usage.memory_bytes);
        self.usage.descriptors = self.usage.descriptors.max(other.usage.descriptors);
    }
}

/// See the module.
pub fn run(world: &mut World, plan: &Plan) -> Result<Outcome, String> {
    let mut random = Random::new(plan.seed).split();
    let prefix = format!("kills{}.", plan.seed);
    let source = Source::new("default", "/webhook", &prefix);
    world.kafka().create_all(&[&source], PARTITIONS, &[]);
    let mut scene = Scene::start(world, &source);
    let load = Load::start(&scene.bridge, &source, plan.seed);
    for kind in &plan.troubles {
        load.wait_for(random.between(5, 60));
        if plan.is_told {
            println!("{kind:?}");
        }
        kind.make(world, &mut scene, &mut random, plan.is_short);
    }
    load.wait_for(20);
    let mut ledger = load.finish();
    scene.drain();
    scene.stop(world);
    scene.live_quietly(world, &source, plan.seed, &mut ledger);
    // All of the prefix: those that were made meanwhile, by whomever, as well.
    let topics = world.kafka().topics(&prefix);
    trouble::settled(world, scene.topics());
    let records = read(world, &topics, plan.is_short);
    let renumbered = world.renumbered(scene.topics());
    let outcome = verdict(plan, scene, &ledger, &records, renumbered);
    if outcome.is_ok() {
        topics.iter().for_each(|topic| world.kafka().delete_topic(topic));
    }
    outcome
}

/// To the end of each partition; by Java as well at the size of a commit, which says where it would have put each key.
fn read(world: &World, topics: &[String], with_java: bool) -> Vec<Record> {
    let mut records = world.kafka().read_with_librdkafka(topics);
    if !with_java {
        // Nobody has asked Java: the partition is taken as it is.
        records.iter_mut().for_each(|record| record.java_partition = Some(record.partition));
        return records;
    }
    let by_java = world.kafka().read_with_java(topics);
    assert_eq!(by_java.len(), records.len(), "the two readers found different numbers of records");
    for (java, rust) in by_java.iter().zip(&records) {
        assert_eq!(&Record { java_partition: None, ..java.clone() }, rust, "the two readers differ");
    }
    by_java
}

fn verdict(
    plan: &Plan,
    scene: Scene,
    ledger: &Ledger,
    records: &[Record],
    renumbered: HashMap<(String, i32), Vec<i64>>,
) -> Result<Outcome, String> {
    let renewals = trouble::renewals(&scene.bridge);
    let (kills, cuts) = (scene.cuts.len(), scene.cuts);
    let circumstances = Circumstances { kills, renewals, renumbered, cuts, ..Circumstances::default() };
    let aside = Aside::read(&scene.bridge.journal_dir());
    let mut report = judge_all(ledger, records, &aside, &circumstances);
    let lives = scene.lives.len() as u64;
    scene.lives.into_iter().for_each(|told| told.life(ledger).judge(&mut report));
    let usage = scene.sampler.most();
    usage.judge(BOUNDS, &mut report);
    let refused: Vec<_> =
        ledger.entries.iter().filter(|entry| !entry.is_kept() || !entry.complaints.is_empty()).collect();
    let told = refused
        .first()
        .map(|entry| format!("\n{} not answered as they should be: {:?}", refused.len(), entry.statuses));
    if report.scene().is_some() || told.is_some() {
        scene.bridge.leave(&plan.kept());
        let (found, told) = (report.scene().unwrap_or_default(), told.unwrap_or_default());
        return Err(format!("{:?}\n{found}{told}\n{}", plan.troubles, super::command(plan.seed)));
    }
    let mut troubles = BTreeMap::new();
    plan.troubles.iter().for_each(|kind| *troubles.entry(*kind).or_default() += 1);
    let repeated_after = report.repeated_after;
    Ok(Outcome { rounds: 1, events: report.promised, troubles, lives, repeated_after, usage })
}
