//! Segment files: a look, a recovery, a reading, an append and a second start over bytes that nobody wrote.
//!
//! In: a segment's bytes as they are; or frames of any fields with checksums that hold; or a journal that was really
//! written, and rot in it. Out: nothing. What must hold for all: positions rise, every record that is read stands in the
//! files with a checksum that holds, the look agrees with the recovery, what is appended afterwards is there after the next
//! start beside all that was there before, and nothing is told twice. What must hold for rot besides: a record whose bytes
//! are untouched is read back, if no more than one segment is damaged, and no other bytes under its position; what is
//! missing and was synced is told of.

use bytes::Bytes;
use memchr::memmem;
use retell_bridge::journal::inspect::{Depth, Inspection, inspect};
use retell_bridge::journal::storage::Storage as _;
use retell_bridge::journal::{LaneMark, OpenError, Position};

use super::format::{self, BLOCK_BYTES, Frame, Record, Slot};
use super::input::Input;
use super::memory::Memory;
use super::rig::{Known, Met, NOW_MS, Rig, SEGMENT_BYTES};

const IDENTITY: [u8; 16] = [7; 16];
/// Of one journal that is written before the rot.
const RECORDS_MAX: u8 = 16;

/// What was written before the rot.
struct Written {
    records: Vec<Known>,
    /// Of the last checkpoint, where the rot has spared it.
    synced_up_to: u64,
    /// Nothing before it is missed.
    lowest: u64,
    /// Positions of records whose bytes are as they were.
    untouched: Vec<u64>,
}

/// How the first process ends.
#[derive(Clone, Copy)]
struct Stop {
    is_clean: bool,
    keeps_spares: bool,
}

/// See the module.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let stop = Stop { is_clean: mode & 0x80 != 0, keeps_spares: mode & 0x40 != 0 };
    let (disk, written) = match mode & 3 {
        0 => (raw(&mut input, false), None),
        1 => (raw(&mut input, true), None),
        2 => (built(&mut input), None),
        _ => {
            let (disk, written) = rotten(&mut input);
            (disk, Some(written))
        }
    };
    judge(&disk, written.as_ref(), stop);
}

fn segment_path(number: u64) -> String {
    format!("journal/{number:020}.segment")
}

