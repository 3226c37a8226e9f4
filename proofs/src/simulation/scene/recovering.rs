//! How a process of a scene begins and ends: recovered, judged; dead, and then perhaps rot.
//!
//! In: a scene. Out: an open journal whose recovery was judged, or none where trouble has cut it off. Never happens: a
//! recovery that fails without trouble; one that is counted and was not judged.

use retell_bridge::journal::Position;

use super::super::copies::Copies;
use super::super::disk::{End, Failed};
use super::super::ledger::{Found, Wrong};
use super::super::rig::{NotOpen, Rig};
use super::super::rot;
use super::super::told::{self, Word};
use super::Scene;

impl Scene {
    /// `None` where the power was cut, or a fault struck, before the recovery ended.
    pub(super) fn recover(&mut self) -> Result<Option<Rig>, Wrong> {
        let is_first = self.disk.names("journal").is_empty();
        let copies = self.shape.has_rot.then(|| Copies::before(&self.disk));
        let opened = Rig::open(&self.disk, &self.shape, &self.metrics, self.now_ms, &mut self.random);
        self.outcome.troubled += u64::from(!self.disk.failed().is_empty());
        let Some((rig, found)) = self.opened(opened)? else {
            self.was_cut_off |= !self.rot.is_none();
            return Ok(None);
        };
        note!(
            self,
            "recovered: {} met, oldest {}, synced {}, lanes {:?}",
            found.met.len(),
            found.oldest,
            found.synced,
            found.lanes
        );
        self.judge(&rig, &found)?;
        if let Some(copies) = copies {
            self.outcome.copies += copies.check(&self.disk)?;
        }
        self.outcome.recoveries += u64::from(!is_first);
        // The publisher starts where the checkpoint says; what it had settled behind that it sends again.
        for lane in &mut self.lanes {
            let known = found.lanes.iter().find(|known| known.topic == lane.topic);
            lane.position = known.map_or(Position(found.oldest), |known| known.position);
        }
        Ok(Some(rig))
    }

    /// `None` where trouble has cut it off.
    fn opened(&mut self, opened: Result<(Rig, Found), NotOpen>) -> Result<Option<(Rig, Found)>, Wrong> {
        let has_trouble = self.disk.is_down() || !self.disk.failed().is_empty();
        match opened {
            Ok(_) if self.disk.is_down() => Ok(None),
            Ok(opened) => Ok(Some(opened)),
            Err(NotOpen::Trouble(error)) if has_trouble => {
                note!(self, "the recovery is cut short: {error}");
                Ok(None)
            }
            // Rot in a spare takes the room that a recovery counts on.
            Err(NotOpen::NoRoom(error)) if self.is_squeezed || !self.rot.is_none() || has_trouble => {
                note!(self, "the recovery finds no room: {error}");
                Ok(None)
            }
            Err(NotOpen::Trouble(error) | NotOpen::NoRoom(error)) => Err(format!("the journal does not open: {error}")),
            Err(NotOpen::Wrong(wrong)) => Err(wrong),
        }
    }

    fn judge(&mut self, rig: &Rig, found: &Found) -> Result<(), Wrong> {
        let rot = std::mem::take(&mut self.rot);
        let taken = self.ledger.recovered(found, &rot)?;
        let word = Word {
            told_bytes: rig.told_bytes(),
            torn_bytes: rig.torn_bytes(),
            was_cut_off: std::mem::take(&mut self.was_cut_off),
            could_not_copy: std::mem::take(&mut self.could_not_copy),
            cannot_copy: self.has_failed_copy(),
        };
        told::check(&self.disk, &rot, &taken, &found.met, &word)?;
        self.dead_letters.check(&self.disk)?;
        if !self.shape.has_rot && !self.shape.has_faults && word.told_bytes > 0 {
            return Err("damage is told after a plain crash".to_owned());
        }
        Ok(())
    }

    /// The process ends, if the cut has not ended it yet; then perhaps rot.
    pub(super) fn die(&mut self) {
        let killed = !self.disk.is_down() && self.random.chance(40);
        let end = if killed { End::Killed } else { End::PowerCut };
        note!(self, "{end:?} after change {}", self.disk.changes());
        self.keep_calls();
        self.could_not_copy |= !self.rot.is_none() && self.has_failed_copy();
        self.disk.restart(end);
        if end == End::Killed || !self.shape.has_rot || !self.random.chance(30) {
            return;
        }
        if let Some((hit, told)) = rot::strike(&self.disk, &self.ledger, &mut self.random) {
            self.rot.hits.push(hit);
            self.outcome.rotten += 1;
            note!(self, "rot: {told}");
        }
    }

    fn has_failed_copy(&self) -> bool {
        self.disk.failed().iter().any(Failed::hinders_a_copy)
    }
}
