//! A Kafka that does as it is told: topics that come and go, limits, outages, refusals, unknown outcomes.
//!
//! Like librdkafka with the gapless guarantee: partitions are queues; a batch that is refused ends the producer, and what
//! stood in its queues is purged; what was written is not always confirmed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::publisher::{Action, Delivery, DeliveryError, PURGED, Producer, Receipt, SendError, TOO_LARGE, TopicState};

const PARTITIONS: u64 = 3;
pub(super) const WAIT: DeliveryError = DeliveryError { action: Action::Wait, reason: "refused" };
pub(super) const RENEW: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "fatal" };
const UNPROVEN: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "unproven" };
const LARGE: DeliveryError = DeliveryError { action: Action::SetAside(TOO_LARGE), reason: "msg_size_too_large" };
const PURGE: DeliveryError = DeliveryError { action: Action::NewProducer, reason: PURGED };

/// One record as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub position: u64,
    pub key: String,
    pub bytes: usize,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    token: u64,
}

pub(super) struct Topic {
    pub state: TopicState,
    /// Values above this are refused.
    pub limit: usize,
    /// Whether anything is answered; `false`: records stay where they are.
    pub answers: bool,
    /// Takes nothing, and each refusal ends the producer: the right to write is missing, and the gapless guarantee is on.
    pub forbids: bool,
    pub log: Vec<Written>,
}

pub(super) struct Cluster {
    pub now: Duration,
    pub topics: BTreeMap<String, Topic>,
    pub up: bool,
    /// Deliveries that fit in the client's queue.
    pub room: usize,
    /// Values above this are refused by the client itself.
    pub client_limit: usize,
    /// From a new producer to its first word with a broker.
    pub connects_in: Duration,
    /// What happens to the next batches, first come first served; `None` in between: nothing special.
    pub script: VecDeque<Option<Event>>,
    /// Chooses partition, batch size and delays.
    pub dice: Dice,
    pub replaced: Vec<bool>,
    pub probes: usize,
    /// Topics that refuse everything until the publisher has seen all receipts of a refusal: what was sent before it
    /// could know is not let past.
    refusing: BTreeSet<String>,
    queues: BTreeMap<(String, u64), VecDeque<Written>>,
    alone: bool,
    is_dead: bool,
    connected_at: Duration,
    receipts: Vec<Receipt>,
}

/// What can happen to a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// Written, and the confirmation is lost: the producer ends.
    Unknown,
    /// Not written, refused; the producer goes on.
    Refused,
    /// Not written; the producer ends.
    Fatal,
    /// Not written, and the client knows no better than that it is; what stands behind it is written all the same.
    Unproven,
}

/// A small generator (splitmix64): the same seed, the same story.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

impl Cluster {
    pub fn with_topics(names: Vec<String>) -> Cluster {
        let topic =
            || Topic { state: TopicState::Known, limit: usize::MAX, answers: true, forbids: false, log: Vec::new() };
        Cluster {
            now: Duration::ZERO,
            topics: names.into_iter().map(|name| (name, topic())).collect(),
            up: true,
            room: 1_000,
            client_limit: usize::MAX,
            connects_in: Duration::ZERO,
            script: VecDeque::new(),
            dice: Dice(1),
            replaced: Vec::new(),
            probes: 0,
            refusing: BTreeSet::new(),
            queues: BTreeMap::new(),
            alone: false,
            is_dead: false,
            connected_at: Duration::ZERO,
            receipts: Vec::new(),
        }
    }

    pub fn topic(&mut self, name: &str) -> &mut Topic {
        self.topics.get_mut(name).unwrap_or_else(|| panic!("no topic {name}"))
    }

    /// Positions on a topic, as written.
    pub fn positions(&self, name: &str) -> Vec<u64> {
        self.topics[name].log.iter().map(|written| written.position).collect()
    }

    /// The process ended: what it had queued is gone.
    pub fn forget_producer(&mut self) {
        self.queues.clear();
        self.receipts.clear();
        self.refusing.clear();
        (self.alone, self.is_dead) = (false, false);
    }

