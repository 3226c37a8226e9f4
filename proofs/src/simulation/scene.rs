//! One life of one journal, from a seed: steps, deaths, recoveries.
//!
//! In: a seed, and for the walk through every change the number at which the power is cut. Out: how many recoveries
//! were judged, or the scene with what is wrong. Never happens: a step that the seed does not fix.

use std::fmt::Write as _;
use std::sync::Arc;

use retell_bridge::journal::{LaneMark, Position};
use retell_bridge::metrics::Metrics;

use super::copies::Copies;
use super::disk::{Call, End, SimDisk};
use super::ledger::{Ledger, Rot, Wrong};
use super::rig::{NotOpen, Rig, Shape};
use super::rot;
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

mod steps;

const TOPICS: [&str; 4] = ["retell.call_ended", "retell.call_started", "retell.chat_ended", "retell.unrecognized"];
/// 2026-01-01: the clock's start.
pub const START_MS: u64 = 1_767_225_600_000;

/// What one scene came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub recoveries: u64,
    pub changes: u64,
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
    /// Files in quarantine when rot struck last.
    copies_before_rot: usize,
    /// Rot has struck, and no recovery since then was judged.
    rot_waits: bool,
    /// A copy could not be made in an attempt since then that was cut off.
    copy_failed: bool,
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
            copies_before_rot: 0,
            rot_waits: false,
            copy_failed: false,
            outcome: Outcome::default(),
            log: tells.then(|| vec![format!("{shape:?}, {topics} lanes")]),
            shape,
        }
    }

    fn live(&mut self, lives: u64, plan: CutPlan) -> Result<(), Wrong> {
        let mut rot = Rot::default();
        for life in 0..=lives {
            self.plan_cut(life, plan);
            let Some(mut rig) = self.recover(&rot)? else {
                rot.merge(self.die()?);
                continue;
            };
            self.steps(&mut rig)?;
            self.outcome.poisoned += u64::from(rig.is_poisoned());
            drop(rig);
            rot = self.die()?;
        }
        // The last word: no trouble any more, everything must be there, and the journal takes records.
        self.disk.set_capacity_bytes(2 * self.shape.capacity_bytes);
        self.is_squeezed = false;
        self.shape.has_faults = false;
        self.disk.cut_at(None);
        let mut rig = self.recover(&rot)?.ok_or("a recovery without trouble fails")?;
        self.write(&mut rig)?;
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

    /// `None` where the power was cut, or a fault struck, before the recovery ended.
    fn recover(&mut self, rot: &Rot) -> Result<Option<Rig>, Wrong> {
        let copies = self.shape.has_rot.then(|| Copies::before(&self.disk));
        let opened = Rig::open(&self.disk, &self.shape, &self.metrics, self.now_ms, &mut self.random);
        let has_trouble = self.disk.is_down() || !self.disk.failed().is_empty();
        let (rig, found) = match opened {
            Ok(opened) => opened,
            Err(NotOpen::Trouble(error)) if has_trouble => {
                note!(self, "the recovery is cut short: {error}");
                return Ok(None);
            }
            // Rot in a spare takes the room that a recovery counts on.
            Err(NotOpen::NoRoom(error)) if self.is_squeezed || !rot.is_none() => {
                note!(self, "the recovery finds no room: {error}");
                return Ok(None);
            }
            Err(NotOpen::Trouble(error) | NotOpen::NoRoom(error)) => {
                return Err(format!("the journal does not open: {error}"));
            }
            Err(NotOpen::Wrong(wrong)) if has_trouble => {
                note!(self, "the recovery is cut short: {wrong}");
                return Ok(None);
            }
            Err(NotOpen::Wrong(wrong)) => return Err(wrong),
        };
        if self.disk.is_down() {
            return Ok(None);
        }
        note!(
            self,
            "recovered: {} met, oldest {}, synced {}, lanes {:?}",
            found.met.len(),
            found.oldest,
            found.synced,
            found.lanes
        );
        let taken = self.ledger.recovered(&found, rot)?;
        // An attempt that was cut off has told and copied; in a last batch that no checkpoint covers, where rot cannot be
        // told from a torn write, the copy and the warning are all there is.
        // Where the disk is full there is the word alone.
        let copied = self.copy_failed || self.has_failed_copy() || self.copies() > self.copies_before_rot;
        let cut = !rot.tail.is_empty() && rig.torn_bytes() > 0;
        if taken > 0 && rig.told_bytes() == 0 && !cut && !copied {
            return Err(format!("{taken} records are gone by rot, and nothing was said"));
        }
        if let Some(copies) = copies {
            self.outcome.copies += copies.check(&self.disk)?;
        }
        self.rot_waits = false;
        self.copy_failed = false;
        self.outcome.recoveries += 1;
        if !self.shape.has_rot && !self.shape.has_faults && rig.told_bytes() > 0 {
            return Err("damage is told after a plain crash".to_owned());
        }
        // The publisher starts where the checkpoint says; what it had settled behind that it sends again.
        for lane in &mut self.lanes {
            let known = found.lanes.iter().find(|known| known.topic == lane.topic);
            lane.position = known.map_or(Position(found.oldest), |known| known.position);
        }
        Ok(Some(rig))
    }

    /// The process ends, if the cut has not ended it yet; then perhaps rot.
    fn die(&mut self) -> Result<Rot, Wrong> {
        let killed = !self.disk.is_down() && self.random.chance(40);
        let end = if killed { End::Killed } else { End::PowerCut };
        note!(self, "{end:?} after change {}", self.disk.changes());
        self.keep_calls();
        self.copy_failed |= self.rot_waits && self.has_failed_copy();
        self.disk.restart(end);
        if end == End::Killed || !self.shape.has_rot || !self.random.chance(30) {
            return Ok(Rot::default());
        }
        if !self.rot_waits {
            self.copies_before_rot = self.copies();
        }
        self.rot_waits = true;
        let (rot, told) = rot::strike(&self.disk, &self.ledger, &mut self.random);
        self.outcome.rotten += 1;
        note!(self, "rot: {told}");
        Ok(rot)
    }

    fn copies(&self) -> usize {
        self.disk.names("quarantine").iter().filter(|name| name.ends_with(".bytes")).count()
    }

    fn has_failed_copy(&self) -> bool {
        self.disk.failed().iter().any(|failed| failed.path.starts_with("quarantine"))
    }

    fn has_failed_read(&self) -> bool {
        self.disk.failed().iter().any(|failed| matches!(failed.call, Call::Read | Call::Open | Call::List))
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
