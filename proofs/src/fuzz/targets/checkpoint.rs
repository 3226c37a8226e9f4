//! The checkpoint file: which of two slots counts, over bytes that nobody wrote.
//!
//! In: a file's bytes as they are, or two slots of any fields with checksums that hold and some bytes turned over; beside
//! them a journal of three records that is sound. Out: nothing. What must hold: the lanes after a start are those of the
//! newest slot that a second reading of the format takes for sound, and of this journal, or there are none and that is
//! told; a slot of another version stops the start; the start writes the same lanes again, under newer generations; no
//! position that a slot knows of is used again; every record is still there.

use std::sync::OnceLock;

use bytes::Bytes;
use retell_bridge::journal::inspect::{Depth, inspect};
use retell_bridge::journal::{JournalId, LaneMark, OpenError};

use super::format::{NUMBER_END, SLOT_BYTES, Slot};
use super::input::{Input, piece};
use super::memory::Memory;
use super::rig::{NOW_MS, Rig};

const IDENTITY: [u8; 16] = [7; 16];
const OTHER: [u8; 16] = [8; 16];
const PATH: &str = "journal/checkpoint";
const RECORDS: u64 = 3;

/// See the module.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let file = if input.byte() & 1 == 0 { input.rest().to_vec() } else { built(&mut input) };
    judge(&file);
}

/// Two slots, each sound but for what is turned over at the end.
fn built(input: &mut Input<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    for index in 1..=2 {
        let mut bytes = slot(input).encode();
        bytes.truncate(SLOT_BYTES);
        file.extend(bytes);
        file.resize(index * SLOT_BYTES, 0);
    }
    for _ in 0..input.byte() % 4 {
        let at = usize::from(input.u16()) % file.len();
        file[at] ^= input.byte();
    }
    if input.byte() & 1 != 0 {
        file.truncate(usize::from(input.u16()));
    }
    file
}

fn slot(input: &mut Input<'_>) -> Slot {
    let identity = if input.byte() & 3 == 3 { OTHER } else { IDENTITY };
    let [generation, synced_up_to, next_segment] = [(); 3].map(|()| input.number());
    let lanes = (0..input.byte() % 70).map(|_| {
        let (position, takes) = (input.number(), input.number());
        let topic = String::from_utf8_lossy(input.piece()).into_owned();
        (position, takes, topic)
    });
    Slot { identity, generation, synced_up_to, next_segment, lanes: lanes.collect() }
}

/// Three records in one closed segment.
fn journal() -> &'static Memory {
    static JOURNAL: OnceLock<Memory> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        let disk = Memory::default();
        let mut rig = Rig::open(&disk, IDENTITY[0]).expect("an empty disk that never fails");
        let records: Vec<_> =
            (1..=RECORDS as u8).map(|fill| ([fill; 16], NOW_MS, Bytes::from(vec![fill; 40]))).collect();
        rig.write(&records).expect("there is room");
        rig.close();
        disk
    })
}

fn judge(file: &[u8]) {
    let disk = journal().copy();
    disk.put(PATH, file.to_vec());
    let slots = [0, 1].map(|index| Slot::decode(file, index));
    let seen = inspect(&disk, Depth::Summary);
    let opened = Rig::open(&disk, 1);
    if let Some(version) = slots.iter().find_map(|slot| slot.as_ref().err().copied().flatten()) {
        let refused = |error: Option<&OpenError>| matches!(error, Some(OpenError::Version { version: told, .. }) if *told == version);
        assert!(refused(opened.as_ref().err()), "version {version} is read");
        assert!(refused(seen.as_ref().err()), "version {version} is looked at");
        assert!(disk.get(PATH).as_deref() == Some(file), "a newer release's checkpoint was changed");
        return;
    }
    let sound: Vec<&Slot> = slots.iter().flatten().collect();
    seen_is_newest(&seen.expect("this disk never fails"), &sound);
    let rig = opened.unwrap_or_else(|error| panic!("the journal does not open: {error}"));
    recovered_is_newest(&rig, &sound);
    // The last numbers that are taken: what a start makes of them is beyond.
    if sound.iter().any(|slot| slot.highest() > NUMBER_END - (1 << 16)) {
        return;
    }
    written_again(&rig, &disk, &sound);
    let positions: Vec<u64> = rig.read().records.iter().map(|record| record.position).collect();
    assert_eq!(positions, [1, 2, 3], "the records are not what they were");
    goes_on(rig, &disk);
}

fn lanes_of(slot: &Slot) -> Vec<(u64, u64, String)> {
    slot.lanes.clone()
}

fn told(lanes: &[LaneMark]) -> Vec<(u64, u64, String)> {
    lanes.iter().map(|lane| (lane.position.0, lane.takes, lane.topic.clone())).collect()
}

/// The slots of the highest generation; two where both have it.
fn newest<'s>(slots: impl Iterator<Item = &'s Slot> + Clone) -> Vec<&'s Slot> {
    let highest = slots.clone().map(|slot| slot.generation).max();
    slots.filter(|slot| Some(slot.generation) == highest).collect()
}

fn seen_is_newest(seen: &retell_bridge::journal::inspect::Inspection, sound: &[&Slot]) {
    let newest = newest(sound.iter().copied());
    let is_one_of = seen.checkpoint.as_ref().is_some_and(|checkpoint| {
        newest.iter().any(|slot| {
            (checkpoint.generation, checkpoint.synced_up_to.0) == (slot.generation, slot.synced_up_to)
                && told(&checkpoint.lanes) == lanes_of(slot)
        })
    });
    assert!(
        is_one_of || newest.is_empty() && seen.checkpoint.is_none(),
        "a look sees {:?}, sound is {newest:?}",
        seen.checkpoint
    );
    assert_eq!(seen.broken_slots, 2 - sound.len());
}

