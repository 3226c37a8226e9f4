//! A look, a recovery, a reading, an append and a second start: what must hold for all, and for rot besides.
//!
//! In: files, and what was written where a journal wrote them. Out: nothing, or a panic with what is wrong.

use bytes::Bytes;
use memchr::memmem;
use retell_bridge::journal::OpenError;
use retell_bridge::journal::inspect::{Depth, Inspection, inspect};

use super::super::memory::Memory;
use super::super::rig::{Known, Met, NOW_MS, Rig, SEGMENT_BYTES};
use super::{Stop, Written, encoded, remove_spares};

pub(super) fn judge(disk: &Memory, written: Option<&Written>, stop: Stop) {
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

pub(super) fn in_order(met: &Met, next: u64) {
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

pub(super) fn judge_rot(written: &Written, met: &Met, next: u64, told_bytes: u64) {
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
    // A gap between segments is noted by its positions: it is told again only where the lanes have moved within it.
    assert_eq!(told_bytes % SEGMENT_BYTES, 0, "the second start tells of damage again");
}
