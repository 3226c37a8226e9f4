//! The checkpoint at a start.
//!
//! In: the file as it lies there. Out: which slot counts, and a new file with both slots. Never happens: lanes taken from
//! the checkpoint of another journal; a broken checkpoint that is passed over in silence.

use std::io;

use super::super::OpenError;
use super::super::checkpoint::{self, Checkpoint, CheckpointFile, SLOT_BYTES, Slots};
use super::super::quarantine::Damage;
use super::super::segment::HeaderError;
use super::super::storage::File;
use super::survey::Survey;
use super::{Recoverer, failed, rewrite};

/// The checkpoint file and what was read from it.
pub struct Marks {
    file: Box<dyn File>,
    slots: Slots,
}

impl Recoverer<'_> {
    /// `None` where there is no file.
    pub(super) fn read_marks(&self) -> Result<Option<Marks>, OpenError> {
        let path = checkpoint::path();
        let file = match self.storage.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed("open", "journal/checkpoint"))?,
        };
        let slots = checkpoint::read_slots(file.as_ref()).map_err(failed("read", "journal/checkpoint"))?;
        for slot in &slots {
            if let Err(HeaderError::Version(version)) = slot {
                return Err(OpenError::Version { path: path.display().to_string(), version: *version });
            }
        }
        Ok(Some(Marks { file, slots }))
    }

    /// The newest slot that belongs to this journal; loud where there is none but should be.
    pub(super) fn judge_marks(&mut self, marks: &Option<Marks>, survey: &Survey) -> Option<Checkpoint> {
        let Some(Marks { file, slots }) = marks else {
            if !survey.used.is_empty() || !survey.blank.is_empty() {
                tracing::error!("checkpoint missing: every lane starts from the oldest segment, with duplicates");
                self.corrupt_bytes += SLOT_BYTES;
            }
            return None;
        };
        self.broken_slots = slots.iter().filter(|slot| slot.is_err()).count();
        let belongs = |slot: &&Checkpoint| survey.used.is_empty() || survey.knows(slot.identity);
        let newest = slots.iter().flatten().filter(belongs).max_by_key(|slot| slot.generation).cloned();
        if newest.is_none() {
            let whole = 0..2 * SLOT_BYTES;
            let what = "no checkpoint slot is sound and of this journal: lanes start from the oldest segment";
            self.damaged(file.as_ref(), &Damage { segment: 0, bytes: whole, positions: 0..0, what });
        } else if self.broken_slots > 0 {
            tracing::warn!("one checkpoint slot is broken, as after a crash in its writing: the other one counts");
        }
        newest
    }

    /// Makes the file anew. Written in place, a power cut would leave the elder slot, and lanes would go back behind a
    /// checkpoint that was synced; where there is no room for a new file, going back (with duplicates) is the lesser evil.
    pub(super) fn write_marks(&self, marks: Option<Marks>, first: &Checkpoint) -> Result<CheckpointFile, OpenError> {
        let failed = failed("write", "journal/checkpoint");
        match (CheckpointFile::create(self.storage, first), marks) {
            (Err(error), Some(Marks { file, slots })) if rewrite::is_full(&error) => {
                tracing::warn!(%error, "journal: disk full, the checkpoint is written in place");
                // A start removes it at the latest.
                let _ = self.storage.remove(&checkpoint::path_new());
                let mut file = CheckpointFile::resume(file, slots);
                file.write(first.clone()).map_err(failed)?;
                Ok(file)
            }
            (created, _) => created.map_err(failed),
        }
    }
}