/// The input's own bytes as one or two segments.
fn raw(input: &mut Input<'_>, is_mended: bool) -> Memory {
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
fn built(input: &mut Input<'_>) -> Memory {
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

/// A journal that was really written, and what rot has made of it.
fn rotten(input: &mut Input<'_>) -> (Memory, Written) {
    let disk = Memory::default();
    let mut rig = Rig::open(&disk, IDENTITY[0]).expect("an empty disk that never fails");
    let mut records: Vec<Known> = Vec::new();
    let count = input.byte() % RECORDS_MAX;
    let mut marked = 0;
    while records.len() < usize::from(count) {
        let shape = input.byte();
        let mut batch = Vec::new();
        for _ in 0..=shape % 3 {
            let number = (records.len() + batch.len()) as u32;
            let mut payload = number.to_le_bytes().to_vec();
            payload.resize(4 + usize::from(input.u16() % 6_000), shape);
            batch.push(([number as u8 + 1; 16], NOW_MS + u64::from(number), Bytes::from(payload)));
        }
        let positions = rig.write(&batch).expect("there is room");
        records.extend(batch.into_iter().zip(positions).map(|((tag, received_at_ms, payload), position)| Known {
            position,
            received_at_ms,
            tag,
            payload,
        }));
        if shape & 0x80 != 0 {
            marked = 1 + u64::from(input.byte()) % records.len() as u64;
            rig.mark(vec![LaneMark { topic: "a".into(), position: Position(marked), takes: 0 }]);
        }
    }
    let synced_up_to = if marked > 0 { slot_of(&disk).map_or(0, |slot| slot.synced_up_to) } else { 0 };
    if input.byte() & 1 != 0 {
        rig.close();
    } else {
        drop(rig);
    }
    if input.byte() & 1 == 0 {
        remove_spares(&disk);
    }
    let before = disk.copy();
    let patches = input.byte() % 8;
    (0..patches).for_each(|_| rot(&disk, input));
    let is_checkpoint_whole = before.get("journal/checkpoint") == disk.get("journal/checkpoint");
    let written = Written {
        synced_up_to: if is_checkpoint_whole { synced_up_to } else { 0 },
        lowest: marked,
        untouched: untouched(&records, &before, &disk),
        records,
    };
    (disk, written)
}

/// The newest slot as it lies there.
fn slot_of(disk: &Memory) -> Option<Slot> {
    let file = disk.get("journal/checkpoint")?;
    let slots = [0, 1].into_iter().filter_map(|index| Slot::decode(&file, index).ok());
    slots.max_by_key(|slot| slot.generation)
}

/// One change to one file that holds something.
fn rot(disk: &Memory, input: &mut Input<'_>) {
    let mut paths = disk.paths("journal");
    paths.sort();
    let path = &paths[usize::from(input.byte()) % paths.len()];
    let mut bytes = disk.get(path).expect("it was listed just now");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if used == 0 {
        return;
    }
    let (kind, at) = (input.byte(), input.u32() as usize % used);
    match kind % 5 {
        0 => bytes[at] ^= input.byte(),
        1 => {
            let end = (at + usize::from(input.u16())).min(used);
            bytes[at..end].fill(0);
        }
        2 => {
            // Changed, so that a record of another journal that the fuzzer has seen does not come in whole: that is no rot.
            let noise: Vec<u8> = input
                .piece()
                .iter()
                .zip((0_u8..=u8::MAX).cycle())
                .map(|(byte, at)| byte ^ at.wrapping_mul(31) ^ 0x5a)
                .collect();
            let end = (at + noise.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&noise[..end - at]);
        }
        3 => bytes.truncate(at),
        // A header, where the frames begin.
        _ => {
            let block = at / BLOCK_BYTES * BLOCK_BYTES;
            let end = (block + 64).min(bytes.len());
            bytes[block..end].fill(input.byte());
        }
    }
    disk.put(path, bytes);
}

/// Positions of records that still stand where they stood, where no more than one segment is damaged. Of two at once, one
/// may be taken for a spare: without its first header, behind a segment without its end, it looks like one with rot in it.
fn untouched(records: &[Known], before: &Memory, after: &Memory) -> Vec<u64> {
    let files: Vec<(Vec<u8>, Vec<u8>)> =
        before.paths("journal").iter().filter_map(|path| Some((before.get(path)?, after.get(path)?))).collect();
    if files.iter().filter(|(before, after)| before != after && before.starts_with(b"RBsegmnt")).count() > 1 {
        return Vec::new();
    }
    let is_untouched = |record: &&Known| {
        let encoded = encoded(record);
        files.iter().any(|(before, after)| {
            let at = memmem::find(before, &encoded);
            at.is_some_and(|at| after.get(at..at + encoded.len()) == Some(&encoded))
        })
    };
    records.iter().filter(is_untouched).map(|record| record.position).collect()
}

fn encoded(record: &Known) -> Vec<u8> {
    let Known { position, received_at_ms, tag, payload } = record;
    Record { position: *position, received_at_ms: *received_at_ms, tag: *tag, payload }.encode()
}

/// Segments made ahead: the next start makes them again, and looks through them byte by byte where it finds them.
fn remove_spares(disk: &Memory) {
    static ZEROS: [u8; SEGMENT_BYTES as usize] = [0; SEGMENT_BYTES as usize];
    for path in disk.paths("journal").iter().filter(|path| path.ends_with(".segment")) {
        let bytes = disk.get(path).expect("it was listed just now");
        if bytes.len() == ZEROS.len() && bytes[BLOCK_BYTES..] == ZEROS[BLOCK_BYTES..] {
            disk.remove(std::path::Path::new(path)).expect("it was listed just now");
        }
    }
}

fn judge(disk: &Memory, written: Option<&Written>, stop: Stop) {
    let files = disk.copy();
    let seen = inspect(disk, Depth::Records);
    assert!(disk.whole() == files.whole(), "a look has changed something");
    let mut rig = match (Rig::open(disk, 1), &seen) {
        (Ok(rig), Ok(_)) => rig,
        (Err(OpenError::Version { version, .. }), Err(OpenError::Version { version: seen, .. })) => {
            assert!(version != 1 && version == *seen, "version {version} is refused, a look saw {seen}");
            assert!(written.is_none(), "rot is taken for another version");
            return;
        }
        (opened, seen) => {
            panic!(
                "a recovery says {:?}, a look {:?}",
                opened.err().map(|error| error.to_string()),
                seen.as_ref().err()
            )
        }
    };
    let seen = seen.expect("errors were met above");
    let met = rig.read();
    let next = rig.stepped.recovered.next.0;
    in_order(&met, next);
    let segments: Vec<Vec<u8>> = files.paths("journal").iter().filter_map(|path| files.get(path)).collect();
    for record in &met.records {
        let encoded = encoded(record);
        let is_there = segments.iter().any(|bytes| memmem::find(bytes, &encoded).is_some());
        assert!(is_there, "record {} was read, and no file holds it", record.position);
    }
    let tags: Vec<_> = rig.stepped.recovered.tags.by_ref().collect();
    rig.turn();
    let told_bytes = rig.told_bytes() + rig.stepped.recovered.torn_bytes;
    if let Some(written) = written {
        judge_rot(written, &met, next, told_bytes);
        agrees(&seen, &met, rig.told_bytes(), &disk.paths("quarantine"));
        let has_tag = |record: &Known| tags.contains(&(record.tag, record.received_at_ms));
        assert!(met.records.iter().all(has_tag), "a record that is read has no tag: its repeat would be kept again");
    }
    goes_on(disk, rig, met, stop);
}

fn in_order(met: &Met, next: u64) {
    let mut last = 0;
    for record in &met.records {
        assert!(
            record.position > last || last == 0 && record.position == 0,
            "position {} behind {last}",
            record.position
        );
        assert!(record.position < next, "record {} is read, and the next one is {next}", record.position);
        last = record.position;
    }
    for damaged in &met.damaged {
        assert!(damaged.start < damaged.end, "{damaged:?} is damage of nothing");
        let inside = met.records.iter().find(|record| damaged.contains(&record.position));
        assert!(
            inside.is_none(),
            "{damaged:?} is damaged, and record {:?} in it is read",
            inside.map(|one| one.position)
        );
    }
}

/// What a look counts is what a recovery finds.
fn agrees(seen: &Inspection, met: &Met, told_bytes: u64, kept: &[String]) {
    assert_eq!(seen.records(), met.records.len() as u64, "a look counts other records than are read");
    let is_sound = seen.is_sound();
    assert_eq!(
        is_sound,
        told_bytes == 0,
        "a look says sound, the start tells of {told_bytes} bytes, {kept:?}: {seen:?}"
    );
}

fn judge_rot(written: &Written, met: &Met, next: u64, told_bytes: u64) {
    for record in &met.records {
        let known = written.records.iter().find(|known| known.position == record.position);
        assert_eq!(known, Some(record), "a record is read that was not written so");
    }
    let is_read = |position: u64| met.records.iter().any(|record| record.position == position);
    let newest = met.records.last().map_or(0, |record| record.position);
    for Known { position, .. } in &written.records {
        let is_missed = !is_read(*position) && *position >= written.lowest;
        assert!(
            !(is_missed && written.untouched.contains(position)),
            "LOST: record {position}, its bytes are untouched"
        );
        let was_synced = *position < written.synced_up_to || *position < newest;
        assert!(!is_missed || !was_synced || told_bytes > 0, "LOST: record {position}, nothing was said");
    }
    assert!(next >= written.synced_up_to, "{next} comes next, and the checkpoint knows {}", written.synced_up_to);
}

/// One more record, one more start: everything is there, and nothing is told again.
fn goes_on(disk: &Memory, mut rig: Rig, met: Met, stop: Stop) {
    let next = rig.stepped.recovered.next.0;
    let (tag, payload) = ([0xee; 16], Bytes::from_static(b"appended"));
    let positions = rig.write(&[(tag, NOW_MS, payload.clone())]).expect("there is room");
    assert_eq!(positions, [next], "the next position was told to be {next}");
    if stop.is_clean {
        rig.close();
    } else {
        drop(rig);
    }
    if !stop.keeps_spares {
        remove_spares(disk);
    }
    let mut again = Rig::open(disk, 2).expect("it opened before");
    let mut expected = met;
    expected.records.push(Known { position: next, received_at_ms: NOW_MS, tag, payload });
    let found = again.read();
    assert_eq!(found.records, expected.records, "the second start reads other records");
    let recovered = &mut again.stepped.recovered;
    assert!(recovered.next.0 > next, "{:?} comes next behind {next}", recovered.next);
    assert!(recovered.tags.any(|one| one == (tag, NOW_MS)), "the appended record has no tag");
    again.turn();
    let told_bytes = again.told_bytes() + again.stepped.recovered.torn_bytes;
    // A gap between segments has no bytes to keep a copy of: it is told at each start until every lane is past it.
    assert_eq!(told_bytes % SEGMENT_BYTES, 0, "the second start tells of damage again");
}

/// Segments as they really are, short, and choices for each other way of making one.
pub fn seeds() -> Vec<Vec<u8>> {
    let disk = Memory::default();
    let mut rig = Rig::open(&disk, IDENTITY[0]).expect("an empty disk that never fails");
    let records =
        |from: u8| [(from, 3), (from + 1, 40)].map(|(fill, length)| ([fill; 16], NOW_MS, vec![fill; length].into()));
    for from in [1, 3] {
        rig.write(&records(from)).expect("there is room");
    }
    let open = disk.get(&segment_path(1)).expect("it is being written");
    rig.close();
    let closed = disk.get(&segment_path(1)).expect("it is closed");
    let open = &open[..3 * BLOCK_BYTES];
    let number = |flags: u8, mode: u8| vec![mode, flags];
    vec![
        [&number(0, 0)[..], &closed].concat(),
        [&number(8, 1), open].concat(),
        [&number(9, 1)[..], &[1, 5, 2, 1], open].concat(),
        [&number(0, 0x81)[..], &closed].concat(),
        b"\x02\0\0\x03\0\x01\x03\0abc\x02\0de\0\0\x01\0x\x02\0\0\0\0\x01\x05\0\x01".to_vec(),
        b"\x82\x01\x01\x05\x02\x01\0\x02\0\0\x04\0abcd\x01\x09\x01\x02\0xy\x02\0\0\0\0\0\0\0\0\x01".to_vec(),
        b"\x03\x06\x80\x10\0\x02\x02\x20\x01\x30\0\x02\0\x02\0\x02\0\0\x01\0\0\x70\x10\0\0\x55".to_vec(),
        b"\x83\x0c\x80\x10\x10\x03\x02\x20\x11\x30\x12\x02\x10\x02\x10\x02\x10\x01\x02\x01\x04\x10\x10\0\0\x55\0\x03\0\x20\0\0".to_vec(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panicked = std::panic::catch_unwind(run).expect_err("it was taken for sound");
        *panicked.downcast::<String>().expect("a formatted message")
    }

    fn met(positions: &[u64]) -> Met {
        let known = |position: &u64| Known {
            position: *position,
            received_at_ms: NOW_MS,
            tag: [0; 16],
            payload: Bytes::from_static(b"x"),
        };
        Met { records: positions.iter().map(known).collect(), damaged: Vec::new() }
    }

    fn written(synced_up_to: u64, untouched: &[u64]) -> Written {
        Written { records: met(&[1, 2, 3]).records, synced_up_to, lowest: 1, untouched: untouched.to_vec() }
    }

    #[test]
    fn the_judge_sees_a_record_lost_in_silence_one_altered_and_one_out_of_order() {
        judge_rot(&written(0, &[1, 2]), &met(&[1, 2]), 3, 0);
        assert!(fails(|| judge_rot(&written(0, &[1, 2, 3]), &met(&[1, 2]), 3, 1)).contains("untouched"));
        assert!(fails(|| judge_rot(&written(4, &[1, 2]), &met(&[1, 2]), 4, 0)).contains("nothing was said"));
        assert!(fails(|| judge_rot(&written(0, &[]), &met(&[1, 3]), 4, 0)).contains("nothing was said"));
        let mut altered = met(&[1]);
        altered.records[0].payload = Bytes::from_static(b"y");
        assert!(fails(move || judge_rot(&written(0, &[]), &altered, 2, 1)).contains("not written so"));
        assert!(fails(|| in_order(&met(&[2, 2]), 3)).contains("position 2 behind 2"));
    }

    #[test]
    fn the_format_written_from_its_description_is_the_journals() {
        let disk = Memory::default();
        let mut rig = Rig::open(&disk, IDENTITY[0]).expect("an empty disk that never fails");
        rig.write(&[([9; 16], NOW_MS, Bytes::from_static(b"abc"))]).expect("there is room");
        drop(rig);
        let payload = Record { position: 1, received_at_ms: NOW_MS, tag: [9; 16], payload: b"abc" }.encode();
        let chain = format::seed(IDENTITY, 1);
        let frame = Frame {
            kind: 1,
            identity: IDENTITY,
            segment: 1,
            batch: 0,
            count: 1,
            first: 1,
            payload_bytes: payload.len() as u32,
            chain,
        };
        let header = format::segment_header(IDENTITY, IDENTITY, 1, SEGMENT_BYTES);
        let mut expected = [&header[..], &frame.encode().0, &payload].concat();
        expected.resize(SEGMENT_BYTES as usize, 0);
        let written = disk.get(&segment_path(1)).expect("it is being written");
        let differs = written.iter().zip(&expected).position(|(is, should_be)| is != should_be);
        assert!(differs.is_none() && written.len() == expected.len(), "at {differs:?} of {} bytes", written.len());
    }
}
