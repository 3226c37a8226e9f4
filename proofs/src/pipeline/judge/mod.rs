//! The judge: what was promised, what was done with it, and the one sentence that says what is wrong.
//!
//! In: every event that was signed, every append and its answer, every answer to a sender, every delivery, receipt, record
//! on a topic, dead letter and mark, every recovery. Out: the first thing that is wrong. Never happens: it asks the bridge
//! what it thinks; where a route or a fingerprint is needed, the router is asked, which has tests of its own.
//!
//! | file | judges |
//! | --- | --- |
//! | `intake` | answers, repeats |
//! | `publishing` | deliveries, receipts, order, dead letters |
//! | `marks` | checkpoints, recoveries, and that nothing is missing at the end |

mod intake;
mod marks;
mod publishing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use retell_bridge::event::Peek;
use retell_bridge::journal::Tag;
use retell_bridge::publisher::{Router, Topics};

pub use marks::Found;
pub use publishing::Handed;

/// What is wrong, in a sentence.
pub type Wrong = String;

/// What Kafka takes, the same for a whole scene.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest value that a topic takes.
    pub topic_bytes: usize,
    /// The same for dead-letter topics.
    pub dead_letter_bytes: usize,
    /// Longest value that the client takes.
    pub client_bytes: usize,
    /// Values with [`POISON`] in them are invalid records.
    pub has_poison: bool,
}

/// What makes a value an invalid record.
pub const POISON: &[u8] = b"INVALID_RECORD";

impl Limits {
    /// Whether a broker calls the value invalid.
    pub fn is_invalid(&self, value: &[u8]) -> bool {
        self.has_poison && value.windows(POISON.len()).any(|window| window == POISON)
    }

    /// Whether `reason` is a reason why no topic takes it.
    fn bars(&self, value: &[u8], reason: &str) -> bool {
        match reason {
            "too_large" => value.len() > self.topic_bytes.min(self.client_bytes),
            "invalid" => self.is_invalid(value),
            _ => false,
        }
    }
}

/// An event as a sender signed it.
#[derive(Debug, Clone)]
pub struct Signed {
    pub source: String,
    pub body: Bytes,
    pub key: Option<String>,
}

/// One record of the journal that is known to be durable.
#[derive(Debug, Clone)]
struct Record {
    tag: Tag,
    received_at_ms: u64,
    /// The life in which it was kept, or found again.
    life: usize,
    /// Settings of the clock before it was admitted.
    jumps: u64,
    is_recovered: bool,
}

/// A first copy that is queued.
#[derive(Debug)]
struct Queued {
    tag: Tag,
    received_at_ms: u64,
    jumps: u64,
}

/// One process.
struct Life {
    router: Router,
    all: Option<String>,
    /// Where each lane starts.
    starts: BTreeMap<String, u64>,
    /// Positions that its recovery found.
    found: BTreeSet<u64>,
}

/// See the module.
pub struct Judge {
    limits: Limits,
    window_ms: u64,
    signed: BTreeMap<Tag, Signed>,
    records: BTreeMap<u64, Record>,
    by_tag: BTreeMap<Tag, Vec<u64>>,
    queued: Vec<Queued>,
    promised: BTreeSet<Tag>,
    lives: Vec<Life>,
    /// By topic where it should have gone: confirmed to the publisher, or a dead letter.
    settled: BTreeMap<String, BTreeSet<u64>>,
    /// Those of them that only a file in `<dir>/dead/` settles, by its name.
    on_disk: BTreeMap<String, (String, u64)>,
    /// Those files that a mark has passed: they must never be gone.
    relied: BTreeSet<String>,
    /// Confirmed to the publisher of this life.
    confirmed: BTreeSet<(String, u64)>,
    /// By topic: positions on it.
    written: BTreeMap<String, BTreeSet<u64>>,
    /// By topic and key: the newest first copy.
    newest: BTreeMap<(String, String), u64>,
    /// By topic: everything before is settled, as judged.
    verified: BTreeMap<String, u64>,
    pub count: Count,
    wrong: Option<Wrong>,
    /// What happened between bridge and Kafka, where the story is to be told.
    story: Option<Vec<String>>,
}

/// What was seen, for the figure.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    pub promised: u64,
    pub repeats: u64,
    pub refused: u64,
    pub deliveries: u64,
    pub dead_letters: u64,
    pub marks: u64,
}

/// Everyone's handle on it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Judge>>);

impl Shared {
    pub fn new(limits: Limits, window_ms: u64) -> Shared {
        Shared(Arc::new(Mutex::new(Judge::new(limits, window_ms))))
    }

    pub fn ask(&self) -> MutexGuard<'_, Judge> {
        self.0.lock().expect("a scene is one thread")
    }
}

impl Judge {
    fn new(limits: Limits, window_ms: u64) -> Judge {
        Judge {
            limits,
            window_ms,
            signed: BTreeMap::new(),
            records: BTreeMap::new(),
            by_tag: BTreeMap::new(),
            queued: Vec::new(),
            promised: BTreeSet::new(),
            lives: Vec::new(),
            settled: BTreeMap::new(),
            on_disk: BTreeMap::new(),
            relied: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            written: BTreeMap::new(),
            newest: BTreeMap::new(),
            verified: BTreeMap::new(),
            count: Count::default(),
            wrong: None,
            story: None,
        }
    }

    /// Keeps the story from now on.
    pub fn tells(&mut self) {
        self.story.get_or_insert_default();
    }

    pub fn take_story(&mut self) -> Vec<String> {
        self.story.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    /// The first thing that is wrong stays.
    fn is_wrong(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    /// Something that only the scene could see.
    pub fn found(&mut self, wrong: Wrong) {
        self.is_wrong(wrong);
    }

    /// A bound of memory does not hold.
    pub fn exceeds(&mut self, what: String) {
        self.is_wrong(format!("beyond its bound: {what}"));
    }

    /// `Err` once anything is wrong.
    pub fn verdict(&self) -> Result<(), Wrong> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    fn life(&self) -> &Life {
        self.lives.last().expect("nothing is judged before the first start")
    }

    /// A new process begins, with these settings.
    fn begin_life(&mut self, topics: &Topics, starts: BTreeMap<String, u64>, found: BTreeSet<u64>) {
        self.lives.push(Life { router: Router::new(topics), all: topics.all.clone(), starts, found });
        self.confirmed.clear();
        self.queued.clear();
    }

    /// The topics of a record under one life's settings: its own, and the one for all.
    fn topics_of(&self, life: &Life, record: &Record) -> Vec<String> {
        let signed = &self.signed[&record.tag];
        let route = life.router.route(&signed.source, &Peek::at(&signed.body));
        let name = |topic: usize| life.router.topics()[topic].to_string();
        std::iter::once(route.own).chain(route.all).map(name).collect()
    }

    fn is_settled(&self, topic: &str, position: u64) -> bool {
        self.settled.get(topic).is_some_and(|settled| settled.contains(&position))
            || self.on_disk.values().any(|(lane, at)| lane == topic && *at == position)
    }
}

impl Count {
    pub fn add(&mut self, other: Count) {
        self.promised += other.promised;
        self.repeats += other.repeats;
        self.refused += other.refused;
        self.deliveries += other.deliveries;
        self.dead_letters += other.dead_letters;
        self.marks += other.marks;
    }
}
