//! The publisher: puts every record of the journal on its topics, in order, and marks how far it is.
//!
//! In: records from the journal. Out: deliveries to a [`Producer`], marks for the checkpoint, dead letters.
//!
//! ```text
//! cursor ─▶ routing ─▶ headers ─▶ Producer ─▶ receipts ─▶ window ─▶ marks
//!    ▲                    │                      │
//!    └──── lanes (who reads where) ◀── retry ◀───┴─▶ dead letters
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `producer` | the seam to Kafka |
//! | `routing` | event to topic, key, reason |
//! | `headers` | delivery from record |
//! | `source`, `cursor` | the journal as the publisher reads it |
//! | `window` | one lane's deliveries between settled and not looked at |
//! | `retry` | pauses, probes, new producers |
//! | `lane`, `lanes` | progress per topic; which lanes read together |
//! | `feed` | records to the producer |
//! | `dead_letters` | what no topic takes |
//! | `census` | what waits |
//! | `report` | metrics, health, log lines |
//! | `core` | one step of all this, at a given time |
//!
//! Never happens: a mark ahead of a receipt or a safe dead letter; a record that a lane skips; something behind a failed
//! delivery that is let past it on the same topic; memory that grows with the backlog; a dependence of the intake on any
//! of this.

mod census;
mod core;
mod cursor;
mod dead_letters;
mod feed;
mod headers;
mod lane;
mod lanes;
mod producer;
mod report;
mod retry;
mod routing;
mod source;
#[cfg(test)]
mod tests;
mod window;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use producer::{
    Action, DEAD_LETTER_REASONS, Delivery, DeliveryError, INVALID, PURGED, Producer, Receipt, SendError, TOO_LARGE,
    TopicState,
};
pub use routing::{Route, Router, Topics};

use crate::health::Health;
use crate::journal::{Journal, Recovered};
use crate::metrics::Metrics;

use self::core::{Core, Now, Pace};
use self::source::Source;

/// Longest wait for something new to publish.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Wait for receipts while they come.
const RECEIPTS_WAIT: Duration = Duration::from_millis(1);
/// Wait for receipts while none come.
const SILENT_WAIT: Duration = Duration::from_millis(5);

/// The running publisher: one thread.
pub struct Publisher {
    orders: Arc<Orders>,
    thread: JoinHandle<u64>,
}

/// What the owner tells the thread.
#[derive(Default)]
struct Orders {
    stopping: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Publisher {
    /// Starts publishing where the checkpoint has left off. Needs no broker.
    pub fn start(
        topics: &Topics,
        producer: Box<dyn Producer>,
        journal: &Journal,
        recovered: &Recovered,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> std::io::Result<Publisher> {
        let (router, source) = (Router::new(topics), Source::of(journal));
        let began = Instant::now();
        let start = (&recovered.lanes[..], recovered.oldest);
        let core = Core::new(router, source, producer, start, metrics, health, now(began));
        let orders = Arc::new(Orders::default());
        let given = Arc::clone(&orders);
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || run(core, &given, began))?;
        Ok(Publisher { orders, thread })
    }

    /// Whether the thread has ended without having been told to, which only a bug can bring about.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Publishes until all that is synced is settled, but no longer than `deadline`; hands the last marks to the journal
    /// and ends. Blocks. How many deliveries are left for the next start.
    pub fn stop(self, deadline: Instant) -> u64 {
        *self.orders.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        self.orders.stopping.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|_| {
            tracing::error!("the publisher had panicked; what it left is published by the next start");
            0
        })
    }
}

impl Orders {
    /// The thread's deadline, once it is to stop.
    fn stop_by(&self) -> Option<Instant> {
        if !self.stopping.load(Ordering::Acquire) {
            return None;
        }
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(mut core: Core, orders: &Orders, began: Instant) -> u64 {
    let mut wait = Duration::ZERO;
    loop {
        let pace = core.step(now(began), wait);
        if orders.stop_by().is_some_and(|deadline| Instant::now() >= deadline || core.is_done()) {
            return core.finish(now(began));
        }
        wait = match pace {
            Pace::Busy => Duration::ZERO,
            Pace::Receipts { lately: true } => RECEIPTS_WAIT,
            Pace::Receipts { lately: false } => SILENT_WAIT,
            Pace::Synced(from) => {
                core.wait_synced(from, IDLE_WAIT);
                Duration::ZERO
            }
        };
    }
}

fn now(began: Instant) -> Now {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { wall_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), mono: began.elapsed() }
}
