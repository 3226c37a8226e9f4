//! The publisher against a scripted Kafka and an in-memory journal, in virtual time.

mod kafka;
mod model;
mod scenes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use self::kafka::{Cluster, Scripted};
use super::core::{Core, Now, Pace};
use super::routing::{Router, Topics};
use super::source::{Read, Source};
use crate::event::{Event, Kind};
use crate::health::Health;
use crate::journal::{Item, JournalId, LaneMark, Position, Record};
use crate::metrics::Metrics;

const JOURNAL: JournalId = JournalId([7; 16]);
const START_MS: u64 = 1_700_000_000_000;

/// What has one position in the journal.
#[derive(Clone)]
enum Slot {
    Record(Bytes),
    /// It was damaged, and is quarantined.
    Damaged,
    /// No record ever had it.
    Gap,
}

impl Slot {
    fn record(&self) -> Option<&Bytes> {
        match self {
            Slot::Record(payload) => Some(payload),
            Slot::Damaged | Slot::Gap => None,
        }
    }
}

/// A journal in memory.
#[derive(Default)]
struct Memory {
    /// What is at index i has position i + 1.
    records: Vec<Slot>,
    marks: Vec<LaneMark>,
    dead: BTreeMap<String, Vec<u8>>,
    is_full: bool,
    read_fails: bool,
    /// Records handed out by all readers together.
    reads: usize,
    readers: usize,
}

/// Everything around one publisher, which can be stopped and started again.
struct Bench {
    topics: Topics,
    memory: Arc<Mutex<Memory>>,
    cluster: Arc<Mutex<Cluster>>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    core: Option<Core>,
    now: Now,
}

fn topics() -> Topics {
    Topics {
        prefix: "t.".into(),
        source_prefixes: BTreeMap::new(),
        types: vec![Kind::CallStarted, Kind::CallEnded],
        all: None,
        overrides: BTreeMap::new(),
    }
}

impl Bench {
    /// All topics are there; nothing runs yet.
    fn new(topics: Topics) -> Bench {
        let cluster = Cluster::with_topics(topics.lanes());
        Bench {
            topics,
            memory: Arc::default(),
            cluster: Arc::new(Mutex::new(cluster)),
            metrics: Arc::new(Metrics::new()),
            health: Arc::default(),
            core: None,
            now: Now { wall_ms: START_MS, mono: Duration::ZERO },
        }
    }

    fn started() -> Bench {
        let mut bench = Bench::new(topics());
        bench.start();
        bench
    }

