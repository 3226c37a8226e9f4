//! Reads records in order.
//!
//! In: a position. Out: every synced record from there on, its checksum verified again, and where some are damaged,
//! which. Never happens: a record that is not synced; wrong bytes; a record passed over without an [`Item::Damaged`]
//! (but for positions that a recovery has told about: they are no more, and the next record follows); more memory than a
//! chunk or one frame.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{FrameHeader, Kind};
use super::record::Found;
use super::salvage::{self, Salvaged};
use super::segment::Name;
use super::shared::{SegmentMeta, Shared, lock};
use super::walk::{CHUNK_BYTES, HEADER_CHUNK_BYTES, Hole, Piece, Walk};
use super::{JournalId, Position, ReadError, Tag};

/// Read bytes leave the page cache by so many at a time.
const FORGET_BYTES: u64 = 1 << 20;

/// Reads records in order.
pub struct Reader {
    shared: Arc<Shared>,
    position: Position,
    open: Option<Open>,
    pending: VecDeque<Item>,
}

/// What a reader meets.
#[derive(Debug)]
pub enum Item {
    /// A record.
    Record(Record),
    /// Positions `from..until` are damaged: quarantined, told loudly, counted once.
    Damaged {
        /// The first of them.
        from: Position,
        /// One past the last of them.
        until: Position,
    },
}

/// One record, its checksum verified again.
pub struct Record {
    pub position: Position,
    /// Identity of the journal at the time of writing.
    pub journal: JournalId,
    pub tag: Tag,
    pub received_at_ms: u64,
    pub payload: Bytes,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the payload: it is a transcript.
        let Record { position, payload, .. } = self;
        write!(formatter, "Record {{ position: {}, bytes: {} }}", position.0, payload.len())
    }
}

/// The segment at hand. It stays readable when it is removed.
struct Open {
    meta: SegmentMeta,
    walk: Walk,
    /// What lies before it was read and left the page cache.
    forgotten_up_to: u64,
}

impl Open {
    /// Brings the segment's entry up to date. One that was removed is closed: it is read to the end of the file.
    fn refresh(&mut self, shared: &Shared) -> io::Result<()> {
        match shared.segment(self.meta.number) {
            Some(meta) => self.meta = meta,
            None => {
                self.meta.closed = true;
                self.meta.data_end = self.walk.file_bytes()?;
                self.meta.end = self.meta.end.max(self.walk.expected());
            }
        }
        Ok(())
    }

    /// What was read is seldom read again.
    fn forget_read(&mut self, at_least_bytes: u64) {
        let read = self.forgotten_up_to..self.walk.at();
        if read.end - read.start >= at_least_bytes {
            self.forgotten_up_to = read.end;
            self.walk.forget_cached(read);
        }
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, position: Position) -> Reader {
        Reader { shared, position, open: None, pending: VecDeque::new() }
    }

