//! The publisher without its thread, to be stepped: by that thread, or by a simulation in virtual time.
//!
//! In: the two clocks. Out: what there is to do at that time, done, and what the next step should wait for. The same steps
//! over the same journal and producer do the same. Never happens: a thread; a clock but the caller's.

use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Now, Pace};
use super::source::Source;
use super::{Producer, Router, Topics};
use crate::health::Health;
use crate::journal::{Journal, Position, Recovered};
use crate::metrics::Metrics;
use crate::schema::Watch;

/// Longest wait for something new to publish.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Wait for receipts while they come.
const RECEIPTS_WAIT: Duration = Duration::from_millis(1);
/// Wait for receipts while none come.
const SILENT_WAIT: Duration = Duration::from_millis(5);

/// See the module; made by [`open_stepped`].
pub struct Stepped {
    pub(super) core: Core,
}

/// What the next step should wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Receipts, no longer than this; zero: there is more to do at once.
    Receipts(Duration),
    /// Something synced at or behind `from`.
    Synced { from: Position, at_most: Duration },
}

/// A publisher that goes on where the checkpoint has left off, as [`super::Publisher::start`] does, but starts no thread.
/// `wall_ms` is Unix time, which may jump; `mono` never goes back.
#[expect(clippy::too_many_arguments, reason = "what Publisher::start takes, and two clocks")]
pub fn open_stepped(
    topics: &Topics,
    producer: Box<dyn Producer>,
    journal: &Journal,
    recovered: &Recovered,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    wall_ms: u64,
    mono: Duration,
) -> Stepped {
    let (router, source) = (Router::new(topics), Source::of(journal));
    let start = (&recovered.lanes[..], recovered.oldest);
    Stepped { core: Core::new(router, source, producer, start, metrics, health, Now { wall_ms, mono }) }
}

impl Stepped {
    /// The same, with a watch that is shown what is published.
    pub fn watched(mut self, watch: Watch) -> Stepped {
        self.core.watch = watch;
        self
    }

    /// Takes receipts, for which it waits at most `wait`, and does what is to do.
    pub fn step(&mut self, wall_ms: u64, mono: Duration, wait: Duration) -> Wait {
        match self.core.step(Now { wall_ms, mono }, wait) {
            Pace::Busy => Wait::Receipts(Duration::ZERO),
            Pace::Receipts { lately: true } => Wait::Receipts(RECEIPTS_WAIT),
            Pace::Receipts { lately: false } => Wait::Receipts(SILENT_WAIT),
            Pace::Synced(from) => Wait::Synced { from, at_most: IDLE_WAIT },
        }
    }

    /// Whether everything that is synced now is settled.
    pub fn is_done(&mut self) -> bool {
        self.core.is_done()
    }

    /// Hands the last marks to the journal. How many deliveries wait for the next start.
    pub fn finish(&mut self, wall_ms: u64, mono: Duration) -> u64 {
        self.core.finish(Now { wall_ms, mono })
    }
}
