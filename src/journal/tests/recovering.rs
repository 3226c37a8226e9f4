//! What a crash, or a rotten disk, leaves.

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
    assert_eq!(scene.files("quarantine").len(), 1);
    assert_eq!(scene.metric("journal_corrupt_bytes_total"), 0.0);
    scene.write(&mut stepped, 3, 100);
    assert_eq!(read_all(&stepped, 1), (vec![(1, 1), (3, 3)], vec![]));
}
