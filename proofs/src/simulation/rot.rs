//! Rot: one bit of what was synced turns over while no process runs.
//!
//! In: the disk, and the ledger to know which records lie where. Out: where the flip was, and the record whose header or
//! bytes it hit, which is all that it may take. Never happens: a flip in un-synced bytes (those are the power cut's).

use super::disk::SimDisk;
use super::ledger::{Hit, Ledger, PAYLOAD_MAGIC};
use crate::random::Random;

const FOLDER: &str = "journal";
pub const CHECKPOINT: &str = "journal/checkpoint";
/// Length of a record's header, as the head of the journal's module documents it.
const RECORD_HEADER_BYTES: usize = 32;

/// A record in a raw file, with its header.
struct Place {
    id: usize,
    start: usize,
    end: usize,
}

/// `None` where there is nothing to rot.
pub fn strike(disk: &SimDisk, ledger: &Ledger, random: &mut Random) -> Option<(Hit, String)> {
    let files: Vec<(String, Vec<u8>)> = disk
        .names(FOLDER)
        .into_iter()
        .map(|name| format!("{FOLDER}/{name}"))
        .filter_map(|path| disk.bytes(&path).map(|bytes| (path, bytes)))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    if files.is_empty() {
        return None;
    }
    let (path, bytes) = &files[random.below(files.len() as u64) as usize];
    let places = places(bytes, ledger);
    let bit = choose(bytes, &places, random) as u64 * 8 + random.below(8);
    let hit = flip(disk, ledger, path, bit, &places);
    let told = format!("a bit of byte {} of {path} turns over; it may take {:?}", hit.at, hit.record);
    Some((hit, told))
}

/// Turns one bit over, and says where and of what.
pub fn strike_at(disk: &SimDisk, ledger: &Ledger, path: &str, bit: u64) -> Hit {
    let bytes = disk.bytes(path).expect("the driver strikes files that are there");
    flip(disk, ledger, path, bit, &places(&bytes, ledger))
}

/// More than half of the time in a record, its header or just before it, else anywhere.
fn choose(bytes: &[u8], places: &[Place], random: &mut Random) -> usize {
    if places.is_empty() || random.chance(40) {
        return random.below(bytes.len() as u64) as usize;
    }
    let place = &places[random.below(places.len() as u64) as usize];
    let low = place.start.saturating_sub(random.pick(&[0, 0, 64, 160]));
    let high = random.pick(&[place.end, place.end, place.start + RECORD_HEADER_BYTES]);
    random.between(low as u64, high as u64 - 1) as usize
}

fn flip(disk: &SimDisk, ledger: &Ledger, path: &str, bit: u64, places: &[Place]) -> Hit {
    let (at, segment) = (bit / 8, segment_number(path));
    let byte = disk.flip(path, bit);
    let is_hit = |place: &&Place| (place.start..place.end).contains(&(at as usize));
    let record = places.iter().find(is_hit).map(|place| place.id).filter(|_| segment.is_some());
    let batch = |id: usize| ledger.known(id).batch;
    let is_tail = record.is_some_and(|id| ledger.last_obligation().is_some_and(|last| batch(id) == batch(last)));
    Hit { segment, at, byte, record, is_tail }
}

/// As quarantine names it. A file that is still being made counts for nothing: it is written again from its first byte on.
fn segment_number(path: &str) -> Option<u64> {
    if path == CHECKPOINT {
        return Some(0);
    }
    path.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".segment")?.parse().ok()
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
                let start = start.saturating_sub(RECORD_HEADER_BYTES);
                places.push(Place { id: id.unwrap_or_default() as usize, start, end });
            }
        }
        start += 8;
    }
    places
}
