//! Records put on a topic again, beside the lanes: what `replay` and `dead-letters retry` do, and the running bridge with
//! dead letters that lie in the folder.
//!
//! In: a producer of its own and records, one after the other. Out: for each `Ok` when it is queued; from [`Again::finish`]
//! an `Ok` when all are confirmed, else which is the first that is not. After a failure the caller renews and goes back to
//! that one; [`Again::has_confirmed`] tells it what to leave out on the way. Blocks. Never happens: a record that is called
//! sent before Kafka has confirmed it; one that is sent behind another's failure; a wait without an end.

mod ahead;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cursor::{Arrived, Content};
use super::headers::{Address, Replay, Stamps};
use super::routing::Router;
use super::{Action, DeliveryError, Producer, Receipt, SendError, TOO_LARGE, TopicState};
use crate::journal::{Position, Record};
use ahead::Ahead;
pub use refused::Refused;

/// How long one look for receipts may take.
const SLICE: Duration = Duration::from_millis(20);
/// A probe without an answer is made again.
const PROBE_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long trouble may last that does not pass by itself: a broker that comes up may refuse a login for a moment.
const LASTING_PATIENCE: Duration = Duration::from_secs(3);
/// Records on their way at once; their bodies are in the producer's own, bounded queue.
const OUTSTANDING_MAX: usize = 1_000;

/// See the module.
pub struct Again {
    producer: Box<dyn Producer>,
    router: Router,
    stamps: Stamps,
    /// How long Kafka may be silent.
    patience: Duration,
    known: BTreeSet<Arc<str>>,
    /// Where and of what topic, by token; tokens grow with the records.
    outstanding: BTreeMap<u64, (Position, Arc<str>)>,
    next_token: u64,
    confirmed: u64,
    ahead: Ahead,
    failed: Option<Refused>,
    /// The present producer sends each record in a batch of its own.
    is_alone: bool,
    too_large: Vec<(Position, Arc<str>)>,
    receipts: Vec<Receipt>,
}

/// Where a record goes, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub topic: &'a str,
    /// `None`: as it would have gone the first time.
    pub replay: Option<Replay<'a>>,
}

/// What [`Again::renew`] has learnt of the records before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The failure that ended the sending.
    pub refused: Option<Refused>,
    /// Each of them was refused alone, for its size: its topic will not take it as it is.
    pub too_large: Vec<(Position, Arc<str>)>,
}

