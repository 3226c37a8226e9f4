//! A look at a journal changes nothing and sees everything.

use super::*;
use crate::journal::inspect::{Depth, Inspection, SegmentState, inspect};

fn look(scene: &Scene, depth: Depth) -> Inspection {
    inspect(&Disk::read_only(scene.folder.path()), depth).unwrap()
}

#[test]
fn a_running_journal_is_seen_as_it_is() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..31, 5_000);
    stepped.journal.mark(vec![lane("a", 20), lane("b", 31)]);
    stepped.keeper.turn(START_MS, 0);
    let before: Vec<_> = scene.files("journal");
    for depth in [Depth::Summary, Depth::Records] {
        let seen = look(&scene, depth);
        assert!(seen.is_sound(), "{seen:?}");
        assert_eq!((seen.records(), seen.end()), (30, Position(31)));
        assert_eq!(seen.identity, Some(JournalId([1; 16])));
        let states: Vec<_> = seen.segments.iter().map(|segment| segment.state).collect();
        assert!(states.starts_with(&[SegmentState::Closed]) && states.ends_with(&[SegmentState::Spare]));
        assert_eq!(states.iter().filter(|state| **state == SegmentState::Open).count(), 1);
        let lanes = seen.checkpoint.as_ref().unwrap().lanes.clone();
        assert_eq!(lanes.iter().map(|lane| seen.waiting(lane)).collect::<Vec<_>>(), vec![11, 0]);
    }
    assert_eq!(scene.files("journal"), before);
}

#[test]
fn a_batch_in_flight_is_no_damage_and_rot_is() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..6, 5_000);
    stepped.keeper.turn(START_MS, 0);
    rot(&scene.path(&segment(1)), 4096 + 5 * 8192, b"half a header");
    let seen = look(&scene, Depth::Records);
    assert!(seen.is_sound(), "{seen:?}");
    assert!(seen.segments[0].tail_bytes > 0);

    rot(&scene.path(&segment(1)), 4096 + 8192 + 300, b"rot");
    let seen = look(&scene, Depth::Summary);
    assert!(!seen.is_sound());
    assert_eq!(seen.segments[0].damages[0].positions, 2..3);
    assert_eq!(scene.files("quarantine"), Vec::<String>::new());
}

#[test]
fn rot_in_a_closed_segment_shows_when_records_are_read() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..6, 5_000);
    stepped.journal.mark(vec![lane("a", 1)]);
    scene.close(stepped);
    rot(&scene.path(&segment(1)), 4096 + 300, b"rot");
    assert!(look(&scene, Depth::Summary).is_sound());
    let seen = look(&scene, Depth::Records);
    assert_eq!(seen.segments[0].damages.len(), 1, "{seen:?}");
    assert_eq!(seen.segments[0].damages[0].positions, 1..2);
}

#[test]
fn a_folder_that_is_no_journal_is_an_error_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    assert!(inspect(&Disk::read_only(folder.path()), Depth::Summary).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_journal_that_ends_before_its_checkpoint_is_not_sound_for_a_look_either() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    let empty = std::fs::read(scene.path(&segment(1))).unwrap();
    scene.fill(&mut stepped, 1..6, 100);
    stepped.journal.mark(vec![lane("a", 1)]);
    stepped.keeper.turn(START_MS, 0);
    drop(stepped);
    assert!(look(&scene, Depth::Records).is_sound());
    std::fs::write(scene.path(&segment(1)), empty).unwrap();
    let seen = look(&scene, Depth::Records);
    assert!(seen.is_end_lost() && !seen.is_sound(), "{seen:?}");
    assert!(scene.open().recovered.corrupt_bytes > 0);
}

#[test]
fn a_rotten_footer_is_seen_by_a_look_and_told_by_a_start() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..21, 9_000);
    scene.close(stepped);
    let bytes = std::fs::metadata(scene.path(&segment(1))).unwrap().len();
    rot(&scene.path(&segment(1)), bytes - 20, b"rot");
    let seen = look(&scene, Depth::Records);
    assert_eq!(seen.segments[0].damages.len(), 1, "{seen:?}");
    assert_eq!(seen.records(), 20);
    assert!(scene.open().recovered.corrupt_bytes > 0);
}

#[test]
fn a_rotten_footer_of_a_segment_whose_cut_was_undone_is_told_once_at_the_first_start() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..41, 9_000);
    let file = std::fs::OpenOptions::new().write(true).open(scene.path(&segment(1))).unwrap();
    let cut_bytes = file.metadata().unwrap().len();
    drop(stepped);
    file.set_len(64 * KIB).unwrap();
    rot(&scene.path(&segment(1)), cut_bytes - 20, b"rot");
    let seen = look(&scene, Depth::Records);
    assert!(cut_bytes < 64 * KIB && seen.segments[0].damages.len() == 1, "{seen:?}");
    assert!(scene.open().recovered.corrupt_bytes > 0);
    assert_eq!(scene.open().recovered.corrupt_bytes, 0);
    assert_eq!(scene.files("quarantine").len(), 1);
}
