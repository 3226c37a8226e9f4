//! Recovery: from what a crash left to a journal that is whole.
//!
//! In: a folder. Out: segments that are all closed, spares, lanes, the next position. Never happens: silence about
//! damage; a position used twice; a record answered as known that the disk may not hold (the last segment is rewritten
//! and synced before anything is opened); an append to a file that an earlier process wrote records to.
//!
//! Every step may be cut off by a crash and is then done again: leftovers (`.new`, `.rewrite`) are removed or used
//! again, and the folder is synced first, so that names seen now are names that stay.

pub mod examine;
mod identity;
mod marks;
mod rewrite;
mod segments;
pub mod survey;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::loss::lost_end;
use super::quarantine::{self, Damage};
use super::segment::FOLDER;
use super::shared::SegmentMeta;
use super::spares::Spares;
use super::storage::{File, Storage};
use super::{JournalId, LaneMark, OpenError, Options, Position, dead};
use crate::planted::Bug;
use survey::{Found, Survey};

/// What a recovery found and left behind.
pub struct Recovery {
    pub identity: JournalId,
    pub next: Position,
    /// All closed, oldest first.
    pub segments: Vec<SegmentMeta>,
    pub spares: Spares,
    pub checkpoint: CheckpointFile,
    pub lanes: Vec<LaneMark>,
    /// Bytes found damaged that were not known to be.
    pub corrupt_bytes: u64,
    /// Bytes of a torn tail that was cut.
    pub torn_bytes: u64,
    /// Checkpoint slots that could not be read.
    pub broken_slots: usize,
}

impl Recovery {
    fn tell(&self) {
        tracing::info!(
            segments = self.segments.len(),
            spares = self.spares.ready.len(),
            lanes = self.lanes.len(),
            next_position = self.next.0,
            damaged_bytes = self.corrupt_bytes,
            torn_bytes = self.torn_bytes,
            broken_slots = self.broken_slots,
            "journal recovered"
        );
    }
}

/// Recovers. `new_identity` is used where a new one must begin. Steps are the same for the same disk.
pub fn recover(
    storage: &Arc<dyn Storage>,
    options: &Options,
    now_ms: u64,
    new_identity: JournalId,
) -> Result<Recovery, OpenError> {
    let mut recoverer = Recoverer {
        storage: storage.as_ref(),
        options,
        now_ms,
        corrupt_bytes: 0,
        torn_bytes: 0,
        broken_slots: 0,
        synced_up_to: Position(0),
        settled: Position(0),
    };
    recoverer.run(new_identity)
}

/// The state of one recovery.
struct Recoverer<'a> {
    storage: &'a dyn Storage,
    options: &'a Options,
    now_ms: u64,
    corrupt_bytes: u64,
    torn_bytes: u64,
    broken_slots: usize,
    /// What the checkpoint says was synced: damage before it is no torn tail.
    synced_up_to: Position,
    /// The first position that a lane needs; nothing before it is missed.
    settled: Position,
}

