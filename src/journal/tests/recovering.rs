//! What a crash leaves.

use super::*;

#[test]
fn a_torn_tail_is_cut_and_kept_in_the_quarantine() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.write(&mut stepped, 1, 100);
    scene.write(&mut stepped, 2, 5_000);
    drop(stepped);
    rot(&scene.path(&segment(1)), 8192 + 4096, &[0; 4096]);
    let mut stepped = scene.open();
    assert_eq!(read_all(&stepped, 1), (vec![(1, 1)], vec![]));
    assert_eq!(stepped.recovered.next, Position(3), "the torn frame named position 2");
    assert!(stepped.recovered.torn_bytes > 0);
    assert_eq!(scene.files("quarantine").len(), 1);
    assert_eq!(scene.metric("journal_corrupt_bytes_total"), 0.0);
    scene.write(&mut stepped, 3, 100);
    assert_eq!(read_all(&stepped, 1), (vec![(1, 1), (3, 3)], vec![]));
}

#[test]
fn what_is_sound_in_a_torn_batch_is_kept() {
    let scene = Scene::new();
    let stepped = scene.open();
    for fill in 1..=6 {
        scene.append(&stepped, fill, 2_000).unwrap();
    }
    let mut stepped = stepped;
    stepped.writer.turn(START_MS);
    drop(stepped);
    rot(&scene.path(&segment(1)), 4096 + 3_000, &[0; 512]);
    let stepped = scene.open();
    assert_eq!(read_all(&stepped, 1), (vec![(1, 1), (3, 3), (4, 4), (5, 5), (6, 6)], vec![]));
    assert_eq!(scene.metric("journal_corrupt_bytes_total"), 0.0);
}

#[test]
fn a_last_segment_that_was_not_closed_is_rewritten_and_closed() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..4, 100);
    drop(stepped);
    let stepped = scene.open();
    assert_eq!(std::fs::metadata(scene.path(&segment(1))).unwrap().len(), 3 * 4096, "frames are packed");
    assert_eq!(read_all(&stepped, 1).0, numbered(1..4));
    assert_eq!(stepped.recovered.tags.map(|(tag, _)| tag[0]).collect::<Vec<_>>(), vec![3, 2, 1]);
}

#[test]
fn damage_that_a_checkpoint_covers_is_no_torn_tail() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.write(&mut stepped, 1, 100);
    scene.write(&mut stepped, 2, 5_000);
    stepped.keeper.turn(START_MS, 0);
    drop(stepped);
    rot(&scene.path(&segment(1)), 8192 + 4096, &[0; 4096]);
    let stepped = scene.open();
    assert_eq!(read_all(&stepped, 1).0, vec![(1, 1)]);
    assert_eq!(stepped.recovered.torn_bytes, 0);
    assert!(scene.metric("journal_corrupt_bytes_total") > 0.0);
}

#[test]
fn a_batch_behind_a_broken_one_makes_it_damage() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..4, 100);
    drop(stepped);
    rot(&scene.path(&segment(1)), 2 * 4096, &[0; 4096]);
    let stepped = scene.open();
    assert_eq!(read_all(&stepped, 1), (vec![(1, 1), (3, 3)], vec![]));
    assert!(stepped.recovered.corrupt_bytes > 0);
    assert_eq!(scene.files("quarantine").len(), 1);
}

#[test]
fn a_frame_whose_header_alone_is_broken_loses_nothing() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..4, 100);
    drop(stepped);
    rot(&scene.path(&segment(1)), 2 * 4096 + 9, b"rot");
    let stepped = scene.open();
    assert_eq!(read_all(&stepped, 1), (numbered(1..4), vec![]));
    assert!(stepped.recovered.corrupt_bytes > 0);
}

