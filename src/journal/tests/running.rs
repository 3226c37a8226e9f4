//! With threads and a lock, as the bridge runs it.

use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::journal::{CloseError, Journal, Recovered};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(scene: &Scene) -> Result<(Journal, Recovered), OpenError> {
    let disk = Arc::new(Disk::new(scene.folder.path()).unwrap());
    Journal::open(disk, scene.options.clone(), scene.metrics.clone(), scene.health.clone())
}

fn append(journal: &Journal, fill: u8) -> mpsc::Receiver<Result<Position, AppendError>> {
    let (answer, answered) = mpsc::channel();
    let payload = [Bytes::from_static(b"="), Bytes::from(vec![fill; 500])];
    let done = Box::new(move |outcome| answer.send(outcome).unwrap_or(()));
    journal.append(Append { tag: [fill; 16], received_at_ms: 1, payload, done }).unwrap();
    answered
}

#[test]
fn many_threads_append_and_one_reads_all_of_it() {
    let mut scene = Scene::new();
    scene.options.segment_bytes = 256 * KIB;
    scene.options.size_max_bytes = 32 << 20;
    let (journal, _) = open(&scene).unwrap();
    let positions = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for fill in 0..8_u8 {
            let (journal, positions) = (&journal, &positions);
            threads.spawn(move || {
                for _ in 0..200 {
                    let position = append(journal, fill).recv_timeout(PATIENCE).unwrap().unwrap();
                    assert!(journal.synced() > position, "answered after the sync");
                    positions.lock().unwrap().push(position.0);
                }
            });
        }
        let mut reader = journal.reader(Position(1));
        let started = Instant::now();
        for position in 1..=1_600 {
            journal.wait_synced(Position(position), PATIENCE);
            let Some(Item::Record(record)) = reader.next().unwrap() else { panic!("no record at {position}") };
            assert_eq!(record.position, Position(position));
            fill_of(&record);
        }
        assert!(started.elapsed() < 3 * PATIENCE);
    });
    let mut positions = positions.into_inner().unwrap();
    positions.sort_unstable();
    assert_eq!(positions, (1..=1_600).collect::<Vec<_>>());
    journal.close().unwrap();
    assert_eq!(journal.close(), Ok(()), "a second close does nothing");
    let refused = Append { tag: [0; 16], received_at_ms: 1, payload: Default::default(), done: Box::new(|_| {}) };
    assert_eq!(journal.append(refused), Err(AppendError::Closed));
}

#[test]
fn a_clean_stop_keeps_what_was_queued_and_leaves_nothing_to_recover() {
    let scene = Scene::new();
    let (journal, _) = open(&scene).unwrap();
    let answers: Vec<_> = (1..=20).map(|fill| append(&journal, fill)).collect();
    journal.wait_synced(Position(20), PATIENCE);
    journal.mark(vec![lane("a", 9)]);
    journal.close().unwrap();
    assert!(answers.iter().all(|answer| answer.recv_timeout(PATIENCE).unwrap().is_ok()));
    let before = std::fs::metadata(scene.path(&segment(1))).unwrap().modified().unwrap();
    let (journal, recovered) = open(&scene).unwrap();
    assert_eq!((recovered.lanes, recovered.next), (vec![lane("a", 9)], Position(21)));
    assert_eq!(std::fs::metadata(scene.path(&segment(1))).unwrap().modified().unwrap(), before, "not rewritten");
    journal.close().unwrap();
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    let scene = Scene::new();
    let (journal, _) = open(&scene).unwrap();
    let error = open(&scene).err().unwrap();
    assert!(matches!(error, OpenError::Locked) && !error.is_configuration());
    drop(journal);
    open(&scene).unwrap().0.close().unwrap();
}

#[test]
fn a_reader_that_waits_is_woken_by_the_end() {
    let scene = Scene::new();
    let (journal, _) = open(&scene).unwrap();
    let waiting = journal.clone();
    let waiter = std::thread::spawn(move || waiting.wait_synced(Position(1), 10 * PATIENCE));
    journal.close().unwrap();
    assert_eq!(waiter.join().unwrap(), Position(1));
}

#[test]
fn an_answer_that_panics_poisons_and_forgets_nobody() {
    let scene = Scene::new();
    let (journal, _) = open(&scene).unwrap();
    let done = Box::new(|_| panic!("made to panic"));
    journal.append(Append { tag: [1; 16], received_at_ms: 1, payload: Default::default(), done }).unwrap();
    let started = Instant::now();
    while !journal.is_poisoned() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(journal.close(), Err(CloseError::Panicked));
}

#[test]
fn a_disk_that_forgets_is_refused_by_name() {
    let mut scene = Scene::new();
    scene.options.allow_ephemeral = false;
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { panic!("this test needs a tmpfs at /dev/shm") };
    let disk = Arc::new(Disk::new(folder.path()).unwrap());
    let opened = Journal::open(disk, scene.options.clone(), scene.metrics.clone(), scene.health.clone());
    let error = opened.err().unwrap();
    assert!(matches!(error, OpenError::Ephemeral { file_system: "tmpfs" }) && error.is_configuration());
    assert!(error.to_string().contains("journal.allow_ephemeral"), "{error}");
}
