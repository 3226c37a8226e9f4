//! What one process does before it ends: records written, lanes published, checkpoints, dead letters, and trouble.
//!
//! In: a scene with an open journal. Out: the ledger, told of every answer and of every record that was read. Never
//! happens: a step that the seed does not fix.

use retell_bridge::journal::{AppendError, Position};

use super::super::disk::{Call, EIO, ENOSPC, Failed, Fault};
use super::super::ledger::Wrong;
use super::super::rig::Rig;
use super::Scene;

impl Scene {
    pub(super) fn steps(&mut self, rig: &mut Rig) -> Result<(), Wrong> {
        let steps = self.random.between(1, 40);
        for _ in 0..steps {
            if self.disk.is_down() {
                break;
            }
            match self.random.below(100) {
                0..45 => self.write(rig)?,
                45..58 => self.publish(rig)?,
                58..64 => self.catch_up(rig)?,
                64..72 => self.mark(rig),
                72..85 => self.turn(rig),
                85..92 => self.wait(),
                92..94 => self.dead_letter(rig)?,
                94..96 => self.trouble(8),
                96..98 => self.room(),
                _ => {
                    if self.close(rig)? {
                        break;
                    }
                }
            }
            let must_be = self.disk.failed().into_iter().find(Failed::poisons);
            if let Some(failed) = must_be.filter(|_| !rig.is_poisoned() && !self.disk.is_down()) {
                return Err(format!("the journal is not poisoned by {failed:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, rig: &mut Rig) -> Result<(), Wrong> {
        let count = self.random.pick(&[1, 1, 1, 2, 3, 8]);
        let largest = self.random.pick(&[64, 600, 600, 4_000, 4_000, 4_000, self.shape.segment_bytes / 2]);
        self.write_some(rig, count, largest).map(|_kept| ())
    }

    /// One write of so many records; how many were answered Ok.
    pub(super) fn write_some(&mut self, rig: &mut Rig, count: usize, largest: u64) -> Result<usize, Wrong> {
        self.batches += 1;
        let mut ids = Vec::new();
        for _ in 0..count {
            let bytes = self.random.between(16, largest);
            ids.push(self.ledger.make(bytes, self.now_ms, self.batches, &mut self.random));
        }
        let records: Vec<_> = ids.iter().map(|id| self.ledger.known(*id).clone()).collect();
        let was_poisoned = rig.is_poisoned();
        let answers = rig.write(&self.disk, &records, self.now_ms)?;
        let is_down = self.disk.is_down();
        note!(self, "write {} records {}..: {:?}", ids.len(), ids[0], answers.first());
        let kept = answers.iter().filter(|answer| matches!(answer, Some(Ok(_)))).count();
        for (id, answer) in ids.iter().zip(answers) {
            match answer {
                Some(Ok(_)) if was_poisoned => return Err(format!("record {id} was answered Ok behind a failed sync")),
                Some(answer) => {
                    self.outcome.full += u64::from(answer == Err(AppendError::NoRoom));
                    self.ledger.answered(*id, answer.map(|position| position.0))?;
                }
                None if is_down => {}
                None => return Err(format!("record {id} was never answered")),
            }
        }
        Ok(kept)
    }

    /// Kafka is well: every lane is published to the end, so that segments go and there is room again.
    pub(super) fn catch_up(&mut self, rig: &mut Rig) -> Result<(), Wrong> {
        for lane in 0..self.lanes.len() {
            self.publish_lane(rig, lane, u64::MAX)?;
        }
        self.mark(rig);
        self.turn(rig);
        Ok(())
    }

    fn publish(&mut self, rig: &mut Rig) -> Result<(), Wrong> {
        let lane = self.random.below(self.lanes.len() as u64) as usize;
        let count = self.random.between(1, 30);
        self.publish_lane(rig, lane, count)
    }

    /// One lane's publisher reads on; what it read is settled.
    fn publish_lane(&mut self, rig: &mut Rig, lane: usize, count: u64) -> Result<(), Wrong> {
        let from = self.lanes[lane].position.0;
        let (seen, position, error) = rig.read(from, count);
        for record in &seen {
            self.ledger.read(record)?;
        }
        if !self.shape.has_rot {
            self.ledger.passed_over(from, position, &seen)?;
        }
        if let Some(error) = error {
            // A read that fails is tried again; nothing is skipped meanwhile.
            if !self.disk.has_failed_read() && !self.disk.is_down() {
                return Err(error);
            }
            note!(self, "lane {lane} cannot read on: {error}");
        }
        note!(self, "lane {lane} publishes {} records, up to {position}", seen.len());
        self.lanes[lane].position = Position(position);
        Ok(())
    }

    fn mark(&mut self, rig: &mut Rig) {
        note!(self, "mark {:?}", self.lanes.iter().map(|lane| lane.position.0).collect::<Vec<_>>());
        self.ledger.handed_over(&self.lanes);
        rig.mark(self.lanes.clone());
    }

    fn turn(&mut self, rig: &mut Rig) {
        let synced = rig.turn(self.now_ms);
        note!(self, "keeper's turn: checkpoint synced: {synced}");
        if synced && !self.disk.is_down() {
            self.ledger.checkpoint_synced();
        }
    }

    fn wait(&mut self) {
        let ms = self.random.pick(&[1, 50, 300, 1_000, 30_000, 700_000]);
        self.now_ms += ms;
        note!(self, "{ms} ms pass");
    }

    fn dead_letter(&mut self, rig: &mut Rig) -> Result<(), Wrong> {
        let (name, letter) = (format!("{}", self.random.below(3)), self.dead_letters.make(&mut self.random));
        let kept = rig.keep_dead_letter(&name, &letter);
        note!(self, "dead letter {name}: kept {kept}");
        if kept && self.disk.is_down() {
            return Err(format!("dead letter {name} was kept when the power was off"));
        }
        self.dead_letters.answered(&name, letter, kept);
        Ok(())
    }

    /// A recovery meets trouble of its own: its rewriting, its new checkpoint, its copies and its looks into folders.
    pub(super) fn recovery_trouble(&mut self) {
        if self.random.chance(30) {
            let latest = self.random.pick(&[4, 12, 40]);
            self.trouble(latest);
        }
    }

    /// One of the next calls of some kind fails, the `latest` at the latest.
    fn trouble(&mut self, latest: u64) {
        if !self.shape.has_faults {
            return;
        }
        let call = self.random.pick(&[
            Call::Write,
            Call::Sync,
            Call::Sync,
            Call::Create,
            Call::Rename,
            Call::SyncFolder,
            Call::Read,
            Call::Read,
            Call::Open,
            Call::List,
            Call::SetLen,
            Call::Remove,
        ]);
        let fault =
            Fault { call, countdown: self.random.between(1, latest), errno: self.random.pick(&[EIO, EIO, ENOSPC]) };
        note!(self, "{fault:?}");
        self.disk.set_fault(Some(fault));
    }

    fn room(&mut self) {
        if self.shape.has_faults {
            let room = self.random.between(0, self.shape.capacity_bytes);
            let bytes = self.random.pick(&[self.shape.capacity_bytes, room]);
            note!(self, "the disk has {bytes} bytes");
            self.disk.set_capacity_bytes(bytes);
            self.is_squeezed = bytes < self.shape.capacity_bytes;
        }
    }

    fn close(&mut self, rig: &mut Rig) -> Result<bool, Wrong> {
        if self.random.chance(70) {
            return Ok(false);
        }
        let synced = rig.close(self.now_ms);
        note!(self, "clean stop: {synced}");
        if synced && !self.disk.is_down() {
            self.ledger.checkpoint_synced();
        }
        Ok(true)
    }
}
