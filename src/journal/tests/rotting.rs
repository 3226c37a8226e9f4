//! Rot in what was synced and closed: loud or harmless, never silent loss, never wrong bytes.

use proptest::prelude::*;

use super::*;

/// Ten records in one closed segment, lanes at 1.
fn closed() -> Scene {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..11, 1_000);
    for position in [2, 1] {
        stepped.journal.mark(vec![lane("a", position)]);
        stepped.keeper.turn(START_MS, position);
    }
    scene.close(stepped);
    scene
}

#[test]
fn a_rotten_record_is_damaged_alone_told_once_and_quarantined_once() {
    let scene = closed();
    rot(&scene.path(&segment(1)), 4 * 4096 + 500, b"rot");
    for process in 0..2 {
        let mut stepped = scene.open();
        for _ in 0..3 {
            let (records, damaged) = read_all(&stepped, 1);
            assert_eq!(damaged, vec![(4, 5)]);
            assert_eq!(records, numbered(1..11).into_iter().filter(|(at, _)| *at != 4).collect::<Vec<_>>());
            stepped.keeper.turn(START_MS, 0);
        }
        assert_eq!(scene.files("quarantine").len(), 1, "in process {process}");
    }
    assert_eq!(scene.metric("journal_corrupt_bytes_total"), 1_032.0);
}

#[test]
fn a_second_rotten_record_beside_the_first_is_told_too() {
    let scene = closed();
    rot(&scene.path(&segment(1)), 4 * 4096 + 500, b"rot");
    let mut stepped = scene.open();
    read_all(&stepped, 1);
    stepped.keeper.turn(START_MS, 0);
    rot(&scene.path(&segment(1)), 5 * 4096 + 500, b"rot");
    assert_eq!(read_all(&stepped, 1).1, vec![(4, 5), (5, 6)]);
    stepped.keeper.turn(START_MS, 1);
    assert_eq!(scene.files("quarantine").len(), 2);
}

#[test]
fn a_rotten_list_costs_no_record_and_no_tag() {
    let scene = closed();
    rot(&scene.path(&segment(1)), 11 * 4096 + 200, b"rot");
    let stepped = scene.open();
    assert_eq!(read_all(&stepped, 1), (numbered(1..11), vec![]));
    assert_eq!(stepped.recovered.tags.count(), 10);
}

/// Where no frame follows, only what stood behind the header was copied.
#[test]
fn a_broken_frame_header_is_in_quarantine_itself() {
    for is_closed in [true, false] {
        let scene = Scene::new();
        let mut stepped = scene.open();
        scene.fill(&mut stepped, 1..6, 1_000);
        if is_closed {
            scene.close(stepped);
        } else {
            drop(stepped);
        }
        // The closing frame, or the last one of a segment that was never closed.
        let last = if is_closed { 6 } else { 5 };
        rot(&scene.path(&segment(1)), last * 4096, b"\xee\xee");
        let stepped = scene.open();
        assert_eq!(read_all(&stepped, 1).0, numbered(1..6));
        let copy = |name: &String| std::fs::read(scene.path("quarantine").join(name)).unwrap();
        let has_header = scene.files("quarantine").iter().map(copy).any(|bytes| bytes.starts_with(b"\xee\xee"));
        assert!(has_header, "closed: {is_closed}");
    }
}

#[test]
fn rot_before_a_sound_closing_frame_is_no_torn_tail() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..6, 1_000);
    scene.close(stepped);
    // No checkpoint covers the last batch, and a crash has undone the cut behind the closing frame.
    std::fs::remove_file(scene.path("journal/checkpoint")).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(scene.path(&segment(1))).unwrap();
    file.set_len(scene.options.segment_bytes).unwrap();
    rot(&scene.path(&segment(1)), 5 * 4096, &[0x5f; 300]);
    let stepped = scene.open();
    assert_eq!(stepped.recovered.torn_bytes, 0);
    assert!(scene.metric("journal_corrupt_bytes_total") >= 300.0);
}

#[test]
fn a_segment_that_is_cut_short_before_its_first_frame_is_told_and_does_no_more() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..31, 5_000);
    scene.close(stepped);
    std::fs::write(scene.path(&segment(1)), b"short").unwrap();
    let mut stepped = scene.open();
    assert!(stepped.recovered.corrupt_bytes > 0);
    assert!(stepped.recovered.tags.by_ref().count() > 0, "the others have theirs");
    stepped.keeper.turn(START_MS, 0);
    assert!(scene.metric("journal_corrupt_bytes_total") < 1_000_000.0);
}

