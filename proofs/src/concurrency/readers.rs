//! Those that wait for what is synced, and the publisher's marks against the keeper.
//!
//! In: a schedule. Out: nothing. Never happens: a wake-up that is lost, a reader shown what is not synced, a checkpoint
//! ahead of the marks or of the sync, a last mark that is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use retell_bridge::health::Health;
use retell_bridge::journal::{JournalId, LaneMark, Position, Stepped, open_stepped};
use shuttle::thread;

use super::appends::{append, metrics, open, options};
use super::checker::choose;
use super::memory::Memory;

/// Waits until `end` is synced or the journal has ended.
fn read(journal: &retell_bridge::journal::Journal, memory: &Memory, end: u64, ending: &AtomicBool) {
    let mut from = Position(1);
    while from.0 < end {
        let synced = journal.wait_synced(from, Duration::from_secs(1));
        assert!(synced.0 <= 1 + memory.synced_records(), "a reader is shown what is not synced");
        if synced <= from {
            assert!(synced == from, "what is synced went back");
            assert!(ending.load(Ordering::Relaxed) || memory.has_failed(), "woken without a reason");
            return;
        }
        from = synced;
    }
}

pub fn woken() {
    let memory = Memory::default();
    let journal = open(&memory);
    let (is_closed_early, ending) = (choose(3) == 0, Arc::new(AtomicBool::new(false)));
    if choose(2) == 0 {
        memory.fail_after(choose(3));
    }
    let readers = [0, 1].map(|_| {
        let (journal, memory, ending) = (journal.clone(), memory.clone(), ending.clone());
        thread::spawn(move || read(&journal, &memory, 3, &ending))
    });
    let appenders = [1, 2].map(|number| {
        let (journal, memory) = (journal.clone(), memory.clone());
        thread::spawn(move || drop(append(&journal, &memory, number)))
    });
    if is_closed_early {
        ending.store(true, Ordering::Relaxed);
        let _ = journal.close();
    }
    let join = |task: thread::JoinHandle<()>| task.join().expect("the checker tells of a panic first");
    appenders.into_iter().for_each(join);
    readers.into_iter().for_each(join);
    let _ = journal.close();
}

/// Synced-up-to and the first lane of each sound slot, by the format in the journal's head.
fn slots(memory: &Memory) -> Vec<(u64, Option<u64>)> {
    let bytes = memory.bytes("journal/checkpoint").expect("made at the start");
    let number = |slot: &[u8], at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().expect("eight bytes"));
    let read = |slot: &[u8]| (number(slot, 40), (slot[10] > 0).then(|| number(slot, 56)));
    bytes.chunks(20 << 10).filter(|slot| slot.starts_with(b"RBchkpnt")).map(read).collect()
}

pub fn marked() {
    let memory = Memory::default();
    let (storage, health) = (Arc::new(memory.clone()), Arc::new(Health::default()));
    let stepped = open_stepped(storage, options(), metrics(), health, 1, JournalId([7; 16]));
    let Stepped { journal, mut writer, mut keeper, .. } = stepped.expect("an empty disk in memory");
    let (handed, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let appender = {
        let (journal, memory) = (journal.clone(), memory.clone());
        thread::spawn(move || (1..=3).for_each(|number| drop(append(&journal, &memory, number))))
    };
    let writing = {
        let is_over = is_over.clone();
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                writer.turn(1);
                thread::yield_now();
            }
        })
    };
    let publisher = {
        let (journal, handed) = (journal.clone(), handed.clone());
        thread::spawn(move || {
            let lane = |at: u64| vec![LaneMark { topic: "t".into(), position: Position(at), takes: 1 }];
            for _ in 0..3 {
                // One too far: the journal clips it.
                let at = journal.synced().0 + choose(2);
                handed.store(at, Ordering::Relaxed);
                journal.mark(lane(at));
            }
        })
    };
    let keeping = thread::spawn(move || {
        for turn in 1..=3 {
            keeper.turn(1, turn * 10);
            for (synced, lane) in slots(&memory) {
                assert!(synced <= 1 + memory.synced_records(), "the checkpoint is ahead of the sync");
                assert!(lane.unwrap_or(0) <= synced, "the checkpoint's lane is ahead of what is synced");
                let handed = handed.load(Ordering::Relaxed);
                assert!(lane.unwrap_or(0) <= handed, "the checkpoint is ahead of the marks");
            }
        }
        (keeper, memory)
    });
    appender.join().expect("the checker tells of a panic first");
    publisher.join().expect("the checker tells of a panic first");
    let (mut keeper, memory) = keeping.join().expect("the checker tells of a panic first");
    let last = journal.synced();
    journal.mark(vec![LaneMark { topic: "t".into(), position: last, takes: 1 }]);
    keeper.close(1);
    assert!(
        slots(&memory).iter().any(|slot| *slot == (last.0, Some(last.0))),
        "the last mark is not in the checkpoint"
    );
    is_over.store(true, Ordering::Relaxed);
    writing.join().expect("the checker tells of a panic first");
}
