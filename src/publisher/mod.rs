//! The publisher: puts every record of the journal on its topics, in order, and marks how far it is.
//!
//! In: records from the journal. Out: deliveries to a [`Producer`], marks for the checkpoint, dead letters. The drift watch
//! ([`Watch`]) is shown what passes, and says nothing.
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
//! | `retry`, `trial` | pauses, probes, new producers; lanes that end them are tried alone |
//! | `lane`, `lanes` | progress per topic; which lanes read together |
//! | `feed` | records to the producer |
//! | `receipts` | what became of them |
//! | `dead_letters`, `letter` | what no topic takes; how it is kept |
//! | `census` | what waits |
//! | `report` | metrics, health, log lines |
//! | `again` | records put on a topic again, beside the lanes |
//! | `core` | one step of all this, at a given time |
//! | `stepped` | the same for whoever has the thread |
//!
//! Never happens: a mark ahead of a receipt or a safe dead letter; a record that a lane skips; something behind a failed
//! delivery that is let past it on the same topic; memory that grows with the backlog; a dependence of the intake on any
//! of this.

mod again;
mod census;
mod core;
mod cursor;
mod dead_letters;
mod feed;
mod headers;
mod lane;
mod lanes;
mod letter;
mod producer;
mod receipts;
mod report;
mod retry;
mod routing;
mod source;
mod stepped;
#[cfg(test)]
mod tests;
mod trial;
mod window;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use again::{Again, Refused, Renewed, Target};
pub use headers::Replay;
pub use letter::Letter;
pub use producer::{
    Action, DEAD_LETTER_REASONS, Delivery, DeliveryError, INVALID, PURGED, Producer, Receipt, SendError, TOO_LARGE,
    TopicState,
};
pub use routing::{Route, Router, Topics};
pub use stepped::{Stepped, Wait, open_stepped};

use crate::health::Health;
use crate::journal::{Journal, Recovered};
use crate::metrics::Metrics;
use crate::priority;
use crate::schema::Watch;

/// The running publisher: one thread.
pub struct Publisher {
    orders: Arc<Orders>,
    thread: JoinHandle<Left>,
}

/// What a publisher leaves for the next start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    pub deliveries: u64,
    /// Why they were not taken, as far as that is known, with its cure; one of several.
    pub trouble: Option<String>,
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
        watch: Watch,
    ) -> std::io::Result<Publisher> {
        let began = Instant::now();
        let (wall_ms, mono) = now(began);
        let stepped = open_stepped(topics, producer, journal, recovered, metrics, health, wall_ms, mono).watched(watch);
        let orders = Arc::new(Orders::default());
        let given = Arc::clone(&orders);
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || run(stepped, &given, began))?;
        Ok(Publisher { orders, thread })
    }

    /// Whether the thread has ended: all is settled after [`Publisher::end_by`], or, untold, by a bug.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// The thread is to end when all that is synced is settled, but no later than `deadline`; the last word counts.
    pub fn end_by(&self, deadline: Instant) {
        *self.orders.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        self.orders.stopping.store(true, Ordering::Release);
    }

    /// As [`Publisher::end_by`], and waits for it; the last marks are with the journal then.
    pub fn stop(self, deadline: Instant) -> Left {
        self.end_by(deadline);
        self.thread.join().unwrap_or_else(|_| {
            tracing::error!("the publisher had panicked; what it left is published by the next start");
            Left::default()
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

fn run(mut publisher: Stepped, orders: &Orders, began: Instant) -> Left {
    priority::give_way();
    let mut wait = Duration::ZERO;
    loop {
        let (wall_ms, mono) = now(began);
        let next = publisher.step(wall_ms, mono, wait);
        let stop_by = orders.stop_by();
        if stop_by.is_some() {
            publisher.core.census.all_is_due();
        }
        if stop_by.is_some_and(|deadline| Instant::now() >= deadline || publisher.is_done()) {
            let (wall_ms, mono) = now(began);
            let deliveries = publisher.finish(wall_ms, mono);
            return Left { deliveries, trouble: publisher.core.trouble() };
        }
        wait = match next {
            Wait::Receipts(at_most) => at_most,
            Wait::Synced { from, at_most } => {
                publisher.core.wait_synced(from, at_most);
                Duration::ZERO
            }
        };
    }
}

/// Unix milliseconds, and the time since `began`.
fn now(began: Instant) -> (u64, Duration) {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), began.elapsed())
}