#[test]
fn a_record_that_ends_in_zeros_outlives_its_frames_header() {
    // In a closed segment, as the last frame of one that was not closed, and of one whose end is broken.
    for case in 0..3 {
        let scene = Scene::new();
        let mut stepped = scene.open();
        for (fill, bytes) in [(1, 100), (0, 9_000), (3, 100), (0, 9_000)] {
            scene.write(&mut stepped, fill, bytes);
        }
        if case > 0 {
            scene.close(stepped);
        } else {
            drop(stepped);
        }
        for at in [2, 6] {
            rot(&scene.path(&segment(1)), at * 4096, &[0x5f; 64]);
        }
        if case == 2 {
            let mut stepped = scene.open();
            scene.write(&mut stepped, 5, 100);
            scene.close(stepped);
            let bytes = std::fs::metadata(scene.path(&segment(1))).unwrap().len();
            rot(&scene.path(&segment(1)), bytes - 4096, &[0x5f; 64]);
        }
        let (records, damaged) = read_all(&scene.open(), 1);
        let positions: Vec<u64> = records.iter().map(|(position, _)| *position).collect();
        assert!(positions.starts_with(&[1, 2, 3, 4]) && damaged.is_empty(), "case {case}: {positions:?} {damaged:?}");
    }
}

#[test]
fn one_rotten_checkpoint_slot_is_made_up_for_and_two_are_loud() {
    for (slots, lanes) in [(vec![0], 1), (vec![1], 1), (vec![0, 1], 0)] {
        let scene = closed();
        for slot in &slots {
            rot(&scene.path("journal/checkpoint"), slot * 20_480 + 40, b"rot");
        }
        let stepped = scene.open();
        assert_eq!(stepped.recovered.lanes.len(), lanes, "{slots:?}");
        assert_eq!(stepped.recovered.corrupt_bytes > 0, slots.len() == 2, "{slots:?}");
        assert_eq!(stepped.recovered.oldest, Position(1));
        assert_eq!(stepped.recovered.next, Position(11));
    }
}

#[test]
fn a_missing_checkpoint_or_segment_is_loud() {
    let scene = closed();
    std::fs::remove_file(scene.path("journal/checkpoint")).unwrap();
    assert!(scene.open().recovered.corrupt_bytes > 0);

    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..61, 5_000);
    stepped.journal.mark(vec![lane("a", 5)]);
    stepped.keeper.turn(START_MS, 0);
    scene.close(stepped);
    std::fs::remove_file(scene.path(&segment(2))).unwrap();
    assert!(scene.open().recovered.corrupt_bytes > 0);
}

#[test]
fn a_journal_that_ends_before_its_checkpoint_goes_on_under_a_new_identity() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..4, 100);
    let copy = std::fs::read(scene.path(&segment(1))).unwrap();
    scene.fill(&mut stepped, 4..9, 100);
    stepped.journal.mark(vec![lane("a", 2)]);
    stepped.keeper.turn(START_MS, 0);
    drop(stepped);
    std::fs::write(scene.path(&segment(1)), copy).unwrap();

    let mut stepped = scene.try_open(2).unwrap();
    assert_eq!(stepped.recovered.identity, JournalId([2; 16]));
    assert_eq!(stepped.recovered.next, Position(9), "no position is used twice");
    assert!(stepped.recovered.corrupt_bytes > 0);
    scene.write(&mut stepped, 9, 100);
    let mut reader = stepped.journal.reader(Position(1));
    let mut identities = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        let Item::Record(record) = item else { continue };
        identities.push((record.position.0, record.journal.0[0]));
    }
    assert_eq!(identities, vec![(1, 1), (2, 1), (3, 1), (9, 2)]);

    drop(stepped);
    let stepped = scene.try_open(3).unwrap();
    assert_eq!(stepped.recovered.identity, JournalId([2; 16]), "it is told once");
    assert_eq!(stepped.recovered.corrupt_bytes, 0);
}

