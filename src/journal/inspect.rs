//! A look at a journal that changes nothing, also beside a running bridge.
//!
//! In: a folder (through [`super::storage::Disk::read_only`]). Out: segments, lanes, backlog, damage. Never happens: a
//! write, a lock, a copy to the quarantine; the batch that a running bridge is just writing taken for damage.

use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::checkpoint::{self, Checkpoint};
use super::loss::{self, Standing, lost_end};
use super::quarantine::{Damage, Quarantined};
use super::recovery::examine::{Examined, Subject, examine};
use super::recovery::survey::{Found, survey};
use super::segment::{FOLDER, HeaderError, Name};
use super::storage::Storage;
use super::{JournalId, LaneMark, OpenError, Position, dead, quarantine, record};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Headers and footers; only what is not closed is read whole.
    Summary,
    /// Every record's checksum.
    Records,
}

/// A journal as it lies on disk.
#[derive(Debug)]
pub struct Inspection {
    /// Of the newest segment or checkpoint; `None` where nothing tells.
    pub identity: Option<JournalId>,
    /// Oldest first; the spares come last.
    pub segments: Vec<InspectedSegment>,
    /// `None`: there is none, or both slots are broken.
    pub checkpoint: Option<InspectedCheckpoint>,
    /// Checkpoint slots that are broken; one is ordinary after a crash.
    pub broken_slots: usize,
    /// Positions between segments of which nothing is left and that a lane still needs.
    pub gaps: Vec<Range<u64>>,
    /// What an interrupted recovery or the making of a spare left; the next start removes it.
    pub unfinished_files: usize,
    pub quarantine: Files,
    /// What the quarantine's names tell, by segment and position.
    pub quarantined: Vec<Quarantined>,
    pub dead_letters: Files,
    /// Bytes of the three folders together.
    pub used_bytes: u64,
}

/// Files of one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    pub count: u64,
    pub bytes: u64,
}

/// The newest sound checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedCheckpoint {
    pub identity: JournalId,
    pub generation: u64,
    /// One past the newest position that was synced when it was written.
    pub synced_up_to: Position,
    pub lanes: Vec<LaneMark>,
}

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentState {
    /// Complete, never written again.
    Closed,
    /// Being written by a running bridge, or left by one that did not stop cleanly.
    Open,
    /// Made ahead, holds nothing.
    Spare,
}

/// One segment.
#[derive(Debug)]
pub struct InspectedSegment {
    pub number: u64,
    pub state: SegmentState,
    pub identity: Option<JournalId>,
    /// The position at which it begins.
    pub begin: Position,
    /// One past the newest position in it.
    pub end: Position,
    pub records: u64,
    pub file_bytes: u64,
    /// Newest received-at of its records, Unix milliseconds; 0 where it has none.
    pub newest_ms: u64,
    pub damages: Vec<InspectedDamage>,
    /// Bytes at the end of an open segment that are no whole batch: one in flight, or a torn tail.
    pub tail_bytes: u64,
}

/// One damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedDamage {
    /// Bytes from the start of the file.
    pub bytes: Range<u64>,
    /// Positions that are lost by it; empty where none is.
    pub positions: Range<u64>,
    /// In words.
    pub what: &'static str,
}

impl Inspection {
    /// Whether the journal ends before what its checkpoint knows; the next start goes on under a new identity then, loudly.
    pub fn is_end_lost(&self) -> bool {
        self.lost_end().is_some()
    }

    /// What that end held and a lane still needs.
    pub fn lost_end(&self) -> Option<Range<u64>> {
        let checkpoint = self.checkpoint.as_ref()?;
        let settled = checkpoint.lanes.iter().map(|lane| lane.position).min().unwrap_or_default();
        let used = self.segments.iter().filter(|segment| segment.state != SegmentState::Spare);
        lost_end(used.map(|segment| segment.end).max(), settled, checkpoint.synced_up_to)
    }

