//! What the simulation found, each once more by itself, so that it stays mended whatever becomes of the seeds.

use std::sync::Arc;

use super::copies;
use super::disk::{Call, EIO, End, Fault, SimDisk};
use super::ledger::{Found, Hit, Known, Met};
use super::rig::{NotOpen, Rig, Shape};
use super::scene::START_MS;
use crate::random::Random;

const SEGMENT_BYTES: u64 = 64 << 10;

fn shape() -> Shape {
    Shape {
        segment_bytes: SEGMENT_BYTES,
        size_max_bytes: 16 * SEGMENT_BYTES,
        capacity_bytes: 32 * SEGMENT_BYTES,
        retention_ms: 3_600_000,
        has_faults: false,
        had_faults: false,
        has_rot: false,
    }
}

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(Random::new(seed), shape().capacity_bytes)
}

fn open(disk: &SimDisk) -> (Rig, Found) {
    match Rig::open(disk, &shape(), &Arc::default(), START_MS, &mut Random::new(7)) {
        Ok(opened) => opened,
        Err(NotOpen::Trouble(error) | NotOpen::NoRoom(error)) => panic!("{error}"),
        Err(NotOpen::Wrong(wrong)) => panic!("{wrong}"),
    }
}

fn write(rig: &mut Rig, disk: &SimDisk, fill: u8, payload_bytes: usize, count: usize) {
    let record = Known::sample(fill, payload_bytes, START_MS);
    let answers = rig.write(disk, &vec![record; count], START_MS).unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Some(Ok(_)))), "{answers:?}");
}

fn positions(found: &Found) -> Vec<u64> {
    let position = |met: &Met| match met {
        Met::Record(seen) => seen.position,
        Met::Damaged { from, until } => panic!("damage {from}..{until}"),
    };
    found.met.iter().map(position).collect()
}

/// Seed 7713169434302665536: the last word of a scene, whose faults have stopped, met the elder checkpoint, because a recovery
/// before it had found the disk full and was cut off while it wrote in place.
#[test]
fn that_the_disk_was_full_is_not_forgotten_when_the_faults_stop() {
    let stopped = Shape { had_faults: true, ..shape() };
    assert!(stopped.may_be_full());
    assert!(!shape().may_be_full());
}

/// The list in a torn closing frame was taken for a record of somebody.
#[test]
fn a_torn_closing_frame_is_no_record() {
    for seed in 0..200 {
        let disk = disk(seed);
        let (mut rig, _) = open(&disk);
        write(&mut rig, &disk, 1, 100, 3);
        // The write of the closing frame, then its sync: the power goes before the sync returns.
        disk.cut_at(Some(disk.changes() + 2));
        rig.close(START_MS);
        drop(rig);
        disk.restart(End::PowerCut);
        assert_eq!(positions(&open(&disk).1), [1, 2, 3], "seed {seed}");
    }
}

/// A power cut while a recovery wrote the checkpoint in place brought the elder one back.
#[test]
fn a_cut_in_a_recovery_takes_no_checkpoint_back() {
    for seed in 0..40 {
        for change in 1..40 {
            let disk = disk(seed);
            let (mut rig, _) = open(&disk);
            write(&mut rig, &disk, 1, 100, 3);
            for position in [2, 4] {
                rig.mark_one("retell.call_ended", position);
                assert!(rig.turn(START_MS));
            }
            drop(rig);
            disk.restart(End::PowerCut);
            disk.cut_at(Some(disk.changes() + change));
            drop(Rig::open(&disk, &shape(), &Arc::default(), START_MS, &mut Random::new(7)));
            disk.restart(End::PowerCut);
            let lanes = open(&disk).1.lanes;
            assert_eq!(lanes[0].position.0, 4, "seed {seed}, cut at change {change} of the recovery");
        }
    }
}

