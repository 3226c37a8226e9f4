//! One scene, from a seed: events, mishaps and restarts; then all is healed and everything must drain.
//!
//! In: a seed. Out: what was done, or what is wrong and the story. Never happens: a step that the seed does not fix; a scene
//! that ends with something that still waits.

mod turning;

use std::time::Duration;

use retell_bridge::intake::Taken;
use retell_bridge::journal::Options;

use super::bridge::{Bridge, Settings, World};
use super::clock::Clock;
use super::judge::{Count, Limits, Shared, Wrong};
use super::kafka::Kafka;
use super::senders::Senders;
use super::settings;
use crate::random::Random;
use crate::simulation::disk::{End, SimDisk};

/// One process is told to end after so many steps at the latest.
const STEPS_MAX: u64 = 60;
/// Virtual time within which a healed world has drained.
const DRAINED_WITHIN: Duration = Duration::from_secs(1_200);
/// What the intake waits for the journal.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// What one scene came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub restarts: u64,
    pub letters: u64,
    pub late: u64,
    pub left: u64,
    pub poisoned: u64,
    pub producers: u64,
    pub virtual_hours: u64,
    pub count: Count,
}

/// A request that waits for the journal.
struct Waiting {
    letter: usize,
    taken: Taken,
    until: Duration,
}

pub struct Scene {
    pub(super) random: Random,
    pub(super) world: World,
    pub(super) settings: Settings,
    pub(super) bridge: Option<Bridge>,
    pub(super) senders: Senders,
    waiting: Vec<Waiting>,
    pub(super) capacity_bytes: u64,
    pub(super) has_faults: bool,
    /// The disk was made smaller than the journal was promised.
    pub(super) is_squeezed: bool,
    /// The power is to be cut as soon as somebody is answered.
    pub(super) cuts_after_an_answer: bool,
    pub(super) outcome: Outcome,
    story: Option<Vec<String>>,
}

/// Runs the scene of a seed with this many deaths. `Err`: what is wrong, and the story where it is to be told.
pub fn run(seed: u64, lives: u64, is_told: bool) -> Result<Outcome, (Wrong, Vec<String>)> {
    let mut scene = Scene::new(seed, is_told);
    match scene.live(lives) {
        Ok(()) => Ok(scene.total()),
        Err(wrong) => Err((wrong, scene.story.take().unwrap_or_default())),
    }
}

impl Scene {
    fn new(seed: u64, is_told: bool) -> Scene {
        let mut random = Random::new(seed);
        let segment_bytes: u64 = 64 << 10;
        let size_max_bytes = random.pick(&[5, 6, 10, 20]) * segment_bytes + segment_bytes / 2;
        let capacity_bytes = size_max_bytes * 2;
        let window = Duration::from_secs(random.pick(&[60, 3_600, 3_600]));
        let journal = Options {
            segment_bytes,
            size_max_bytes,
            retention: Duration::from_secs(random.pick(&[0, 60, 3_600, 86_400])),
            quarantine_retention: Duration::from_secs(7_200),
            checkpoint_every: Duration::from_millis(random.pick(&[0, 200])),
            allow_ephemeral: false,
        };
        let limits = Limits {
            topic_bytes: random.pick(&[3_000, 8_000, usize::MAX]),
            dead_letter_bytes: random.pick(&[3_000, usize::MAX]),
            client_bytes: random.pick(&[9_000, usize::MAX]),
            has_poison: random.chance(50),
        };
        let clock = Clock::default();
        let judge = Shared::new(limits, window.as_millis() as u64);
        let disk = SimDisk::new(random.split(), capacity_bytes);
        let kafka = Kafka::new(limits, random.split(), clock.clone(), judge.clone(), disk.clone());
        let topics = settings::first(&mut random);
        let mut scene = Scene {
            senders: Senders::new(random.split(), 10_000),
            has_faults: random.chance(40),
            settings: Settings { journal, topics, window },
            world: World { disk, clock, kafka, judge },
            bridge: None,
            waiting: Vec::new(),
            capacity_bytes,
            is_squeezed: false,
            cuts_after_an_answer: false,
            outcome: Outcome::default(),
            story: is_told.then(Vec::new),
            random,
        };
        if is_told {
            scene.world.judge.ask().tells();
        }
        scene.note(|scene| format!("{limits:?}, {:?}", scene.settings));
        scene
    }

    fn live(&mut self, lives: u64) -> Result<(), Wrong> {
        for _ in 0..lives {
            self.plan_cut();
            self.befall_a_start();
            if self.start()? {
                let steps = self.random.between(5, STEPS_MAX);
                for _ in 0..steps {
                    if self.bridge.is_none() {
                        break;
                    }
                    self.step()?;
                }
            }
            self.die();
            if self.random.chance(30) {
                settings::change(&mut self.settings.topics, &mut self.random);
                self.note(|scene| format!("other settings: {:?}", scene.settings.topics));
            }
        }
        self.drain()
    }

