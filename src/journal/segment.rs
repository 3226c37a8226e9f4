//! A segment file: its name, its header, its end; layout in [`super`].
//!
//! In: what a segment knows about itself. Out: bytes, and back. Never happens: a version that this code does not know
//! and reads all the same.

use std::path::PathBuf;

use super::frame::{self, BLOCK_BYTES, FOOTER_BYTES, FrameHeader, Kind, array_at, disk_bytes, u32_at, u64_at};
use super::record::{self, RECORD_HEADER_BYTES};
use super::{JournalId, NUMBER_END, Position, Tag};

/// The folder of segments and checkpoint.
pub const FOLDER: &str = "journal";
/// Length of a segment's header, bytes; the first frame follows.
pub const SEGMENT_HEADER_BYTES: u64 = BLOCK_BYTES;
/// The format that is written; the only one that is read.
pub const VERSION: u16 = 1;
/// Length of one entry of the closing list, bytes.
pub const ENTRY_BYTES: usize = 32;

/// Where the list stands as a record: no record has this position, so that a list whose frame header is broken is never
/// taken for one.
const LIST_POSITION: Position = Position(0);
const HEADER_MAGIC: [u8; 8] = *b"RBsegmnt";
const FOOTER_MAGIC: [u8; 8] = *b"RBfooter";
const HEADER_CRC_AT: usize = 64;
const FOOTER_CRC_AT: usize = 60;

/// What a file in the journal's folder is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `N.segment`.
    Segment(u64),
    /// `N.new`: a spare being made.
    New(u64),
    /// `N.rewrite`: the last segment being rewritten by a recovery.
    Rewrite(u64),
}

impl Name {
    /// Reads a file name; `None` for a foreign one.
    pub fn parse(name: &str) -> Option<Name> {
        let (number, suffix) = name.split_once('.')?;
        if number.len() != 20 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = number.parse().ok().filter(|number| (1..u64::MAX).contains(number))?;
        match suffix {
            "segment" => Some(Name::Segment(number)),
            "new" => Some(Name::New(number)),
            "rewrite" => Some(Name::Rewrite(number)),
            _ => None,
        }
    }

    /// The file's path.
    pub fn path(self) -> PathBuf {
        let (number, suffix) = match self {
            Name::Segment(number) => (number, "segment"),
            Name::New(number) => (number, "new"),
            Name::Rewrite(number) => (number, "rewrite"),
        };
        PathBuf::from(format!("{FOLDER}/{number:020}.{suffix}"))
    }
}

/// The first block of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    pub identity: JournalId,
    /// The identity before this one; equal to it where none came before.
    pub previous: JournalId,
    pub number: u64,
    /// Length of the file until it is closed, bytes; 0 where a recovery has written it, closed from the start.
    pub segment_bytes: u64,
}

/// Why the first block of a segment, or a checkpoint slot, is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// The checksum does not hold.
    Broken,
    /// It is sound and of a version that this code does not know.
    Version(u16),
}

impl SegmentHeader {
    /// The block's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; SEGMENT_HEADER_BYTES as usize];
        block[0..8].copy_from_slice(&HEADER_MAGIC);
        block[8..10].copy_from_slice(&VERSION.to_le_bytes());
        block[16..32].copy_from_slice(&self.identity.0);
        block[32..48].copy_from_slice(&self.previous.0);
        block[48..56].copy_from_slice(&self.number.to_le_bytes());
        block[56..64].copy_from_slice(&self.segment_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&block[..HEADER_CRC_AT]);
        block[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Reads a block.
    pub fn decode(block: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let sound = block.len() >= HEADER_CRC_AT + 4
            && block[0..8] == HEADER_MAGIC
            && crc32c::crc32c(&block[..HEADER_CRC_AT]) == u32_at(block, HEADER_CRC_AT);
        if !sound {
            return Err(HeaderError::Broken);
        }
        match u16::from_le_bytes([block[8], block[9]]) {
            VERSION => Ok(SegmentHeader {
                identity: JournalId(array_at(block, 16)),
                previous: JournalId(array_at(block, 32)),
                number: u64_at(block, 48),
                segment_bytes: u64_at(block, 56),
            }),
            other => Err(HeaderError::Version(other)),
        }
    }
}

/// One line of the closing list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub position: Position,
    pub received_at_ms: u64,
    pub tag: Tag,
}

