//! A segment read whole.
//!
//! In: a segment whose end is not known for sound. Out: its records, one by one, and what is damaged. Never happens:
//! damage taken for a torn tail although something sound stands behind it or a checkpoint covers it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::super::frame::{BATCH_RECORDS_MAX, BLOCK_BYTES, FOOTER_BYTES, FRAME_HEADER_BYTES, Kind};
use super::super::quarantine::Damage;
use super::super::salvage::{self, Salvaged};
use super::super::segment::{Entry, Footer, SEGMENT_HEADER_BYTES, decode_list};
use super::super::storage::File;
use super::super::walk::{CHUNK_BYTES, HEADER_CHUNK_BYTES, Hole, Piece, Walk};
use super::super::{JournalId, Position, record};
use crate::planted::Bug;

/// What to examine.
pub struct Subject {
    pub file: Arc<dyn File>,
    pub number: u64,
    pub identity: Option<JournalId>,
    /// Where the segment before it ended, if that is known.
    pub begin: Option<Position>,
    /// Where it began if nothing at all tells: before it, only what is settled can have been dropped.
    pub floor: Position,
    /// How long the file is.
    pub bytes: u64,
    /// Everything before it was synced; the segment holds what is missing.
    pub at_least: Position,
}

/// What was found.
pub struct Examined {
    pub identity: Option<JournalId>,
    pub begin: Position,
    /// One past the newest position that anything names.
    pub end: Position,
    /// Where frames and damage end.
    pub data_end: u64,
    /// Where the closing frame ends, if its footer is sound.
    pub closed_at: Option<u64>,
    pub newest_ms: u64,
    pub records: u64,
    /// Each with whether nothing at all was written behind it.
    pub damages: Vec<(Damage, bool)>,
}

/// Reads all of it; `take` gets each sound record.
pub fn examine(
    subject: &Subject,
    take: &mut dyn FnMut(&Bytes, &record::Found) -> io::Result<()>,
) -> io::Result<Examined> {
    let begin = subject.begin.unwrap_or(Position(1));
    let mut walk = Walk::new(subject.file.clone(), subject.number, subject.identity, begin);
    let mut examined = Examined {
        identity: subject.identity,
        begin,
        end: begin,
        data_end: SEGMENT_HEADER_BYTES,
        closed_at: None,
        newest_ms: 0,
        records: 0,
        damages: Vec::new(),
    };
    let (number, limit) = (subject.number, subject.bytes);
    let mut first = true;
    while let Some(mut piece) = walk.next(limit, CHUNK_BYTES)? {
        if first && subject.begin.is_none() {
            examined.begin = begin_by(&mut piece, subject)?;
            examined.end = examined.begin;
        }
        first = false;
        let salvaged = match piece {
            Piece::Hole(Hole { used_bytes: 0, until: None, at, .. }) => {
                examined.end_in_nothing(subject, at, walk.expected());
                break;
            }
            Piece::Hole(_) if Bug::CutInTheMiddle.is_planted() => break,
            Piece::Hole(hole) => examined.pass_hole(&mut walk, subject, &hole)?,
            Piece::Frame { at, header } if header.kind == Kind::Closing => {
                let length = u64::from(header.payload_bytes);
                let payload = walk.bytes(at + FRAME_HEADER_BYTES as u64, length, limit, CHUNK_BYTES)?;
                let end = at + header.disk_bytes();
                // It is written when everything before it is synced.
                examined.behind_all();
                if decode_list(&payload).is_none() {
                    let what = "the list at the end of a segment is broken, its records are not";
                    examined.damaged(Damage { segment: number, bytes: at..end, positions: 0..0, what });
                }
                let footer_at = end - FOOTER_BYTES as u64;
                let footer = Footer::decode(&walk.bytes(footer_at, FOOTER_BYTES as u64, limit, CHUNK_BYTES)?);
                let is_sound = footer.is_some_and(|footer| footer.is_behind(number, at, &header));
                examined.closed_at = is_sound.then_some(end);
                break;
            }
            Piece::Frame { at, header } => {
                examined.behind_all();
                examined.data_end = at + header.disk_bytes();
                salvage::frame(&mut walk, number, at, &header, limit, CHUNK_BYTES)?
            }
        };
        for found in &salvaged.records {
            take(&salvaged.bytes, found)?;
            examined.records += 1;
            examined.newest_ms = examined.newest_ms.max(found.received_at_ms);
            examined.end = examined.end.max(Position(found.position.0 + 1));
        }
        examined.damages.extend(salvaged.damages.into_iter().map(|damage| (damage, true)));
    }
    examined.identity = walk.identity();
    examined.end = examined.end.max(walk.expected());
    Ok(examined)
}

