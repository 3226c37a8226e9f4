//! The keeper: checkpoint, spares, retention, quarantine, and what is measured about room.
//!
//! In: one call every now and then. Out: a checkpoint that is never ahead of what was handed over; spares ahead of need;
//! segments dropped only behind a synced checkpoint. Never happens: a segment dropped while damage in it is not yet
//! quarantined (damage comes first in a turn); a checkpoint file synced again after an error.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, CheckpointFile, lanes_fit};
use super::retention::{Clock, is_aged};
use super::room::Rate;
use super::segment::Name;
use super::shared::{Shared, lock};
use super::storage::Storage;
use super::{JournalId, LaneMark, Position, quarantine, room, spares};
use crate::planted::Bug;

/// Room is measured this often.
const MEASURE_EVERY_MS: u64 = 1_000;
/// After spares could not be made, this long until the next attempt.
const RETRY_AFTER_MS: u64 = 1_000;
/// The quarantine is looked through this often.
const EXPIRE_EVERY_MS: u64 = 600_000;

/// Looks after the journal's files. One per journal; a plain object that the keeper's thread, or a simulation, steps.
pub struct Keeper {
    shared: Arc<Shared>,
    identity: JournalId,
    /// `None` after an error: it is never synced again.
    checkpoint: Option<CheckpointFile>,
    written: (Vec<LaneMark>, Position),
    clock: Clock,
    rate: Rate,
    /// On the clock of uptime; `None`: never yet.
    checkpointed_at_ms: Option<u64>,
    measured_at_ms: Option<u64>,
    expired_at_ms: Option<u64>,
    no_room_at_ms: Option<u64>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, identity: JournalId, checkpoint: CheckpointFile, clock: Clock) -> Keeper {
        let written = checkpoint.newest().map(|newest| (newest.lanes.clone(), newest.synced_up_to));
        Keeper {
            shared,
            identity,
            checkpoint: Some(checkpoint),
            written: written.unwrap_or_default(),
            clock,
            rate: Rate::default(),
            checkpointed_at_ms: None,
            measured_at_ms: None,
            expired_at_ms: None,
            no_room_at_ms: None,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// One step. `now_ms` is Unix time, which may jump; `uptime_ms` never does.
    pub fn turn(&mut self, now_ms: u64, uptime_ms: u64) {
        self.tell_damage(now_ms);
        if is_due(self.checkpointed_at_ms, uptime_ms, self.shared.options.checkpoint_every.as_millis() as u64) {
            self.checkpoint();
            self.checkpointed_at_ms = Some(uptime_ms);
        }
        if self.shared.is_poisoned() {
            return;
        }
        self.retain(now_ms, uptime_ms);
        self.keep_spares(uptime_ms);
        if is_due(self.expired_at_ms, uptime_ms, EXPIRE_EVERY_MS) && self.clock.is_trusted(now_ms, uptime_ms) {
            let retention_ms = self.shared.options.quarantine_retention.as_millis() as u64;
            if let Err(error) = quarantine::expire(self.shared.storage.as_ref(), now_ms, retention_ms) {
                tracing::warn!(%error, "quarantine cannot be looked through");
            }
            self.expired_at_ms = Some(uptime_ms);
        }
        if is_due(self.measured_at_ms, uptime_ms, MEASURE_EVERY_MS) {
            room::measure(&self.shared, &mut self.rate, uptime_ms);
            self.measured_at_ms = Some(uptime_ms);
        }
    }

    /// The last step: damage told, the last checkpoint written.
    pub fn close(&mut self, now_ms: u64) {
        self.tell_damage(now_ms);
        self.checkpoint();
    }

    /// Writes the checkpoint where something has changed.
    fn checkpoint(&mut self) {
        let mut marks = lock(&self.shared.marks);
        // Asked after the marks are taken, so that no lane is ahead of it.
        let synced = self.shared.synced();
        let changed = std::mem::take(&mut marks.changed) || synced != self.written.1;
        let lanes = changed.then(|| marks.lanes.clone());
        drop(marks);
        if let Some(lanes) = lanes {
            self.write_checkpoint(lanes, synced);
        }
    }

    fn write_checkpoint(&mut self, lanes: Vec<LaneMark>, synced_up_to: Position) {
        let Some(file) = self.checkpoint.as_mut() else { return };
        if !lanes_fit(&lanes) {
            tracing::error!(
                lanes = lanes.len(),
                "checkpoint not written: more than 64 lanes, or a name over 249 bytes"
            );
            return;
        }
        let next_segment = lock(&self.shared.spares).next_number;
        let checkpoint =
            Checkpoint { identity: self.identity, generation: 0, synced_up_to, next_segment, lanes: lanes.clone() };
        if let Err(error) = file.write(checkpoint) {
            self.checkpoint = None;
            self.shared.poison("checkpoint", &error);
            return;
        }
        let newest = lanes.iter().map(|lane| lane.position).max().filter(|_| Bug::SegmentFreedUnderALane.is_planted());
        lock(&self.shared.spares).settled = newest.or_else(|| file.settled_in_both());
        self.written = (lanes, synced_up_to);
    }

    /// Drops what is settled and older than the retention.
    fn retain(&mut self, now_ms: u64, uptime_ms: u64) {
        if !self.clock.is_trusted(now_ms, uptime_ms) {
            return;
        }
        let retention_ms = self.shared.options.retention.as_millis() as u64;
        loop {
            let Some(oldest) = self.shared.segments().into_iter().next() else { return };
            if !is_aged(&oldest, now_ms, retention_ms) {
                return;
            }
            self.settle_both_slots(oldest.end);
            let spares = lock(&self.shared.spares);
            if !spares::free_oldest(&self.shared, spares.settled) {
                return;
            }
        }
    }

    /// Where the newest slot alone lets a segment go, its elder is written again, so that both do.
    fn settle_both_slots(&mut self, end: Position) {
        let newest = self.checkpoint.as_ref().and_then(CheckpointFile::newest);
        let lowest = newest.and_then(|newest| Some(newest.lowest()?.min(newest.synced_up_to)));
        let both = lock(&self.shared.spares).settled;
        if lowest.is_some_and(|lowest| lowest >= end) && both.is_none_or(|both| both < end) {
            let (lanes, synced) = self.written.clone();
            self.write_checkpoint(lanes, synced);
        }
    }

    fn keep_spares(&mut self, uptime_ms: u64) {
        if self.no_room_at_ms.is_some_and(|at| uptime_ms.saturating_sub(at) < RETRY_AFTER_MS) {
            return;
        }
        let is_short = lock(&self.shared.spares).ready.len() < spares::SPARES_WANTED;
        let is_full = self.shared.is_full();
        if !is_short && !is_full {
            return;
        }
        if let Some(oldest) = self.shared.segments().first() {
            // Room may have to be made of it.
            self.settle_both_slots(oldest.end);
        }
        let mut spares = lock(&self.shared.spares);
        // One more than is kept ready must fit before the intake comes back: it would be refused again at once.
        let enough =
            spares::provide(&self.shared, &mut spares) && (!is_full || spares::make_room(&self.shared, &spares));
        self.no_room_at_ms = (!enough).then_some(uptime_ms);
        if enough {
            self.shared.set_full(false);
        }
    }

    /// Logs, counts and quarantines what readers have found.
    fn tell_damage(&mut self, now_ms: u64) {
        let damages = lock(&self.shared.damages).clone();
        for damage in &damages {
            let path = Name::Segment(damage.segment).path();
            let kept = self
                .shared
                .storage
                .open(&path)
                .and_then(|file| quarantine::keep(self.shared.storage.as_ref(), file.as_ref(), damage, now_ms));
            quarantine::tell(damage, &kept);
            if !matches!(kept, Ok(false)) {
                self.shared.metrics.corrupt_bytes_found(damage.counted_bytes());
            }
        }
        lock(&self.shared.damages).drain(..damages.len());
    }
}

fn is_due(last_ms: Option<u64>, uptime_ms: u64, every_ms: u64) -> bool {
    last_ms.is_none_or(|last| uptime_ms.saturating_sub(last) >= every_ms)
}

/// Quarantine and dead letters, once at the start.
pub fn tidy(storage: &dyn Storage) -> std::io::Result<()> {
    quarantine::tidy(storage)?;
    super::dead::tidy(storage)
}