/// A last segment rewritten to its full length was rewritten again at every start, which takes a segment's room.
#[test]
fn a_rewritten_segment_of_full_length_is_not_rewritten_again() {
    let disk = disk(1);
    let (mut rig, _) = open(&disk);
    // Header, 14 blocks of one record each, a block for the list.
    for _ in 0..14 {
        write(&mut rig, &disk, 1, 4_000, 1);
    }
    drop(rig);
    disk.restart(End::PowerCut);
    drop(open(&disk));
    assert_eq!(disk.bytes("journal/00000000000000000001.segment").unwrap().len() as u64, SEGMENT_BYTES);
    disk.restart(End::PowerCut);
    disk.keep_trace();
    let (_rig, found) = open(&disk);
    assert_eq!(positions(&found).len(), 14);
    let rewritten =
        disk.take_trace().into_iter().filter(|call| call.contains("Create journal/00000000000000000001.rewrite"));
    assert_eq!(rewritten.count(), 0);
}

/// A first batch torn in a new segment, behind nothing but dropped ones, was told as damage, under a new identity.
#[test]
fn a_torn_first_batch_behind_dropped_segments_is_no_damage() {
    for seed in 0..100 {
        let disk = disk(seed);
        let (mut rig, _) = open(&disk);
        write(&mut rig, &disk, 1, 100, 3);
        assert!(rig.close(START_MS));
        rig.mark_one("retell.call_ended", 4);
        for _ in 0..3 {
            assert!(rig.turn(START_MS + 3_600_000));
        }
        disk.cut_at(Some(disk.changes() + 2));
        let record = Known::sample(2, 3_000, START_MS);
        rig.write(&disk, &[record], START_MS).unwrap();
        drop(rig);
        disk.restart(End::PowerCut);
        let (rig, found) = open(&disk);
        assert_eq!(rig.told_bytes(), 0, "seed {seed}");
        assert!(found.synced >= 4, "seed {seed}: position {} again", found.synced);
    }
}

/// A bit that turned over in a blank spare made the segment before it look closed: a batch that the page cache alone
/// held was recovered, and lost with the next power cut.
#[test]
fn a_rotten_spare_does_not_save_the_last_segment_from_being_rewritten() {
    for seed in 0..40 {
        let disk = disk(seed);
        let (mut rig, _) = open(&disk);
        write(&mut rig, &disk, 1, 100, 1);
        disk.set_fault(Some(Fault { call: Call::Sync, countdown: 1, errno: EIO }));
        rig.write(&disk, &[Known::sample(2, 100, START_MS)], START_MS).unwrap();
        assert!(rig.is_poisoned());
        drop(rig);
        disk.restart(End::Killed);
        disk.flip("journal/00000000000000000002.segment", 8 * 30_000);
        let (rig, before) = open(&disk);
        drop(rig);
        disk.restart(End::PowerCut);
        assert_eq!(positions(&open(&disk).1), positions(&before), "seed {seed}");
    }
}

/// Seed 7713314982154288630: a bit of one record of the last batch turned over, and the start that had copied it into
/// quarantine was cut off; then a bit of the batch's other record did. The next start found a copy of that place and made none.
#[test]
fn rot_that_grows_behind_a_recovery_that_was_cut_off_is_quarantined_whole() {
    const SEGMENT: &str = "journal/00000000000000000001.segment";
    let mut grown = 0;
    for seed in 0..20 {
        for change in 1..30 {
            let disk = disk(seed);
            let (mut rig, _) = open(&disk);
            write(&mut rig, &disk, 0xA5, 200, 2);
            drop(rig);
            disk.restart(End::PowerCut);
            let written = disk.bytes(SEGMENT).unwrap();
            let is_payload = |at: &usize| written[*at..*at + 100] == [0xA5; 100];
            let first = (0..written.len() - 100).find(is_payload).expect("the first record was synced");
            let second = (first + 200..written.len() - 100).find(is_payload).expect("and so was the second");
            disk.flip(SEGMENT, 8 * first as u64);
            disk.cut_at(Some(disk.changes() + change));
            drop(Rig::open(&disk, &shape(), &Arc::default(), START_MS, &mut Random::new(7)));
            disk.restart(End::PowerCut);
            if disk.bytes(SEGMENT).unwrap().len() != written.len() {
                continue;
            }
            let byte = disk.flip(SEGMENT, 8 * second as u64);
            let hit = Hit { segment: Some(1), at: second as u64, byte, record: None, is_tail: true };
            drop(open(&disk));
            assert!(copies::all(&disk).iter().any(|copy| copy.holds(&hit)), "seed {seed}, cut at change {change}");
            grown += 1;
        }
    }
    assert!(grown > 100, "only {grown} recoveries were cut off before the segment was replaced");
}