/// Where a segment began that no other one tells of: by its first frame, or where that is broken by its list.
fn begin_by(piece: &mut Piece, subject: &Subject) -> io::Result<Position> {
    match piece {
        Piece::Frame { header, .. } => Ok(header.first),
        Piece::Hole(hole) => {
            let listed = read_list(subject)?.and_then(|list| Some(list.first()?.position));
            let begin = listed.unwrap_or(subject.floor);
            hole.from = hole.until.map_or(begin, |until| begin.min(until)).max(hole.from);
            Ok(hole.from)
        }
    }
}

/// The list at the segment's end, where there is a sound one.
fn read_list(subject: &Subject) -> io::Result<Option<Vec<Entry>>> {
    let mut walk = Walk::new(subject.file.clone(), subject.number, subject.identity, Position(1));
    while let Some(piece) = walk.next(subject.bytes, HEADER_CHUNK_BYTES)? {
        let Piece::Frame { at, header } = piece else { continue };
        if header.kind == Kind::Closing {
            let (at, length) = (at + FRAME_HEADER_BYTES as u64, u64::from(header.payload_bytes));
            return Ok(decode_list(&walk.bytes(at, length, subject.bytes, HEADER_CHUNK_BYTES)?));
        }
    }
    Ok(None)
}

impl Examined {
    fn damaged(&mut self, damage: Damage) {
        self.behind_all();
        self.damages.push((damage, true));
    }

    /// Something stands behind all damage so far.
    fn behind_all(&mut self) {
        self.damages.iter_mut().for_each(|(_, at_end)| *at_end = false);
    }

    /// Zeros up to the end of the file: ordinary, unless more was synced.
    fn end_in_nothing(&mut self, subject: &Subject, at: u64, expected: Position) {
        let expected = expected.max(self.end);
        if expected < subject.at_least {
            let (bytes, positions) = (at..subject.bytes.min(at + BLOCK_BYTES), expected.0..subject.at_least.0);
            let what = "frames are gone, zeros stand in their place";
            self.damaged(Damage { segment: subject.number, bytes, positions, what });
        }
    }

    /// What a hole still holds; where nothing follows, it may hold a batch that nothing else names.
    fn pass_hole(&mut self, walk: &mut Walk, subject: &Subject, hole: &Hole) -> io::Result<Salvaged> {
        self.behind_all();
        self.data_end = hole.at + hole.used_bytes;
        let batch_end = Position(hole.from.0 + BATCH_RECORDS_MAX as u64);
        let until = hole.until.unwrap_or(batch_end.max(subject.at_least));
        let positions = hole.from.0..until.0;
        let mut salvaged = salvage::hole(walk, subject.number, hole, positions, subject.bytes)?;
        if let Some(last) = salvaged.records.last() {
            self.data_end = self.data_end.max(hole.at + last.whole.end as u64);
        }
        if hole.until.is_none() {
            let named = salvaged.records.last().map_or(hole.from.0, |found| found.position.0 + 1);
            let known = named.max(subject.at_least.0);
            for Damage { positions, .. } in &mut salvaged.damages {
                positions.end = positions.end.min(known).max(positions.start);
            }
        }
        Ok(salvaged)
    }
}