    pub fn queued(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    /// One batch of one partition, if any can move; a refusal is quicker than a write.
    fn work(&mut self) {
        let mut movable: Vec<(String, u64)> = self
            .queues
            .iter()
            .filter(|((topic, _), queue)| !queue.is_empty() && self.topics[topic].answers)
            .map(|(place, _)| place.clone())
            .collect();
        if !self.up || self.is_dead || movable.is_empty() || self.now < self.connected_at {
            return;
        }
        if movable.iter().any(|(topic, _)| self.topics[topic].forbids) {
            movable.retain(|(topic, _)| self.topics[topic].forbids);
        }
        let place = movable[self.dice.below(movable.len() as u64) as usize].clone();
        let most = if self.alone { 1 } else { 1 + self.dice.below(8) as usize };
        let queue = self.queues.get_mut(&place).unwrap();
        let batch: Vec<Written> = queue.drain(..most.min(queue.len())).collect();
        self.deliver(&place.0, batch);
    }

    fn deliver(&mut self, name: &str, batch: Vec<Written>) {
        let topic = self.topics.get_mut(name).unwrap();
        let event = self.script.pop_front().flatten();
        let topic_forbids = topic.forbids;
        let is_known = topic.state == TopicState::Known && !self.refusing.contains(name);
        let fits = batch.iter().all(|written| written.bytes <= topic.limit);
        let (writes, outcome) = match event {
            _ if !is_known => return self.refuse_topic(name, batch),
            _ if topic.forbids => (false, Err(WAIT)),
            _ if !fits => (false, Err(LARGE)),
            Some(Event::Refused) => (false, Err(WAIT)),
            Some(Event::Fatal) => (false, Err(RENEW)),
            Some(Event::Unproven) => (false, Err(UNPROVEN)),
            Some(Event::Unknown) => (true, Err(RENEW)),
            None => (true, Ok(())),
        };
        if writes {
            topic.log.extend(batch.iter().cloned());
        }
        self.receipts.extend(batch.iter().map(|written| Receipt { token: written.token, outcome }));
        if let Some(Event::Refused) = event {
            // What stands behind it in its topic fails as well.
            self.refuse_topic(name, Vec::new());
        }
        if topic_forbids || outcome.is_err_and(|error| error != WAIT && error != UNPROVEN) {
            self.purge();
        }
    }

    /// Fails everything that is queued for a topic, in order.
    fn refuse_topic(&mut self, name: &str, batch: Vec<Written>) {
        self.refusing.insert(name.to_owned());
        let queues = self.queues.iter_mut().filter(|((topic, _), _)| topic == name);
        let queued: Vec<Written> = queues.flat_map(|(_, queue)| queue.drain(..)).collect();
        let failed = batch.into_iter().chain(queued);
        self.receipts.extend(failed.map(|written| Receipt { token: written.token, outcome: Err(WAIT) }));
    }

    /// All receipts have been taken. What was sent before they were is refused as well; a topic where nothing was, takes
    /// records again.
    fn end_refusals(&mut self) {
        for name in std::mem::take(&mut self.refusing) {
            if self.queues.iter().any(|((topic, _), queue)| *topic == name && !queue.is_empty()) {
                self.refuse_topic(&name, Vec::new());
            }
        }
    }

    fn purge(&mut self) {
        self.is_dead = true;
        let queued: Vec<Written> = self.queues.values_mut().flat_map(|queue| queue.drain(..)).collect();
        for written in queued {
            // Not all deliveries come back by themselves.
            if self.dice.one_in(2) {
                self.receipts.push(Receipt { token: written.token, outcome: Err(PURGE) });
            }
        }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "up {} dead {} alone {} queued {}", self.up, self.is_dead, self.alone, self.queued())?;
        self.topics.iter().try_for_each(|(name, topic)| {
            let positions: Vec<u64> = topic.log.iter().map(|written| written.position).collect();
            writeln!(f, "{name} {:?} limit {} log {positions:?}", topic.state, topic.limit)
        })
    }
}

/// The producer's side of the cluster.
pub(super) struct Scripted {
    cluster: Arc<Mutex<Cluster>>,
    /// Topics asked for, and when the answer is there.
    asked: BTreeMap<String, Duration>,
}

impl Scripted {
    pub fn new(cluster: &Arc<Mutex<Cluster>>) -> Scripted {
        Scripted { cluster: Arc::clone(cluster), asked: BTreeMap::new() }
    }
}

impl Producer for Scripted {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        let mut cluster = self.cluster.lock().unwrap();
        if cluster.is_dead {
            return Err(SendError::Refused(RENEW));
        }
        if delivery.value.len() > cluster.client_limit {
            return Err(SendError::Refused(LARGE));
        }
        if cluster.queued() >= cluster.room {
            return Err(SendError::QueueFull);
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers: BTreeMap<String, String> =
            delivery.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let written = Written {
            position: headers["retell_position"].parse().unwrap(),
            key: delivery.key.map(text).unwrap_or_default(),
            bytes: delivery.value.len(),
            value: delivery.value.to_vec(),
            headers,
            token: delivery.token,
        };
        let partition = written.key.bytes().map(u64::from).sum::<u64>() % PARTITIONS;
        cluster.queues.entry((delivery.topic.to_owned(), partition)).or_default().push_back(written);
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        let mut cluster = self.cluster.lock().unwrap();
        let batches = cluster.dice.below(6);
        (0..batches).for_each(|_| cluster.work());
        // Receipts come in any order between partitions, and some come later.
        let mut ready = std::mem::take(&mut cluster.receipts);
        let cut = if ready.is_empty() { 0 } else { cluster.dice.below(ready.len() as u64 + 1) as usize };
        ready.rotate_left(cut);
        if cluster.dice.one_in(3) {
            cluster.receipts = ready.split_off(ready.len() / 2);
        } else {
            cluster.end_refusals();
        }
        receipts.append(&mut ready);
    }

    fn probe(&mut self, topic: &str) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.probes += 1;
        self.asked.insert(topic.to_owned(), cluster.now + Duration::from_millis(20));
    }

    fn topic_state(&self, topic: &str) -> TopicState {
        let cluster = self.cluster.lock().unwrap();
        match self.asked.get(topic) {
            Some(at) if cluster.up && cluster.now >= *at => cluster.topics[topic].state,
            _ => TopicState::Unknown,
        }
    }

    fn replace(&mut self, alone: bool, receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.purge();
        receipts.append(&mut cluster.receipts);
        cluster.refusing.clear();
        cluster.replaced.push(alone);
        (cluster.alone, cluster.is_dead) = (alone, false);
        cluster.connected_at = cluster.now + cluster.connects_in;
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.cluster.lock().unwrap().is_dead
    }

    fn is_up(&self) -> bool {
        self.cluster.lock().unwrap().up
    }

    fn error_reasons(&self) -> &'static [&'static str] {
        &["refused", "fatal", "unproven", "msg_size_too_large", PURGED]
    }
}