    /// Whether damaged positions were settled before.
    pub fn standing(&self, positions: &Range<u64>) -> Standing {
        let lanes = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.lanes[..]);
        loss::standing(positions, lanes, &self.quarantined)
    }

    /// Positions that the quarantine names as lost, in order: what every lane is past by now may be among them, and whether
    /// Kafka has it nobody here knows any more.
    pub fn lost_earlier(&self) -> Vec<Range<u64>> {
        loss::union(self.quarantined.iter().map(|copy| copy.positions.clone()))
    }

    /// No damage and no gap, and its end is there; a torn tail and one broken checkpoint slot are what a crash leaves.
    pub fn is_sound(&self) -> bool {
        self.gaps.is_empty()
            && !self.is_end_lost()
            && self.broken_slots < 2
            && self.segments.iter().all(|segment| segment.damages.is_empty())
            && (self.checkpoint.is_some() || self.segments.is_empty())
    }

    /// Positions that damage has cost before some lane was past them, in order; what all lanes had passed is on Kafka.
    pub fn lost(&self) -> Vec<Range<u64>> {
        let lanes = self.checkpoint.as_ref().map_or(&[][..], |checkpoint| &checkpoint.lanes);
        let settled = lanes.iter().map(|lane| lane.position.0).min().unwrap_or_default();
        let damaged = self.segments.iter().flat_map(|segment| &segment.damages).map(|damage| &damage.positions);
        let mut lost: Vec<_> =
            damaged.chain(&self.gaps).map(|positions| positions.start.max(settled)..positions.end).collect();
        lost.retain(|positions| !positions.is_empty());
        lost.sort_by_key(|positions| positions.start);
        lost
    }

    /// Records in segments.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }

    /// One past the newest position on disk.
    pub fn end(&self) -> Position {
        let synced = self.checkpoint.as_ref().map_or(Position(1), |checkpoint| checkpoint.synced_up_to);
        self.segments.iter().map(|segment| segment.end).max().unwrap_or_default().max(synced)
    }

    /// Positions that a lane still has to go through.
    pub fn waiting(&self, lane: &LaneMark) -> u64 {
        self.end().0.saturating_sub(lane.position.0)
    }
}

/// Looks.
pub fn inspect(storage: &dyn Storage, depth: Depth) -> Result<Inspection, OpenError> {
    // The checkpoint first: what it says was synced is then in the segments.
    let (newest, broken_slots) = read_checkpoint(storage)?;
    let synced_up_to = newest.as_ref().map_or(Position(0), |newest| newest.synced_up_to);
    let survey = survey(storage)?;
    let mut segments: Vec<InspectedSegment> = Vec::new();
    for (index, found) in survey.used.iter().enumerate() {
        let before = segments.last().filter(|before| before.number + 1 == found.number).map(|before| before.end);
        let follower = survey.used.get(index + 1);
        segments.push(look(found, before, follower, newest.as_ref(), depth, &mut |_, _| Ok(()))?);
    }
    let lowest = newest.as_ref().and_then(Checkpoint::lowest).unwrap_or_default();
    let gaps = gaps(&segments, lowest);
    let end = segments.last().map_or(synced_up_to, |last| last.end);
    segments.extend(survey.blank.iter().map(|found| spare(found, end)));
    let [journal, quarantine, dead_letters] =
        [FOLDER, quarantine::FOLDER, dead::FOLDER].map(|name| files(storage, name));
    let (journal, quarantine, dead_letters) = (journal?, quarantine?, dead_letters?);
    let failed = |source| OpenError::Io { doing: "list", path: quarantine::FOLDER.to_owned(), source };
    let quarantined = quarantine::list(storage).map_err(failed)?;
    let identity = segments.iter().rev().find_map(|segment| segment.identity);
    Ok(Inspection {
        identity: identity.or(newest.as_ref().map(|newest| newest.identity)),
        segments,
        checkpoint: newest.map(InspectedCheckpoint::from),
        broken_slots,
        gaps,
        unfinished_files: survey.unfinished.len() + usize::from(survey.leftover.is_some()),
        quarantine,
        quarantined,
        dead_letters,
        used_bytes: journal.bytes + quarantine.bytes + dead_letters.bytes,
    })
}

impl From<Checkpoint> for InspectedCheckpoint {
    fn from(newest: Checkpoint) -> InspectedCheckpoint {
        let Checkpoint { identity, generation, synced_up_to, lanes, .. } = newest;
        InspectedCheckpoint { identity, generation, synced_up_to, lanes }
    }
}

/// The newest sound checkpoint, and how many slots are broken.
pub(super) fn read_checkpoint(storage: &dyn Storage) -> Result<(Option<Checkpoint>, usize), OpenError> {
    let path = checkpoint::path();
    let failed = |source| OpenError::Io { doing: "read", path: path.display().to_string(), source };
    let file = match storage.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, 0)),
        other => other.map_err(failed)?,
    };
    let slots = checkpoint::read_slots(file.as_ref()).map_err(failed)?;
    for slot in &slots {
        if let Err(HeaderError::Version(version)) = slot {
            return Err(OpenError::Version { path: path.display().to_string(), version: *version });
        }
    }
    let broken = slots.iter().filter(|slot| slot.is_err()).count();
    Ok((slots.into_iter().flatten().max_by_key(|slot| slot.generation), broken))
}

