//! The walk along the frames of one segment.
//!
//! In: an open segment and how far it may be read. Out: frames in order, and holes where bytes are no frame. Never
//! happens: a frame of another segment or journal that is taken for one of this; a read behind the limit (what is
//! written there is not yet synced).

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::frame::{self, BATCH_BYTES_MAX, BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader};
use super::segment::SEGMENT_HEADER_BYTES;
use super::storage::{File, read_full_at};
use super::{JournalId, Position};

/// Bytes of one read where records are wanted.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of one read where only headers are wanted.
pub const HEADER_CHUNK_BYTES: usize = BLOCK_BYTES as usize;

/// Chunks that are kept to be used again: one of them is free when the records of the other are on their way.
const SPENT_CHUNKS_MAX: usize = 1;
/// A whole batch is one chunk, and a little more.
const SPENT_BYTES_MAX: usize = BATCH_BYTES_MAX + (64 << 10);

/// What lies at one place of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A frame whose header is sound and in its place.
    Frame { at: u64, header: FrameHeader },
    /// Bytes that are no frame, up to the next one or the limit.
    Hole(Hole),
}

/// A stretch without a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub at: u64,
    pub bytes: u64,
    /// Bytes up to the last block that is not zero; 0: nothing was ever written here.
    pub used_bytes: u64,
    /// The first position that may be missing.
    pub from: Position,
    /// The first position behind the hole; `None` where no frame follows.
    pub until: Option<Position>,
}

/// A place in a segment, and what the next frame must chain from.
pub struct Walk {
    file: Arc<dyn File>,
    number: u64,
    /// `None` until a frame has told it, where the segment's header is broken.
    identity: Option<JournalId>,
    at: u64,
    last_batch: Option<u32>,
    chain: u32,
    expected: Position,
    after_hole: bool,
    chunk: Bytes,
    chunk_at: u64,
    /// Chunks before it that may still be in use.
    spent: Vec<Bytes>,
}

impl Walk {
    /// Begins at the first frame; `begin` is the position at which the segment began.
    pub fn new(file: Arc<dyn File>, number: u64, identity: Option<JournalId>, begin: Position) -> Walk {
        Walk {
            file,
            number,
            identity,
            at: SEGMENT_HEADER_BYTES,
            last_batch: None,
            chain: identity.map_or(0, |identity| frame::seed(identity, number)),
            expected: begin,
            after_hole: false,
            chunk: Bytes::new(),
            chunk_at: 0,
            spent: Vec::new(),
        }
    }

    /// Whose journal the frames are of, once that is known.
    pub fn identity(&self) -> Option<JournalId> {
        self.identity
    }

    /// One past the newest position that any frame so far has named.
    pub fn expected(&self) -> Position {
        self.expected
    }

    /// Where the next piece begins.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// See [`File::forget_cached`].
    pub fn forget_cached(&self, bytes: Range<u64>) {
        self.file.forget_cached(bytes);
    }

    /// Length of the file.
    pub fn file_bytes(&self) -> io::Result<u64> {
        self.file.byte_len()
    }

    /// The next piece before `limit`. `chunk_bytes` is how much is read at once.
    pub fn next(&mut self, limit: u64, chunk_bytes: usize) -> io::Result<Option<Piece>> {
        if self.at >= limit {
            return Ok(None);
        }
        let header = self.header_at(self.at, limit, chunk_bytes)?;
        let in_order = |header: &FrameHeader| self.after_hole || self.follows_directly(header);
        if let Some(header) = header.filter(in_order) {
            let at = self.at;
            self.step_over(&header);
            return Ok(Some(Piece::Frame { at, header }));
        }
        self.cross_hole(limit).map(|hole| Some(Piece::Hole(hole)))
    }

    /// Bytes of the segment, fewer where the file ends.
    pub fn bytes(&mut self, at: u64, bytes: u64, limit: u64, chunk_bytes: usize) -> io::Result<Bytes> {
        let wanted = bytes.min(limit.saturating_sub(at)) as usize;
        let held = self.chunk_at..self.chunk_at + self.chunk.len() as u64;
        if !(held.contains(&at) && at + wanted as u64 <= held.end) {
            let kept = held.contains(&at).then(|| self.chunk.slice((at - held.start) as usize..));
            self.read_chunk(at, wanted.max(chunk_bytes.min(limit.saturating_sub(at) as usize)), kept.as_deref())?;
        }
        let from = (at - self.chunk_at) as usize;
        Ok(self.chunk.slice(from..(from + wanted).min(self.chunk.len())))
    }

    /// Reads on behind what is `kept` of the chunk before: a frame that lies across its end is not read twice.
    fn read_chunk(&mut self, at: u64, bytes: usize, kept: Option<&[u8]>) -> io::Result<()> {
        let kept = kept.unwrap_or_default();
        let mut buffer = self.buffer();
        if buffer.capacity() < bytes {
            // Growing would set aside twice of it.
            buffer = BytesMut::with_capacity(bytes);
        }
        buffer.resize(bytes, 0);
        buffer[..kept.len()].copy_from_slice(kept);
        let length = read_full_at(self.file.as_ref(), &mut buffer[kept.len()..], at + kept.len() as u64)?;
        buffer.truncate(kept.len() + length);
        self.chunk = buffer.freeze();
        self.chunk_at = at;
        Ok(())
    }

