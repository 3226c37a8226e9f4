//! One process: the bridge's own parts, stepped by hand.
//!
//! ```text
//! clerk ─▶ journal (writer, keeper) ─▶ publisher ─▶ scripted Kafka
//!    │            │ simulated disk          │
//!    └────────────┴── the judge sees ───────┘
//! ```
//!
//! In: a disk as the process before left it, settings, steps. Out: what the parts do. Never happens: a thread; a clock but
//! the scene's; a part of the bridge that stands here instead of the real one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use retell_bridge::event::Event;
use retell_bridge::health::Health;
use retell_bridge::intake::{Clerk, Keep, Taken};
use retell_bridge::journal::{self, Append, AppendError, Item, Journal, JournalId, Keeper, Options, Position, Writer};
use retell_bridge::metrics::Metrics;
use retell_bridge::publisher::{self, Topics};

use super::clock::Clock;
use super::judge::{Found, Shared};
use super::kafka::Kafka;
use super::marks;
use super::stage::{Meanwhile, Stage};
use crate::random::Random;
use crate::simulation::disk::SimDisk;

/// What stays when a process dies.
#[derive(Clone)]
pub struct World {
    pub disk: SimDisk,
    pub clock: Clock,
    pub kafka: Kafka,
    pub judge: Shared,
}

/// How the bridge is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    pub journal: Options,
    pub topics: Topics,
    pub window: Duration,
}

/// See the module.
pub struct Bridge {
    world: World,
    journal: Journal,
    writer: Writer,
    keeper: Keeper,
    clerk: Clerk,
    publisher: Arc<Mutex<publisher::Stepped>>,
    meanwhile: Meanwhile,
    started: Duration,
    /// Generation of the checkpoint that was judged last.
    generation: u64,
    dead_letters: BTreeSet<String>,
    oldest_segment: Option<String>,
}

impl Bridge {
    /// Starts, and lets the judge see what the recovery found. `Err` says what the disk did not let it do.
    pub fn start(world: &World, settings: &Settings, random: &mut Random) -> Result<Bridge, String> {
        let World { disk, clock, kafka, .. } = world;
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let meanwhile = Meanwhile::default();
        let storage = Arc::new(Stage { disk: disk.clone(), meanwhile: meanwhile.clone() });
        let mut identity = [0; 16];
        random.fill(&mut identity);
        let (now_ms, options) = (clock.wall_ms(), settings.journal.clone());
        let opened = (metrics.clone(), health.clone());
        let stepped = journal::open_stepped(storage, options, opened.0, opened.1, now_ms, JournalId(identity));
        let mut stepped = stepped.map_err(|error| error.to_string())?;
        if disk.is_down() {
            return Err("the power is off".to_owned());
        }
        let journal = stepped.journal;
        judge_recovery(world, settings, &journal, &stepped.recovered)?;
        let keep = keep(world, journal.clone());
        let tags = std::mem::replace(&mut stepped.recovered.tags, Box::new(std::iter::empty()));
        let clerk = Clerk::new((settings.window, 100_000), tags, now_ms, keep, metrics.clone());
        let publisher = publisher::open_stepped(
            &settings.topics,
            kafka.producer(),
            &journal,
            &stepped.recovered,
            metrics,
            health,
            now_ms,
            clock.mono(),
        );
        let publisher = Arc::new(Mutex::new(publisher));
        meanwhile.set(Some(publish_meanwhile(world, &publisher, random.split())));
        Ok(Bridge {
            world: world.clone(),
            journal,
            writer: stepped.writer,
            keeper: stepped.keeper,
            clerk,
            publisher,
            meanwhile,
            started: clock.mono(),
            generation: 0,
            dead_letters: BTreeSet::new(),
            oldest_segment: None,
        })
    }

    /// A request has arrived whole and is authenticated.
    pub fn take(&self, event: Event) -> Result<Taken, AppendError> {
        self.clerk.take(event, ())
    }

    /// Writes and syncs one batch; how many records it had.
    pub fn write(&mut self) -> usize {
        self.writer.turn(self.world.clock.wall_ms())
    }

    /// One step of the publisher; how long it would wait.
    pub fn publish(&mut self) -> Duration {
        let (wall_ms, mono) = (self.world.clock.wall_ms(), self.world.clock.mono());
        let wait = self.publisher().step(wall_ms, mono, Duration::ZERO);
        match wait {
            publisher::Wait::Receipts(at_most) | publisher::Wait::Synced { at_most, .. } => at_most,
        }
    }

    /// One turn of the keeper, then a look at what lies on the disk.
    pub fn keep_house(&mut self) {
        let uptime = self.world.clock.mono() - self.started;
        self.keeper.turn(self.world.clock.wall_ms(), uptime.as_millis() as u64);
        self.look_at_the_disk();
    }

    pub fn is_poisoned(&self) -> bool {
        self.journal.is_poisoned()
    }

    pub fn is_done(&mut self) -> bool {
        self.publisher().is_done()
    }

