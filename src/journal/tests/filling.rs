//! A full journal: refusing, publishing, coming back.

use super::*;

/// Appends until there is no room; how many were kept.
fn fill_up(scene: &Scene, stepped: &mut Stepped) -> u64 {
    let mut kept = 0;
    loop {
        if let Err(error) = scene.append(stepped, 7, 20_000) {
            assert_eq!(error, AppendError::NoRoom);
            return kept;
        }
        stepped.writer.turn(START_MS);
        stepped.keeper.turn(START_MS, kept);
        kept += scene.outcomes().iter().filter(|outcome| outcome.is_ok()).count() as u64;
    }
}

#[test]
fn a_full_journal_refuses_keeps_what_it_has_and_leaves_the_last_spare() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    let kept = fill_up(&scene, &mut stepped);
    assert!(kept > 20, "{kept}");
    assert!(!scene.health.readiness().checks.iter().find(|check| check.name == "journal_room").unwrap().holds);
    assert_eq!(read_all(&stepped, 1).0.len() as u64, kept);
    let used: u64 =
        scene.files("journal").iter().map(|name| scene.path("journal").join(name).metadata().unwrap().len()).sum();
    assert!(used <= scene.options.size_max_bytes, "{used}");
    let last = scene.files("journal").into_iter().rfind(|name| name.ends_with(".segment")).unwrap();
    let bytes = std::fs::read(scene.path("journal").join(last)).unwrap();
    assert!(bytes[4096..].iter().all(|byte| *byte == 0), "the last segment is a spare");
    drop(stepped);
    assert_eq!(read_all(&scene.open(), 1).0.len() as u64, kept);
}

#[test]
fn room_comes_back_when_enough_is_published_and_not_before() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    let kept = fill_up(&scene, &mut stepped);
    stepped.journal.mark(vec![lane("a", 4)]);
    stepped.keeper.turn(START_MS, 10_000);
    assert_eq!(scene.append(&stepped, 1, 100), Err(AppendError::NoRoom), "one segment is too little");
    stepped.journal.mark(vec![lane("a", kept + 1)]);
    stepped.keeper.turn(START_MS, 20_000);
    scene.write(&mut stepped, 1, 100);
    assert_eq!(scene.outcomes(), vec![Ok(Position(kept + 1))]);
}

#[test]
fn room_is_told_in_whole_segments() {
    let scene = Scene::new();
    let mut stepped = scene.open();
    stepped.keeper.turn(START_MS, 0);
    let at_start = scene.metric("journal_room_bytes");
    assert!(at_start > 0.0 && at_start < scene.options.size_max_bytes as f64);
    fill_up(&scene, &mut stepped);
    stepped.keeper.turn(START_MS, 10_000_000);
    assert!(scene.metric("journal_room_bytes") < scene.options.segment_bytes as f64);
    assert!(scene.metric("journal_backlog_bytes") > 600_000.0);
}