    /// Faults are over: every letter is answered, every record is where it belongs, within a bound.
    fn drain(&mut self) -> Result<(), Wrong> {
        self.note(|_| "all is healed".to_owned());
        self.heal();
        let healed = self.world.clock.mono();
        if !self.start()? {
            return Err("a start without trouble fails".to_owned());
        }
        loop {
            let open: Vec<usize> =
                (0..self.senders.letters.len()).filter(|letter| !self.senders.letters[*letter].is_answered).collect();
            let is_done = self.bridge.as_mut().is_some_and(Bridge::is_done);
            if open.is_empty() && self.waiting.is_empty() && is_done {
                break;
            }
            if self.world.clock.mono() > healed + DRAINED_WITHIN {
                let waiting = self.waiting.len();
                let lowest = self.world.judge.ask().lowest_unsettled();
                return Err(format!(
                    "it does not drain: after {DRAINED_WITHIN:?} {} letters are not answered, {waiting} requests wait, \
                     done {is_done}, lowest unsettled {lowest:?}",
                    open.len()
                ));
            }
            for letter in open.into_iter().take(20) {
                self.post(letter, false);
            }
            self.pass(Duration::from_millis(1_000))?;
        }
        self.pass(Duration::from_millis(500))?;
        self.stop_clean()?;
        self.world.judge.ask().end();
        self.check()?;
        // Nothing is left to be sent.
        self.start()?;
        let before = self.world.judge.ask().count.deliveries;
        self.pass(Duration::from_millis(2_000))?;
        let again = self.world.judge.ask().count.deliveries - before;
        if again > 0 {
            return Err(format!("{again} deliveries are sent again after a clean stop"));
        }
        Ok(())
    }

    /// Whether there is a process now.
    pub(super) fn start(&mut self) -> Result<bool, Wrong> {
        // The first start, of a folder that is empty, is none.
        self.outcome.restarts += u64::from(self.world.disk.changes() > 0);
        match Bridge::start(&self.world, &self.settings, &mut self.random) {
            Ok(bridge) => {
                self.note(|_| "started".to_owned());
                self.bridge = Some(bridge);
                self.check()?;
                Ok(true)
            }
            Err(error) => {
                self.check()?;
                let disk = &self.world.disk;
                if disk.is_down() || !disk.failed().is_empty() || self.is_squeezed {
                    self.note(|_| format!("no start: {error}"));
                    return Ok(false);
                }
                Err(format!("the bridge does not start: {error}"))
            }
        }
    }

    /// Some of those that wait leave.
    pub(super) fn leave(&mut self) {
        let before = self.waiting.len();
        let random = &mut self.random;
        self.waiting.retain(|_| random.chance(50));
        self.outcome.left += (before - self.waiting.len()) as u64;
    }

    /// As a signal asks for it: what waits is answered, then the journal is closed.
    pub(super) fn stop_clean(&mut self) -> Result<(), Wrong> {
        self.note(|_| "clean stop".to_owned());
        self.write()?;
        if let Some(bridge) = &mut self.bridge {
            bridge.stop();
        }
        self.after()?;
        if self.bridge.is_some() {
            self.end(End::Killed);
        }
        Ok(())
    }

    /// The process ends, if it has not ended yet.
    fn die(&mut self) {
        let end = if self.world.disk.is_down() || self.random.chance(50) { End::PowerCut } else { End::Killed };
        self.end(end);
    }

    pub(super) fn end(&mut self, end: End) {
        self.note(|_| format!("{end:?}"));
        self.cuts_after_an_answer = false;
        if let Some(bridge) = self.bridge.take() {
            self.outcome.poisoned += u64::from(bridge.is_poisoned());
            drop(bridge);
            self.world.kafka.cluster().forget_producer();
        }
        self.waiting.clear();
        self.world.disk.restart(end);
    }

    pub(super) fn check(&mut self) -> Result<(), Wrong> {
        self.take_in();
        self.world.judge.ask().verdict()
    }

    pub(super) fn note(&mut self, line: impl FnOnce(&Scene) -> String) {
        self.take_in();
        if self.story.is_some() {
            let line = format!("{:>12.3} s  {}", self.world.clock.mono().as_secs_f64(), line(self));
            self.story.get_or_insert_default().push(line);
        }
    }

    /// What the judge has seen since.
    fn take_in(&mut self) {
        if let Some(story) = &mut self.story {
            story.extend(self.world.judge.ask().take_story().into_iter().map(|line| format!("{:16}{line}", "")));
        }
    }

    fn total(&self) -> Outcome {
        let mut outcome = self.outcome;
        outcome.letters = self.senders.letters.len() as u64;
        outcome.producers = self.world.kafka.cluster().producers;
        outcome.virtual_hours = self.world.clock.mono().as_secs() / 3_600;
        outcome.count = self.world.judge.ask().count;
        outcome
    }
}
