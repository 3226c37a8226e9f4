//! What all rounds share: Apache Kafka, the templates, fresh topics for each round.
//!
//! In: nothing. Out: a [`Series`] for each round: topics and event numbers that no other round has, so that what a round
//! finds on its topics is its own. Never happens: a round that reads what another one has sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::events::Source;
use support::kafka::Kafka;

use crate::bodies::{KINDS, Library};

/// Partitions of each topic.
pub const PARTITIONS: i32 = 6;
/// Event numbers of one series.
const SERIES_EVENTS: u64 = 1 << 32;

pub struct Stage {
    pub kafka: Kafka,
    pub library: Library,
    series: AtomicU64,
}

/// One round's own.
pub struct Series {
    /// Where it posts, with what key, and the prefix of its topics.
    pub source: Arc<Source>,
    /// The source's path, as a load takes it.
    pub paths: Vec<String>,
    /// Number of its first event.
    pub first: u64,
    /// Full names of the topics that events go to, in the order of [`KINDS`].
    pub topics: Vec<String>,
}

impl Stage {
    /// Starts Kafka; what is removed from a topic leaves the disk soon.
    pub fn start() -> Stage {
        let lines = ["auto.create.topics.enable=false", "file.delete.delay.ms=1000", "message.max.bytes=4194304"];
        Stage::with(Kafka::start_with(&lines))
    }

    /// The same with a Kafka that runs already.
    pub fn with(kafka: Kafka) -> Stage {
        let library = Library::new(&series_source("").api_key);
        Stage { kafka, library, series: AtomicU64::new(0) }
    }

    /// Fresh topics.
    pub fn series(&self) -> Series {
        self.series_of(PARTITIONS)
    }

    /// Fresh topics of so many partitions each.
    pub fn series_of(&self, partitions: i32) -> Series {
        let number = self.series.fetch_add(1, Ordering::Relaxed) + 1;
        let prefix = format!("bench{number}.");
        let named = |kind: &str| format!("{prefix}{kind}");
        let topics: Vec<String> = KINDS.into_iter().map(named).collect();
        let all: Vec<String> = topics.iter().cloned().chain(["unrecognized", "dead_letter"].map(named)).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        self.kafka.create_topics(&all, partitions, &[("max.message.bytes", support::topics::LARGE)]);
        let source = series_source(&prefix);
        Series { paths: vec![source.path.clone()], source, first: number * SERIES_EVENTS, topics }
    }

    /// The round is over: its topics go.
    pub fn end(&self, series: &Series) {
        for topic in self.kafka.topics(&series.source.prefix) {
            self.kafka.delete_topic(&topic);
        }
    }
}

fn series_source(prefix: &str) -> Arc<Source> {
    Source::new("default", "/webhook", prefix)
}
