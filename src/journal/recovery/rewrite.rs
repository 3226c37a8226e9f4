//! The last segment, written again.
//!
//! In: a segment that was not closed. Out: the same records under the same positions in a closed file, synced, in its
//! place. Never happens: a sound record left out; damage left out without a copy and a word.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::super::frame::{self, BATCH_BYTES_MAX, BATCH_RECORDS_MAX, FRAME_HEADER_BYTES, FrameHeader, Kind};
use super::super::quarantine::{self, Damage};
use super::super::record::Found as Record;
use super::super::segment::{Closing, Entry, FOLDER, Name, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::super::shared::SegmentMeta;
use super::super::spares::Spare;
use super::super::storage::{File, Storage, write_all_at};
use super::super::{JournalId, OpenError, Position};
use super::examine::{Examined, Subject, examine};
use super::segments::Begin;
use super::survey::Found;
use super::{Recoverer, failed, failed_at};
use crate::planted::Bug;

/// Writes frames of records that stand already under their positions.
struct Rewriter<'f> {
    file: &'f dyn File,
    header: SegmentHeader,
    at: u64,
    batch: u32,
    chain: u32,
    entries: Vec<Entry>,
    /// The frame being filled, its header left blank, and the position of its first record.
    frame: Vec<u8>,
    first: u64,
    count: u32,
}

