//! Rot at every bit of a small journal's segments and checkpoint, one at a time: each is told. Of the checkpoint, which has
//! two slots so that one may break, also at the same bit of both.
//!
//! In: nothing; the journal is always the same. Out: how many bits were turned over, each followed by a recovery that was
//! judged (what is told, what is copied, which slot's lanes count); or the failing one and the command that repeats it. Never happens: a bit that counts although nothing could
//! depend on it (padding between frames, the unused rest of a block).

use std::ops::Range;
use std::sync::Arc;

use retell_bridge::journal::{LaneMark, Position};
use retell_bridge::metrics::Metrics;

use super::copies;
use super::disk::{End, SimDisk};
use super::ledger::{Found, Ledger, Rot, Wrong};
use super::rig::{NotOpen, Rig, Shape};
use super::rot::{self, CHECKPOINT};
use super::scene::START_MS;
use super::told::{self, Word};
use crate::figure::repeat_with;
use crate::random::Random;

const SEGMENT_BYTES: u64 = 64 << 10;
const BLOCK_BYTES: usize = 4096;
/// Lengths of the parts, as the head of the journal's module documents them.
const SEGMENT_HEADER_BYTES: usize = 68;
const FRAME_HEADER_BYTES: usize = 64;
const FRAME_MAGIC: &[u8] = b"RBfr";
const PAYLOAD_LENGTH_AT: usize = 48;
/// Of records, and of the list at a segment's end, one bit of so many is turned over; of headers every one.
const PAYLOAD_STRIDE_BITS: usize = 61;

const SLOT_BYTES: usize = 20_480;
const SLOT_LENGTH_AT: usize = 12;
const SLOT_GENERATION_AT: usize = 32;

/// One lane, as far as it was settled in the elder slot and in the newer one.
const TOPIC: &str = "retell.call_ended";
const SETTLED: [u64; 2] = [5, 9];

/// Names the step to repeat alone.
pub const STEP: &str = "ROT";

/// How many bits were turned over; only step number `only` where there is one.
pub fn walk(only: Option<usize>) -> Result<u64, Wrong> {
    let (disk, ledger) = build()?;
    let metrics = Arc::default();
    let steps = steps(&disk).into_iter().enumerate().filter(|(number, _)| only.is_none_or(|only| only == *number));
    let mut turned = 0;
    for (number, (path, bits)) in steps {
        strike(&disk, &ledger, &metrics, &path, &bits).map_err(|wrong| {
            let command = repeat_with(&format!("{STEP}={number} "), "simulation", 0);
            format!("bits {bits:?} of {path} turned over: {wrong}\nrepeat it with {command}")
        })?;
        turned += 1;
    }
    Ok(turned)
}

/// Which file, and which bits of it.
fn steps(disk: &SimDisk) -> Vec<(String, Vec<usize>)> {
    let files: Vec<String> = disk.names("journal").into_iter().filter(|name| name.ends_with(".segment")).collect();
    let mut steps = Vec::new();
    for path in files.into_iter().map(|name| format!("journal/{name}")) {
        let bytes = disk.bytes(&path).expect("it was listed just now");
        steps.extend(bits(&bytes).into_iter().map(|bit| (path.clone(), vec![bit])));
    }
    let checkpoint = disk.bytes(CHECKPOINT).expect("the rig has written one");
    let [first, second] = [0, SLOT_BYTES].map(|slot| slot_bits(&checkpoint, slot));
    let both = first.iter().map(|bit| vec![*bit, *bit + SLOT_BYTES * 8]);
    let alone = first.iter().chain(&second).map(|bit| vec![*bit]);
    steps.extend(alone.chain(both).map(|bits| (CHECKPOINT.to_owned(), bits)));
    steps
}