    /// A new process: from the last marks, with a new producer.
    fn start(&mut self) {
        let marks = self.memory().marks.clone();
        self.cluster().forget_producer();
        let core = Core::new(
            Router::new(&self.topics),
            source(&self.memory, &self.cluster, &self.topics),
            Box::new(Scripted::new(&self.cluster)),
            (&marks, Position(1)),
            Arc::clone(&self.metrics),
            Arc::clone(&self.health),
            self.now,
        );
        self.core = Some(core);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    /// Journals an event and gives its position.
    fn event(&self, kind: &str, key: &str, bytes: usize) -> u64 {
        let filler = "x".repeat(bytes);
        let body = format!(r#"{{"event":"{kind}","call":{{"call_id":"{key}"}},"filler":"{filler}"}}"#);
        self.body(body.into())
    }

    /// Journals as many: kind, key and filler of each by its number.
    fn events<K: Into<String>>(&self, count: u64, of: impl Fn(u64) -> (&'static str, K, usize)) {
        for number in 0..count {
            let (kind, key, bytes) = of(number);
            self.event(kind, &key.into(), bytes);
        }
    }

    fn body(&self, body: Bytes) -> u64 {
        let event = Event::unsigned("default", self.now.wall_ms, body);
        self.record(Bytes::from(event.encode().concat()))
    }

    fn record(&self, payload: Bytes) -> u64 {
        let mut memory = self.memory();
        memory.records.push(Slot::Record(payload));
        memory.records.len() as u64
    }

    /// One step, and the time that the publisher would have waited after it.
    fn step(&mut self) -> Pace {
        let now = self.now;
        self.cluster().now = now.mono;
        let pace = self.core.as_mut().expect("started").step(now, Duration::ZERO);
        let waited = match pace {
            Pace::Busy => Duration::ZERO,
            Pace::Receipts { lately: true } => Duration::from_millis(1),
            Pace::Receipts { lately: false } => Duration::from_millis(5),
            Pace::Synced(_) => Duration::from_millis(50),
        };
        self.now.mono += waited;
        self.now.wall_ms += waited.as_millis() as u64;
        pace
    }

    /// Steps for at least this much virtual time.
    fn run(&mut self, ms: u64) {
        let until = self.now.mono + Duration::from_millis(ms);
        while self.now.mono < until {
            self.step();
        }
    }

    /// Steps until it holds; panics when that takes more than `ms`.
    #[track_caller]
    fn run_until(&mut self, ms: u64, holds: impl Fn(&Bench) -> bool) {
        let until = self.now.mono + Duration::from_millis(ms);
        while !holds(self) {
            assert!(self.now.mono < until, "not within {ms} ms; marks {:?}", self.memory().marks);
            self.step();
        }
    }

    /// Steps until all is settled; panics when that takes more than `ms`.
    #[track_caller]
    fn run_until_done(&mut self, ms: u64) {
        let until = self.now.mono + Duration::from_millis(ms);
        while !self.core.as_mut().expect("started").is_done() {
            assert!(self.now.mono < until, "not done in {ms} ms; marks {:?}\n{}", self.memory().marks, self.cluster());
            self.step();
        }
        // The last marks and figures.
        self.run(500);
    }

    fn mark_of(&self, topic: &str) -> u64 {
        self.memory().marks.iter().find(|mark| mark.topic == topic).map_or(0, |mark| mark.position.0)
    }

    #[track_caller]
    fn assert_metric(&self, line: &str) {
        let text = self.metrics.scrape();
        assert!(text.lines().any(|found| found == format!("retell_bridge_{line}")), "{line} is not in\n{text}");
    }
}

/// The journal as the publisher sees it; marks are judged as they come.
fn source(memory: &Arc<Mutex<Memory>>, cluster: &Arc<Mutex<Cluster>>, topics: &Topics) -> Source {
    let share = || Arc::clone(memory);
    let (synced, waiting, reading, marking, keeping) = (share(), share(), share(), share(), share());
    let end = |memory: &Memory| Position(memory.records.len() as u64 + 1);
    let (cluster, router) = (Arc::clone(cluster), Router::new(topics));
    Source {
        synced: Box::new(move || end(&synced.lock().unwrap())),
        wait_synced: Box::new(move |_, _| end(&waiting.lock().unwrap())),
        reader: Box::new(move |from| {
            let memory = Arc::clone(&reading);
            memory.lock().unwrap().readers += 1;
            let mut next = from.0.max(1);
            Box::new(move || read(&mut memory.lock().unwrap(), &mut next))
        }),
        mark: Box::new(move |marks| {
            let mut memory = marking.lock().unwrap();
            model::judge_marks(&marks, &memory, &cluster.lock().unwrap(), &router);
            memory.marks = marks;
        }),
        keep_dead_letter: Box::new(move |name, payload| {
            let mut memory = keeping.lock().unwrap();
            if memory.is_full {
                return Err("no room".into());
            }
            memory.dead.insert(name.to_owned(), payload.to_vec());
            Ok(())
        }),
    }
}

fn read(memory: &mut Memory, next: &mut u64) -> Result<Read, String> {
    if memory.read_fails {
        return Err("input/output error".into());
    }
    loop {
        let position = Position(*next);
        let Some(slot) = memory.records.get(*next as usize - 1).cloned() else { return Ok(Read::End(position)) };
        *next += 1;
        let item = match slot {
            Slot::Gap => continue,
            Slot::Damaged => Item::Damaged { from: position, until: Position(*next) },
            Slot::Record(payload) => {
                let received_at_ms = Event::decode(payload.clone()).map_or(START_MS, |event| event.received_at_ms());
                Item::Record(Record { position, journal: JOURNAL, tag: [1; 16], received_at_ms, payload })
            }
        };
        memory.reads += 1;
        return Ok(Read::Item(item));
    }
}