#[test]
fn a_checkpoint_of_another_journal_is_not_believed() {
    let (scene, other) = (closed(), Scene::new());
    drop(other.try_open(9).unwrap());
    std::fs::copy(other.path("journal/checkpoint"), scene.path("journal/checkpoint")).unwrap();
    let stepped = scene.open();
    assert_eq!(stepped.recovered.lanes, vec![]);
    assert!(stepped.recovered.corrupt_bytes > 0);
    assert_eq!(read_all(&stepped, 1).0, numbered(1..11));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn one_flipped_bit_anywhere_in_a_segment_is_loud_or_harmless(at: prop::sample::Index, bit in 0..8) {
        let scene = closed();
        let path = scene.path(&segment(1));
        let bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        rot(&path, at as u64, &[bytes[at] ^ (1_u8 << bit)]);
        let mut stepped = scene.open();
        let (records, damaged) = read_all(&stepped, 1);
        stepped.keeper.turn(START_MS, 0);
        let missing = 10 - records.len();
        prop_assert!(missing <= 1 && damaged.len() == missing, "{records:?} {damaged:?}");
        if missing > 0 {
            prop_assert!(scene.metric("journal_corrupt_bytes_total") > 0.0);
            prop_assert_eq!(scene.files("quarantine").len(), 1);
        }
        prop_assert_eq!(stepped.recovered.next, Position(11));
    }
}

#[test]
fn rot_in_a_spare_does_not_make_the_segment_before_it_count_as_closed() {
    for at in [4_096 + 7, 40_000] {
        let scene = Scene::new();
        let mut stepped = scene.open();
        scene.fill(&mut stepped, 1..4, 100);
        drop(stepped);
        rot(&scene.path(&segment(2)), at, b"rot");
        let stepped = scene.open();
        assert_eq!(read_all(&stepped, 1), (numbered(1..4), vec![]));
        assert_eq!(stepped.recovered.corrupt_bytes, 0);
        let length = std::fs::metadata(scene.path(&segment(1))).unwrap().len();
        assert!(
            length < scene.options.segment_bytes,
            "it was rewritten: the page cache may hold what the disk does not"
        );
    }
}

#[test]
fn positions_of_which_no_byte_is_left_are_noted_before_the_lanes_go_past_them() {
    // The oldest segment, one between others, the newest.
    for (gone, from_start) in [(1, true), (2, false), (u64::MAX, false)] {
        let scene = Scene::new();
        let mut stepped = scene.open();
        scene.fill(&mut stepped, 1..61, 5_000);
        stepped.journal.mark(vec![lane("a", 1)]);
        stepped.keeper.turn(START_MS, 0);
        scene.close(stepped);
        let used = |number: &u64| std::fs::read(scene.path(&segment(*number))).is_ok_and(|bytes| bytes[4096] != 0);
        let newest = (1..20).filter(used).max().unwrap();
        let gone = gone.min(newest);
        std::fs::remove_file(scene.path(&segment(gone))).unwrap();

        let mut stepped = scene.try_open(2).unwrap();
        assert!(stepped.recovered.corrupt_bytes > 0);
        let names = scene.files("quarantine");
        assert_eq!(names.len(), 1, "{names:?}");
        let named: Vec<u64> = names[0].split(['-', '.']).filter_map(|number| number.parse().ok()).collect();
        let (from, until) = (named[2], named[3]);
        assert_eq!((from == 1, until == 61), (from_start, gone == newest), "{names:?}");
        let read = read_all(&stepped, 1).0;
        assert_eq!(read, numbered(1..61).into_iter().filter(|(at, _)| !(from..until).contains(at)).collect::<Vec<_>>());

        for process in 0..2 {
            stepped.journal.mark(vec![lane("a", if process == 0 { 1 } else { 61 })]);
            stepped.keeper.turn(START_MS, 0);
            scene.close(stepped);
            stepped = scene.try_open(2).unwrap();
            assert_eq!((stepped.recovered.corrupt_bytes, scene.files("quarantine")), (0, names.clone()), "told once");
        }
    }
}

#[test]
fn a_torn_tail_is_kept_and_costs_no_position() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..4, 500);
    drop(stepped);
    // The last record, and its frame's header is sound: no checkpoint knows of it.
    rot(&scene.path(&segment(1)), 3 * 4096 + 300, b"torn");
    let stepped = scene.open();
    assert!(stepped.recovered.torn_bytes > 0 && stepped.recovered.corrupt_bytes == 0);
    let names = scene.files("quarantine");
    assert!(names.len() == 1 && names[0].contains(&format!("-{:020}-{:020}-", 3, 3)), "{names:?}");
}