impl Recoverer<'_> {
    fn run(&mut self, new_identity: JournalId) -> Result<Recovery, OpenError> {
        self.make_folders()?;
        let marks = self.read_marks()?;
        let survey = survey::survey(self.storage)?;
        let told = self.judge_marks(&marks, &survey);
        self.synced_up_to = told.as_ref().map_or(Position(0), |told| told.synced_up_to);
        self.settled = told.as_ref().and_then(Checkpoint::lowest).unwrap_or_default();
        let is_fresh = survey.used.is_empty() && survey.blank.is_empty() && marks.is_none();
        let highest_number = survey.highest_number.max(told.as_ref().map_or(0, |told| told.next_segment - 1));

        let Survey { used, blank, leftover, unfinished, .. } = survey;
        let mut spares = self.take_spares(blank, &unfinished)?;
        let of_segment = used.iter().rev().find_map(Found::identity);
        let identity = of_segment.or(told.as_ref().map(|told| told.identity));
        let mut segments = self.take_segments(used, &mut spares, leftover, identity.unwrap_or(new_identity))?;
        self.look_for_gaps(&segments);
        let end = segments.iter().map(|meta| meta.end).max();
        let mut next = end.unwrap_or(Position(1)).max(self.synced_up_to);
        if Bug::PositionReusedAfterACut.is_planted() {
            next = end.unwrap_or(next);
        }
        let lost_end = lost_end(end, self.settled, self.synced_up_to);
        let (identity, previous) = match identity.filter(|_| lost_end.is_none()) {
            Some(identity) => (identity, identity),
            None if is_fresh => (new_identity, new_identity),
            None => {
                let previous = identity.unwrap_or(new_identity);
                self.drop_spares(&mut spares, 0)?;
                let number = segments.last().map_or(highest_number, |last| last.number) + 1;
                if let Some(positions) = lost_end {
                    self.missing(number, positions, "the newest segments are gone, or their ends");
                }
                segments.push(self.begin_identity(new_identity, previous, number, end.unwrap_or(next), next)?);
                (new_identity, previous)
            }
        };
        let next_number = if segments.last().is_some_and(|last| last.end < next) {
            // What stands there has outlived younger segments: the next one must not look as if it followed.
            self.drop_spares(&mut spares, 0)?;
            highest_number.max(segments.last().map_or(0, |last| last.number + 1)) + 1
        } else {
            self.match_spares(&mut spares, &segments, identity)?;
            let last_number = spares.back().map(|last| last.header.number).or(segments.last().map(|last| last.number));
            last_number.unwrap_or(highest_number) + 1
        };

        let generation = told.as_ref().map_or(1, |told| told.generation + 1);
        let lanes = told.map(|told| told.lanes).unwrap_or_default();
        let first = Checkpoint { identity, generation, synced_up_to: next, next_segment: next_number, lanes };
        let checkpoint = self.write_marks(marks, &first)?;
        let settled = checkpoint.settled_in_both();
        let recovery = Recovery {
            identity,
            next,
            segments,
            spares: Spares { ready: spares, next_number, identity, previous, settled, no_room: false },
            checkpoint,
            lanes: first.lanes,
            corrupt_bytes: self.corrupt_bytes,
            torn_bytes: self.torn_bytes,
            broken_slots: self.broken_slots,
        };
        recovery.tell();
        Ok(recovery)
    }

    fn make_folders(&self) -> Result<(), OpenError> {
        for folder in [FOLDER, quarantine::FOLDER, dead::FOLDER] {
            self.storage.create_folder(Path::new(folder)).map_err(failed("make folder", folder))?;
        }
        self.storage.sync_folder(Path::new("")).map_err(failed("sync folder", "journal.dir"))?;
        // An earlier process may have ended between a rename and its sync.
        for folder in [FOLDER, quarantine::FOLDER, dead::FOLDER] {
            self.storage.sync_folder(Path::new(folder)).map_err(failed("sync folder", folder))?;
        }
        super::keeper::tidy(self.storage).map_err(failed("tidy", "quarantine and dead"))
    }

    /// Quarantines, tells and counts.
    fn damaged(&mut self, file: &dyn File, damage: &Damage) {
        let kept = quarantine::keep(self.storage, file, damage, self.now_ms);
        quarantine::tell(damage, &kept);
        if !matches!(kept, Ok(false)) {
            self.corrupt_bytes += damage.counted_bytes();
        }
    }

    /// Notes positions of which no byte is left, and tells. Whether that is news. The note outlives this start: by the next
    /// one every lane may be past them.
    fn missing(&self, segment: u64, positions: Range<u64>, what: &'static str) -> bool {
        let damage = Damage { segment, bytes: 0..0, positions, what };
        let kept = quarantine::note(self.storage, &damage, self.now_ms);
        quarantine::tell(&damage, &kept);
        !matches!(kept, Ok(false))
    }
}

fn failed(doing: &'static str, path: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}

fn failed_at(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.display().to_string();
    move |source| OpenError::Io { doing, path: path.clone(), source }
}
