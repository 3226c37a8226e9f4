//! Reading a journal without owning it: also beside a running bridge, and that of one that is gone.
//!
//! In: a folder (through [`super::storage::Disk::read_only`]) and what is wanted of it. Out: records in order of position,
//! each checksum verified, and damage. Never happens: a write or a lock; damage passed over in silence; the batch that a
//! running bridge is just writing taken for damage; more memory than a piece of one segment.
//!
//! A segment that the bridge removes meanwhile stays readable: every file is opened at the start.

use std::io;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use super::checkpoint::Checkpoint;
use super::inspect::{Depth, InspectedCheckpoint, InspectedDamage, look, read_checkpoint};
use super::loss::{self, Standing, lost_end};
use super::quarantine::{self, Quarantined};
use super::recovery::survey::{Survey, survey};
use super::segment::Footer;
use super::storage::Storage;
use super::{JournalId, OpenError, Position, Record, reader, record};

/// What of a journal is wanted; segments without any of it are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub positions: Range<Position>,
    pub received_ms: Range<u64>,
}

/// What a journal holds at one place.
#[derive(Debug)]
pub enum Seen {
    /// A record; it may be outside what is wanted.
    Record(Record),
    /// Bytes that are not what was written, and the positions that are lost by them, if any.
    Damage { segment: u64, positions: Range<u64>, what: &'static str },
}

/// A journal as it lay there when it was opened.
pub struct Browse {
    checkpoint: Option<Checkpoint>,
    survey: Survey,
    quarantined: Vec<Quarantined>,
}

impl Browse {
    /// Opens every segment to read.
    pub fn open(storage: &dyn Storage) -> Result<Browse, OpenError> {
        // The checkpoint first: what it says was synced is then in the segments.
        let (checkpoint, _broken) = read_checkpoint(storage)?;
        let survey = survey(storage)?;
        let quarantined = quarantine::list(storage).map_err(|source| OpenError::Io {
            doing: "list",
            path: quarantine::FOLDER.to_owned(),
            source,
        })?;
        Ok(Browse { checkpoint, survey, quarantined })
    }

    /// The newest sound checkpoint.
    pub fn checkpoint(&self) -> Option<InspectedCheckpoint> {
        self.checkpoint.clone().map(InspectedCheckpoint::from)
    }

    /// Damage of earlier days that cost positions.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// Whether damaged positions were settled before.
    pub fn standing(&self, positions: &Range<u64>) -> Standing {
        let lanes = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.lanes[..]);
        loss::standing(positions, lanes, &self.quarantined)
    }

    /// Hands over what is wanted, until `take` breaks off. The positions that the journal holds, for the caller's words.
    pub fn read(
        &self,
        wanted: &Wanted,
        take: &mut dyn FnMut(Seen) -> ControlFlow<()>,
    ) -> Result<Range<Position>, OpenError> {
        let mut held = Position(0)..Position(0);
        let mut before: Option<(u64, Position)> = None;
        for (index, found) in self.survey.used.iter().enumerate() {
            let begin = before.filter(|(number, _)| number + 1 == found.number).map(|(_, end)| end);
            let passed_over = found.footer.filter(|footer| !wanted.has_some_in(footer));
            let segment = match passed_over {
                Some(footer) => ControlFlow::Continue(footer.begin..footer.end),
                None => self.read_segment(index, begin, take)?,
            };
            let ControlFlow::Continue(segment) = segment else { return Ok(held) };
            let gap = self.gap(before, found.number, segment.start).filter(|gap| wanted.may_mean(gap));
            if gap.is_some_and(|gap| take(gap).is_break()) {
                return Ok(held);
            }
            before = Some((found.number, segment.end));
            if segment.start < segment.end {
                held.start = if held.is_empty() { segment.start } else { held.start.min(segment.start) };
                held.end = held.end.max(segment.end);
            }
        }
        if let Some(lost) = self.lost_end(before).filter(|lost| wanted.may_mean(lost)) {
            // Nothing follows that a break could keep from being read.
            let _ = take(lost);
        }
        Ok(held)
    }

    /// Hands over all of one segment; its positions.
    fn read_segment(
        &self,
        index: usize,
        begin: Option<Position>,
        take: &mut dyn FnMut(Seen) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Range<Position>>, OpenError> {
        let (found, follower) = (&self.survey.used[index], self.survey.used.get(index + 1));
        let identity = found.identity().unwrap_or(JournalId([0; 16]));
        let mut flow = ControlFlow::Continue(());
        let mut take_record = |bytes: &Bytes, found: &record::Found| {
            flow = take(Seen::Record(reader::record(identity, bytes, found.clone())));
            // Any error ends the walk; this one is not looked at.
            if flow.is_break() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        };
        let checkpoint = self.checkpoint.as_ref();
        let looked = look(found, begin, follower, checkpoint, Depth::Records, &mut take_record);
        if flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let segment = looked?;
        for InspectedDamage { positions, what, .. } in segment.damages {
            if take(Seen::Damage { segment: found.number, positions, what }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(segment.begin..segment.end))
    }

    /// Positions that no segment holds although a lane still needs them.
    fn gap(&self, before: Option<(u64, Position)>, number: u64, begin: Position) -> Option<Seen> {
        let lowest = self.lowest();
        let (segment, end) = match before {
            Some((last, end)) => (last + 1, end),
            None if lowest > Position(0) => (number - 1, lowest),
            None => return None,
        };
        let is_gap = segment != number && end < begin && begin > lowest;
        is_gap.then_some(Seen::Damage { segment, positions: end.0..begin.0, what: "a segment is gone" })
    }

    /// The same behind the newest segment: the checkpoint knows of more.
    fn lost_end(&self, before: Option<(u64, Position)>) -> Option<Seen> {
        let synced_up_to = self.checkpoint.as_ref()?.synced_up_to;
        let positions = lost_end(before.map(|(_, end)| end), self.lowest(), synced_up_to)?;
        let segment = before.map_or(1, |(last, _)| last + 1);
        Some(Seen::Damage { segment, positions, what: "the end of the journal is gone" })
    }

    /// The first position that a lane still needs.
    fn lowest(&self) -> Position {
        self.checkpoint.as_ref().and_then(Checkpoint::lowest).unwrap_or_default()
    }
}

impl Wanted {
    /// Whether it is at a place that is wanted; when it was received nobody knows.
    fn may_mean(&self, lost: &Seen) -> bool {
        let Seen::Damage { positions, .. } = lost else { return true };
        positions.start < self.positions.end.0 && positions.end > self.positions.start.0
    }

    fn has_some_in(&self, footer: &Footer) -> bool {
        footer.begin < self.positions.end
            && footer.end > self.positions.start
            && footer.newest_ms >= self.received_ms.start
    }
}
