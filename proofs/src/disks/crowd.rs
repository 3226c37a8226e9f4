//! Many senders at once, each with one event, each as patient as it is told.
//!
//! In: events. Out: entries for the ledger, and the slowest answer. Never happens: a sender that waits for ever.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use support::events::Event;
use support::ledger::Entry;

use crate::syscalls::life::Sender;

/// Under way.
pub struct Crowd {
    threads: Vec<thread::JoinHandle<(Entry, Duration)>>,
}

impl Crowd {
    /// Sends each event on a connection of its own, again after `pause` where it is refused, until it is kept or
    /// `patience` is over.
    pub fn start(intake: SocketAddr, events: Vec<Event>, pause: Duration, patience: Duration) -> Crowd {
        let send = |event: Event| {
            thread::spawn(move || {
                let (mut sender, mut entry) = (Sender::default(), Sender::sign(&event));
                let (mut slowest, end) = (Duration::ZERO, Instant::now() + patience);
                loop {
                    let began = Instant::now();
                    sender.attempt(intake, &mut entry);
                    slowest = slowest.max(began.elapsed());
                    if entry.is_kept() || Instant::now() + pause > end {
                        return (entry, slowest);
                    }
                    thread::sleep(pause);
                }
            })
        };
        Crowd { threads: events.into_iter().map(send).collect() }
    }

    pub fn is_done(&self) -> bool {
        self.threads.iter().all(thread::JoinHandle::is_finished)
    }

    /// The entries and the slowest answer of all.
    pub fn finish(self) -> (Vec<Entry>, Duration) {
        let done = self.threads.into_iter().map(|thread| thread.join().expect("a sender does not panic"));
        let (entries, times): (Vec<Entry>, Vec<Duration>) = done.unzip();
        (entries, times.into_iter().max().unwrap_or_default())
    }
}
