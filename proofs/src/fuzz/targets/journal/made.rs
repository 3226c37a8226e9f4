//! Segments that no journal has written.
//!
//! In: the fuzzer's bytes. Out: one or two segments of them, as they are, with checksums that hold, or built of frames with
//! any fields; and perhaps a checkpoint of any numbers.

use super::super::format::{self, BLOCK_BYTES, Frame, Record, Slot};
use super::super::input::Input;
use super::super::memory::Memory;
use super::super::rig::{NOW_MS, SEGMENT_BYTES};
use super::{IDENTITY, segment_path};

/// The input's own bytes as one or two segments.
pub(super) fn raw(input: &mut Input<'_>, is_mended: bool) -> Memory {
    let disk = Memory::default();
    let flags = input.byte();
    if flags & 1 != 0 {
        disk.put("journal/checkpoint", checkpoint(input));
    }
    let first = if flags & 2 != 0 { input.piece() } else { input.rest() };
    for (number, bytes) in [(1, first), (2, input.rest())] {
        let mut bytes = bytes.to_vec();
        if is_mended {
            format::mend(&mut bytes);
        }
        if flags & (4 << number) != 0 {
            bytes.resize(bytes.len().max(SEGMENT_BYTES as usize), 0);
        }
        if number == 1 || !bytes.is_empty() {
            disk.put(&segment_path(number), bytes);
        }
    }
    disk
}

/// Two sound slots of any numbers.
fn checkpoint(input: &mut Input<'_>) -> Vec<u8> {
    let mut slot = Slot {
        identity: IDENTITY,
        generation: input.number(),
        synced_up_to: input.number(),
        next_segment: input.number(),
        lanes: vec![(input.number(), 0, "a".to_owned())],
    };
    let mut file = slot.encode();
    file.resize(format::SLOT_BYTES, 0);
    slot.generation = slot.generation.wrapping_add(1);
    file.extend(slot.encode());
    file
}

/// Frames of any fields, all with checksums that hold, in one or two segments.
pub(super) fn built(input: &mut Input<'_>) -> Memory {
    let disk = Memory::default();
    let flags = input.byte();
    if flags & 1 != 0 {
        disk.put("journal/checkpoint", checkpoint(input));
    }
    for number in 1..=1 + u64::from(flags & 2 != 0) {
        let bytes = built_segment(input, number);
        disk.put(&segment_path(number), bytes);
    }
    disk
}

fn built_segment(input: &mut Input<'_>, number: u64) -> Vec<u8> {
    let segment_bytes = if input.byte() & 1 != 0 { input.number() } else { SEGMENT_BYTES };
    let mut bytes = format::segment_header(IDENTITY, IDENTITY, number, segment_bytes);
    let (mut chain, mut position) = (format::seed(IDENTITY, number), 1);
    let pieces = input.byte() % 6;
    for batch in 0..pieces {
        let shape = input.byte();
        let first = if shape & 1 != 0 { input.number() } else { position };
        let is_closing = shape & 2 != 0;
        let count = if is_closing { 1 } else { u32::from(input.byte() % 5) + u32::from(shape & 4 == 0) };
        let mut payload = Vec::new();
        for index in 0..u64::from(count) {
            let at = if is_closing { 0 } else { first.wrapping_add(index) };
            let content = input.piece();
            let received_at_ms = if shape & 8 != 0 { input.number() } else { NOW_MS };
            payload.extend(Record { position: at, received_at_ms, tag: [batch; 16], payload: content }.encode());
        }
        let frame = Frame {
            kind: if shape & 16 != 0 { input.byte() } else { 1 + u8::from(is_closing) },
            identity: if shape & 32 != 0 { [input.byte(); 16] } else { IDENTITY },
            segment: number,
            batch: if shape & 64 != 0 { input.number() as u32 } else { u32::from(batch) },
            count: if shape & 128 != 0 { input.u32() } else { count },
            first,
            payload_bytes: if shape & 128 != 0 { input.u32() } else { payload.len() as u32 },
            chain,
        };
        let (header, crc) = frame.encode();
        let at = bytes.len();
        bytes.extend(header);
        bytes.extend(payload);
        let end = if is_closing { bytes.len() + 64 } else { bytes.len() };
        bytes.resize(end.next_multiple_of(BLOCK_BYTES), 0);
        if is_closing && input.byte() & 1 == 0 {
            let fields = [number, at as u64, input.number(), first, input.number(), input.number()];
            let footer_at = bytes.len() - 64;
            bytes[footer_at..].copy_from_slice(&format::footer(fields));
        }
        (chain, position) = (crc, first.wrapping_add(u64::from(count)));
    }
    if input.byte() & 1 != 0 {
        bytes.resize(bytes.len().max(SEGMENT_BYTES as usize), 0);
    }
    bytes
}
