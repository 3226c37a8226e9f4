//! What one piece of a segment holds: the records that are sound, and the damage in it.
//!
//! In: a piece of a [`Walk`] and the bytes at it. Out: records in order and, where some are missing, a [`Damage`] for each
//! stretch.
//! Never happens: a record given out whose checksum does not hold.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::frame::{BATCH_BYTES_MAX, FRAME_HEADER_BYTES, FrameHeader};
use super::quarantine::Damage;
use super::record::{self, Decoded, Found, Missing};
use super::walk::{Hole, Walk};

/// Most bytes of one hole that are searched for records; more than a frame of a large record takes.
const HOLE_BYTES_MAX: u64 = 64 << 20;

/// The records of one piece.
pub struct Salvaged {
    /// What the ranges of `records` lie in.
    pub bytes: Bytes,
    pub records: Vec<Found>,
    pub damages: Vec<Damage>,
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
    let damages = missing.iter().map(|missing| damage(segment, at, missing, "a record is broken")).collect();
    Ok(Salvaged { bytes, records, damages })
}

/// The records of `positions` that can still be found in a hole: a rotten frame header costs no event.
pub fn hole(walk: &mut Walk, segment: u64, hole: &Hole, positions: Range<u64>, limit: u64) -> io::Result<Salvaged> {
    // A record may end in zeros, which look like nothing: beyond what is used, up to the next frame.
    let zeros_bytes = if hole.until.is_some() { hole.bytes } else { hole.used_bytes + BATCH_BYTES_MAX as u64 };
    let searched_bytes = zeros_bytes.min(HOLE_BYTES_MAX);
    let used_bytes = hole.used_bytes.min(HOLE_BYTES_MAX) as usize;
    let bytes = walk.bytes(hole.at, searched_bytes, limit, searched_bytes as usize)?;
    let Decoded { records, mut missing } = record::decode(&bytes, FRAME_HEADER_BYTES, positions);
    for Missing { bytes, .. } in &mut missing {
        *bytes = bytes.start.min(used_bytes)..bytes.end.min(used_bytes);
    }
    let what = "a frame is broken";
    let mut damages: Vec<Damage> = missing.iter().map(|missing| damage(segment, hole.at, missing, what)).collect();
    // A hole begins where a header should be: that is broken, whether or not the records behind it are.
    let header = hole.at..hole.at + FRAME_HEADER_BYTES as u64;
    match damages.first_mut() {
        Some(first) if first.bytes.start == header.end => first.bytes.start = header.start,
        Some(_) if hole.used_bytes == 0 => {}
        _ if hole.bytes > 0 => {
            let what = "a frame's header is broken";
            damages.insert(0, Damage { segment, bytes: header, positions: 0..0, what });
        }
        _ => {}
    }
    Ok(Salvaged { bytes, records, damages })
}

/// `at` is where the bytes that were searched begin.
fn damage(segment: u64, at: u64, missing: &Missing, what: &'static str) -> Damage {
    let bytes = at + missing.bytes.start as u64..at + missing.bytes.end as u64;
    Damage { segment, bytes, positions: missing.positions.clone(), what }
}
