//! The journal as a whole, on a real disk with small segments, stepped without threads; one file for each question.

mod failing;
mod filling;
mod inspecting;
mod keeping;
mod recovering;
mod retaining;
mod rotting;
mod running;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::storage::Disk;
use super::{
    Append, AppendError, Item, JournalId, LaneMark, OpenError, Options, Position, Record, Stepped, open_stepped,
};
use crate::health::Health;
use crate::metrics::Metrics;

const KIB: u64 = 1 << 10;
const START_MS: u64 = 1_700_000_000_000;

/// Records as {position, fill byte}, and damage as {from, until}.
type Read = (Vec<(u64, u8)>, Vec<(u64, u64)>);
type Outcomes = Arc<Mutex<Vec<Result<Position, AppendError>>>>;

/// A folder, and what happened to what was appended there.
struct Scene {
    folder: tempfile::TempDir,
    options: Options,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    outcomes: Outcomes,
}

impl Scene {
    fn new() -> Scene {
        let options = Options {
            segment_bytes: 64 * KIB,
            size_max_bytes: 1024 * KIB,
            retention: Duration::from_secs(24 * 3_600),
            quarantine_retention: Duration::from_secs(30 * 24 * 3_600),
            checkpoint_every: Duration::ZERO,
            allow_ephemeral: true,
        };
        let folder = tempfile::tempdir().unwrap();
        Scene { folder, options, metrics: Arc::default(), health: Arc::default(), outcomes: Arc::default() }
    }

    fn try_open(&self, identity: u8) -> Result<Stepped, OpenError> {
        let disk = Arc::new(Disk::new(self.folder.path()).unwrap());
        let id = JournalId([identity; 16]);
        open_stepped(disk, self.options.clone(), self.metrics.clone(), self.health.clone(), START_MS, id)
    }

    fn open(&self) -> Stepped {
        self.try_open(1).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Queues a record of so many bytes, all `fill`.
    fn append(&self, stepped: &Stepped, fill: u8, bytes: usize) -> Result<(), AppendError> {
        let outcomes = self.outcomes.clone();
        stepped.journal.append(Append {
            tag: [fill; 16],
            received_at_ms: START_MS + u64::from(fill),
            payload: [Bytes::from_static(b"="), Bytes::from(vec![fill; bytes - 1])],
            done: Box::new(move |outcome| outcomes.lock().unwrap().push(outcome)),
        })
    }

    /// Records of so many bytes for the positions `fills`, each in a frame of its own.
    fn fill(&self, stepped: &mut Stepped, fills: std::ops::Range<u64>, bytes: usize) {
        fills.for_each(|fill| self.write(stepped, fill as u8, bytes));
    }

    /// Stops cleanly.
    fn close(&self, mut stepped: Stepped) {
        stepped.writer.close();
        stepped.keeper.close(START_MS);
    }

    /// Queues and writes one record in a frame of its own.
    fn write(&self, stepped: &mut Stepped, fill: u8, bytes: usize) {
        self.append(stepped, fill, bytes).unwrap();
        assert_eq!(stepped.writer.turn(START_MS), 1);
    }

    fn outcomes(&self) -> Vec<Result<Position, AppendError>> {
        std::mem::take(&mut self.outcomes.lock().unwrap())
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.scrape();
        let line = text.lines().find(|line| line.starts_with(&format!("retell_bridge_{name} "))).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Everything from `from` on: records as {position, first fill byte}, damage as its positions.
fn read_all(stepped: &Stepped, from: u64) -> Read {
    let mut reader = stepped.journal.reader(Position(from));
    let (mut records, mut damaged) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next().unwrap() {
        match item {
            Item::Record(record) => records.push((record.position.0, fill_of(&record))),
            Item::Damaged { from, until } => damaged.push((from.0, until.0)),
        }
    }
    assert_eq!(reader.position(), stepped.journal.synced());
    (records, damaged)
}

/// The fill byte, all of it checked.
fn fill_of(record: &Record) -> u8 {
    assert_eq!(record.payload[0], b'=');
    let fill = record.tag[0];
    assert!(record.payload[1..].iter().all(|byte| *byte == fill), "wrong bytes at {:?}", record.position);
    fill
}

fn lane(topic: &str, position: u64) -> LaneMark {
    LaneMark { topic: topic.into(), position: Position(position) }
}

/// The records {position, fill} for positions from..until whose fill is the position.
fn numbered(positions: std::ops::Range<u64>) -> Vec<(u64, u8)> {
    positions.map(|position| (position, position as u8)).collect()
}

/// Changes bytes of a file.
fn rot(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

fn segment(number: u64) -> String {
    format!("journal/{number:020}.segment")
}