/// One segment; `before` is where the one before it ended, and `take` gets each record where they are read.
pub(super) fn look(
    found: &Found,
    before: Option<Position>,
    follower: Option<&Found>,
    checkpoint: Option<&Checkpoint>,
    depth: Depth,
    take: &mut dyn FnMut(&Bytes, &record::Found) -> io::Result<()>,
) -> Result<InspectedSegment, OpenError> {
    let is_last = follower.is_none();
    let synced_up_to = checkpoint.map_or(Position(0), |newest| newest.synced_up_to);
    let next = follower.filter(|next| next.number == found.number + 1).and_then(|next| next.footer);
    let mut segment = InspectedSegment {
        number: found.number,
        state: if found.footer.is_some() || !is_last { SegmentState::Closed } else { SegmentState::Open },
        identity: found.identity(),
        begin: before.unwrap_or_default(),
        end: before.unwrap_or_default(),
        records: 0,
        file_bytes: found.bytes,
        newest_ms: 0,
        damages: Vec::new(),
        tail_bytes: 0,
    };
    if found.header.is_none() {
        segment.damages.push(InspectedDamage { bytes: 0..4096, positions: 0..0, what: "its header is broken" });
    }
    if let Some(footer) = found.footer {
        (segment.begin, segment.end) = (footer.begin, footer.end);
        (segment.records, segment.newest_ms) = (footer.records, footer.newest_ms);
    }
    if found.footer.is_some() && depth == Depth::Summary {
        return Ok(segment);
    }
    let subject = Subject {
        file: found.file.clone(),
        number: found.number,
        identity: found.identity(),
        begin: found.footer.map(|footer| footer.begin).or(before),
        floor: checkpoint.and_then(Checkpoint::lowest).unwrap_or_default(),
        bytes: found.bytes,
        at_least: match (found.footer, next) {
            (Some(footer), _) => footer.end,
            (None, Some(next)) => next.begin,
            (None, None) => {
                if is_last {
                    synced_up_to
                } else {
                    Position(0)
                }
            }
        },
    };
    let path = Name::Segment(found.number).path().display().to_string();
    let examined = examine(&subject, take);
    let examined = examined.map_err(|source| OpenError::Io { doing: "read", path, source })?;
    // A closing whose cut was undone is no damage; one that was cut has its footer.
    let lacks_end = found.footer.is_none() && (examined.closed_at.is_none() || !found.is_full_length());
    segment.take_in(examined, synced_up_to, lacks_end);
    Ok(segment)
}

impl InspectedSegment {
    fn take_in(&mut self, examined: Examined, synced_up_to: Position, lacks_end: bool) {
        self.identity = self.identity.or(examined.identity);
        (self.begin, self.end) = (examined.begin, examined.end.max(self.end));
        (self.records, self.newest_ms) = (examined.records, examined.newest_ms);
        let is_open = self.state == SegmentState::Open;
        for (Damage { bytes, positions, what, .. }, at_end) in examined.damages {
            let covered = positions.start < positions.end.min(synced_up_to.0);
            if is_open && at_end && !covered {
                self.tail_bytes += bytes.end - bytes.start;
            } else {
                self.damages.push(InspectedDamage { bytes, positions, what });
            }
        }
        if !is_open && lacks_end {
            let bytes = examined.data_end.min(self.file_bytes)..self.file_bytes;
            let what = "its end is broken or not there, though a later segment is in use";
            self.damages.push(InspectedDamage { bytes, positions: 0..0, what });
        }
    }
}

fn spare(found: &Found, end: Position) -> InspectedSegment {
    InspectedSegment {
        number: found.number,
        state: SegmentState::Spare,
        identity: found.identity(),
        begin: end,
        end,
        records: 0,
        file_bytes: found.bytes,
        newest_ms: 0,
        damages: Vec::new(),
        tail_bytes: 0,
    }
}

/// What lies below the lowest lane may go in any order.
fn gaps(segments: &[InspectedSegment], lowest: Position) -> Vec<Range<u64>> {
    let front = segments.first().filter(|first| lowest > Position(0) && first.begin > lowest);
    let front = front.map(|first| lowest.0..first.begin.0);
    let missing = |pair: &&[InspectedSegment]| pair[0].number + 1 != pair[1].number && pair[1].begin > lowest;
    let inner = segments.windows(2).filter(missing).map(|pair| pair[0].end.0..pair[1].begin.0);
    front.into_iter().chain(inner).collect()
}

fn files(storage: &dyn Storage, folder: &str) -> Result<Files, OpenError> {
    match storage.list(Path::new(folder)) {
        Ok(entries) => {
            let bytes = entries.iter().map(|entry| entry.bytes).sum();
            Ok(Files { count: entries.len() as u64, bytes })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder != FOLDER => Ok(Files { count: 0, bytes: 0 }),
        Err(source) => Err(OpenError::Io { doing: "list", path: folder.to_owned(), source }),
    }
}
