//! The frame: one batch on disk, at a 4096-aligned offset; layout in [`super`].
//!
//! In: what a batch holds. Out: its 64-byte header, and back. Never happens: a length that is believed before the
//! header's checksum has been verified.

use super::{JournalId, NUMBER_END, Position};
use crate::planted::Bug;

/// Frames begin at multiples of this, and nothing shorter is ever written, so that acknowledged bytes are never
/// written again.
pub const BLOCK_BYTES: u64 = 4096;
/// Length of a frame's header, bytes.
pub const FRAME_HEADER_BYTES: usize = 64;
/// Length of the footer behind a closing frame, bytes.
pub const FOOTER_BYTES: usize = 64;
/// Most records in one frame; readers refuse more.
pub const BATCH_RECORDS_MAX: usize = 512;
/// Most bytes of records in one frame, but for a record that is larger than this alone.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

const MAGIC: [u8; 4] = *b"RBfr";
const VERSION: u16 = 1;
const CRC_AT: usize = 60;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A batch of records.
    Records,
    /// The list at the end of a closed segment.
    Closing,
}

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    pub kind: Kind,
    pub identity: JournalId,
    pub segment: u64,
    /// Counts the frames of the segment from 0.
    pub batch: u32,
    /// Records in the frame; 1 for a closing frame.
    pub count: u32,
    /// Position of the first record; of a closing frame: one past the newest position that the segment has used.
    pub first: Position,
    pub payload_bytes: u32,
    /// The header checksum of the frame before it, or the segment's seed.
    pub chain: u32,
    /// Checksum of this header; set by [`FrameHeader::encode`].
    pub crc: u32,
}

impl FrameHeader {
    /// The header's bytes; fills in `crc`.
    pub fn encode(&mut self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6] = match self.kind {
            Kind::Records => 1,
            Kind::Closing => 2,
        };
        bytes[8..24].copy_from_slice(&self.identity.0);
        bytes[24..32].copy_from_slice(&self.segment.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.batch.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.count.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.chain.to_le_bytes());
        self.crc = checksum(&bytes);
        bytes[CRC_AT..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` where there is none or it is broken.
    pub fn decode(bytes: &[u8]) -> Option<FrameHeader> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let crc = u32_at(bytes, CRC_AT);
        let sound = bytes[0..4] == MAGIC && checksum(bytes) == crc;
        if !sound || u16::from_le_bytes([bytes[4], bytes[5]]) != VERSION {
            return None;
        }
        let kind = match bytes[6] {
            1 => Kind::Records,
            2 => Kind::Closing,
            _ => return None,
        };
        let header = FrameHeader {
            kind,
            identity: JournalId(array_at(bytes, 8)),
            segment: u64_at(bytes, 24),
            batch: u32_at(bytes, 32),
            count: u32_at(bytes, 36),
            first: Position(u64_at(bytes, 40)),
            payload_bytes: u32_at(bytes, 48),
            chain: u32_at(bytes, 52),
            crc,
        };
        header.is_bounded().then_some(header)
    }

    /// One past the last position that the frame names.
    pub fn end(&self) -> Position {
        match self.kind {
            Kind::Records => Position(self.first.0 + u64::from(self.count)),
            Kind::Closing => self.first,
        }
    }

    /// Bytes from the header to the next frame's.
    pub fn disk_bytes(&self) -> u64 {
        disk_bytes(self.kind, self.payload_bytes as usize)
    }

    fn is_bounded(&self) -> bool {
        let records_max = if self.kind == Kind::Closing { 1 } else { BATCH_RECORDS_MAX as u32 };
        let smallest = u64::from(self.count) * super::record::RECORD_HEADER_BYTES as u64;
        (1..=records_max).contains(&self.count)
            && u64::from(self.payload_bytes) >= smallest
            && self.first.0 < NUMBER_END
    }
}

/// Of a whole header, but for the checksum itself.
fn checksum(header: &[u8]) -> u32 {
    if Bug::LengthOutsideTheChecksum.is_planted() {
        return crc32c::crc32c_append(crc32c::crc32c(&header[..48]), &header[52..CRC_AT]);
    }
    crc32c::crc32c(&header[..CRC_AT])
}

/// Bytes that a frame with so much payload takes on disk.
pub fn disk_bytes(kind: Kind, payload_bytes: usize) -> u64 {
    let footer = if kind == Kind::Closing { FOOTER_BYTES } else { 0 };
    round_up((FRAME_HEADER_BYTES + payload_bytes + footer) as u64)
}

/// The next multiple of a block.
pub fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// What the first frame of a segment chains from.
pub fn seed(identity: JournalId, segment: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&identity.0), &segment.to_le_bytes())
}

/// `bytes[at..at + 4]` as a little-endian number; the caller has checked the length.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// `bytes[at..at + 8]` as a little-endian number; the caller has checked the length.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// `bytes[at..at + N]`; the caller has checked the length.
pub fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(batch: u32, count: u32, first: u64, extra: u32, chain: u32) -> FrameHeader {
        FrameHeader {
            kind: Kind::Records,
            identity: JournalId([7; 16]),
            segment: 3,
            batch,
            count,
            first: Position(first),
            payload_bytes: count * 32 + extra,
            chain,
            crc: 0,
        }
    }

    proptest! {
        #[test]
        fn a_header_comes_back_as_it_was_written(
            batch: u32, count in 1..=512_u32, first in 1..NUMBER_END, extra in 0..1_000_000_u32, chain: u32,
        ) {
            let mut written = header(batch, count, first, extra, chain);
            let bytes = written.encode();
            prop_assert_eq!(FrameHeader::decode(&bytes), Some(written));
        }

        #[test]
        fn a_header_with_one_flipped_bit_is_none(bit in 0..FRAME_HEADER_BYTES * 8) {
            let mut bytes = header(1, 2, 3, 4, 5).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(FrameHeader::decode(&bytes), None);
        }

        #[test]
        fn bytes_that_are_no_header_are_none(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            prop_assert_eq!(FrameHeader::decode(&bytes), None);
        }
    }

    #[test]
    fn a_frame_fills_whole_blocks() {
        assert_eq!(disk_bytes(Kind::Records, 4096 - 64), 4096);
        assert_eq!(disk_bytes(Kind::Records, 4096 - 63), 8192);
        assert_eq!(disk_bytes(Kind::Closing, 4096 - 128), 4096);
    }
}
