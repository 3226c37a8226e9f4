//! Equal events at once, and one that differs.
//!
//! In: a schedule. Out: nothing. Never happens: "duplicate" for what is not durable, a waiter without the first one's
//! fate, two appends that both settle well, an entry that a refused copy has left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retell_bridge::intake::{Admission, Duplicates, Ticket};
use retell_bridge::journal::{AppendError, Tag};
use shuttle::future::block_on;
use shuttle::sync::mpsc;
use shuttle::thread;

use super::checker::choose;

/// What really became of the copies of one tag.
#[derive(Default)]
struct Truth {
    durable: u64,
    failed: u64,
    dropped: u64,
}

type Truths = Arc<Mutex<BTreeMap<Tag, Truth>>>;
type Queued = (Tag, Ticket, mpsc::Sender<Result<(), AppendError>>);

fn truth<R>(truths: &Truths, tag: Tag, look: impl FnOnce(&mut Truth) -> R) -> R {
    look(truths.lock().expect("nobody panics with it").entry(tag).or_default())
}

/// The journal's part: each copy is synced, refused or dropped.
fn write(queue: &mpsc::Receiver<Queued>, truths: &Truths) {
    while let Ok((tag, ticket, answer)) = queue.recv() {
        match choose(3) {
            0 => {
                truth(truths, tag, |truth| truth.durable += 1);
                ticket.settle(Ok(()));
                let _ = answer.send(Ok(()));
            }
            1 => {
                truth(truths, tag, |truth| truth.failed += 1);
                ticket.settle(Err(AppendError::NoRoom));
                let _ = answer.send(Err(AppendError::NoRoom));
            }
            _ => {
                truth(truths, tag, |truth| truth.dropped += 1);
                drop(ticket);
            }
        }
    }
}

/// One request, as the intake's handler does it, with a retry. The client may leave.
fn request(duplicates: &Arc<Duplicates>, queue: &mpsc::Sender<Queued>, truths: &Truths, tag: Tag) {
    for _ in 0..2 {
        match duplicates.admit(tag, 1) {
            Admission::Duplicate { .. } => {
                assert_eq!(truth(truths, tag, |truth| truth.durable), 1, "a duplicate of what is not durable");
                return;
            }
            Admission::Waiting { outcome, .. } => {
                if choose(4) == 0 {
                    return;
                }
                let fate = block_on(outcome);
                let is_true = truth(truths, tag, |truth| match fate {
                    Ok(Ok(())) => truth.durable == 1,
                    Ok(Err(_)) => truth.failed > 0,
                    Err(_) => truth.dropped > 0,
                });
                assert!(is_true, "one that waits is told {fate:?}, which did not happen");
                if matches!(fate, Ok(Ok(()))) {
                    return;
                }
            }
            Admission::First(ticket) => {
                assert_eq!(truth(truths, tag, |truth| truth.durable), 0, "a second first copy");
                let (sender, answer) = mpsc::channel();
                if choose(4) == 0 {
                    // Not queued: refused at once.
                    truth(truths, tag, |truth| truth.dropped += 1);
                    drop(ticket);
                } else {
                    queue.send((tag, ticket, sender)).expect("the writer ends last");
                    if choose(4) == 0 || matches!(answer.recv(), Ok(Ok(()))) {
                        return;
                    }
                }
            }
        }
    }
}

pub fn settled() {
    let duplicates = Arc::new(Duplicates::new(Duration::from_secs(60), 100));
    let truths = Truths::default();
    let (sender, queue) = mpsc::channel();
    let writer = {
        let truths = truths.clone();
        thread::spawn(move || write(&queue, &truths))
    };
    let tags: [Tag; 4] = [[1; 16], [1; 16], [1; 16], [2; 16]];
    let tasks = tags.map(|tag| {
        let (duplicates, sender, truths) = (duplicates.clone(), sender.clone(), truths.clone());
        thread::spawn(move || request(&duplicates, &sender, &truths, tag))
    });
    drop(sender);
    tasks.into_iter().for_each(|task| task.join().expect("the checker tells of a panic first"));
    writer.join().expect("the checker tells of a panic first");
    for tag in [[1; 16], [2; 16]] {
        let durable = truth(&truths, tag, |truth| truth.durable);
        assert!(durable <= 1, "two copies are kept");
        match duplicates.admit(tag, 2) {
            Admission::Duplicate { .. } => assert_eq!(durable, 1, "an entry is left by a refused copy"),
            Admission::First(_) => assert_eq!(durable, 0, "the entry of a kept copy is gone"),
            Admission::Waiting { .. } => panic!("an entry is left unsettled"),
        }
    }
}
