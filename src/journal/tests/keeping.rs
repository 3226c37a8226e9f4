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
