//! Rot: one bit of what was synced turns over while no process runs.
//!
//! In: the disk, and the ledger to know which records lie where. Out: what the flip may take, at most: the record whose
//! bytes it hit; where it hit the frame around them, the records of that file, loudly. Never happens: a flip in
//! un-synced bytes (those are the power cut's).

use std::collections::BTreeSet;

use super::disk::SimDisk;
use super::ledger::{Ledger, PAYLOAD_MAGIC, Rot};
use crate::random::Random;

const FOLDER: &str = "journal";
pub const CHECKPOINT: &str = "journal/checkpoint";

/// A record's payload in a raw file.
struct Place {
    id: usize,
    start: usize,
    end: usize,
}

pub fn strike(disk: &SimDisk, ledger: &Ledger, random: &mut Random) -> (Rot, String) {
    let files: Vec<(String, Vec<u8>)> = disk
        .names(FOLDER)
        .into_iter()
        .map(|name| format!("{FOLDER}/{name}"))
        .filter_map(|path| disk.bytes(&path).map(|bytes| (path, bytes)))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    if files.is_empty() {
        return (Rot::default(), "nothing to rot".to_owned());
    }
    let (path, bytes) = &files[random.below(files.len() as u64) as usize];
    let places = places(bytes, ledger);
    let byte = choose(bytes, &places, random);
    disk.flip(path, byte as u64 * 8 + random.below(8));
    let rot = judge(path, byte, &places, ledger);
    let told = format!("a bit of byte {byte} of {path} turns over; it may take {:?}, tail {:?}", rot.records, rot.tail);
    (rot, told)
}

/// Turns one bit over, and says what it may take.
pub fn strike_at(disk: &SimDisk, ledger: &Ledger, path: &str, bit: u64) -> Rot {
    let bytes = disk.bytes(path).expect("the driver strikes files that are there");
    disk.flip(path, bit);
    judge(path, bit as usize / 8, &places(&bytes, ledger), ledger)
}

/// Half of the time in or just before a payload, else anywhere.
fn choose(bytes: &[u8], places: &[Place], random: &mut Random) -> usize {
    if places.is_empty() || random.chance(40) {
        return random.below(bytes.len() as u64) as usize;
    }
    let place = &places[random.below(places.len() as u64) as usize];
    let low = place.start.saturating_sub(random.pick(&[0, 0, 40, 160]));
    random.between(low as u64, place.end as u64 - 1) as usize
}

fn judge(path: &str, byte: usize, places: &[Place], ledger: &Ledger) -> Rot {
    if path == CHECKPOINT {
        return Rot { struck: true, checkpoint: true, ..Rot::default() };
    }
    let hit = places.iter().find(|place| (place.start..place.end).contains(&byte)).map(|place| place.id);
    let records: BTreeSet<usize> = match hit {
        Some(id) => BTreeSet::from([id]),
        None => places.iter().map(|place| place.id).collect(),
    };
    // In the last batch of all, rot cannot be told from a torn write.
    let last = ledger.last_obligation();
    let tail = match last {
        Some(last) if records.iter().any(|id| ledger.known(*id).batch == ledger.known(last).batch) => {
            ledger.batch_of(last)
        }
        _ => BTreeSet::new(),
    };
    Rot { struck: true, records, tail, checkpoint: false }
}

fn places(bytes: &[u8], ledger: &Ledger) -> Vec<Place> {
    let mut places = Vec::new();
    let mut start = 0;
    while let Some(found) = bytes[start..].windows(8).position(|window| window == PAYLOAD_MAGIC) {
        start += found;
        let id = bytes.get(start + 8..start + 16).and_then(|id| id.try_into().ok()).map(u64::from_le_bytes);
        if let Some(known) = id.and_then(|id| ledger.get(id as usize)) {
            let end = start + known.payload.len();
            if bytes.get(start..end) == Some(&known.payload) {
                places.push(Place { id: id.unwrap_or_default() as usize, start, end });
            }
        }
        start += 8;
    }
    places
}
