//! Records put on a topic again, beside the lanes: what `replay` and `dead-letters retry` do, and the running bridge with
//! dead letters that lie in the folder.
//!
//! In: a producer of its own and records, one after the other. Out: for each `Ok` when it is queued; from [`Again::finish`]
//! an `Ok` when all are confirmed, else which is the first that is not. Blocks. Never happens: a record that is called
//! sent before Kafka has confirmed it; one that is sent behind another's failure; a wait without an end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cursor::{Arrived, Content};
use super::headers::{Address, Replay, Stamps};
use super::routing::Router;
use super::{Action, DeliveryError, Producer, Receipt, SendError, TOO_LARGE, TopicState};
use crate::journal::{Position, Record};

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
    failed: Option<Refused>,
    receipts: Vec<Receipt>,
}

/// Where a record goes, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub topic: &'a str,
    /// `None`: as it would have gone the first time.
    pub replay: Option<Replay<'a>>,
}

/// Why records do not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was sent to it.
    #[error("there is no topic {0}: make it (`topics apply` makes those of the settings), or name another one")]
    Missing(String),
    /// Nothing was sent to it.
    #[error("topic {0} is forbidden to this user: grant Write on it")]
    Forbidden(String),
    /// What is on its way may have been written.
    #[error("Kafka has not answered for {0} s: check kafka.brokers and the network")]
    Silent(u64),
    /// The same, and it will not pass by itself: what it is, with its cure.
    #[error("{0}")]
    Away(String),
    /// The topic's limit is below the record, or, unless records travel alone, below one of its batch.
    #[error(
        "topic {topic} does not take a record of this size: raise its max.message.bytes (`topics apply` does, for those of the settings)"
    )]
    TooLarge { topic: String, position: Position },
    /// What is on its way may have been written. No topic is to blame: the client gives up all of them.
    #[error("the Kafka client gave up ({0}): run it again; if it stays, the brokers' log says why")]
    Ended(&'static str),
    /// It may have been written.
    #[error("topic {topic} refuses the record: {reason}")]
    Delivery { topic: String, reason: &'static str },
}

impl Refused {
    /// Kafka cannot be reached: no record would fare better now.
    pub fn is_away(&self) -> bool {
        matches!(self, Refused::Silent(_) | Refused::Away(_))
    }

    fn says_more_than(&self, other: &Refused) -> bool {
        let rank = |refused: &Refused| match refused {
            Refused::TooLarge { .. } => 2,
            Refused::Ended(_) => 0,
            _ => 1,
        };
        rank(self) > rank(other)
    }
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
            failed: None,
            receipts: Vec::new(),
        }
    }

    /// The rules that say where records belong.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Records that Kafka has confirmed.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The first record that was handed over and is not confirmed.
    pub fn first_unconfirmed(&self) -> Option<Position> {
        self.outstanding.first_key_value().map(|(_, (position, _))| *position)
    }

    /// Queues a record. After an error, its own or that of one before it, none is taken until [`Again::renew`].
    pub fn send(&mut self, record: &Record, target: Target<'_>) -> Result<(), Refused> {
        self.check()?;
        let topic = match self.known.get(target.topic) {
            Some(known) => Arc::clone(known),
            None => self.learn(target.topic)?,
        };
        let mut began = Instant::now();
        while self.outstanding.len() >= OUTSTANDING_MAX {
            self.wait(&mut began)?;
        }
        let payload = record.payload.clone();
        let arrived = Arrived::new(Record { payload, ..*record }, &self.router);
        loop {
            match self.hand_over(&arrived, target) {
                Ok(()) => break,
                Err(SendError::QueueFull) => self.wait(&mut began)?,
                Err(SendError::Refused(error)) => return Err(self.fail(&topic, record.position, error)),
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
        self.check()
    }

    /// Forgets a failure and what was on its way, with a new producer. `alone`: each record travels in a batch of its own,
    /// so that a verdict falls on it and no other. What was refused, as the old producer's last receipts say it where they
    /// say more: a broker's verdict may end the producer before it is told.
    pub fn renew(&mut self, alone: bool) -> Result<Option<Refused>, DeliveryError> {
        let mut receipts = Vec::new();
        let made = self.producer.replace(alone, &mut receipts);
        receipts.iter().for_each(|receipt| self.take_failure(receipt));
        self.outstanding.clear();
        let refused = self.failed.take();
        made.map(|()| refused)
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
        for receipt in receipts.drain(..) {
            match receipt.outcome {
                Ok(()) => self.confirmed += u64::from(self.outstanding.remove(&receipt.token).is_some()),
                Err(_) => self.take_failure(&receipt),
            }
        }
        self.receipts = receipts;
        if self.producer.has_ended() && !self.outstanding.is_empty() {
            // Its failed records may never come back.
            self.failed.get_or_insert(Refused::Ended("fatal"));
        }
        self.confirmed > before
    }

    fn take_failure(&mut self, receipt: &Receipt) {
        if let (Err(error), Some((position, topic))) = (receipt.outcome, self.outstanding.get(&receipt.token).cloned())
        {
            self.fail(&topic, position, error);
        }
    }

    /// The first failure is the one that is told, but for one that says more.
    fn fail(&mut self, topic: &str, position: Position, error: DeliveryError) -> Refused {
        let topic = topic.to_owned();
        let refused = match error.action {
            Action::SetAside(TOO_LARGE) => Refused::TooLarge { topic, position },
            Action::NewProducer => Refused::Ended(error.reason),
            _ => Refused::Delivery { topic, reason: error.reason },
        };
        if self.failed.as_ref().is_none_or(|told| refused.says_more_than(told)) {
            self.failed = Some(refused.clone());
        }
        refused
    }

    fn check(&self) -> Result<(), Refused> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::*;
    use crate::event::Event;
    use crate::journal::JournalId;
    use crate::publisher::Delivery;
    use crate::publisher::routing::tests::topics;

    /// Takes records and answers as the script says: `None` never, `Some` this; where the script has ended, confirms.
    #[derive(Default)]
    struct Scripted {
        script: VecDeque<Option<DeliveryError>>,
        queued: Vec<u64>,
        full: usize,
        has_ended: bool,
        /// Given when it is replaced.
        late: Option<Receipt>,
        state: Option<TopicState>,
    }

    const LARGE: DeliveryError = DeliveryError { action: Action::SetAside(TOO_LARGE), reason: "msg_size_too_large" };
    const FATAL: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "gapless_guarantee" };

    impl Producer for Scripted {
        fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
            if self.full > 0 {
                self.full -= 1;
                return Err(SendError::QueueFull);
            }
            self.queued.push(delivery.token);
            Ok(())
        }

        fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
            let script = &mut self.script;
            receipts.extend(self.queued.drain(..).filter_map(|token| match script.pop_front() {
                None => Some(Receipt { token, outcome: Ok(()) }),
                Some(error) => error.map(|error| Receipt { token, outcome: Err(error) }),
            }));
        }

        fn probe(&mut self, _topic: &str) {}

        fn topic_state(&self, _topic: &str) -> TopicState {
            self.state.unwrap_or(TopicState::Known)
        }

        fn replace(&mut self, _alone: bool, receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
            (self.has_ended, self.script) = (false, VecDeque::new());
            receipts.extend(self.late.take());
            Ok(())
        }

        fn has_ended(&self) -> bool {
            self.has_ended
        }

        fn is_up(&self) -> bool {
            true
        }

        fn error_reasons(&self) -> &'static [&'static str] {
            &[]
        }
    }

    fn again(producer: Scripted) -> Again {
        Again::new(Box::new(producer), Router::new(&topics()), Duration::from_millis(50))
    }

    fn record(position: u64) -> Record {
        let event =
            Event::unsigned("default", 5, Bytes::from_static(br#"{"event":"call_ended","call":{"call_id":"c"}}"#));
        let payload = Bytes::from(event.encode().concat());
        Record { position: Position(position), journal: JournalId([1; 16]), tag: [0; 16], received_at_ms: 5, payload }
    }

    const TARGET: Target<'_> = Target { topic: "retell.call_ended", replay: None };

    #[test]
    fn what_is_confirmed_is_counted_and_nothing_is_left() {
        let mut again = again(Scripted { full: 3, ..Scripted::default() });
        (1..=5).for_each(|position| again.send(&record(position), TARGET).unwrap());
        again.finish().unwrap();
        assert_eq!((again.confirmed(), again.first_unconfirmed()), (5, None));
    }

    #[test]
    fn a_refusal_stops_everything_behind_it_and_tells_the_first_that_is_not_confirmed() {
        let script = [Some(FATAL), Some(LARGE)].into();
        let mut again = again(Scripted { script, ..Scripted::default() });
        let fatal = Refused::Ended("gapless_guarantee");
        assert_eq!(again.send(&record(7), TARGET), Err(fatal.clone()));
        assert_eq!(again.send(&record(8), TARGET), Err(fatal.clone()), "nothing goes behind it");
        assert_eq!((again.confirmed(), again.first_unconfirmed()), (0, Some(Position(7))));
        assert_eq!(again.renew(true).unwrap(), Some(fatal));
        again.send(&record(7), TARGET).unwrap();
        assert_eq!((again.finish(), again.confirmed()), (Ok(()), 1));
    }

    #[test]
    fn a_silent_kafka_ends_the_waiting() {
        let mut again = again(Scripted { script: [None].into(), ..Scripted::default() });
        again.send(&record(7), TARGET).unwrap();
        assert_eq!(again.finish(), Err(Refused::Silent(0)));
        assert_eq!(again.first_unconfirmed(), Some(Position(7)));
    }

    #[test]
    fn nothing_is_sent_to_a_topic_that_is_missing_forbidden_or_not_known_in_time() {
        for (state, refused) in [
            (TopicState::Missing, Refused::Missing(TARGET.topic.into())),
            (TopicState::Forbidden, Refused::Forbidden(TARGET.topic.into())),
            (TopicState::Unknown, Refused::Silent(0)),
        ] {
            let mut again = again(Scripted { state: Some(state), ..Scripted::default() });
            assert_eq!(again.send(&record(7), TARGET), Err(refused));
            assert_eq!(again.first_unconfirmed(), None);
        }
    }

    #[test]
    fn a_producer_that_ended_without_a_word_about_its_records_is_a_refusal() {
        let mut again = again(Scripted { script: [None].into(), has_ended: true, ..Scripted::default() });
        let sent = again.send(&record(7), TARGET);
        assert_eq!(sent.and_then(|()| again.finish()), Err(Refused::Ended("fatal")), "and blames no topic");
    }

    #[test]
    fn a_verdict_that_comes_only_when_its_producer_is_replaced_is_told() {
        let late = Some(Receipt { token: 0, outcome: Err(LARGE) });
        let mut again = again(Scripted { script: [None].into(), has_ended: true, late, ..Scripted::default() });
        let sent = again.send(&record(7), TARGET);
        assert_eq!(sent.and_then(|()| again.finish()), Err(Refused::Ended("fatal")));
        let large = Refused::TooLarge { topic: TARGET.topic.into(), position: Position(7) };
        assert_eq!(again.renew(true).unwrap(), Some(large));
        again.send(&record(7), TARGET).unwrap();
        assert_eq!(again.finish(), Ok(()));
    }
}
