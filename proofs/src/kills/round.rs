//! One round: a bridge of its own under load, its troubles, a life without trouble at the end, and the verdict.
//!
//! In: a world and a plan. Out: what was done and judged, or what the judge found. Never happens: a verdict before the
//! backlog is empty and the bridge has ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::judge::aside::Aside;
use support::judge::lives::{Life, Sampler, Usage};
use support::judge::{Circumstances, Cut, judge_all};
use support::ledger::Ledger;
use support::records::Record;
use support::sender::send_all;
use support::settings::Settings;

use crate::random::Random;

use super::load::Load;
use super::trouble::{self, Trouble};
use super::world::World;

/// Of each topic.
pub const PARTITIONS: i32 = 2;
const DRAIN_WITHIN: Duration = Duration::from_secs(180);
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

/// What was done and judged.
#[derive(Default)]
pub struct Outcome {
    pub rounds: u64,
    pub events: usize,
    pub troubles: BTreeMap<Trouble, u64>,
    /// For each kill of a bridge, how many records came again.
    pub repeated_after: Vec<usize>,
    pub usage: Usage,
}

impl Outcome {
    pub fn add(&mut self, other: Outcome) {
        self.rounds += other.rounds;
        self.events += other.events;
        other.troubles.into_iter().for_each(|(kind, count)| *self.troubles.entry(kind).or_default() += count);
        self.repeated_after.extend(other.repeated_after);
        self.usage.memory_bytes = self.usage.memory_bytes.max(other.usage.memory_bytes);
        self.usage.descriptors = self.usage.descriptors.max(other.usage.descriptors);
    }
}

/// The bridge, and what its kills left.
pub struct Scene {
    pub bridge: Bridge,
    topics: Vec<String>,
    cuts: Vec<Cut>,
    sampler: Sampler,
}

impl Scene {
    /// Kills it, lets `meanwhile` happen, looks at what is left, and starts it again.
    pub fn kill_bridge(&mut self, world: &mut World, meanwhile: impl FnOnce(&mut World)) {
        self.sampler.look_at(None);
        self.bridge.kill();
        meanwhile(world);
        self.cuts.push(trouble::look(world, &self.bridge, &self.topics));
        self.bridge.start_again();
        self.sampler.look_at(self.bridge.pid());
    }

    fn records_on_kafka(&self, world: &World) -> i64 {
        world.kafka().counts(&self.topics).values().sum()
    }

    fn drain(&self) {
        let end = Instant::now() + DRAIN_WITHIN;
        let mut empty_since = None;
        // The metric is a quarter of a second old at most: it has to say so for a whole one.
        while empty_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_secs(1)) {
            let left = self.bridge.metrics().get("journal_backlog_events", &[]);
            empty_since = (left == 0.0).then(|| empty_since.unwrap_or_else(Instant::now));
            assert!(Instant::now() < end, "{left} events wait after {DRAIN_WITHIN:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// See the module.
pub fn run(world: &mut World, plan: &Plan) -> Result<Outcome, String> {
    let mut random = Random::new(plan.seed).split();
    let prefix = format!("kills{}.", plan.seed);
    let source = Source::new("default", "/webhook", &prefix);
    world.kafka().create_all(&[&source], PARTITIONS, &[]);
    let bridge = Bridge::start(Settings::new(&world.kafka().brokers(), &[&source]));
    let topics = world.kafka().topics(&prefix);
    let mut scene = Scene { bridge, topics, cuts: Vec::new(), sampler: Sampler::start() };
    scene.sampler.look_at(scene.bridge.pid());

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
    let life = quiet_life(world, &mut scene, &source, plan.seed, &mut ledger);
    let records = read(world, &scene.topics, plan.is_short);
    let outcome = verdict(plan, &scene, &ledger, &records, &life);
    scene.topics.iter().for_each(|topic| world.kafka().delete_topic(topic));
    outcome
}

/// A last life, from an orderly start to an orderly stop, whose metrics must be exact.
fn quiet_life(world: &World, scene: &mut Scene, source: &Arc<Source>, seed: u64, ledger: &mut Ledger) -> Life {
    scene.sampler.look_at(None);
    scene.bridge.stop_cleanly();
    let before = scene.records_on_kafka(world);
    scene.bridge.start_again();
    scene.sampler.look_at(scene.bridge.pid());
    let mut maker = Maker::quietly(!seed);
    let stories = (0..10).map(|_| maker.story(source)).collect();
    let sent = send_all(&scene.bridge, stories, 4, Duration::ZERO);
    let statuses: Vec<u16> = sent.entries.iter().flat_map(|entry| entry.statuses.clone()).collect();
    ledger.extend(sent);
    scene.drain();
    let metrics = scene.bridge.metrics();
    scene.sampler.look_at(None);
    scene.bridge.stop_cleanly();
    let count = |wanted: fn(u16) -> bool| statuses.iter().filter(|status| wanted(**status)).count() as u64;
    Life {
        metrics,
        was_killed: false,
        answered_2xx: count(|status| (200..300).contains(&status)),
        answered_503: count(|status| status == 503),
        answered_else: count(|status| status >= 300 && status != 503),
        unanswered: count(|status| status == 0),
        gained: (scene.records_on_kafka(world) - before) as u64,
    }
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

fn verdict(plan: &Plan, scene: &Scene, ledger: &Ledger, records: &[Record], life: &Life) -> Result<Outcome, String> {
    let renewals = trouble::renewals(&scene.bridge);
    let (kills, cuts) = (scene.cuts.len(), scene.cuts.clone());
    let circumstances = Circumstances { kills, renewals, cuts, ..Circumstances::default() };
    let aside = Aside::read(&scene.bridge.journal_dir());
    let mut report = judge_all(ledger, records, &aside, &circumstances);
    life.judge(&mut report);
    let usage = scene.sampler.most();
    usage.judge(BOUNDS, &mut report);
    let refused: Vec<_> =
        ledger.entries.iter().filter(|entry| !entry.is_kept() || !entry.complaints.is_empty()).collect();
    let told = refused
        .first()
        .map(|entry| format!("\n{} not answered as they should be: {:?}", refused.len(), entry.statuses));
    if report.scene().is_some() || told.is_some() {
        let (found, told) = (report.scene().unwrap_or_default(), told.unwrap_or_default());
        return Err(format!("{:?}\n{found}{told}\n{}", plan.troubles, super::command(plan.seed)));
    }
    let mut troubles = BTreeMap::new();
    plan.troubles.iter().for_each(|kind| *troubles.entry(*kind).or_default() += 1);
    let repeated_after = report.repeated_after;
    Ok(Outcome { rounds: 1, events: report.promised, troubles, repeated_after, usage })
}