/// The last bytes of a closed segment: a summary, and where the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    pub number: u64,
    /// Where the closing frame begins.
    pub closing_at: u64,
    /// The position at which the segment began.
    pub begin: Position,
    /// One past the newest position that the segment has used.
    pub end: Position,
    /// Newest received-at of its records; 0 where it holds none.
    pub newest_ms: u64,
    /// How many records it holds.
    pub records: u64,
}

impl Footer {
    /// The footer's bytes.
    pub fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[0..8].copy_from_slice(&FOOTER_MAGIC);
        let fields = [self.number, self.closing_at, self.begin.0, self.end.0, self.newest_ms, self.records];
        for (index, field) in fields.iter().enumerate() {
            bytes[8 + 8 * index..16 + 8 * index].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..FOOTER_CRC_AT]);
        bytes[FOOTER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the last bytes of a file; `None` where they are no footer.
    pub fn decode(bytes: &[u8]) -> Option<Footer> {
        let bytes = bytes.get(..FOOTER_BYTES)?;
        let sound = bytes[0..8] == FOOTER_MAGIC && crc32c::crc32c(&bytes[..FOOTER_CRC_AT]) == u32_at(bytes, 60);
        let footer = sound.then(|| Footer {
            number: u64_at(bytes, 8),
            closing_at: u64_at(bytes, 16),
            begin: Position(u64_at(bytes, 24)),
            end: Position(u64_at(bytes, 32)),
            newest_ms: u64_at(bytes, 40),
            records: u64_at(bytes, 48),
        });
        footer.filter(|footer| footer.begin <= footer.end && footer.end.0 < NUMBER_END)
    }

    /// Whether it belongs to that closing frame of that segment.
    pub fn is_behind(&self, number: u64, closing_at: u64, header: &FrameHeader) -> bool {
        header.kind == Kind::Closing
            && (header.segment, self.number) == (number, number)
            && self.closing_at == closing_at
            && self.end == header.first
    }
}

/// What ends a segment: the closing frame with its list, and the footer, padded to whole blocks.
pub struct Closing<'a> {
    pub identity: JournalId,
    pub number: u64,
    /// Where the frame begins.
    pub at: u64,
    pub batch: u32,
    pub chain: u32,
    pub begin: Position,
    pub end: Position,
    pub entries: &'a [Entry],
}

impl Closing<'_> {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let newest_ms = self.entries.iter().map(|entry| entry.received_at_ms).max().unwrap_or(0);
        let mut list = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for entry in self.entries {
            list.extend_from_slice(&entry.position.0.to_le_bytes());
            list.extend_from_slice(&entry.received_at_ms.to_le_bytes());
            list.extend_from_slice(&entry.tag);
        }
        let payload_bytes = RECORD_HEADER_BYTES + list.len();
        let mut header = FrameHeader {
            kind: Kind::Closing,
            identity: self.identity,
            segment: self.number,
            batch: self.batch,
            count: 1,
            first: self.end,
            payload_bytes: u32::try_from(payload_bytes).expect("room for the list was reserved in the segment"),
            chain: self.chain,
            crc: 0,
        };
        let mut bytes = Vec::with_capacity(closing_bytes(self.entries.len()) as usize);
        bytes.extend_from_slice(&header.encode());
        record::encode(&mut bytes, LIST_POSITION, newest_ms, &[0; 16], &[&list]);
        bytes.resize(closing_bytes(self.entries.len()) as usize - FOOTER_BYTES, 0);
        let (number, begin, end) = (self.number, self.begin, self.end);
        let footer = Footer { number, closing_at: self.at, begin, end, newest_ms, records: self.entries.len() as u64 };
        bytes.extend_from_slice(&footer.encode());
        bytes
    }
}