    /// Memory of an earlier chunk, as soon as no record of it is held any more: it is warm, and need not be cleared.
    fn buffer(&mut self) -> BytesMut {
        let chunk = std::mem::take(&mut self.chunk);
        // A large record's memory is not worth keeping.
        if (1..=SPENT_BYTES_MAX).contains(&chunk.len()) {
            self.spent.push(chunk);
        }
        let free = self.spent.iter().position(Bytes::is_unique);
        let buffer = free.and_then(|at| self.spent.swap_remove(at).try_into_mut().ok());
        self.spent.truncate(SPENT_CHUNKS_MAX);
        buffer.unwrap_or_default()
    }

    /// A sound header of this segment, whose frame ends before the limit.
    fn header_at(&mut self, at: u64, limit: u64, chunk_bytes: usize) -> io::Result<Option<FrameHeader>> {
        let bytes = self.bytes(at, FRAME_HEADER_BYTES as u64, limit, chunk_bytes)?;
        Ok(FrameHeader::decode(&bytes).filter(|header| {
            header.segment == self.number
                && self.identity.is_none_or(|identity| identity == header.identity)
                && self.last_batch.is_none_or(|batch| header.batch > batch)
                && header.first >= self.expected
                && header.disk_bytes() <= limit - at
        }))
    }

    fn follows_directly(&self, header: &FrameHeader) -> bool {
        let chain = match self.last_batch {
            Some(_) => self.chain,
            None => frame::seed(header.identity, self.number),
        };
        header.chain == chain && header.batch == self.last_batch.map_or(0, |batch| batch + 1)
    }

    fn step_over(&mut self, header: &FrameHeader) {
        self.at += header.disk_bytes();
        self.identity = Some(header.identity);
        self.last_batch = Some(header.batch);
        self.chain = header.crc;
        self.expected = header.end();
        self.after_hole = false;
    }

    /// Looks at every block for the next frame. The block at hand may hold one that does not chain: a hole of no bytes.
    fn cross_hole(&mut self, limit: u64) -> io::Result<Hole> {
        let (start, from) = (self.at, self.expected);
        let mut used_bytes = 0;
        while self.at < limit {
            if let Some(header) = self.header_at(self.at, limit, CHUNK_BYTES)? {
                self.after_hole = true;
                return Ok(Hole { at: start, bytes: self.at - start, used_bytes, from, until: Some(header.first) });
            }
            let block = self.bytes(self.at, BLOCK_BYTES, limit, CHUNK_BYTES)?;
            if block.iter().any(|byte| *byte != 0) {
                used_bytes = self.at + block.len() as u64 - start;
            }
            self.at = (self.at + BLOCK_BYTES).min(limit);
        }
        Ok(Hole { at: start, bytes: limit - start, used_bytes, from, until: None })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::frame::Kind;
    use super::*;

    const PAYLOAD_BYTES: usize = 100_000;

    /// A file in memory that counts what is read of it.
    struct Counted(Vec<u8>, AtomicUsize);

    impl File for Counted {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = &self.0[(offset as usize).min(self.0.len())..];
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            self.1.fetch_add(length, Ordering::Relaxed);
            Ok(length)
        }
        fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn sync_all(&self) -> io::Result<()> {
            Ok(())
        }
        fn set_len(&self, _bytes: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn byte_len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    /// So many frames of one record each, whose bytes are the frame's number.
    fn segment(identity: JournalId, frames: u32) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
        let mut chain = frame::seed(identity, 1);
        for number in 0..frames {
            let mut header = FrameHeader {
                kind: Kind::Records,
                identity,
                segment: 1,
                batch: number,
                count: 1,
                first: Position(u64::from(number) + 1),
                payload_bytes: PAYLOAD_BYTES as u32,
                chain,
                crc: 0,
            };
            let end = bytes.len() + header.disk_bytes() as usize;
            bytes.extend_from_slice(&header.encode());
            bytes.extend(vec![number as u8; PAYLOAD_BYTES]);
            bytes.resize(end, 0);
            chain = header.crc;
        }
        bytes
    }

    #[test]
    fn frames_across_the_ends_of_chunks_are_whole_and_read_once() {
        let identity = JournalId([7; 16]);
        let bytes = segment(identity, 20);
        let limit = bytes.len() as u64;
        let file = Arc::new(Counted(bytes, AtomicUsize::new(0)));
        let mut walk = Walk::new(file.clone(), 1, Some(identity), Position(1));
        let mut found = 0;
        while let Some(piece) = walk.next(limit, CHUNK_BYTES).unwrap() {
            let Piece::Frame { at, header } = piece else { panic!("{piece:?}") };
            let length = FRAME_HEADER_BYTES as u64 + u64::from(header.payload_bytes);
            let frame = walk.bytes(at, length, limit, CHUNK_BYTES).unwrap();
            assert!(frame[FRAME_HEADER_BYTES..].iter().all(|byte| *byte == found), "frame {found}");
            found += 1;
        }
        let (read, all) = (file.1.load(Ordering::Relaxed), (limit - SEGMENT_HEADER_BYTES) as usize);
        assert_eq!((found, read), (20, all));
    }
}
