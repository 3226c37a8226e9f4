//! One record inside a frame; layout in [`super`].
//!
//! In: position, tag, received-at, bytes. Out: the same, or the exact positions that are broken. Never happens: bytes
//! that differ from what was written, or that stand under another position: the checksum covers all four.

use std::ops::Range;

use super::frame::{array_at, u32_at, u64_at};
use super::{Position, Tag};

/// Length of a record's header, bytes.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Received-at of a record that the search through broken bytes believes; 2^48 ms is the year 10889.
const RECEIVED_AT_MS_MAX: u64 = 1 << 48;
/// Positions that one search passes over at most where few bytes are searched.
const SKIPPED_MAX: u64 = 1 << 16;

/// A sound record, by where it lies in the bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub position: Position,
    pub received_at_ms: u64,
    pub tag: Tag,
    /// Header and bytes.
    pub whole: Range<usize>,
}

impl Found {
    /// The record's own bytes.
    pub fn payload(&self) -> Range<usize> {
        self.whole.start + RECORD_HEADER_BYTES..self.whole.end
    }
}

/// What a stretch of records holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    pub records: Vec<Found>,
    /// What of the window is not there, in order.
    pub missing: Vec<Missing>,
}

/// Positions that are not there, and the bytes where they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub positions: Range<u64>,
    pub bytes: Range<usize>,
}

/// Appends one record.
pub fn encode(buffer: &mut Vec<u8>, position: Position, received_at_ms: u64, tag: &Tag, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("a record is smaller than a segment, whose size is checked at open");
    let mut crc = head_crc(received_at_ms, tag, length);
    for part in parts {
        crc = crc32c::crc32c_append(crc, part);
    }
    crc = crc32c::crc32c_append(crc, &position.0.to_le_bytes());
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(&received_at_ms.to_le_bytes());
    buffer.extend_from_slice(tag);
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

/// Finds the records of positions `window` in `bytes`, of which the first should begin at `start`. Where one is broken,
/// the rest is searched for byte by byte, so that a rotten length costs one record and not all behind it.
pub fn decode(bytes: &[u8], start: usize, window: Range<u64>) -> Decoded {
    let mut decoded = Decoded::default();
    let (mut at, mut expected) = (start, window.start);
    while expected < window.end {
        let next = read(bytes, at, expected).or_else(|| search(bytes, at, expected..window.end));
        let Some(found) = next else {
            decoded.missing.push(Missing { positions: expected..window.end, bytes: at.min(bytes.len())..bytes.len() });
            break;
        };
        if found.position.0 > expected {
            decoded.missing.push(Missing { positions: expected..found.position.0, bytes: at..found.whole.start });
        }
        at = found.whole.end;
        expected = found.position.0 + 1;
        decoded.records.push(found);
    }
    decoded
}

fn read(bytes: &[u8], at: usize, position: u64) -> Option<Found> {
    let (header, length) = header_at(bytes, at)?;
    let crc = body_crc(bytes, at, length);
    matches(header, crc, position).then(|| found(header, at, length, position))
}

/// The first record behind `from` whose checksum holds for one of the positions, of which no more are tried than could
/// stand in these bytes, or were skipped by a recovery: a checkpoint that is far ahead makes a window that nobody can try.
fn search(bytes: &[u8], from: usize, mut positions: Range<u64>) -> Option<Found> {
    let tried = SKIPPED_MAX.max((bytes.len() / RECORD_HEADER_BYTES) as u64);
    positions.end = positions.end.min(positions.start.saturating_add(tried));
    for at in from..bytes.len().saturating_sub(RECORD_HEADER_BYTES) {
        let Some((header, length)) = header_at(bytes, at) else { continue };
        if length == 0 || u64_at(header, 8) >= RECEIVED_AT_MS_MAX {
            continue;
        }
        let crc = body_crc(bytes, at, length);
        if let Some(position) = positions.clone().find(|position| matches(header, crc, *position)) {
            return Some(found(header, at, length, position));
        }
    }
    None
}

fn header_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let header = bytes.get(at..at.checked_add(RECORD_HEADER_BYTES)?)?;
    let length = u32_at(header, 0) as usize;
    (length <= bytes.len() - at - RECORD_HEADER_BYTES).then_some((header, length))
}

