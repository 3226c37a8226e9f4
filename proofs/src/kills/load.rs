//! Senders that go on until they are told to stop, and keep the ledger.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::ledger::Ledger;
use support::sender::Sender;

const SENDERS: usize = 4;
const PACE: Duration = Duration::from_millis(20);

/// See the module.
pub struct Load {
    threads: Vec<JoinHandle<Ledger>>,
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Load {
    pub fn start(bridge: &Bridge, source: &Arc<Source>, seed: u64) -> Load {
        let maker = Arc::new(Mutex::new(Maker::quietly(seed)));
        let (is_over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let start_one = |_| {
            let (maker, source) = (Arc::clone(&maker), Arc::clone(source));
            let (is_over, sent, mut sender) = (Arc::clone(&is_over), Arc::clone(&sent), Sender::to(bridge));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let story = maker.lock().expect("no holder panics").story(&source);
                    for event in &story {
                        sender.send(event);
                        sent.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(PACE);
                    }
                }
                sender.ledger
            })
        };
        Load { threads: (0..SENDERS).map(start_one).collect(), is_over, sent }
    }

    /// Returns when so many more events have been sent.
    pub fn wait_for(&self, more: u64) {
        let (from, end) = (self.sent.load(Ordering::Relaxed), Instant::now() + Duration::from_secs(120));
        while self.sent.load(Ordering::Relaxed) < from + more {
            assert!(Instant::now() < end, "no {more} events were sent in two minutes");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets every sender finish its call.
    pub fn finish(self) -> Ledger {
        self.is_over.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        self.threads.into_iter().for_each(|thread| ledger.extend(thread.join().expect("a sender does not panic")));
        ledger
    }
}
