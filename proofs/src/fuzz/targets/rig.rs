//! A journal on a disk in memory, opened, read and written by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use retell_bridge::health::Health;
use retell_bridge::journal::{
    Append, AppendError, Item, JournalId, LaneMark, OpenError, Options, Position, Stepped, Tag, open_stepped,
};
use retell_bridge::metrics::Metrics;

use super::memory::Memory;

/// The smallest segment that is possible.
pub const SEGMENT_BYTES: u64 = 64 << 10;
/// Now, always.
pub const NOW_MS: u64 = 1_700_000_000_000;

/// A record as it was written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub position: u64,
    pub received_at_ms: u64,
    pub tag: Tag,
    pub payload: Bytes,
}

/// What a reader met from the beginning to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    pub records: Vec<Known>,
    pub damaged: Vec<std::ops::Range<u64>>,
}

/// One process's journal.
pub struct Rig {
    pub stepped: Stepped,
    metrics: Arc<Metrics>,
}

impl Rig {
    pub fn open(disk: &Memory, new_identity: u8) -> Result<Rig, OpenError> {
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            size_max_bytes: 1 << 30,
            retention: Duration::from_secs(1 << 32),
            quarantine_retention: Duration::from_secs(1 << 32),
            checkpoint_every: Duration::ZERO,
            allow_ephemeral: true,
        };
        let metrics = Arc::new(Metrics::new());
        let (disk, health) = (Arc::new(disk.clone()), Arc::new(Health::default()));
        let identity = JournalId([new_identity; 16]);
        let stepped = open_stepped(disk, options, metrics.clone(), health, NOW_MS, identity)?;
        Ok(Rig { stepped, metrics })
    }

    pub fn read(&self) -> Met {
        let mut met = Met { records: Vec::new(), damaged: Vec::new() };
        let mut reader = self.stepped.journal.reader(Position(0));
        while let Some(item) = reader.next().expect("this disk never fails") {
            match item {
                Item::Damaged { from, until } => met.damaged.push(from.0..until.0),
                Item::Record(record) => met.records.push(Known {
                    position: record.position.0,
                    received_at_ms: record.received_at_ms,
                    tag: record.tag,
                    payload: record.payload,
                }),
            }
        }
        met
    }

    /// Writes records in one batch; their positions.
    pub fn write(&mut self, records: &[(Tag, u64, Bytes)]) -> Result<Vec<u64>, AppendError> {
        let answers = Arc::new(Mutex::new(Vec::new()));
        for (tag, received_at_ms, payload) in records {
            let told = answers.clone();
            self.stepped.journal.append(Append {
                tag: *tag,
                received_at_ms: *received_at_ms,
                payload: [Bytes::new(), payload.clone()],
                done: Box::new(move |answer| told.lock().expect("one thread").push(answer)),
            })?;
        }
        while self.stepped.writer.turn(NOW_MS) > 0 {}
        let answers = std::mem::take(&mut *answers.lock().expect("one thread"));
        assert_eq!(answers.len(), records.len(), "a record without an answer");
        answers.into_iter().map(|answer| answer.map(|position| position.0)).collect()
    }

    pub fn mark(&mut self, lanes: Vec<LaneMark>) {
        self.stepped.journal.mark(lanes);
        self.turn();
    }

    pub fn turn(&mut self) {
        self.stepped.keeper.turn(NOW_MS, 0);
        assert!(!self.stepped.journal.is_poisoned(), "poisoned on a disk that never fails");
    }

    pub fn close(mut self) {
        self.stepped.writer.close();
        self.stepped.keeper.close(NOW_MS);
    }

    /// Damaged bytes that this process has told of, so far.
    pub fn told_bytes(&self) -> u64 {
        let text = self.metrics.scrape();
        let line = text.lines().find(|line| line.starts_with("retell_bridge_journal_corrupt_bytes_total "));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("the metric is always there")
    }
}
