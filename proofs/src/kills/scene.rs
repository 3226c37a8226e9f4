//! The bridge of a round: its lives one after the other, what each told of itself, and what each kill left.
//!
//! In: a world, when to kill. Out: cuts and lives for the judge. Never happens: a life that ends without having been
//! asked for its metrics.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::bridge::{Bridge, Metrics};
use support::events::{Maker, Source};
use support::judge::Cut;
use support::judge::lives::{Count, Life};
use support::judge::truth::Span;
use support::judge::usage::Sampler;
use support::ledger::{Ledger, turn};
use support::sender::{Sender, send_all};
use support::settings::Settings;
use support::sign::now_ms;

use super::trouble;
use super::world::World;

const DRAIN_WITHIN: Duration = Duration::from_secs(180);
/// Far inside the time for which a signature counts.
const SIGNED_LATELY_MS: u64 = 120_000;

/// See the module.
pub struct Scene {
    pub bridge: Bridge,
    /// Those that were there before the bridge: what it may write to.
    topics: Vec<String>,
    pub cuts: Vec<Cut>,
    pub lives: Vec<Told>,
    pub sampler: Sampler,
    /// Of the life at hand.
    born: Birth,
}

#[derive(Clone, Copy)]
struct Birth {
    turn: u64,
    /// Records that the topics held.
    records: i64,
    /// Producers given up by all lives before, and new counts of their clients.
    repeats: usize,
}

/// What a life told before it ended.
pub struct Told {
    span: Span,
    metrics: Metrics,
    was_killed: bool,
    gained: Count,
}

impl Told {
    /// With what the senders know of it.
    pub fn life(self, ledger: &Ledger) -> Life {
        Life::of(&self.span, ledger, self.metrics, self.was_killed, self.gained)
    }
}

impl Scene {
    pub fn start(world: &World, source: &Arc<Source>) -> Scene {
        let born = Birth { turn: turn(), records: 0, repeats: 0 };
        let bridge = Bridge::start(Settings::new(&world.kafka().brokers(), &[source]));
        let topics = world.kafka().topics(&source.prefix);
        let sampler = Sampler::start();
        sampler.look_at(bridge.pid());
        Scene { bridge, topics, cuts: Vec::new(), lives: Vec::new(), sampler, born }
    }

    /// The topics that were made for it.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// Kills it, lets `meanwhile` happen and looks at what is left.
    pub fn kill(&mut self, world: &mut World, meanwhile: impl FnOnce(&mut World)) {
        let (metrics, scrape) = self.scrape();
        self.sampler.look_at(None);
        self.bridge.kill();
        let until = turn();
        meanwhile(world);
        let cut = trouble::look(world, &self.bridge, &self.topics);
        let gained = (cut.ends.values().sum::<i64>() - self.born.records) as u64;
        // What it published after the scrape it counted for nobody.
        self.buried(metrics, (scrape, until), true, Count::at_most(gained));
        self.cuts.push(cut);
    }

    /// SIGTERM, when nothing waits any more.
    pub fn stop(&mut self, world: &World) {
        let (metrics, scrape) = self.scrape();
        self.sampler.look_at(None);
        self.bridge.stop_cleanly();
        let gained = (self.records_on_kafka(world) - self.born.records) as u64;
        // A producer that is given up, or a client that counts anew, leaves records that nobody has confirmed.
        let is_exact = self.repeats(world) == self.born.repeats;
        let gained = if is_exact { Count::exactly(gained) } else { Count::at_most(gained) };
        self.buried(metrics, (scrape, turn()), false, gained);
    }

    /// How often all lives until now may have sent again what was written already, kills aside.
    fn repeats(&self, world: &World) -> usize {
        let anew: usize = world.renumbered(&self.topics).values().map(Vec::len).sum();
        trouble::renewals(&self.bridge) + anew
    }

    /// The next life begins.
    pub fn begin(&mut self, world: &World) {
        let records = self.born.records + self.lives.last().map_or(0, |told| told.gained.most as i64);
        self.born = Birth { turn: turn(), records, repeats: self.repeats(world) };
        self.bridge.start_again();
        self.sampler.look_at(self.bridge.pid());
    }

    fn scrape(&self) -> (Metrics, (u64, u64)) {
        let before = turn();
        let metrics = self.bridge.metrics();
        (metrics, (before, turn()))
    }

    fn buried(&mut self, metrics: Metrics, (scrape, until): ((u64, u64), u64), was_killed: bool, gained: Count) {
        let span = Span { intake: self.bridge.intake_address(), from: self.born.turn, scrape, until };
        self.lives.push(Told { span, metrics, was_killed, gained });
    }

    fn records_on_kafka(&self, world: &World) -> i64 {
        world.kafka().counts(&self.topics).values().sum()
    }

    pub fn drain(&self) {
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

    /// A last life, from an orderly start to an orderly stop. Some of its events come twice, and some of the lives before.
    pub fn live_quietly(&mut self, world: &World, source: &Arc<Source>, seed: u64, ledger: &mut Ledger) {
        self.begin(world);
        let mut maker = Maker::quietly(!seed);
        let stories = (0..10).map(|_| maker.story(source)).collect();
        let sent = send_all(&self.bridge, stories, 4, Duration::ZERO);
        let mut again = Sender::to(&self.bridge);
        let is_fresh = |v: u64| v + SIGNED_LATELY_MS > now_ms();
        for entry in ledger.entries.iter().rev().take(10).chain(sent.entries.iter().take(10)) {
            if entry.is_kept() && is_fresh(entry.v) {
                again.send_at(&entry.event, entry.v);
            }
        }
        ledger.extend(sent);
        ledger.extend(again.ledger);
        self.drain();
        self.stop(world);
    }
}
