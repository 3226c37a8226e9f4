//! Segment files: a look, a recovery, a reading, an append and a second start over bytes that nobody wrote.
//!
//! In: a segment's bytes as they are; or frames of any fields with checksums that hold; or a journal that was really
//! written, and rot in it. Out: nothing. What must hold for all: positions rise, every record that is read stands in the
//! files with a checksum that holds, the look agrees with the recovery, what is appended afterwards is there after the next
//! start beside all that was there before, and nothing is told twice. What must hold for rot besides: a record whose bytes
//! are untouched is read back, if no more than one segment is damaged, and no other bytes under its position; what is
//! missing and was synced is told of.

mod judge;
mod made;
mod rotten;

use retell_bridge::journal::storage::Storage as _;

use self::judge::judge;
use self::made::{built, raw};
use self::rotten::rotten;
use super::format::{BLOCK_BYTES, Record};
use super::input::Input;
use super::memory::Memory;
use super::rig::{Known, NOW_MS, Rig, SEGMENT_BYTES};

const IDENTITY: [u8; 16] = [7; 16];

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
    use bytes::Bytes;

    use super::super::format::{self, Frame};
    use super::super::rig::Met;
    use super::judge::{in_order, judge_rot};
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
