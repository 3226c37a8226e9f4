//! The clerk: what stands behind the HTTP part. A first copy is queued in the journal, a repeat waits for its first copy.
//!
//! In: events, authenticated. Out: for each a future that says whether it is kept. No clock, no thread and no connection:
//! who asks gives up on a future by dropping it, and a simulation polls it by hand. Never happens: a future that says
//! "kept" before the journal's word; a future that is dropped and changes what becomes of its event.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Keep;
use super::duplicates::{Admission, Duplicates, Outcome, Ticket};
use super::handler::now_ms;
use crate::event::{self, Event, Identity, Kind};
use crate::journal::{Append, AppendError, Position, Tag};
use crate::metrics::Metrics;

/// Admits events and queues first copies.
pub struct Clerk {
    duplicates: Arc<Duplicates>,
    keep: Keep,
    metrics: Arc<Metrics>,
}

/// An event on its way to be kept, or a repeat of one. The future ends with the journal's word; at once for a repeat of
/// what is synced.
pub struct Taken {
    pub id: Identity,
    pub kind: Kind,
    /// Of a repeat: when the first copy was received.
    pub first_received_at_ms: Option<u64>,
    /// `None`: the first copy is synced.
    outcome: Option<oneshot::Receiver<Outcome>>,
}

/// Why an event that was taken is not known to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    Journal(AppendError),
    /// The journal's writer ended without a word.
    Gone,
}

impl Clerk {
    /// An index of `window` and `events_max` that is filled from the journal's tags, newest first; `keep` queues.
    pub fn new(
        (window, events_max): (Duration, usize),
        recovered: impl Iterator<Item = (Tag, u64)>,
        now_ms: u64,
        keep: Keep,
        metrics: Arc<Metrics>,
    ) -> Clerk {
        let duplicates = Duplicates::new(window, events_max);
        duplicates.recover(recovered, now_ms);
        Clerk { duplicates: Arc::new(duplicates), keep, metrics }
    }

    /// Takes an event, or says why the journal does not. `held` is dropped when its bytes are needed no more: the journal
    /// is done with them, or has had them before.
    pub fn take(&self, event: Event, held: impl Send + 'static) -> Result<Taken, AppendError> {
        let peek = event.peek();
        let (id, kind) = (event.identity(&peek), peek.kind());
        let (outcome, first_received_at_ms) = match self.duplicates.admit(id.0, event.received_at_ms()) {
            Admission::Duplicate { first_received_at_ms } => (None, Some(first_received_at_ms)),
            Admission::Waiting { first_received_at_ms, outcome } => (Some(outcome), Some(first_received_at_ms)),
            Admission::First(ticket) => (Some(self.queue(&event, (id, kind), ticket, held)?), None),
        };
        Ok(Taken { id, kind, first_received_at_ms, outcome })
    }

    /// Queues a first copy in the journal, whose writer alone says from then on what became of it.
    fn queue(
        &self,
        event: &Event,
        (id, kind): (Identity, Kind),
        ticket: Ticket,
        held: impl Send + 'static,
    ) -> Result<oneshot::Receiver<Outcome>, AppendError> {
        let (sender, outcome) = oneshot::channel();
        let (metrics, source, bytes) = (self.metrics.clone(), event.source().to_owned(), event.body().len());
        let done = move |written: Result<_, _>| {
            let position = written.ok();
            let written: Outcome = written.map(|_position| ());
            drop(held);
            ticket.settle(written);
            if written.is_ok() {
                metrics.event_received(&source, kind.name(), now_ms());
            }
            // The client may have left.
            let _ = sender.send(written);
            // Last, so that a slow log makes nobody wait for this answer.
            if let Some(Position(position)) = position {
                let kind = kind.name();
                tracing::info!(target: event::LOG_TARGET, position, source, "type" = kind, bytes, %id, "event kept");
            }
        };
        let (received_at_ms, payload) = (event.received_at_ms(), event.encode());
        // A refusal drops `done`, and with it the ticket: the entry goes.
        (self.keep)(Append { tag: id.0, received_at_ms, payload, done: Box::new(done) })?;
        Ok(outcome)
    }
}

impl Future for Taken {
    type Output = Result<(), NotKept>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(outcome) = &mut self.outcome else { return Poll::Ready(Ok(())) };
        Pin::new(outcome).poll(context).map(|told| match told {
            Ok(written) => written.map_err(NotKept::Journal),
            Err(_) => Err(NotKept::Gone),
        })
    }
}
