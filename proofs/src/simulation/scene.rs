//! One life of one journal, from a seed: steps, deaths, recoveries.
//!
//! In: a seed, and for the walk through every change the number at which the power is cut. Out: how many recoveries
//! were judged, or the scene with what is wrong. Never happens: a step that the seed does not fix.

use std::fmt::Write as _;
use std::sync::Arc;

use retell_bridge::journal::{LaneMark, Position};
use retell_bridge::metrics::Metrics;

use super::disk::SimDisk;
use super::ledger::{DeadLetters, Ledger, Rot, Wrong};
use super::rig::Shape;
use crate::random::Random;

/// A line of the scene, made only where the scene is told.
macro_rules! note {
    ($scene:expr, $($line:tt)*) => {
        if $scene.log.is_some() {
            let line = format!($($line)*);
            $scene.note(line);
        }
    };
}

mod recovering;
mod steps;

const TOPICS: [&str; 4] = ["retell.call_ended", "retell.call_started", "retell.chat_ended", "retell.unrecognized"];
/// 2026-01-01: the clock's start.
pub const START_MS: u64 = 1_767_225_600_000;

/// What one scene came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// The first start of all, on an empty disk, is none.
    pub recoveries: u64,
    pub changes: u64,
    /// Recoveries in which a call has failed; those that it cut off are not among the `recoveries`.
    pub troubled: u64,
    pub rotten: u64,
    pub poisoned: u64,
    pub full: u64,
    /// Files in quarantine that were compared with what was damaged.
    pub copies: u64,
}

/// A scene that failed.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub wrong: Wrong,
    pub scene: Vec<String>,
}

pub struct Scene {
    random: Random,
    disk: SimDisk,
    shape: Shape,
    metrics: Arc<Metrics>,
    now_ms: u64,
    ledger: Ledger,
    /// Where each lane's publisher stands: everything before is settled.
    lanes: Vec<LaneMark>,
    batches: u64,
    /// The disk was made smaller than the journal was promised.
    is_squeezed: bool,
    dead_letters: DeadLetters,
    /// What has struck since a recovery was judged last.
    rot: Rot,
    /// An attempt since then was cut off.
    was_cut_off: bool,
    /// In such an attempt a copy could not be made.
    could_not_copy: bool,
    outcome: Outcome,
    /// What is done, step by step; only a scene that is told keeps it.
    log: Option<Vec<String>>,
}

/// Where the power is cut.
#[derive(Debug, Clone, Copy)]
pub enum CutPlan {
    /// Where the seed says, in each life anew.
    Random,
    /// Once, at this change counted from the start; the lives after it end by chance as well.
    At(u64),
}

/// Runs the scene of a seed with `lives` deaths. One that fails is run again, to tell it.
pub fn run(seed: u64, lives: u64, plan: CutPlan, trace: bool) -> Result<Outcome, Box<Failure>> {
    let mut scene = Scene::new(seed, trace);
    if trace {
        scene.disk.keep_trace();
    }
    match scene.live(lives, plan) {
        Ok(()) => Ok(scene.outcome),
        Err(wrong) if trace => {
            scene.keep_calls();
            Err(Box::new(Failure { seed, wrong, scene: scene.log.unwrap_or_default() }))
        }
        Err(wrong) => Err(run(seed, lives, plan, true).err().unwrap_or_else(|| {
            let scene = vec!["the same seed held when it was run again, to be told".to_owned()];
            Box::new(Failure { seed, wrong, scene })
        })),
    }
}

impl Scene {
    fn new(seed: u64, tells: bool) -> Scene {
        let mut random = Random::new(seed);
        let shape = Shape::choose(&mut random);
        let disk = SimDisk::new(random.split(), shape.capacity_bytes);
        let topics = random.between(1, TOPICS.len() as u64) as usize;
        let lane = |topic: &&str| LaneMark { topic: (*topic).to_owned(), position: Position(1), takes: 0 };
        Scene {
            random,
            disk,
            metrics: Arc::default(),
            now_ms: START_MS,
            ledger: Ledger::new(),
            lanes: TOPICS[..topics].iter().map(lane).collect(),
            batches: 0,
            is_squeezed: false,
            dead_letters: DeadLetters::default(),
            rot: Rot::default(),
            was_cut_off: false,
            could_not_copy: false,
            outcome: Outcome::default(),
            log: tells.then(|| vec![format!("{shape:?}, {topics} lanes")]),
            shape,
        }
    }

    fn live(&mut self, lives: u64, plan: CutPlan) -> Result<(), Wrong> {
        for life in 0..=lives {
            self.plan_cut(life, plan);
            self.recovery_trouble();
            if let Some(mut rig) = self.recover()? {
                self.steps(&mut rig)?;
                self.outcome.poisoned += u64::from(rig.is_poisoned());
            }
            self.die();
        }
        self.last_word()
    }

    /// No trouble any more: everything must be there, and the journal takes records.
    fn last_word(&mut self) -> Result<(), Wrong> {
        // Dead letters and quarantine stay, and may have filled it: more room is what an operator gives.
        self.disk.set_capacity_bytes(4 * self.shape.capacity_bytes);
        self.shape.size_max_bytes *= 2;
        self.is_squeezed = false;
        self.shape.has_faults = false;
        self.disk.cut_at(None);
        let mut rig = self.recover()?.ok_or("a recovery without trouble fails")?;
        self.catch_up(&mut rig)?;
        let (count, largest) = (3, 4_000);
        let kept = self.write_some(&mut rig, count, largest)?;
        if kept < count {
            return Err(format!("of {count} records {kept} are taken, where there is room and no trouble"));
        }
        self.outcome.changes = self.disk.changes();
        Ok(())
    }

    fn plan_cut(&mut self, life: u64, plan: CutPlan) {
        let now = self.disk.changes();
        let at = match plan {
            CutPlan::At(change) if life == 0 => Some(change),
            CutPlan::At(_) => None,
            // Often early: in the middle of the recovery itself.
            CutPlan::Random if self.random.chance(35) => Some(now + self.random.between(1, 30)),
            CutPlan::Random if self.random.chance(70) => Some(now + self.random.between(1, 150)),
            CutPlan::Random => None,
        };
        if let Some(at) = at {
            note!(self, "the power will be cut at change {at}");
        }
        self.disk.cut_at(at);
    }

    fn keep_calls(&mut self) {
        for call in self.disk.take_trace() {
            let mut line = "          ".to_owned();
            let _ = write!(line, "{call}");
            self.log.get_or_insert_default().push(line);
        }
    }

    fn note(&mut self, line: String) {
        self.keep_calls();
        self.log.get_or_insert_default().push(line);
    }
}