impl Again {
    /// Asks no broker yet.
    pub fn new(producer: Box<dyn Producer>, router: Router, patience: Duration) -> Again {
        Again {
            producer,
            router,
            stamps: Stamps::new(),
            patience,
            known: BTreeSet::new(),
            outstanding: BTreeMap::new(),
            next_token: 0,
            confirmed: 0,
            ahead: Ahead::default(),
            failed: None,
            is_alone: false,
            too_large: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// The rules that say where records belong.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Records that Kafka has confirmed; each counts once.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The first record that was handed over and is not confirmed.
    pub fn first_unconfirmed(&self) -> Option<Position> {
        self.outstanding.first_key_value().map(|(_, (position, _))| *position)
    }

    /// Whether Kafka has confirmed it already. Reliable from the first record on that is not confirmed, and until
    /// [`Again::finish`] has told that there is none.
    pub fn has_confirmed(&self, position: Position, topic: &str) -> bool {
        self.ahead.contains(position, topic)
    }

    /// Queues a record. After an error, its own or that of one before it, none is taken until [`Again::renew`].
    pub fn send(&mut self, record: &Record, target: Target<'_>) -> Result<(), Refused> {
        self.check()?;
        let topic = match self.known.get(target.topic) {
            Some(known) => Arc::clone(known),
            None => self.learn(target.topic)?,
        };
        let mut began = Instant::now();
        while !self.has_room_for(record.position) {
            self.wait(&mut began)?;
        }
        let payload = record.payload.clone();
        let arrived = Arrived::new(Record { payload, ..*record }, &self.router);
        loop {
            match self.hand_over(&arrived, target) {
                Ok(()) => break,
                Err(SendError::QueueFull) => self.wait(&mut began)?,
                // No batch was made: the verdict is on this record.
                Err(SendError::Refused(error)) => return Err(self.fail(&topic, record.position, error, true)),
            }
        }
        self.outstanding.insert(self.next_token, (record.position, topic));
        self.next_token += 1;
        self.serve(Duration::ZERO);
        self.check()
    }

    /// Waits until everything is confirmed.
    pub fn finish(&mut self) -> Result<(), Refused> {
        let mut began = Instant::now();
        while !self.outstanding.is_empty() {
            self.wait(&mut began)?;
        }
        self.check()?;
        self.ahead.clear();
        Ok(())
    }

    /// Forgets a failure and what was on its way, with a new producer. `alone`: each record travels in a batch of its own,
    /// so that a verdict falls on it and no other. What the old producer's last receipts say counts: a record may be
    /// confirmed only then, and a broker's verdict may end the producer before it is told.
    pub fn renew(&mut self, alone: bool) -> Result<Renewed, DeliveryError> {
        let mut receipts = Vec::new();
        let made = self.producer.replace(alone, &mut receipts);
        receipts.iter().for_each(|receipt| self.take(receipt));
        self.outstanding.clear();
        let renewed = Renewed { refused: self.failed.take(), too_large: std::mem::take(&mut self.too_large) };
        made?;
        self.is_alone = alone;
        Ok(renewed)
    }

    /// Whether one more may be on its way.
    fn has_room_for(&mut self, position: Position) -> bool {
        let first = self.first_unconfirmed().map_or(position, |first| first.min(position));
        self.ahead.forget_before(first);
        self.outstanding.len() < OUTSTANDING_MAX && self.ahead.has_room_for(position)
    }

    fn hand_over(&mut self, arrived: &Arrived, target: Target<'_>) -> Result<(), SendError> {
        let reason = match &arrived.content {
            Content::Event { route, .. } if *self.router.topics()[route.own] == *target.topic => route.reason,
            _ => None,
        };
        let Target { topic, replay } = target;
        let address = Address { topic, token: self.next_token, reason, aside: None, replay };
        let producer = &mut self.producer;
        self.stamps.lend(arrived, &address, |delivery| producer.send(delivery))
    }

    /// Asks whether the topic takes records.
    fn learn(&mut self, topic: &str) -> Result<Arc<str>, Refused> {
        let mut began = Instant::now();
        let mut probed: Option<Instant> = None;
        loop {
            if probed.is_none_or(|at| at.elapsed() >= PROBE_AGAIN_AFTER) {
                self.producer.probe(topic);
                probed = Some(Instant::now());
            }
            match self.producer.topic_state(topic) {
                TopicState::Known => break,
                TopicState::Missing => return Err(Refused::Missing(topic.to_owned())),
                TopicState::Forbidden => return Err(Refused::Forbidden(topic.to_owned())),
                TopicState::Unknown => self.wait(&mut began)?,
            }
        }
        let topic: Arc<str> = topic.into();
        self.known.insert(Arc::clone(&topic));
        Ok(topic)
    }

    /// Takes receipts for a moment. `began` is when Kafka was last heard of; too long ago ends the waiting.
    fn wait(&mut self, began: &mut Instant) -> Result<(), Refused> {
        if self.serve(SLICE) {
            *began = Instant::now();
        }
        self.check()?;
        if began.elapsed() >= LASTING_PATIENCE.min(self.patience)
            && let Some(trouble) = self.producer.lasting_trouble()
        {
            return Err(self.failed.insert(Refused::Away(trouble)).clone());
        }
        if began.elapsed() >= self.patience {
            return Err(self.failed.insert(Refused::Silent(self.patience.as_secs())).clone());
        }
        Ok(())
    }

    /// Whether anything was confirmed.
    fn serve(&mut self, timeout: Duration) -> bool {
        let (mut receipts, before) = (std::mem::take(&mut self.receipts), self.confirmed);
        self.producer.poll(timeout, &mut receipts);
        receipts.drain(..).for_each(|receipt| self.take(&receipt));
        self.receipts = receipts;
        if self.producer.has_ended() && !self.outstanding.is_empty() {
            // Its failed records may never come back.
            self.failed.get_or_insert(Refused::Ended("fatal"));
        }
        self.confirmed > before
    }

    fn take(&mut self, receipt: &Receipt) {
        match receipt.outcome {
            Ok(()) => {
                let Some((position, topic)) = self.outstanding.remove(&receipt.token) else { return };
                self.confirmed += 1;
                self.ahead.insert(position, topic);
            }
            Err(error) => {
                let Some((position, topic)) = self.outstanding.get(&receipt.token).cloned() else { return };
                self.fail(&topic, position, error, self.is_alone);
            }
        }
    }

    /// The first failure is the one that is told, but for one that says more. `is_its_own`: the verdict is on this record
    /// and no other.
    fn fail(&mut self, topic: &Arc<str>, position: Position, error: DeliveryError, is_its_own: bool) -> Refused {
        let name = topic.to_string();
        let refused = match error.action {
            Action::SetAside(TOO_LARGE) => Refused::TooLarge { topic: name, position },
            Action::NewProducer => Refused::Ended(error.reason),
            _ => Refused::Delivery { topic: name, reason: error.reason },
        };
        if is_its_own && matches!(refused, Refused::TooLarge { .. }) {
            self.too_large.push((position, Arc::clone(topic)));
        }
        if self.failed.as_ref().is_none_or(|told| refused.says_more_than(told)) {
            self.failed = Some(refused.clone());
        }
        refused
    }

    fn check(&self) -> Result<(), Refused> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}