fn recovered_is_newest(rig: &Rig, sound: &[&Slot]) {
    let recovered = &rig.stepped.recovered;
    let newest = newest(sound.iter().copied().filter(|slot| slot.identity == IDENTITY));
    let lanes = told(&recovered.lanes);
    if newest.is_empty() {
        assert!(lanes.is_empty(), "lanes of no sound slot: {lanes:?}");
        assert!(recovered.corrupt_bytes > 0, "no slot counts, and nothing was said");
        return;
    }
    let counts = |slot: &&&Slot| lanes == lanes_of(slot) && recovered.next.0 >= slot.synced_up_to.max(RECORDS + 1);
    let counting: Vec<&&Slot> = newest.iter().filter(counts).collect();
    assert!(!counting.is_empty(), "{lanes:?} and next {:?}, but sound is {newest:?}", recovered.next);
    let begins_anew = recovered.identity != JournalId(IDENTITY);
    let is_right = counting.iter().any(|slot| begins_anew == is_end_lost(slot));
    assert!(is_right, "{:?}, and sound is {newest:?}", recovered.identity);
    assert_eq!(recovered.corrupt_bytes > 0, begins_anew, "{} bytes told of", recovered.corrupt_bytes);
}

/// Behind the end of all records something is lost, and an identity begins; but where all of it was settled, it was dropped,
/// and these records are an elder segment that could not be removed.
fn is_end_lost(slot: &Slot) -> bool {
    let settled = slot.lanes.iter().map(|lane| lane.0).min().unwrap_or(0);
    slot.synced_up_to > RECORDS + 1 && settled < slot.synced_up_to
}

fn written_again(rig: &Rig, disk: &Memory, sound: &[&Slot]) {
    let file = disk.get(PATH).expect("a start writes one");
    let written = [0, 1].map(|index| Slot::decode(&file, index).expect("a start writes both slots"));
    let highest = newest(sound.iter().copied().filter(|slot| slot.identity == IDENTITY))
        .first()
        .map_or(0, |slot| slot.generation);
    assert_eq!(written.each_ref().map(|slot| slot.generation), [highest + 1, highest + 2]);
    for slot in &written {
        assert_eq!(slot.lanes, told(&rig.stepped.recovered.lanes), "other lanes are written than were read");
        assert_eq!(
            (slot.synced_up_to, slot.identity),
            (rig.stepped.recovered.next.0, rig.stepped.recovered.identity.0)
        );
    }
}

/// One more record and another start: the same lanes, nothing told again.
fn goes_on(mut rig: Rig, disk: &Memory) {
    let (lanes, next) = (rig.stepped.recovered.lanes.clone(), rig.stepped.recovered.next.0);
    let positions = rig.write(&[([0xee; 16], NOW_MS, Bytes::from_static(b"appended"))]).expect("there is room");
    assert_eq!(positions, [next]);
    drop(rig);
    let again = Rig::open(disk, 2).expect("it opened before");
    assert_eq!(again.stepped.recovered.lanes, lanes, "the second start has other lanes");
    assert_eq!(again.stepped.recovered.corrupt_bytes, 0, "the second start tells of damage again");
    assert_eq!(again.read().records.last().map(|record| record.position), Some(next));
}

/// A file as it is written, and fields of two slots.
pub fn seeds() -> Vec<Vec<u8>> {
    let real = journal().get(PATH).expect("a start writes one");
    let used = SLOT_BYTES + 60;
    let lane = |position: u8| [&[position, 9][..], &piece(b"retell.call_ended")].concat();
    let slot = |generation: u8, lanes: &[u8]| {
        let lanes: Vec<u8> = lanes.iter().flat_map(|position| lane(*position)).collect();
        [&[0, generation, 4, 3, (lanes.len() / 21) as u8][..], &lanes].concat()
    };
    let built = |one: Vec<u8>, two: Vec<u8>, rest: &[u8]| [&[1][..], &one, &two, rest].concat();
    vec![
        [&[0][..], &real[..used]].concat(),
        built(slot(4, &[2, 3]), slot(5, &[3, 4]), &[0, 0]),
        built(slot(9, &[1]), slot(5, &[3, 4]), &[1, 20, 0, 1, 0]),
        built(slot(5, &[]), slot(5, &[1]), &[2, 20, 0, 1, 20, 80, 1, 0]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(generation: u64, identity: [u8; 16]) -> Slot {
        Slot { identity, generation, synced_up_to: 4, next_segment: 5, lanes: vec![(generation, 0, "a".into())] }
    }

    fn file(slots: [Slot; 2]) -> Vec<u8> {
        let mut file = slots[0].encode();
        file.resize(SLOT_BYTES, 0);
        file.extend(slots[1].encode());
        file
    }

    #[test]
    fn the_newest_sound_slot_of_this_journal_counts() {
        judge(&file([slot(2, IDENTITY), slot(1, IDENTITY)]));
        judge(&file([slot(2, OTHER), slot(1, IDENTITY)]));
        judge(&file([slot(2, OTHER), slot(1, OTHER)]));
        judge(b"");
    }

    #[test]
    #[should_panic(expected = "but sound is")]
    fn lanes_of_the_elder_slot_are_seen() {
        let disk = journal().copy();
        disk.put(PATH, file([slot(2, IDENTITY), slot(1, IDENTITY)]));
        let rig = Rig::open(&disk, 1).expect("a sound journal");
        recovered_is_newest(&rig, &[&slot(2, IDENTITY), &slot(3, IDENTITY)]);
    }
}
