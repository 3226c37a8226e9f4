//! One request while it is with the handler. Begins when its head has been read; ends when it is dropped, answered or
//! abandoned: then the connection is quiet again and everything the request still held is given back.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::phase::Verdict;
use super::registry::{Refusal, Registry};

pub(super) struct Request<'c> {
    connection: &'c Arc<Connection>,
    registry: &'c Arc<Registry>,
    /// First byte of the head.
    started: Instant,
}

impl<'c> Request<'c> {
    pub(super) fn begin(connection: &'c Arc<Connection>, registry: &'c Arc<Registry>, has_body: bool) -> Request<'c> {
        let started = connection.begin(has_body);
        Request { connection, registry, started }
    }

    /// Since the first byte of the head.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection
    }

    /// Counts `more` bytes of the body as in flight.
    pub(super) fn hold(&self, more: usize) -> Result<(), Refusal> {
        self.registry.hold(self.connection, more)
    }

    /// The body has arrived to its end and takes `bytes` of memory; they count until [`Held`] is dropped.
    pub(super) fn whole(&self, bytes: usize) -> Held {
        let held_bytes = self.connection.whole();
        // Counted in steps while it came (and not at all where it was evicted at the last moment): now exactly.
        self.registry.hold_anyway(bytes);
        self.registry.give_back(held_bytes);
        Held { registry: self.registry.clone(), bytes }
    }

    /// Waits for `outcome`, or for the verdict that comes first.
    ///
    /// Dropped early, it drops `outcome` and nothing else.
    pub(super) async fn until_verdict<F: Future>(&self, outcome: F) -> Result<F::Output, Verdict> {
        let mut outcome = pin!(outcome);
        std::future::poll_fn(|context| {
            if let Poll::Ready(value) = outcome.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            self.connection.verdict(context).map_or(Poll::Pending, |verdict| Poll::Ready(Err(verdict)))
        })
        .await
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.registry.give_back(self.connection.end_of_request(Instant::now()));
    }
}

/// Bytes of a whole body that count as in flight until the journal is done with them.
pub(super) struct Held {
    registry: Arc<Registry>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.registry.give_back(self.bytes);
    }
}
