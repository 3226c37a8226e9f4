//! A journal that was really written, and rot in it.
//!
//! In: the fuzzer's bytes. Out: what was written and answered, and the files after a few changes by chance. Never happens: a
//! record of another journal that comes in whole, which is no rot.

use bytes::Bytes;
use memchr::memmem;
use retell_bridge::journal::{LaneMark, Position};

use super::super::format::{BLOCK_BYTES, Slot};
use super::super::input::Input;
use super::super::memory::Memory;
use super::super::rig::{Known, NOW_MS, Rig};
use super::{IDENTITY, Written, encoded, remove_spares};

/// Of one journal that is written before the rot.
const RECORDS_MAX: u8 = 16;

/// A journal that was really written, and what rot has made of it.
pub(super) fn rotten(input: &mut Input<'_>) -> (Memory, Written) {
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
            // Forward, as a lane's marks go: where the newest slot rots, the one before it is in force.
            marked = marked.max(1 + u64::from(input.byte()) % records.len() as u64);
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