#[test]
fn leftovers_go_and_foreign_entries_stay() {
    let scene = Scene::new();
    drop(scene.open());
    for name in ["00000000000000000009.new", "00000000000000000001.rewrite", "checkpoint.new", "notes.txt"] {
        std::fs::write(scene.path("journal").join(name), b"left").unwrap();
    }
    std::fs::write(scene.path("quarantine/a.new"), b"left").unwrap();
    std::fs::write(scene.path("dead/a.new"), b"left").unwrap();
    std::fs::create_dir(scene.path("lost+found")).unwrap();
    drop(scene.open());
    let files = scene.files("journal");
    assert!(files.contains(&"notes.txt".to_owned()));
    assert!(!files.iter().any(|name| name.ends_with(".new") || name.ends_with(".rewrite")), "{files:?}");
    assert_eq!(scene.files("quarantine").len() + scene.files("dead").len(), 0);
}

#[test]
fn removals_that_a_crash_undid_in_part_are_no_damage() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..61, 5_000);
    stepped.journal.mark(vec![lane("a", 40)]);
    stepped.keeper.turn(START_MS, 0);
    drop(stepped);
    std::fs::remove_file(scene.path(&segment(2))).unwrap();
    let stepped = scene.open();
    assert_eq!(stepped.recovered.corrupt_bytes, 0);
    let (records, damaged) = read_all(&stepped, 1);
    assert_eq!(damaged, vec![]);
    assert!(records.len() < 60 && records.ends_with(&numbered(40..61)));
}

#[test]
fn a_published_segment_that_outlives_younger_ones_is_no_lost_end() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..21, 9_000);
    let end = stepped.journal.synced().0;
    for _ in 0..2 {
        stepped.journal.mark(vec![lane("a", end - 1)]);
        stepped.journal.mark(vec![lane("a", end)]);
        stepped.keeper.turn(START_MS, 0);
    }
    scene.close(stepped);
    // The others were removed; the removal of this one failed.
    for name in scene.files("journal").iter().filter(|name| name.ends_with(".segment") && !name.ends_with("01.segment"))
    {
        std::fs::remove_file(scene.path(&format!("journal/{name}"))).unwrap();
    }
    for _ in 0..2 {
        let stepped = scene.open();
        assert_eq!((stepped.recovered.corrupt_bytes, stepped.recovered.next.0), (0, end));
    }
    let mut stepped = scene.open();
    scene.write(&mut stepped, 21, 100);
    scene.close(stepped);
    let stepped = scene.open();
    assert_eq!(stepped.recovered.corrupt_bytes, 0);
    let (records, damaged) = read_all(&stepped, 1);
    assert_eq!((records.last(), damaged), (Some(&(end, 21)), vec![]));
    assert!(records.len() > 1, "the elder segment is read, too");
}

#[test]
fn a_spare_is_used_by_the_next_process() {
    let scene = Scene::new();
    let stepped = scene.open();
    let before = scene.files("journal");
    drop(stepped);
    let mut stepped = scene.open();
    assert_eq!(scene.files("journal"), before);
    scene.write(&mut stepped, 1, 100);
    assert_eq!(read_all(&stepped, 1).0, numbered(1..2));
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.write(&mut stepped, 1, 100);
    drop(stepped);
    let path = scene.path(&segment(1));
    let mut header = std::fs::read(&path).unwrap()[..64].to_vec();
    header[8] = 2;
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    rot(&path, 0, &header);
    let error = scene.try_open(1).err().unwrap();
    assert!(matches!(error, OpenError::Version { version: 2, .. }) && error.is_configuration(), "{error}");
}

#[test]
fn sizes_that_contradict_each_other_are_refused() {
    let mut scene = Scene::new();
    scene.options.size_max_bytes = 3 * scene.options.segment_bytes;
    assert!(matches!(scene.try_open(1), Err(OpenError::SizeMax { .. })));
    scene.options.segment_bytes = 70_000;
    assert!(matches!(scene.try_open(1), Err(OpenError::SegmentBytes { .. })));
}

#[test]
fn another_segment_size_replaces_the_spares_and_keeps_the_rest() {
    let mut scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..20, 5_000);
    drop(stepped);
    scene.options.segment_bytes = 128 * KIB;
    let mut stepped = scene.open();
    scene.write(&mut stepped, 20, 100_000);
    assert_eq!(read_all(&stepped, 1), (numbered(1..21), vec![]));
    assert_eq!(scene.metric("journal_corrupt_bytes_total"), 0.0);
}
