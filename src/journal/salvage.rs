//! What one piece of a segment holds: the records that are sound, and the damage in it.
//!
//! In: a piece of a [`Walk`] and the bytes at it. Out: records in order and, where some are missing, one [`Damage`].
//! Never happens: a record given out whose checksum does not hold.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::frame::{BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader};
use super::quarantine::Damage;
use super::record::{self, Decoded, Found};
use super::walk::{Hole, Walk};

/// Most bytes of one hole that are searched for records; more than a frame of a large record takes.
const HOLE_BYTES_MAX: u64 = 64 << 20;

/// The records of one piece.
pub struct Salvaged {
    /// What the ranges of `records` lie in.
    pub bytes: Bytes,
    pub records: Vec<Found>,
    pub damage: Option<Damage>,
}

/// The records of a frame of records.
pub fn frame(
    walk: &mut Walk,
    segment: u64,
    at: u64,
    header: &FrameHeader,
    limit: u64,
    chunk_bytes: usize,
) -> io::Result<Salvaged> {
    let length = FRAME_HEADER_BYTES as u64 + u64::from(header.payload_bytes);
    let bytes = walk.bytes(at, length, limit, chunk_bytes)?;
    let Decoded { records, missing } = record::decode(&bytes, FRAME_HEADER_BYTES, header.first.0..header.end().0);
    let damage = (!missing.is_empty()).then(|| Damage {
        segment,
        bytes: at..at + header.disk_bytes(),
        positions: missing,
        what: "records are broken",
    });
    Ok(Salvaged { bytes, records, damage })
}

/// The records of `positions` that can still be found in a hole: a rotten frame header costs no event.
pub fn hole(walk: &mut Walk, segment: u64, hole: &Hole, positions: Range<u64>, limit: u64) -> io::Result<Salvaged> {
    let used_bytes = hole.used_bytes.min(HOLE_BYTES_MAX);
    let bytes = walk.bytes(hole.at, used_bytes, limit, used_bytes as usize)?;
    let Decoded { records, missing } = record::decode(&bytes, FRAME_HEADER_BYTES, positions);
    let damage = Damage {
        segment,
        bytes: hole.at..hole.at + hole.used_bytes.max(BLOCK_BYTES).min(hole.bytes),
        positions: missing,
        what: "a frame is broken",
    };
    Ok(Salvaged { bytes, records, damage: Some(damage) })
}