    /// The position that `next` will look at. After a `None` it is where the synced part ended.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next item; `None` where nothing further is synced yet. After an error the next call tries again.
    #[allow(clippy::should_implement_trait)] // An iterator would end at the first `None`; this one goes on.
    pub fn next(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                self.position = match &item {
                    Item::Record(record) => Position(record.position.0 + 1),
                    Item::Damaged { until, .. } => *until,
                };
                return Ok(Some(item));
            }
            if self.open.is_none() && !self.open_segment()? {
                return Ok(None);
            }
            let Some(mut open) = self.open.take() else { continue };
            let stepped = open.refresh(&self.shared).and_then(|()| self.step(&mut open));
            let source = match stepped {
                Ok(true) => {
                    open.forget_read(FORGET_BYTES);
                    self.open = Some(open);
                    continue;
                }
                Ok(false) if open.meta.closed => {
                    open.forget_read(1);
                    continue;
                }
                Ok(false) => {
                    self.open = Some(open);
                    return Ok(None);
                }
                Err(source) => source,
            };
            // The place in the segment is found again from the position.
            return Err(ReadError::Io { segment: open.meta.number, source });
        }
    }

    /// Whether there is a segment to read.
    fn open_segment(&mut self) -> Result<bool, ReadError> {
        loop {
            // Asked before the segments are: what is synced later is in a segment that this look may not have seen.
            let synced = self.shared.synced();
            let Some(meta) = self.shared.segment_for(self.position) else {
                self.position = self.position.max(synced);
                return Ok(false);
            };
            match self.shared.storage.open(&Name::Segment(meta.number).path()) {
                Ok(file) => {
                    let walk = Walk::new(Arc::from(file), meta.number, meta.identity, meta.begin);
                    self.open = Some(Open { meta, walk, forgotten_up_to: 0 });
                    return Ok(true);
                }
                // Dropped between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.shared.segment(meta.number).is_none() => {
                }
                Err(source) => return Err(ReadError::Io { segment: meta.number, source }),
            }
        }
    }

    /// Takes in the next piece of the segment. `false`: it has no further synced one.
    fn step(&mut self, open: &mut Open) -> io::Result<bool> {
        let limit = open.meta.data_end;
        let skipping = open.walk.expected() < self.position;
        let chunk_bytes = if skipping { HEADER_CHUNK_BYTES } else { CHUNK_BYTES };
        match open.walk.next(limit, chunk_bytes)? {
            None => {
                self.position = self.position.max(open.meta.end);
                return Ok(false);
            }
            Some(Piece::Frame { at, header }) => self.take_frame(open, at, &header)?,
            Some(Piece::Hole(hole)) => self.take_hole(open, &hole)?,
        }
        if skipping {
            // What is passed over was not read, and may be wanted by who reads it.
            open.forgotten_up_to = open.walk.at();
        }
        Ok(true)
    }

    fn take_frame(&mut self, open: &mut Open, at: u64, header: &FrameHeader) -> io::Result<()> {
        if header.end() <= self.position || header.kind == Kind::Closing {
            return Ok(());
        }
        let salvaged = salvage::frame(&mut open.walk, open.meta.number, at, header, open.meta.data_end, CHUNK_BYTES)?;
        self.take_in(header.identity, salvaged);
        Ok(())
    }

    fn take_hole(&mut self, open: &mut Open, hole: &Hole) -> io::Result<()> {
        let until = hole.until.unwrap_or(open.meta.end);
        if until <= self.position {
            return Ok(());
        }
        let positions = hole.from.0..until.0;
        let salvaged = salvage::hole(&mut open.walk, open.meta.number, hole, positions, open.meta.data_end)?;
        let identity = open.walk.identity().or(open.meta.identity).unwrap_or(JournalId([0; 16]));
        self.take_in(identity, salvaged);
        Ok(())
    }

    /// Puts records and gaps in order of position, from the reader's own on; hands the damage to the keeper.
    fn take_in(&mut self, journal: JournalId, salvaged: Salvaged) {
        let mut items: Vec<Item> = Vec::with_capacity(salvaged.records.len());
        for damage in salvaged.damages {
            let Range { start, end } = damage.positions;
            if end > self.position.0 && end > start {
                items.push(Item::Damaged { from: Position(start).max(self.position), until: Position(end) });
            }
            let mut damages = lock(&self.shared.damages);
            if !damages.contains(&damage) {
                damages.push(damage);
            }
        }
        for found in salvaged.records {
            if found.position >= self.position {
                items.push(Item::Record(record(journal, &salvaged.bytes, found)));
            }
        }
        items.sort_by_key(|item| match item {
            Item::Record(record) => record.position,
            Item::Damaged { from, .. } => *from,
        });
        self.pending.extend(items);
    }
}

/// A record out of the piece that it was found in.
pub(super) fn record(journal: JournalId, bytes: &Bytes, found: Found) -> Record {
    Record {
        position: found.position,
        journal,
        tag: found.tag,
        received_at_ms: found.received_at_ms,
        payload: bytes.slice(found.payload()),
    }
}
