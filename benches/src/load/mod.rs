//! The load generator: one thread, one epoll, requests made of templates.
//!
//! In: an [`Order`]. Out: an [`Outcome`]: what became of every event, and how long each answer took. In an open loop events
//! are due at planned times, whatever the answers do, and an answer's time counts from the planned time: a receiver that
//! stalls is not forgiven what waited meanwhile. In a closed loop each connection sends its next event when the last one is
//! answered, and its time counts from the sending.
//!
//! Never happens: a second try (what is refused is counted as refused); an event sent twice; a body built or hashed whole
//! while the clock runs.

mod connection;
mod engine;
mod outcome;

use std::net::SocketAddr;
use std::time::Duration;

pub use outcome::{Outcome, Status, histogram, ms_at, note};

use crate::bodies::{Library, Size};

/// How events come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many connections, each busy all the time.
    Closed { connections: usize },
    /// So many events a second, at random or evenly, over at most so many connections.
    Open { per_second: f64, connections: usize, is_even: bool },
}

impl Pace {
    /// Retell's way: calls do not wait for each other.
    pub fn open(per_second: f64) -> Pace {
        Pace::Open { per_second, connections: 128, is_even: false }
    }
}

/// When a load ends; whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Until {
    pub time: Duration,
    pub events: u64,
}

impl Until {
    pub fn time(time: Duration) -> Until {
        Until { time, events: u64::MAX }
    }

    pub fn events(events: u64) -> Until {
        Until { time: Duration::from_secs(3_600), events }
    }
}

/// What to send, where and how.
pub struct Order<'a> {
    pub to: SocketAddr,
    /// Paths of the sources; taken in turn.
    pub paths: &'a [String],
    pub library: &'a Library,
    pub size: Size,
    /// Number of the first event.
    pub first: u64,
    pub pace: Pace,
    pub until: Until,
}

/// Sends it all; returns when every answer has come or is given up.
pub fn run(order: &Order) -> Outcome {
    engine::Engine::new(order).run()
}

/// By how much the generator itself was late, milliseconds.
pub fn late_ms(outcome: &Outcome, quantile: f64) -> f64 {
    outcome::ms_at(&outcome.late, quantile)
}
