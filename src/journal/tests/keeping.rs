//! What goes in comes out.

use super::*;

#[test]
fn records_come_out_in_order_after_the_sync_and_not_before() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    for fill in 1..=5 {
        scene.append(&stepped, fill, 100).unwrap();
    }
    assert_eq!(scene.outcomes(), vec![]);
    assert_eq!(read_all(&stepped, 1).0, vec![]);
    assert_eq!(stepped.writer.turn(START_MS), 5);
    assert_eq!(scene.outcomes(), (1..=5).map(|position| Ok(Position(position))).collect::<Vec<_>>());
    assert_eq!(read_all(&stepped, 1).0, (1..=5).map(|at| (at, at as u8)).collect::<Vec<_>>());
    assert_eq!(read_all(&stepped, 4).0, vec![(4, 4), (5, 5)]);
}

#[test]
fn records_survive_restarts_tidy_or_not_and_positions_go_on() {
    let scene = Scene::new();
    let mut expected = Vec::new();
    for round in 0..6_u8 {
        let mut stepped = scene.open();
        assert_eq!(stepped.recovered.next, Position(expected.len() as u64 + 1));
        for index in 0..20 {
            scene.write(&mut stepped, round * 20 + index, 3_000);
            expected.push((expected.len() as u64 + 1, round * 20 + index));
        }
        stepped.keeper.turn(START_MS, 0);
        assert_eq!(read_all(&stepped, 1), (expected.clone(), vec![]));
        if round % 2 == 0 {
            stepped.writer.close();
            stepped.keeper.close(START_MS);
        }
    }
    assert_eq!(scene.metric("journal_corrupt_bytes_total"), 0.0);
    assert_eq!(scene.files("quarantine"), Vec::<String>::new());
    let tags: Vec<u8> = scene.open().recovered.tags.map(|(tag, _)| tag[0]).collect();
    assert_eq!(tags, (0..120).rev().collect::<Vec<u8>>());
}

#[test]
fn a_batch_larger_than_a_segment_is_spread_over_several() {
    let scene = Scene::new();
    let stepped = &mut scene.open();
    stepped.keeper.turn(START_MS, 0);
    for fill in 1..=8 {
        scene.append(stepped, fill, 12_000).unwrap();
    }
    while stepped.writer.turn(START_MS) > 0 {}
    assert_eq!(scene.outcomes().len(), 8);
    assert_eq!(read_all(stepped, 1), (numbered(1..9), vec![]));
    assert!(std::fs::metadata(scene.path(&segment(1))).unwrap().len() < scene.options.segment_bytes, "it is closed");
}

#[test]
fn the_longest_record_is_kept_and_a_longer_one_refused_at_once() {
    let scene = Scene::new();
    let stepped = &mut scene.open();
    let longest = stepped.journal.record_bytes_max() as usize;
    assert_eq!(scene.append(stepped, 1, longest + 1), Err(AppendError::TooLarge));
    scene.write(stepped, 1, longest);
    assert_eq!(scene.outcomes(), vec![Ok(Position(1))], "the refused one was not answered");
    assert_eq!(read_all(stepped, 1).0, vec![(1, 1)]);
}

#[test]
fn a_reader_finds_any_position_in_any_segment() {
    let scene = Scene::new();
    let stepped = &mut scene.open();
    scene.fill(stepped, 1..61, 5_000);
    for from in 1..=61 {
        assert_eq!(read_all(stepped, from).0, numbered(from..61), "from {from}");
    }
}

#[test]
fn a_reader_at_the_end_goes_on_where_new_records_come() {
    let scene = Scene::new();
    let stepped = &mut scene.open();
    let mut reader = stepped.journal.reader(Position(1));
    for fill in 1..=60 {
        assert!(reader.next().unwrap().is_none());
        assert_eq!(reader.position(), stepped.journal.synced());
        scene.write(stepped, fill, 5_000);
        let Some(Item::Record(record)) = reader.next().unwrap() else { panic!("no record at {fill}") };
        assert_eq!((record.position.0, fill_of(&record)), (u64::from(fill), fill));
    }
}

#[test]
fn a_file_that_holds_a_frame_is_never_written_by_a_later_process() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.write(&mut stepped, 1, 100);
    scene.close(stepped);
    let before = std::fs::read(scene.path(&segment(1))).unwrap();
    let mut stepped = scene.open();
    scene.write(&mut stepped, 2, 100);
    assert_eq!(std::fs::read(scene.path(&segment(1))).unwrap(), before);
    assert_eq!(read_all(&stepped, 1).0, numbered(1..3));
}

#[test]
fn a_segment_is_closed_when_its_oldest_record_is_old_enough() {
    let scene = Scene::new();
    let stepped = &mut scene.open();
    scene.write(stepped, 1, 100);
    let full_bytes = scene.options.segment_bytes;
    let length = || std::fs::metadata(scene.path(&segment(1))).unwrap().len();
    stepped.writer.turn(START_MS + 3_599_000);
    assert_eq!(length(), full_bytes);
    stepped.writer.turn(START_MS + 3_601_000);
    assert_eq!(length(), 3 * 4096, "header, frame, closing frame");
    assert_eq!(read_all(stepped, 1).0, numbered(1..2));
}

#[test]
fn lanes_come_back_as_they_were_handed_over_last() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..10, 100);
    stepped.journal.mark(vec![lane("a", 3), lane("b", 99)]);
    stepped.keeper.turn(START_MS, 0);
    stepped.journal.mark(vec![lane("a", 4), lane("b", 9)]);
    stepped.keeper.turn(START_MS, 1);
    drop(stepped);
    let stepped = scene.open();
    assert_eq!(stepped.recovered.lanes, vec![lane("a", 4), lane("b", 9)]);
    assert_eq!(stepped.recovered.oldest, Position(1));
}

#[test]
fn a_mark_ahead_of_what_is_synced_is_clipped() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..3, 100);
    stepped.journal.mark(vec![lane("a", 99)]);
    stepped.keeper.turn(START_MS, 0);
    drop(stepped);
    assert_eq!(scene.open().recovered.lanes, vec![lane("a", 3)]);
}