/// The checksum without the position.
fn body_crc(bytes: &[u8], at: usize, length: usize) -> u32 {
    let header = &bytes[at..at + RECORD_HEADER_BYTES];
    let crc = head_crc(u64_at(header, 8), &array_at(header, 16), length as u32);
    crc32c::crc32c_append(crc, &bytes[at + RECORD_HEADER_BYTES..at + RECORD_HEADER_BYTES + length])
}

fn head_crc(received_at_ms: u64, tag: &Tag, length: u32) -> u32 {
    let mut head = [0; 28];
    head[..8].copy_from_slice(&received_at_ms.to_le_bytes());
    head[8..24].copy_from_slice(tag);
    head[24..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c(&head)
}

fn matches(header: &[u8], body_crc: u32, position: u64) -> bool {
    crc32c::crc32c_append(body_crc, &position.to_le_bytes()) == u32_at(header, 4)
}

fn found(header: &[u8], at: usize, length: usize, position: u64) -> Found {
    Found {
        position: Position(position),
        received_at_ms: u64_at(header, 8),
        tag: array_at(header, 16),
        whole: at..at + RECORD_HEADER_BYTES + length,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bodies: &[Vec<u8>], first: u64) -> Vec<u8> {
        let mut buffer = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            let (left, right) = body.split_at(body.len() / 3);
            encode(&mut buffer, Position(first + index as u64), 1_000 + index as u64, &[9; 16], &[left, right]);
        }
        buffer
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..12)
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were_written(bodies in bodies(), first in 1..1_000_000_u64) {
            let bytes = encoded(&bodies, first);
            let decoded = decode(&bytes, 0, first..first + bodies.len() as u64);
            prop_assert_eq!(decoded.missing, Vec::<Missing>::new());
            let read: Vec<&[u8]> = decoded.records.iter().map(|found| &bytes[found.payload()]).collect();
            prop_assert_eq!(read, bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn one_flipped_bit_costs_one_record(bodies in bodies(), at: prop::sample::Index, bit in 0..8) {
            let mut bytes = encoded(&bodies, 5);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let decoded = decode(&bytes, 0, 5..5 + bodies.len() as u64);
            prop_assert_eq!(decoded.records.len(), bodies.len() - 1);
            prop_assert_eq!(decoded.missing.len(), 1);
            let missing = &decoded.missing[0];
            prop_assert_eq!(missing.positions.end - missing.positions.start, 1);
            prop_assert!(missing.bytes.contains(&at), "{at} is not in {missing:?}");
            for found in &decoded.records {
                prop_assert_eq!(&bytes[found.payload()], &bodies[(found.position.0 - 5) as usize][..]);
            }
        }
    }

    #[test]
    fn a_window_without_end_costs_no_more_than_its_bytes() {
        let mut bytes = encoded(&[vec![1; 40], vec![2; 40], vec![3; 40]], 5);
        bytes[80] ^= 1;
        let decoded = decode(&bytes, 0, 5..1 << 61);
        let positions: Vec<u64> = decoded.records.iter().map(|found| found.position.0).collect();
        assert_eq!(positions, [5, 7]);
        let missing: Vec<Range<u64>> = decoded.missing.into_iter().map(|missing| missing.positions).collect();
        assert_eq!(missing, [6..7, 8..1 << 61]);
    }

    #[test]
    fn a_record_under_another_position_is_not_believed() {
        let bytes = encoded(&[vec![1; 40]], 5);
        assert_eq!(decode(&bytes, 0, 6..7).missing, vec![Missing { positions: 6..7, bytes: 0..72 }]);
    }
}
