//! From files to segments that readers may open.
//!
//! In: what the survey found in use. Out: an entry for each, all closed. Never happens: a last segment that is used as it
//! was found, unless its closing was synced; damage or a gap without a word.

use std::collections::VecDeque;

use super::super::frame::BLOCK_BYTES;
use super::super::quarantine::Damage;
use super::super::segment::{Name, SEGMENT_HEADER_BYTES};
use super::super::shared::SegmentMeta;
use super::super::spares::Spare;
use super::super::{JournalId, OpenError, Position};
use super::examine::{Subject, examine};
use super::survey::Found;
use super::{Recoverer, failed_at};

/// What other segments and the checkpoint tell of where a segment began.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Where the one before it ended.
    pub known: Option<Position>,
    /// It began here or later, or what lies before is not missed.
    pub floor: Position,
}

impl Recoverer<'_> {
    /// Brings every segment that holds something to where it is closed or known for damaged.
    pub(super) fn take_segments(
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
                let damage = Damage { segment: found.number, bytes: 0..SEGMENT_HEADER_BYTES, positions: 0..0, what };
                self.damaged(found.file.as_ref(), &damage);
            }
            let before = metas.last().filter(|meta| meta.number + 1 == found.number);
            let floor = metas.iter().map(|meta| meta.end).max().unwrap_or_default().max(self.settled);
            let begin = Begin { known: before.map(|meta| meta.end), floor };
            let is_last = Some(found.number) == last_number;
            let meta = match found.footer.filter(|_| !(is_last && found.is_full_length())) {
                Some(footer) => found.meta(&footer),
                None if is_last => self.rewrite(found, begin, spares, identity)?,
                None => self.examine_closed(found, begin, used.get(index + 1))?,
            };
            metas.push(meta);
        }
        Ok(metas)
    }

    /// Missing numbers are no gap below the oldest lane: a crash may undo removals in any combination.
    pub(super) fn look_for_gaps(&mut self, segments: &[SegmentMeta]) {
        let first = segments.first().filter(|first| first.begin > self.settled && self.settled > Position(0));
        let front = first.map(|first| (first.number - 1, self.settled, first.begin));
        let inner = segments.windows(2).filter(|pair| pair[0].number + 1 != pair[1].number);
        let inner = inner.map(|pair| (pair[0].number + 1, pair[0].end, pair[1].begin));
        let inner = inner.filter(|(_, _, until)| *until > self.settled);
        for (number, from, until) in front.into_iter().chain(inner) {
            if self.missing(number, from.max(self.settled).0..until.0, "segments are missing, positions are lost") {
                self.corrupt_bytes += self.options.segment_bytes;
            }
        }
    }

    /// A segment that must have been closed (a later one holds something), but is not cut behind its list, or whose end
    /// is broken.
    fn examine_closed(
        &mut self,
        found: &Found,
        begin: Begin,
        follower: Option<&Found>,
    ) -> Result<SegmentMeta, OpenError> {
        let path = Name::Segment(found.number).path();
        let next = follower.filter(|next| next.number == found.number + 1).and_then(|next| next.footer);
        let subject = Subject {
            file: found.file.clone(),
            number: found.number,
            identity: found.identity(),
            begin: begin.known,
            // It began no later than the next one did.
            floor: next.map_or(begin.floor, |next| begin.floor.min(next.begin)),
            bytes: found.bytes,
            at_least: next.map_or(Position(0), |next| next.begin),
        };
        let examined = examine(&subject, &mut |_, _| Ok(())).map_err(failed_at("read", &path))?;
        for (damage, _) in &examined.damages {
            self.damaged(found.file.as_ref(), damage);
        }
        match examined.closed_at {
            Some(end) if found.is_full_length() && examined.damages.is_empty() => {
                if let Err(error) = found.file.set_len(end) {
                    tracing::warn!(segment = found.number, %error, "journal: closed segment keeps its full length");
                }
            }
            _ if examined.damages.is_empty() => {
                let what = "the end of a closed segment is broken, its records are not";
                let from = examined.data_end.min(found.bytes);
                let bytes = from..found.bytes.min(from + BLOCK_BYTES);
                self.damaged(found.file.as_ref(), &Damage { segment: found.number, bytes, positions: 0..0, what });
            }
            _ => {}
        }
        Ok(SegmentMeta {
            number: found.number,
            identity: examined.identity,
            begin: examined.begin,
            end: examined.end.max(subject.at_least),
            data_end: examined.data_end,
            closed: true,
            newest_ms: examined.newest_ms,
        })
    }
}