/// Every bit of the slot that its checksum covers, and of the checksum.
fn slot_bits(checkpoint: &[u8], slot: usize) -> Vec<usize> {
    let length = u32_at(checkpoint, slot + SLOT_LENGTH_AT) + 4;
    of_bytes(slot..slot + length, 1).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// A closed segment, an open one behind it, and a process that was killed.
fn build() -> Result<(SimDisk, Ledger), Wrong> {
    let mut random = Random::new(11);
    let (disk, mut ledger) = (SimDisk::new(random.split(), shape().capacity_bytes), Ledger::new());
    let (mut rig, found) = open(&disk, &Arc::default())?;
    ledger.recovered(&found, &Rot::default())?;
    for batch in 0..20 {
        let ids: Vec<usize> =
            (0..1 + batch % 3).map(|_| ledger.make(100 + 2_500 * (batch % 2), START_MS, batch, &mut random)).collect();
        let records: Vec<_> = ids.iter().map(|id| ledger.known(*id).clone()).collect();
        let answers = rig.write(&disk, &records, START_MS)?;
        for (id, answer) in ids.iter().zip(answers) {
            let answer = answer.ok_or("a record was never answered")?;
            ledger.answered(*id, answer.map(|position| position.0))?;
        }
    }
    for position in SETTLED {
        rig.mark_one(TOPIC, position);
        ledger.handed_over(&lanes(Some(position)));
        if !rig.turn(START_MS + 1) {
            return Err("a checkpoint is not written on a disk without trouble".to_owned());
        }
        ledger.checkpoint_synced();
    }
    drop(rig);
    disk.restart(End::Killed);
    Ok((disk, ledger))
}

fn shape() -> Shape {
    Shape {
        segment_bytes: SEGMENT_BYTES,
        size_max_bytes: 16 * SEGMENT_BYTES,
        capacity_bytes: 32 * SEGMENT_BYTES,
        retention_ms: 3_600_000,
        has_faults: false,
        had_faults: false,
        has_rot: true,
    }
}

fn open(disk: &SimDisk, metrics: &Arc<Metrics>) -> Result<(Rig, Found), Wrong> {
    Rig::open(disk, &shape(), metrics, START_MS, &mut Random::new(7)).map_err(|error| match error {
        NotOpen::Trouble(error) | NotOpen::NoRoom(error) => format!("the journal does not open: {error}"),
        NotOpen::Wrong(wrong) => wrong,
    })
}

fn strike(disk: &SimDisk, ledger: &Ledger, metrics: &Arc<Metrics>, path: &str, bits: &[usize]) -> Result<(), Wrong> {
    let (disk, mut ledger) = (disk.copy(), ledger.clone());
    let newest = newest_slot(&disk);
    let hits = bits.iter().map(|bit| rot::strike_at(&disk, &ledger, path, *bit as u64)).collect();
    let rot = Rot { hits };
    let (rig, found) = open(&disk, metrics)?;
    let taken = ledger.recovered(&found, &rot)?;
    let (told_bytes, torn_bytes) = (rig.told_bytes(), rig.torn_bytes());
    let word = Word { told_bytes, torn_bytes, was_cut_off: false, could_not_copy: false, cannot_copy: false };
    told::check(&disk, &rot, &taken, &found.met, &word)?;
    let (is_told, settled) = match (path, bits) {
        // It cannot be told from one that a crash has torn: a warning, and the other one counts.
        (CHECKPOINT, [bit]) => {
            let is_newest = bit / 8 / SLOT_BYTES == newest;
            (rig.broken_slots() == 1, Some(SETTLED[usize::from(!is_newest)]))
        }
        (CHECKPOINT, _) => (rig.broken_slots() == 2 && told_bytes > 0, None),
        _ => (told_bytes > 0 || torn_bytes > 0, Some(SETTLED[1])),
    };
    if !is_told {
        return Err("nothing was said".to_owned());
    }
    if found.lanes != lanes(settled) {
        return Err(format!("the lanes are {:?}, not as settled up to {settled:?}", found.lanes));
    }
    // What costs no record is kept for a look at it, too; of a checkpoint, where nothing else is left.
    let must_be_kept = path != CHECKPOINT || bits.len() > 1;
    let copies = copies::all(&disk);
    if must_be_kept && !rot.hits.iter().all(|hit| copies.iter().any(|copy| copy.holds(hit))) {
        return Err("no copy holds what turned over".to_owned());
    }
    Ok(())
}

fn lanes(settled: Option<u64>) -> Vec<LaneMark> {
    let lane = |position| LaneMark { topic: TOPIC.to_owned(), position: Position(position), takes: 0 };
    settled.map(lane).into_iter().collect()
}

fn newest_slot(disk: &SimDisk) -> usize {
    let checkpoint = disk.bytes(CHECKPOINT).expect("the rig has written one");
    let generation = |slot: usize| u32_at(&checkpoint, slot * SLOT_BYTES + SLOT_GENERATION_AT);
    usize::from(generation(1) > generation(0))
}

/// Every bit of headers and frames that something depends on.
fn bits(bytes: &[u8]) -> Vec<usize> {
    let mut bits: Vec<usize> = of_bytes(0..SEGMENT_HEADER_BYTES, 1).collect();
    let mut at = BLOCK_BYTES;
    while bytes.get(at..at + FRAME_MAGIC.len()) == Some(FRAME_MAGIC) {
        let length = u32_at(bytes, at + PAYLOAD_LENGTH_AT);
        let payload = at + FRAME_HEADER_BYTES..at + FRAME_HEADER_BYTES + length;
        bits.extend(of_bytes(at..payload.start, 1));
        at = payload.end.next_multiple_of(BLOCK_BYTES);
        bits.extend(of_bytes(payload, PAYLOAD_STRIDE_BITS));
    }
    // A spare has a header and no frame: rot there costs the spare alone, which is no event.
    if bits.len() == SEGMENT_HEADER_BYTES * 8 { Vec::new() } else { bits }
}

fn of_bytes(bytes: Range<usize>, stride_bits: usize) -> impl Iterator<Item = usize> {
    (bytes.start * 8..bytes.end * 8).step_by(stride_bits)
}
