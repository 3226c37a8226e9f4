//! Recovery: from what a crash left to a journal that is whole.
//!
//! In: a folder. Out: segments that are all closed, spares, lanes, the next position. Never happens: silence about
//! damage; a position used twice; a record answered as known that the disk may not hold (the last segment is rewritten
//! and synced before anything is opened); an append to a file that an earlier process wrote records to.
//!
//! Every step may be cut off by a crash and is then done again: leftovers (`.new`, `.rewrite`) are removed or used
//! again, and the folder is synced first, so that names seen now are names that stay.

pub mod examine;
mod rewrite;
pub mod survey;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint, CheckpointFile, SLOT_BYTES, Slots};
use super::quarantine::{self, Damage};
use super::segment::{FOLDER, HeaderError, Name, SegmentHeader};
use super::shared::SegmentMeta;
use super::spares::{Spare, Spares};
use super::storage::{File, Storage};
use super::{JournalId, LaneMark, OpenError, Options, Position, dead};
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
    /// What the checkpoint says was synced: damage before it is no torn tail.
    synced_up_to: Position,
    /// The first position that a lane needs; nothing before it is missed.
    settled: Position,
}

impl Recoverer<'_> {
    fn run(&mut self, new_identity: JournalId) -> Result<Recovery, OpenError> {
        self.make_folders()?;
        let (file, slots) = self.read_checkpoint()?;
        let survey = survey::survey(self.storage)?;
        let told = self.judge_checkpoint(&file, slots.as_ref(), &survey);
        self.synced_up_to = told.as_ref().map_or(Position(0), |told| told.synced_up_to);
        self.settled = told.as_ref().and_then(Checkpoint::lowest).unwrap_or_default();

        let Survey { used, blank, leftover, unfinished, highest_number } = survey;
        let fresh = used.is_empty() && blank.is_empty() && file.is_none();
        let mut spares = self.tidy(blank, &unfinished)?;
        let known = used.iter().rev().find_map(|found| found.identity()).or(told.as_ref().map(|told| told.identity));
        let mut segments = self.take_in(used, &mut spares, leftover, known.unwrap_or(new_identity))?;
        self.look_for_gaps(&segments);

        let end = segments.last().map(|last| last.end);
        let next = end.unwrap_or(Position(1)).max(self.synced_up_to);
        let identity = segments.last().and_then(|last| last.identity).or(told.as_ref().map(|told| told.identity));
        let lost_end = match end {
            Some(end) => end < self.synced_up_to,
            None => !fresh && told.as_ref().is_none_or(|told| self.settled < told.synced_up_to && next > Position(1)),
        };
        let highest = highest_number.max(told.as_ref().map_or(0, |told| told.next_segment.saturating_sub(1)));
        let (identity, previous) = match identity {
            Some(identity) if !lost_end => (identity, identity),
            old => {
                let old = old.unwrap_or(new_identity);
                if !fresh {
                    self.drop_spares(&mut spares)?;
                    segments.push(self.begin_identity(new_identity, old, end, next, &segments, highest)?);
                }
                (new_identity, old)
            }
        };
        self.match_spares(&mut spares, &segments, identity)?;
        let next_number = match (spares.back(), segments.last()) {
            (Some(last), _) => last.header.number + 1,
            (None, Some(last)) => last.number + 1,
            (None, None) => highest + 1,
        };
        let lanes = told.map(|told| told.lanes).unwrap_or_default();
        let first = Checkpoint { identity, generation: 1, synced_up_to: next, next_segment: next_number, lanes };
        let checkpoint = self.write_checkpoint(file, slots, &first)?;
        tracing::info!(
            segments = segments.len(),
            spares = spares.len(),
            lanes = first.lanes.len(),
            next_position = next.0,
            damaged_bytes = self.corrupt_bytes,
            "journal recovered"
        );
        let settled = checkpoint.settled_in_both();
        Ok(Recovery {
            identity,
            next,
            segments,
            spares: Spares { ready: spares, next_number, identity, previous, settled, no_room: false },
            checkpoint,
            lanes: first.lanes,
            corrupt_bytes: self.corrupt_bytes,
            torn_bytes: self.torn_bytes,
        })
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

    #[allow(clippy::type_complexity)] // The file with what was read from it, or neither.
    fn read_checkpoint(&self) -> Result<(Option<Box<dyn File>>, Option<Slots>), OpenError> {
        let path = checkpoint::path();
        let file = match self.storage.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None)),
            other => other.map_err(failed("open", "journal/checkpoint"))?,
        };
        let slots = checkpoint::read_slots(file.as_ref()).map_err(failed("read", "journal/checkpoint"))?;
        for slot in &slots {
            if let Err(HeaderError::Version(version)) = slot {
                return Err(OpenError::Version { path: path.display().to_string(), version: *version });
            }
        }
        Ok((Some(file), Some(slots)))
    }

    /// The newest slot that belongs to this journal; loud where there is none but should be.
    fn judge_checkpoint(
        &mut self,
        file: &Option<Box<dyn File>>,
        slots: Option<&Slots>,
        survey: &Survey,
    ) -> Option<Checkpoint> {
        let any_segment = !survey.used.is_empty() || !survey.blank.is_empty();
        let Some((file, slots)) = file.as_ref().zip(slots) else {
            if any_segment {
                tracing::error!("checkpoint missing: every lane starts from the oldest segment, with duplicates");
                self.corrupt_bytes += SLOT_BYTES;
            }
            return None;
        };
        let belongs = |slot: &&Checkpoint| survey.used.is_empty() || survey.knows(slot.identity);
        let newest = slots.iter().flatten().filter(belongs).max_by_key(|slot| slot.generation).cloned();
        if newest.is_none() {
            let whole = 0..2 * SLOT_BYTES;
            let what =
                "both checkpoint slots are broken or of another journal: every lane starts from the oldest segment";
            self.damaged(file.as_ref(), &Damage { segment: 0, bytes: whole, positions: 0..0, what });
        } else if slots.iter().any(Result::is_err) {
            tracing::warn!(
                "one checkpoint slot is broken, as after a crash while it was written: the other one counts"
            );
        }
        newest
    }

    /// Removes what was still being made, and what cannot be a spare.
    fn tidy(&self, blank: Vec<Found>, unfinished: &[PathBuf]) -> Result<VecDeque<Spare>, OpenError> {
        for path in unfinished {
            self.storage.remove(path).map_err(failed_at("remove", path))?;
        }
        let mut spares = VecDeque::new();
        for found in blank {
            let segment_bytes = self.options.segment_bytes;
            match found.header {
                Some(header) if header.segment_bytes == found.bytes && found.bytes == segment_bytes => {
                    spares.push_back(Spare { file: found.file, header });
                }
                _ => {
                    let path = Name::Segment(found.number).path();
                    tracing::warn!(segment = found.number, "journal: a spare of another size, or broken, is removed");
                    self.storage.remove(&path).map_err(failed_at("remove", &path))?;
                }
            }
        }
        Ok(spares)
    }

    /// Brings every segment that holds something to where it is closed or known for damaged.
    fn take_in(
        &mut self,
        used: Vec<Found>,
        spares: &mut VecDeque<Spare>,
        leftover: Option<u64>,
        identity: JournalId,
    ) -> Result<Vec<SegmentMeta>, OpenError> {
        let mut metas: Vec<SegmentMeta> = Vec::with_capacity(used.len());
        let last_number = used.last().map(|found| found.number);
        let unclosed = used.last().filter(|last| last.footer.is_none() || last.is_full_length());
        if let Some(number) = leftover.filter(|number| unclosed.is_none_or(|last| last.number != *number)) {
            let path = Name::Rewrite(number).path();
            self.storage.remove(&path).map_err(failed_at("remove", &path))?;
        }
        for (index, found) in used.iter().enumerate() {
            if found.header.is_none() {
                let what = "a segment's header is broken";
                let damage = Damage { segment: found.number, bytes: 0..4096, positions: 0..0, what };
                self.damaged(found.file.as_ref(), &damage);
            }
            let before = metas.last().filter(|meta| meta.number + 1 == found.number).map(|meta| meta.end);
            let is_last = Some(found.number) == last_number;
            let meta = match found.footer.filter(|_| !(is_last && found.is_full_length())) {
                Some(footer) => found.meta(&footer),
                None if is_last => self.rewrite(found, before, spares, identity)?,
                None => self.examine_closed(found, before, used.get(index + 1))?,
            };
            metas.push(meta);
        }
        Ok(metas)
    }

    /// Missing numbers are no gap below the oldest lane: a crash may undo removals in any combination.
    fn look_for_gaps(&mut self, segments: &[SegmentMeta]) {
        let first = segments.first().filter(|first| first.begin > self.settled && self.settled > Position(0));
        let front = first.map(|first| (self.settled, first.begin));
        let inner = segments.windows(2).filter(|pair| pair[0].number + 1 != pair[1].number);
        let inner = inner.map(|pair| (pair[0].end, pair[1].begin)).filter(|(_, until)| *until > self.settled);
        for (from, until) in front.into_iter().chain(inner) {
            tracing::error!(
                from = from.0,
                until = until.0,
                "journal damaged: segments are missing, positions are lost"
            );
            self.corrupt_bytes += self.options.segment_bytes;
        }
    }

    /// A new identity begins with an empty closed segment, which carries the next position.
    fn begin_identity(
        &mut self,
        identity: JournalId,
        previous: JournalId,
        end: Option<Position>,
        next: Position,
        segments: &[SegmentMeta],
        highest: u64,
    ) -> Result<SegmentMeta, OpenError> {
        tracing::error!(
            journal_end = end.unwrap_or_default().0,
            checkpoint_end = self.synced_up_to.0,
            "journal damaged: its end is behind its checkpoint, or both are gone (a volume restored from a copy, or a \
             rotten end); a new journal identity begins"
        );
        self.corrupt_bytes += 1;
        let number = segments.last().map_or(highest, |last| last.number) + 1;
        let header = SegmentHeader { identity, previous, number, segment_bytes: 0 };
        let begin = end.unwrap_or(next);
        rewrite::make_empty(self.storage, header, begin, next).map_err(failed_at("make", &Name::Segment(number).path()))
    }

    /// Spares go on from the last segment, under one identity and in the wanted size; others are removed.
    fn match_spares(
        &self,
        spares: &mut VecDeque<Spare>,
        segments: &[SegmentMeta],
        identity: JournalId,
    ) -> Result<(), OpenError> {
        let mut expected = segments.last().map(|last| last.number + 1);
        let fits = |spare: &Spare| {
            let fits = expected.is_none_or(|expected| spare.header.number == expected)
                && spare.header.identity == identity
                && spare.header.segment_bytes == self.options.segment_bytes;
            expected = Some(spare.header.number + 1);
            fits
        };
        let keep = spares.iter().map(fits).take_while(|fits| *fits).count();
        self.drop_spares_from(spares, keep)
    }

    fn drop_spares(&self, spares: &mut VecDeque<Spare>) -> Result<(), OpenError> {
        self.drop_spares_from(spares, 0)
    }

    fn drop_spares_from(&self, spares: &mut VecDeque<Spare>, keep: usize) -> Result<(), OpenError> {
        if spares.len() == keep {
            return Ok(());
        }
        for spare in spares.drain(keep..) {
            let path = Name::Segment(spare.header.number).path();
            self.storage.remove(&path).map_err(failed_at("remove", &path))?;
        }
        self.storage.sync_folder(Path::new(FOLDER)).map_err(failed("sync folder", FOLDER))
    }

    fn write_checkpoint(
        &self,
        file: Option<Box<dyn File>>,
        slots: Option<Slots>,
        first: &Checkpoint,
    ) -> Result<CheckpointFile, OpenError> {
        let failed = failed("write", "journal/checkpoint");
        // A new file: written in place, a power cut here would leave the elder slot, and lanes would go back behind a
        // checkpoint that was synced. Where there is no room for one, going back (with duplicates) is the lesser evil.
        match (CheckpointFile::create(self.storage, first), file, slots) {
            (Err(error), Some(file), Some(slots)) if rewrite::is_full(&error) && slots.iter().any(Result::is_ok) => {
                tracing::warn!(%error, "journal: disk full, the checkpoint is written in place");
                let _ = self.storage.remove(&checkpoint::path_new());
                let mut file = CheckpointFile::resume(file, slots);
                file.write(first.clone()).map_err(failed)?;
                Ok(file)
            }
            (created, _, _) => created.map_err(failed),
        }
    }

    /// Quarantines, tells and counts.
    fn damaged(&mut self, file: &dyn File, damage: &Damage) {
        let kept = quarantine::keep(self.storage, file, damage, self.now_ms);
        quarantine::tell(damage, &kept);
        if !matches!(kept, Ok(false)) {
            self.corrupt_bytes += damage.counted_bytes();
        }
    }
}

fn failed(doing: &'static str, path: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}

fn failed_at(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.display().to_string();
    move |source| OpenError::Io { doing, path: path.clone(), source }
}