/// Reads the payload of a closing frame; `None` where it is broken.
pub fn decode_list(payload: &[u8]) -> Option<Vec<Entry>> {
    let decoded = record::decode(payload, 0, LIST_POSITION.0..LIST_POSITION.0 + 1);
    let list = &payload[decoded.records.first()?.payload()];
    if !list.len().is_multiple_of(ENTRY_BYTES) {
        return None;
    }
    let entry = |bytes: &[u8]| Entry {
        position: Position(u64_at(bytes, 0)),
        received_at_ms: u64_at(bytes, 8),
        tag: array_at(bytes, 16),
    };
    Some(list.chunks_exact(ENTRY_BYTES).map(entry).collect())
}

/// Bytes that the end of a segment of so many records takes.
pub fn closing_bytes(records: usize) -> u64 {
    disk_bytes(Kind::Closing, RECORD_HEADER_BYTES + records * ENTRY_BYTES)
}

/// Whether a batch fits between `at` and the end of a segment that holds `records` already, with room for its list.
pub fn fits(segment_bytes: u64, at: u64, records: usize, batch_records: usize, batch_bytes: usize) -> bool {
    let payload_bytes = batch_records * RECORD_HEADER_BYTES + batch_bytes;
    at + disk_bytes(Kind::Records, payload_bytes) + closing_bytes(records + batch_records) <= segment_bytes
}

/// The longest record that an empty segment holds, bytes.
pub fn record_bytes_max(segment_bytes: u64) -> u64 {
    let around = SEGMENT_HEADER_BYTES + closing_bytes(1);
    let frame = segment_bytes.saturating_sub(around) / BLOCK_BYTES * BLOCK_BYTES;
    frame.saturating_sub((frame::FRAME_HEADER_BYTES + RECORD_HEADER_BYTES) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_come_back_and_foreign_ones_are_ignored() {
        for name in [Name::Segment(1), Name::New(77), Name::Rewrite(12_345_678_901)] {
            let path = name.path();
            assert_eq!(Name::parse(path.file_name().unwrap().to_str().unwrap()), Some(name));
        }
        for foreign in ["lock", "checkpoint", "1.segment", "lost+found", "00000000000000000000.segment", "a.new"] {
            assert_eq!(Name::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_segment_header_tells_an_unknown_version_from_damage() {
        let header =
            SegmentHeader { identity: JournalId([1; 16]), previous: JournalId([2; 16]), number: 3, segment_bytes: 4 };
        let mut block = header.encode();
        assert_eq!(SegmentHeader::decode(&block), Ok(header));
        block[8] = 9;
        assert_eq!(SegmentHeader::decode(&block), Err(HeaderError::Broken));
        let crc = crc32c::crc32c(&block[..HEADER_CRC_AT]);
        block[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&block), Err(HeaderError::Version(9)));
    }

    proptest! {
        #[test]
        fn the_end_of_a_segment_comes_back_as_it_was_written(
            entries in prop::collection::vec((1..9_999_u64, any::<u64>(), any::<[u8; 16]>()), 0..300),
        ) {
            let entries: Vec<Entry> = entries.into_iter()
                .map(|(position, received_at_ms, tag)| Entry { position: Position(position), received_at_ms, tag })
                .collect();
            let closing = Closing {
                identity: JournalId([3; 16]), number: 5, at: 8192, batch: 7, chain: 9,
                begin: Position(1), end: Position(10_000), entries: &entries,
            };
            let bytes = closing.encode();
            prop_assert_eq!(bytes.len() as u64, closing_bytes(entries.len()));
            let header = FrameHeader::decode(&bytes).unwrap();
            let payload = &bytes[64..64 + header.payload_bytes as usize];
            prop_assert_eq!(decode_list(payload), Some(entries.clone()));
            let footer = Footer::decode(&bytes[bytes.len() - FOOTER_BYTES..]).unwrap();
            prop_assert_eq!((footer.closing_at, footer.records), (8192, entries.len() as u64));
        }
    }

    #[test]
    fn the_longest_record_fits_and_one_byte_more_does_not() {
        for segment_bytes in [64 * 1024, 64 << 20, 100_000] {
            let longest = record_bytes_max(segment_bytes) as usize;
            assert!(fits(segment_bytes, SEGMENT_HEADER_BYTES, 0, 1, longest));
            assert!(!fits(segment_bytes, SEGMENT_HEADER_BYTES, 0, 1, longest + 1));
        }
    }
}
