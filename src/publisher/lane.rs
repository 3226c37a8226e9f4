//! One lane: a topic, how far the journal has been published to it, and what holds it back.

use std::time::Duration;

use crate::journal::{LaneMark, Position};
use crate::planted::Bug;

use super::cursor::Cursor;
use super::retry::Retry;
use super::window::{Settled, Window};

/// See the module.
pub(super) struct Lane {
    pub topic: Box<str>,
    /// Fingerprint of what it takes: [`super::routing::Router::takes`].
    pub takes: u64,
    pub window: Window,
    pub retry: Retry,
    pub backlog: Backlog,
    /// Its own reading place, away from the head; `None`: it takes what the head reads. A lane at the head has either
    /// taken its deliveries before the head's place, or is ahead of it.
    pub apart: Option<Cursor>,
    /// Its deliveries up to here were refused as part of a batch, and travel alone.
    pub condemned: Option<Position>,
    /// What was told as the reason of its stall.
    pub stall: Option<&'static str>,
}

impl Lane {
    pub fn new(topic: &str, takes: u64, start: Position, now: Duration) -> Lane {
        Lane {
            topic: topic.into(),
            takes,
            window: Window::new(start),
            retry: Retry::new(now),
            backlog: Backlog { from: start, counted: 0, settled: 0, oldest_ms: None },
            apart: None,
            condemned: None,
            stall: None,
        }
    }

    pub fn is_at_head(&self) -> bool {
        self.apart.is_none()
    }

    pub fn mark(&self) -> LaneMark {
        let only_sent = Bug::CheckpointBeforeReceipt.is_planted();
        let position = if only_sent { self.window.next() } else { self.window.position() };
        LaneMark { topic: self.topic.to_string(), position, takes: self.takes }
    }

    /// Leaves the head for a reading place of its own, at what it has to look at next.
    pub fn leave_head(&mut self, head: Position) {
        if self.is_at_head() {
            self.window.advance(head);
        }
        self.apart = Some(Cursor::new(self.window.next()));
    }

    /// Goes back to its first unsettled delivery, away from the head.
    pub fn rewind(&mut self, head: Position) {
        if self.is_at_head() {
            self.window.advance(head);
        }
        self.window.rewind();
        self.apart = Some(Cursor::new(self.window.next()));
    }

    /// A delivery was settled.
    pub fn settled(&mut self, settled: &Settled) {
        let oldest = self.window.oldest().map(|flight| flight.received_at_ms);
        self.backlog.settle(settled.position, oldest);
        let condemned_over = self.condemned.is_some_and(|until| self.window.position() > until);
        if condemned_over {
            self.condemned = None;
        }
    }
}

/// How much waits for one lane: what the census has counted, less what was settled.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Where the lane started; what lies before was settled by an earlier process.
    from: Position,
    counted: u64,
    settled: u64,
    /// When the oldest waiting event was received, as far as is known.
    oldest_ms: Option<u64>,
}

impl Backlog {
    /// The census met a delivery of this lane.
    pub fn count(&mut self, position: Position, received_at_ms: u64) {
        if position < self.from {
            return;
        }
        if self.events() == 0 {
            self.oldest_ms = Some(received_at_ms);
        }
        self.counted += 1;
    }

    fn settle(&mut self, position: Position, oldest_ms: Option<u64>) {
        debug_assert!(position >= self.from, "a delivery before the lane's start was settled");
        self.settled += 1;
        // Where the next one is not known, it is about as old as the one that was settled.
        if oldest_ms.is_some() {
            self.oldest_ms = oldest_ms;
        }
    }

    /// Deliveries that wait; a lower bound until the census has read to the journal's end.
    pub fn events(&self) -> u64 {
        self.counted.saturating_sub(self.settled)
    }

    /// Age of the oldest one; zero when nothing waits.
    pub fn oldest_age(&self, now_ms: u64) -> Duration {
        match self.oldest_ms {
            Some(oldest_ms) if self.events() > 0 => Duration::from_millis(now_ms.saturating_sub(oldest_ms)),
            _ => Duration::ZERO,
        }
    }
}