    /// A clean stop, after the intake's.
    pub fn stop(&mut self) {
        while self.write() > 0 {}
        let (wall_ms, mono) = (self.world.clock.wall_ms(), self.world.clock.mono());
        self.publisher().finish(wall_ms, mono);
        self.writer.close();
        self.keeper.close(wall_ms);
        self.look_at_the_disk();
    }

    fn publisher(&self) -> MutexGuard<'_, publisher::Stepped> {
        self.publisher.lock().expect("a scene is one thread")
    }

    fn look_at_the_disk(&mut self) {
        let World { disk, judge, .. } = &self.world;
        if disk.is_down() || self.journal.is_poisoned() {
            return;
        }
        judge_dead_letters(&self.world, &mut self.dead_letters);
        let checkpoint = disk.bytes("journal/checkpoint").and_then(|bytes| marks::newest(&bytes));
        if let Some((generation, lanes)) = checkpoint.filter(|(generation, _)| *generation != self.generation) {
            self.generation = generation;
            judge.ask().marked(&lanes);
        }
        let oldest = disk.names("journal").into_iter().find(|name| name.ends_with(".segment"));
        if oldest != self.oldest_segment {
            self.oldest_segment = oldest;
            self.look_at_the_backlog();
        }
    }

    /// A segment has gone: what waits must still be there.
    fn look_at_the_backlog(&self) {
        let Some(position) = self.world.judge.ask().lowest_unsettled() else { return };
        let first = self.journal.reader(Position(position)).next();
        if let Ok(first) = first
            && !matches!(&first, Some(Item::Record(record)) if record.position.0 <= position)
        {
            let wrong = format!("a segment was freed under a lane: position {position} is not settled and is gone");
            self.world.judge.ask().found(wrong);
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It holds the publisher, which holds the journal, which holds it.
        self.meanwhile.set(None);
    }
}

/// The journal as the clerk sees it; the judge sees what goes in and what is answered.
fn keep(world: &World, journal: Journal) -> Keep {
    let World { disk, clock, judge, .. } = world.clone();
    Arc::new(move |append| {
        let Append { tag, received_at_ms, payload, done } = append;
        judge.ask().admitted(tag, received_at_ms, clock.jumps());
        let (told, power) = (judge.clone(), disk.clone());
        let done = move |answer: Result<Position, AppendError>| {
            let position = answer.ok().map(|position| position.0);
            told.ask().answered(tag, received_at_ms, position, !power.is_down());
            done(answer);
        };
        let queued = journal.append(Append { tag, received_at_ms, payload, done: Box::new(done) });
        if queued.is_err() {
            judge.ask().answered(tag, received_at_ms, None, true);
        }
        queued
    })
}

/// A step of the publisher in the middle of a sync, now and then.
fn publish_meanwhile(
    world: &World,
    publisher: &Arc<Mutex<publisher::Stepped>>,
    mut random: Random,
) -> Box<dyn FnMut() + Send> {
    let (disk, clock, publisher) = (world.disk.clone(), world.clock.clone(), publisher.clone());
    Box::new(move || {
        if disk.is_down() || !random.chance(30) {
            return;
        }
        // Where the sync is one of its own dead letters, it is busy.
        if let Ok(mut publisher) = publisher.try_lock() {
            publisher.step(clock.wall_ms(), clock.mono(), Duration::ZERO);
        }
    })
}

fn judge_recovery(
    world: &World,
    settings: &Settings,
    journal: &Journal,
    recovered: &journal::Recovered,
) -> Result<(), String> {
    let mut records = Vec::new();
    let mut reader = journal.reader(Position(0));
    loop {
        match reader.next() {
            Ok(None) => break,
            Ok(Some(Item::Record(record))) => {
                records.push((record.position.0, record.tag, record.received_at_ms, record.payload));
            }
            Ok(Some(Item::Damaged { from, until })) => {
                let wrong = format!("positions {}..{} are damaged on a disk without rot", from.0, until.0);
                world.judge.ask().found(wrong);
            }
            // The fault that a scene has set.
            Err(error) => return Err(error.to_string()),
        }
    }
    // Some were kept when nobody could look any more.
    judge_dead_letters(world, &mut BTreeSet::new());
    let dead_letters = world.disk.names("dead").into_iter().collect();
    let (lanes, oldest) = (&recovered.lanes[..], recovered.oldest.0);
    let found = Found { lanes, oldest, records, dead_letters };
    world.judge.ask().recovered(&found, &settings.topics, world.clock.jumps());
    Ok(())
}

/// Lets the judge see the dead letters on the disk that are not among the `known`.
fn judge_dead_letters(world: &World, known: &mut BTreeSet<String>) {
    for name in world.disk.names("dead") {
        if known.contains(&name) {
            continue;
        }
        // A look of the judge's own: a fault that waits on the disk is not for it.
        let disk = world.disk.copy();
        disk.set_fault(None);
        let letter = name.strip_suffix(".dead").and_then(|name| journal::dead::read(&disk, name).ok());
        if let Some(letter) = letter.as_deref().and_then(marks::dead_letter) {
            world.judge.ask().kept_on_disk(&name, &letter);
            known.insert(name);
        }
    }
}
