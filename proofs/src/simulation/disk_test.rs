//! Is the simulated disk as cruel as a real one, and no crueller?

use std::path::Path;

use retell_bridge::journal::storage::{File, Storage};

use super::disk::{Call, EIO, End, Fault, SimDisk};
use crate::random::Random;

const NAME: &str = "journal/file";

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(Random::new(seed), 1 << 20);
    disk.create_folder(Path::new("journal")).unwrap();
    disk.sync_folder(Path::new("")).unwrap();
    disk
}

fn file_with(disk: &SimDisk, bytes: &[u8]) -> Box<dyn File> {
    let file = disk.create(Path::new(NAME)).unwrap();
    write(&*file, bytes, 0);
    file.sync_data().unwrap();
    disk.sync_folder(Path::new("journal")).unwrap();
    file
}

fn write(file: &dyn File, bytes: &[u8], offset: u64) {
    let mut done = 0;
    while done < bytes.len() {
        done += file.write_at(&bytes[done..], offset + done as u64).unwrap();
    }
}

#[test]
fn a_synced_write_survives_and_an_unsynced_one_survives_by_the_sector() {
    let mut sectors_seen = [false; 3];
    for seed in 0..300 {
        let disk = disk(seed);
        let file = file_with(&disk, &[1; 4096]);
        write(&*file, &[2; 2048], 4096);
        disk.restart(End::PowerCut);
        let bytes = disk.bytes(NAME).unwrap();
        assert!(bytes.iter().take(4096).all(|byte| *byte == 1), "seed {seed}: a synced byte is gone");
        let survivors = bytes[4096..].chunks(512).filter(|sector| sector.iter().all(|byte| *byte == 2)).count();
        sectors_seen[survivors.min(4).div_ceil(2).min(2)] = true;
    }
    assert_eq!(sectors_seen, [true; 3], "none, some and all sectors must each have survived once");
}

#[test]
fn a_sector_beside_a_torn_one_dies_with_its_page_when_it_is_written_again() {
    let dies = (0..300).any(|seed| {
        let disk = disk(seed);
        let file = file_with(&disk, &[1; 4096]);
        write(&*file, &[2; 10], 2000);
        disk.restart(End::PowerCut);
        disk.bytes(NAME).unwrap()[..512] != [1; 512]
    });
    assert!(dies);
}

#[test]
fn a_failed_sync_is_not_made_good_by_a_later_one() {
    let lost = (0..100).any(|seed| {
        let disk = disk(seed);
        let file = file_with(&disk, &[1; 512]);
        write(&*file, &[2; 512], 0);
        disk.set_fault(Some(Fault { call: Call::Sync, countdown: 1, errno: EIO }));
        assert!(file.sync_data().is_err());
        assert_eq!(disk.failed().len(), 1);
        file.sync_data().unwrap();
        disk.restart(End::PowerCut);
        disk.bytes(NAME).unwrap()[..512] == [1; 512]
    });
    assert!(lost);
}

#[test]
fn a_kill_keeps_what_was_written_and_a_power_cut_after_it_may_still_take_it() {
    let lost = (0..100).any(|seed| {
        let disk = disk(seed);
        let file = file_with(&disk, &[1; 512]);
        write(&*file, &[2; 512], 0);
        drop(file);
        disk.restart(End::Killed);
        assert_eq!(disk.bytes(NAME).unwrap(), [2; 512]);
        disk.restart(End::PowerCut);
        disk.bytes(NAME).unwrap() == [1; 512]
    });
    assert!(lost);
}

#[test]
fn names_are_undone_one_by_one_until_the_folder_is_synced() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        drop(file_with(&disk, &[1; 512]));
        disk.rename(Path::new(NAME), Path::new("journal/renamed")).unwrap();
        drop(disk.create(Path::new("journal/other")).unwrap());
        disk.restart(End::PowerCut);
        seen.insert(disk.names("journal"));
    }
    assert_eq!(seen.len(), 4, "each of two operations survives by itself: {seen:?}");
    let disk = disk(0);
    drop(file_with(&disk, &[1; 512]));
    disk.rename(Path::new(NAME), Path::new("journal/renamed")).unwrap();
    disk.sync_folder(Path::new("journal")).unwrap();
    disk.restart(End::PowerCut);
    assert_eq!(disk.names("journal"), ["renamed"]);
}

#[test]
fn a_full_disk_writes_short_and_then_not_at_all_but_takes_writes_to_room_it_gave() {
    let disk = disk(1);
    disk.set_capacity_bytes(8192);
    let file = disk.create(Path::new(NAME)).unwrap();
    let mut written = 0;
    let error = loop {
        match file.write_at(&[7; 10_000], written) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(written, 8192);
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    write(&*file, &[8; 8192], 0);
    file.sync_data().unwrap();
}

#[test]
fn nothing_works_between_the_cut_and_the_restart() {
    let disk = disk(1);
    let file = file_with(&disk, &[1; 512]);
    disk.cut_at(Some(disk.changes() + 1));
    assert!(file.write_at(&[2; 512], 0).is_err());
    assert!(disk.is_down());
    assert!(file.sync_data().is_err());
    assert!(disk.open(Path::new(NAME)).is_err());
    disk.restart(End::PowerCut);
    assert!(disk.open(Path::new(NAME)).is_ok());
}
