//! A Kafka that does as it is told, behind the publisher's own seam.
//!
//! Like librdkafka with the gapless guarantee: each partition is a queue; of every queue some batches are written in order,
//! confirmed in order, and late; a broker's verdict on a batch ends the producer and purges its queues; a failure of
//! another kind fails all that is queued for the topic. What was written is not always confirmed, and what was not may be
//! told as confirmed without an offset, with what stands behind it written.
//!
//! In: deliveries, mishaps. Out: receipts, topics' states; to the judge what was handed, written and confirmed. Never
//! happens: within one partition a record before one that was queued earlier, but after a failure or an unproven
//! confirmation that the publisher was told of.

mod producer;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use retell_bridge::publisher::{Action, DeliveryError, INVALID, PURGED, Receipt, TOO_LARGE, TopicState};

use super::clock::Clock;
use super::judge::{Limits, Shared};
use crate::random::Random;
use crate::simulation::disk::SimDisk;

pub use producer::Scripted;

const PARTITIONS: u64 = 3;
const WAIT: DeliveryError = DeliveryError { action: Action::Wait, reason: "timed_out" };
const FATAL: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "fatal" };
const LARGE: DeliveryError = DeliveryError { action: Action::SetAside(TOO_LARGE), reason: "msg_size_too_large" };
const BAD: DeliveryError = DeliveryError { action: Action::SetAside(INVALID), reason: "invalid_record" };
const PURGE: DeliveryError = DeliveryError { action: Action::NewProducer, reason: PURGED };
const SETTINGS: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "settings" };
const UNPROVEN: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "unproven" };
/// No right to write: known only from the broker's verdict, which ends the producer as every other one does.
const UNAUTHORIZED: DeliveryError = DeliveryError { action: Action::Wait, reason: "topic_authorization_failed" };
const REASONS: [&str; 8] = [
    "topic_authorization_failed",
    "timed_out",
    "fatal",
    "msg_size_too_large",
    "invalid_record",
    PURGED,
    "unproven",
    "settings",
];

/// What happens to a batch that nothing speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Written, and then no word: the delivery fails, and the topic with it.
    WrittenAndTimedOut,
    /// Not written, no word.
    TimedOut,
    /// Written; the producer ends before the word comes.
    WrittenAndFatal,
    /// Not written; the producer ends.
    Fatal,
    /// Not written, and confirmed without an offset; what is queued behind it is written all the same.
    Unproven,
    /// Written, and confirmed without an offset.
    WrittenAndUnproven,
}

/// One record on its way.
#[derive(Debug, Clone)]
struct Queued {
    token: u64,
    topic: String,
    partition: u64,
    /// Where it should have gone, of a dead letter; else `topic`.
    lane: String,
    is_dead_letter: bool,
    position: u64,
    key: Option<String>,
    value_bytes: usize,
    is_invalid: bool,
}

struct Topic {
    state: TopicState,
    /// Whether anything queued for it moves.
    answers: bool,
    /// Whether each delivery is refused, though the topic looks well.
    is_write_missing: bool,
}

/// See the module.
pub struct Cluster {
    topics: BTreeMap<String, Topic>,
    pub is_up: bool,
    /// Deliveries that fit in the client's queue.
    pub room: usize,
    /// What befalls the next batches; `None`: nothing special.
    pub script: VecDeque<Option<Fate>>,
    /// A new producer cannot be made.
    pub replacing_fails: bool,
    /// How late a topic's state is known.
    pub answer_after: Duration,
    limits: Limits,
    random: Random,
    clock: Clock,
    judge: Shared,
    /// The bridge's machine: without power it sends nothing.
    machine: SimDisk,
    queues: BTreeMap<(String, u64), VecDeque<Queued>>,
    receipts: Vec<(Queued, Result<(), DeliveryError>)>,
    /// Topics that failed, until the publisher knows: what it sends before fails as well.
    failing: BTreeSet<String>,
    is_alone: bool,
    has_ended: bool,
    pub producers: u64,
}

/// Everyone's handle on it.
#[derive(Clone)]
pub struct Kafka(Arc<Mutex<Cluster>>);

impl Kafka {
    pub fn new(limits: Limits, random: Random, clock: Clock, judge: Shared, machine: SimDisk) -> Kafka {
        Kafka(Arc::new(Mutex::new(Cluster {
            topics: BTreeMap::new(),
            is_up: true,
            room: 2_000,
            script: VecDeque::new(),
            replacing_fails: false,
            answer_after: Duration::from_millis(20),
            limits,
            random,
            clock,
            judge,
            machine,
            queues: BTreeMap::new(),
            receipts: Vec::new(),
            failing: BTreeSet::new(),
            is_alone: false,
            has_ended: false,
            producers: 0,
        })))
    }

    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().expect("a scene is one thread")
    }

    /// A producer for a new process.
    pub fn producer(&self) -> Box<Scripted> {
        Box::new(Scripted::new(self.clone()))
    }
}

impl Cluster {
    /// Sets a topic's state; a topic that nobody has named is there.
    pub fn set_topic(&mut self, name: &str, state: TopicState, answers: bool) {
        self.topics.insert(name.to_owned(), Topic { state, answers, is_write_missing: false });
    }

    /// Takes the right to write, and leaves the one to look.
    pub fn forbid_writes(&mut self, name: &str) {
        let topic = Topic { state: TopicState::Known, answers: true, is_write_missing: true };
        self.topics.insert(name.to_owned(), topic);
    }

    /// All is well.
    pub fn heal(&mut self) {
        self.topics.clear();
        self.script.clear();
        (self.is_up, self.replacing_fails, self.room) = (true, false, 2_000);
        self.answer_after = Duration::from_millis(20);
    }

    fn state(&self, topic: &str) -> TopicState {
        self.topics.get(topic).map_or(TopicState::Known, |topic| topic.state)
    }

    fn limit_bytes(&self, topic: &str) -> usize {
        if topic.ends_with("dead_letter") { self.limits.dead_letter_bytes } else { self.limits.topic_bytes }
    }

    /// Records and bytes of one topic that were queued and have no receipt yet.
    fn outstanding(&self, topic: &str) -> (usize, usize) {
        let of = |queued: &&Queued| queued.topic == topic && !queued.is_dead_letter;
        let queued = self.queues.values().flatten().filter(of).map(|queued| queued.value_bytes);
        let told = self.receipts.iter().map(|(queued, _)| queued).filter(of).map(|queued| queued.value_bytes);
        queued.chain(told).fold((0, 0), |(records, bytes), more| (records + 1, bytes + more))
    }

    /// What the broker can have got of the old producer's queues without anyone being told, then nothing of it is left.
    pub fn forget_producer(&mut self) {
        self.write_some_unheard();
        self.queues.clear();
        self.receipts.clear();
        self.failing.clear();
        (self.is_alone, self.has_ended) = (false, false);
    }
}
