//! When segments go, and when not.

use super::*;

const HOUR_MS: u64 = 3_600_000;

/// Three closed segments and more, all settled but the last record.
fn settled() -> (Scene, Stepped) {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..41, 5_000);
    stepped.journal.mark(vec![lane("a", 40), lane("b", 40)]);
    stepped.keeper.turn(START_MS, 0);
    (scene, stepped)
}

fn oldest(stepped: &Stepped) -> u64 {
    read_all(stepped, 1).0[0].0
}

#[test]
fn published_segments_go_after_the_retention_and_the_unsettled_stay() {
    let (scene, mut stepped) = settled();
    stepped.keeper.turn(START_MS + 23 * HOUR_MS, 23 * HOUR_MS);
    assert_eq!(oldest(&stepped), 1);
    stepped.keeper.turn(START_MS + 25 * HOUR_MS, 25 * HOUR_MS);
    let first = oldest(&stepped);
    assert!(first > 1 && first <= 40, "{first}");
    drop(stepped);
    let stepped = scene.open();
    assert_eq!(stepped.recovered.corrupt_bytes, 0);
    assert_eq!(stepped.recovered.oldest, Position(first));
}

#[test]
fn one_lane_that_is_behind_keeps_everything_behind_it() {
    let (_scene, mut stepped) = settled();
    stepped.journal.mark(vec![lane("a", 40), lane("b", 2)]);
    stepped.keeper.turn(START_MS + 25 * HOUR_MS, 25 * HOUR_MS);
    assert_eq!(oldest(&stepped), 1);
}

#[test]
fn a_clock_that_jumps_drops_nothing_until_an_hour_has_confirmed_it() {
    let (_scene, mut stepped) = settled();
    stepped.keeper.turn(START_MS + 100 * HOUR_MS, 1_000);
    stepped.keeper.turn(START_MS + 100 * HOUR_MS + HOUR_MS / 2, HOUR_MS / 2);
    assert_eq!(oldest(&stepped), 1);
    stepped.keeper.turn(START_MS + 101 * HOUR_MS + 2_000, HOUR_MS + 2_000);
    assert!(oldest(&stepped) > 1);
}

#[test]
fn a_reader_in_a_segment_that_goes_reads_it_to_its_end() {
    let (_scene, mut stepped) = settled();
    let mut reader = stepped.journal.reader(Position(1));
    let Some(Item::Record(first)) = reader.next().unwrap() else { panic!("no record") };
    stepped.keeper.turn(START_MS + 25 * HOUR_MS, 25 * HOUR_MS);
    let gone_until = oldest(&stepped);
    let mut positions = vec![first.position.0];
    while let Some(Item::Record(record)) = reader.next().unwrap() {
        fill_of(&record);
        positions.push(record.position.0);
    }
    assert!(gone_until > 2);
    assert!(positions.starts_with(&[1, 2, 3]) && positions.ends_with(&[38, 39, 40]), "{positions:?}");
}

#[test]
fn without_any_lane_nothing_goes() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    scene.fill(&mut stepped, 1..41, 5_000);
    stepped.keeper.turn(START_MS, 0);
    stepped.keeper.turn(START_MS + 99 * HOUR_MS, 99 * HOUR_MS);
    stepped.keeper.turn(START_MS + 199 * HOUR_MS, 199 * HOUR_MS);
    assert_eq!(oldest(&stepped), 1);
}

#[test]
fn a_journal_whose_segments_are_all_gone_goes_on_at_its_position() {
    let (scene, mut stepped) = settled();
    stepped.writer.close();
    stepped.journal.mark(vec![lane("a", 41)]);
    stepped.keeper.turn(START_MS + 25 * HOUR_MS, 25 * HOUR_MS);
    assert_eq!(read_all(&stepped, 1), (vec![], vec![]));
    drop(stepped);
    for _ in 0..2 {
        let stepped = scene.try_open(7).unwrap();
        assert_eq!(stepped.recovered.next, Position(41));
        assert_eq!(stepped.recovered.identity, JournalId([1; 16]));
        assert_eq!(stepped.recovered.corrupt_bytes, 0);
    }
    let mut stepped = scene.open();
    scene.write(&mut stepped, 41, 100);
    assert_eq!(read_all(&stepped, 1).0, vec![(41, 41)]);
}