impl<'f> Rewriter<'f> {
    fn new(file: &'f dyn File, header: SegmentHeader) -> io::Result<Rewriter<'f>> {
        write_all_at(file, &header.encode(), 0)?;
        Ok(Rewriter {
            file,
            header,
            at: SEGMENT_HEADER_BYTES,
            batch: 0,
            chain: frame::seed(header.identity, header.number),
            entries: Vec::new(),
            frame: vec![0; FRAME_HEADER_BYTES],
            first: 0,
            count: 0,
        })
    }

    /// `whole` is the record with its header, whose checksum covers its position.
    fn push(&mut self, found: &Record, whole: &[u8]) -> io::Result<()> {
        let full = self.count as usize == BATCH_RECORDS_MAX
            || self.frame.len() + whole.len() > BATCH_BYTES_MAX
            || found.position.0 != self.first + u64::from(self.count);
        if self.count > 0 && full {
            self.write_frame()?;
        }
        if self.count == 0 {
            self.first = found.position.0;
        }
        self.frame.extend_from_slice(whole);
        self.count += 1;
        self.entries.push(Entry { position: found.position, received_at_ms: found.received_at_ms, tag: found.tag });
        Ok(())
    }

    fn write_frame(&mut self) -> io::Result<()> {
        let mut header = FrameHeader {
            kind: Kind::Records,
            identity: self.header.identity,
            segment: self.header.number,
            batch: self.batch,
            count: self.count,
            first: Position(self.first),
            payload_bytes: (self.frame.len() - FRAME_HEADER_BYTES) as u32,
            chain: self.chain,
            crc: 0,
        };
        self.frame[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
        self.frame.resize(header.disk_bytes() as usize, 0);
        write_all_at(self.file, &self.frame, self.at)?;
        self.at += header.disk_bytes();
        self.batch += 1;
        self.chain = header.crc;
        self.count = 0;
        self.frame.truncate(FRAME_HEADER_BYTES);
        Ok(())
    }

    /// Closes, cuts and syncs.
    fn finish(mut self, begin: Position, end: Position) -> io::Result<SegmentMeta> {
        if self.count > 0 {
            self.write_frame()?;
        }
        let closing = Closing {
            identity: self.header.identity,
            number: self.header.number,
            at: self.at,
            batch: self.batch,
            chain: self.chain,
            begin,
            end,
            entries: &self.entries,
        };
        let bytes = closing.encode();
        write_all_at(self.file, &bytes, self.at)?;
        self.file.set_len(self.at + bytes.len() as u64)?;
        match self.file.sync_all() {
            Err(_) if Bug::RecoveryIgnoresAFailedSync.is_planted() => {}
            outcome => outcome?,
        }
        Ok(SegmentMeta {
            number: self.header.number,
            identity: Some(self.header.identity),
            begin,
            end,
            data_end: self.at,
            closed: true,
            newest_ms: self.entries.iter().map(|entry| entry.received_at_ms).max().unwrap_or(0),
        })
    }
}

/// Makes a closed segment without records, which carries the next position.
pub fn make_empty(
    storage: &dyn Storage,
    header: SegmentHeader,
    begin: Position,
    end: Position,
) -> io::Result<SegmentMeta> {
    let new = Name::New(header.number).path();
    let file = storage.create(&new)?;
    let meta = Rewriter::new(file.as_ref(), header)?.finish(begin, end)?;
    storage.rename(&new, &Name::Segment(header.number).path())?;
    storage.sync_folder(Path::new(FOLDER))?;
    Ok(meta)
}

impl Recoverer<'_> {
    /// Rewrites the last segment; on a full disk into the file of the highest spare.
    pub(super) fn rewrite(
        &mut self,
        found: &Found,
        begin: Begin,
        spares: &mut VecDeque<Spare>,
        identity: JournalId,
    ) -> Result<SegmentMeta, OpenError> {
        let (path, mut new) = (Name::Segment(found.number).path(), Name::Rewrite(found.number).path());
        if Bug::AppendToAnOldFile.is_planted() {
            new.clone_from(&path);
        }
        let identity = found.identity().unwrap_or(identity);
        // Closed from its first byte on: no length of an open file, so that the next start does not rewrite it again.
        let header = SegmentHeader {
            identity,
            previous: found.header.map_or(identity, |header| header.previous),
            number: found.number,
            segment_bytes: 0,
        };
        let subject = Subject {
            file: found.file.clone(),
            number: found.number,
            identity: Some(identity),
            begin: begin.known,
            floor: begin.floor,
            bytes: found.bytes,
            at_least: self.synced_up_to,
        };
        let written = match self.open_or_create(&new).and_then(|file| write_again(&subject, file.as_ref(), header)) {
            Err(error) if is_full(&error) => {
                let file = self.take_spare(spares, &new, found.bytes)?;
                write_again(&subject, file.as_ref(), header)
            }
            other => other,
        };
        let (examined, meta) = written.map_err(|error| match is_full(&error) {
            true => OpenError::NoRoom { needed_bytes: found.bytes },
            false => failed_at("rewrite", &path)(error),
        })?;
        self.tell_end(found, &examined);
        self.storage.rename(&new, &path).map_err(failed_at("rename", &new))?;
        self.storage.sync_folder(Path::new(FOLDER)).map_err(failed("sync folder", FOLDER))?;
        Ok(meta)
    }

    /// A leftover of an earlier attempt is used again: on a full disk it may be what was the last spare.
    fn open_or_create(&self, new: &Path) -> io::Result<Box<dyn File>> {
        match self.storage.open(new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.storage.create(new),
            other => other,
        }
    }

    /// The rename is synced before a byte is written: undone, it must leave a blank spare.
    fn take_spare(
        &self,
        spares: &mut VecDeque<Spare>,
        new: &Path,
        needed_bytes: u64,
    ) -> Result<Box<dyn File>, OpenError> {
        let spare = spares.pop_back().ok_or(OpenError::NoRoom { needed_bytes })?;
        tracing::warn!(segment = spare.header.number, "journal: disk full, recovery uses a spare segment");
        let from = Name::Segment(spare.header.number).path();
        self.storage.rename(&from, new).map_err(failed_at("rename", &from))?;
        self.storage.sync_folder(Path::new(FOLDER)).map_err(failed("sync folder", FOLDER))?;
        self.storage.open(new).map_err(failed_at("open", new))
    }

    /// Tells a torn tail from damage; both are copied before the old file goes.
    fn tell_end(&mut self, found: &Found, examined: &Examined) {
        for (damage, at_end) in &examined.damages {
            let covered = damage.positions.start < damage.positions.end.min(self.synced_up_to.0);
            if !at_end || covered {
                self.damaged(found.file.as_ref(), damage);
                continue;
            }
            self.torn_bytes += damage.counted_bytes();
            // Nobody was answered for what stands there: none of its positions is lost.
            let torn = Damage { positions: damage.positions.start..damage.positions.start, ..damage.clone() };
            let kept = quarantine::keep(self.storage, found.file.as_ref(), &torn, self.now_ms);
            tracing::warn!(
                segment = found.number,
                bytes = damage.bytes.end - damage.bytes.start,
                positions = ?damage.positions,
                quarantined = kept.is_ok(),
                "journal: torn tail cut, as after a crash; none of it was acknowledged"
            );
        }
        tracing::info!(
            segment = found.number,
            records = examined.records,
            end = examined.end.0,
            "journal: last segment rewritten and closed"
        );
    }
}

fn write_again(subject: &Subject, file: &dyn File, header: SegmentHeader) -> io::Result<(Examined, SegmentMeta)> {
    let mut rewriter = Rewriter::new(file, header)?;
    let examined = examine(subject, &mut |bytes, record| rewriter.push(record, &bytes[record.whole.clone()]))?;
    let meta = rewriter.finish(examined.begin, examined.end)?;
    Ok((examined, meta))
}

pub fn is_full(error: &io::Error) -> bool {
    // A disk that takes nothing of a write is full as well.
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero)
}
