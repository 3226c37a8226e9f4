//! Request tasks against the writer's thread, the close and a sync that fails.
//!
//! In: a schedule. Out: nothing. Never happens: an answer before its sync or after a failed one, a position that is missing
//! or used twice, a record that is neither answered nor refused.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use retell_bridge::health::Health;
use retell_bridge::journal::{
    Append, AppendError, Journal, JournalId, LaneMark, Options, Position, Stepped, open_stepped,
};
use retell_bridge::metrics::Metrics;
use shuttle::sync::mpsc;
use shuttle::thread;

use super::checker::choose;
use super::memory::Memory;

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Kept(Position),
    Failed(AppendError),
    Refused(AppendError),
}

/// The journal's smallest sizes; no retention that ends in a schedule.
pub fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        size_max_bytes: 4 << 20,
        retention: Duration::from_secs(86_400),
        quarantine_retention: Duration::from_secs(86_400),
        checkpoint_every: Duration::from_millis(1),
        allow_ephemeral: true,
    }
}

/// One for all schedules: it counts, and no task waits for it.
pub fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    METRICS.get_or_init(|| Arc::new(Metrics::new())).clone()
}

pub fn open(memory: &Memory) -> Journal {
    let opened = Journal::open(Arc::new(memory.clone()), options(), metrics(), Arc::new(Health::default()));
    opened.expect("an empty disk in memory").0
}

/// Bytes that no other record has.
pub fn payload(number: u64) -> Vec<u8> {
    format!("<record {number:06}>").into_bytes()
}

/// Appends, waits for the answer and judges it by what the disk knew at that moment.
pub fn append(journal: &Journal, memory: &Memory, number: u64) -> Fate {
    let (sender, answer) = mpsc::channel();
    let disk = memory.clone();
    let done = move |outcome: Result<Position, AppendError>| {
        let is_synced = disk.synced_times(&payload(number)) == 1;
        let _ = sender.send((outcome, is_synced, disk.has_failed()));
    };
    let record = [Bytes::new(), Bytes::from(payload(number))];
    let append = Append { tag: [number as u8; 16], received_at_ms: 1, payload: record, done: Box::new(done) };
    if let Err(error) = journal.append(append) {
        assert!(answer.recv().is_err(), "record {number} is refused and answered");
        return Fate::Refused(error);
    }
    let (outcome, is_synced, has_failed) = answer.recv().expect("a queued record is dropped without an answer");
    match outcome {
        Ok(position) => {
            assert!(is_synced, "record {number} is answered before its sync");
            assert!(!has_failed, "record {number} is answered Ok after a sync has failed");
            Fate::Kept(position)
        }
        Err(error) => Fate::Failed(error),
    }
}

/// Three tasks, two records each; what became of all.
fn appenders(journal: &Journal, memory: &Memory) -> Vec<thread::JoinHandle<Vec<Fate>>> {
    let task = |task: u64| {
        let (journal, memory) = (journal.clone(), memory.clone());
        thread::spawn(move || {
            let fates: Vec<Fate> = (0..2).map(|index| append(&journal, &memory, 2 * task + index)).collect();
            if let [Fate::Kept(first), Fate::Kept(second)] = fates[..] {
                assert!(first < second, "one task's records are out of order");
            }
            fates
        })
    };
    (0..3).map(task).collect()
}

fn joined(tasks: Vec<thread::JoinHandle<Vec<Fate>>>) -> Vec<Fate> {
    tasks.into_iter().flat_map(|task| task.join().expect("the checker tells of a panic first")).collect()
}

/// The positions are 1, 2, 3 …, and the disk has no record more.
fn assert_contiguous(fates: &[Fate], memory: &Memory) {
    let kept = |fate: &Fate| if let Fate::Kept(position) = fate { Some(position.0) } else { None };
    let mut positions: Vec<u64> = fates.iter().filter_map(kept).collect();
    positions.sort_unstable();
    let wanted: Vec<u64> = (1..=positions.len() as u64).collect();
    assert_eq!(positions, wanted, "positions are missing or used twice");
    assert_eq!(memory.synced_records(), wanted.len() as u64, "records are synced and not answered");
}

pub fn answered() {
    let memory = Memory::default();
    let journal = open(&memory);
    let fates = joined(appenders(&journal, &memory));
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Kept(_))), "not all are kept: {fates:?}");
    assert_contiguous(&fates, &memory);
    journal.close().expect("nothing fails");
}

pub fn closed() {
    let memory = Memory::default();
    let journal = open(&memory);
    let tasks = appenders(&journal, &memory);
    journal.close().expect("nothing fails");
    let fates = joined(tasks);
    let is_fair = |fate: &Fate| matches!(fate, Fate::Kept(_) | Fate::Refused(AppendError::Closed));
    assert!(fates.iter().all(is_fair), "neither kept nor refused: {fates:?}");
    assert_contiguous(&fates, &memory);
}

pub fn poisoned() {
    let memory = Memory::default();
    let journal = open(&memory);
    memory.fail_after(choose(3));
    let fates = joined(appenders(&journal, &memory));
    let is_fair = |fate: &Fate| match fate {
        Fate::Kept(_) => true,
        Fate::Failed(error) | Fate::Refused(error) => *error == AppendError::Poisoned,
    };
    assert!(fates.iter().all(is_fair), "neither kept nor poisoned: {fates:?}");
    assert_contiguous(&fates, &memory);
    if memory.has_failed() {
        assert_eq!(append(&journal, &memory, 99), Fate::Refused(AppendError::Poisoned));
    }
    assert_eq!(journal.close().is_err(), memory.has_failed(), "the close tells of the failed sync");
}

/// The keeper poisons the journal while the writer hangs: the queue is emptied without it.
pub fn poisoned_without_a_writer() {
    let memory = Memory::default();
    let (storage, health) = (Arc::new(memory.clone()), Arc::new(Health::default()));
    let stepped = open_stepped(storage, options(), metrics(), health, 1, JournalId([7; 16]));
    let Stepped { journal, mut keeper, .. } = stepped.expect("an empty disk in memory");
    memory.fail_checkpoint();
    journal.mark(vec![LaneMark { topic: "t".into(), position: Position(1), takes: 1 }]);
    let tasks = appenders(&journal, &memory);
    keeper.turn(1, 10);
    let is_fair =
        |fate: &Fate| matches!(fate, Fate::Failed(AppendError::Poisoned) | Fate::Refused(AppendError::Poisoned));
    let fates = joined(tasks);
    assert!(fates.iter().all(is_fair), "not poisoned: {fates:?}");
}
