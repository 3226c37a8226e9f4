//! What all rounds share: Apache Kafka, the templates, fresh topics for each round.
//!
//! In: nothing. Out: a [`Series`] for each round: topics and event numbers that no other round has, so that what a round
//! finds on its topics is its own. Every source has all fifteen topics that the bridge makes use of as it comes, though events
//! go to three of them: what a topic may have on its way depends on how many there are.
//!
//! Never happens: a round that reads what another one has sent; a round that begins while the broker still removes the topics
//! of the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use support::events::Source;
use support::kafka::Kafka;
use support::process::wait_until;

use crate::bodies::{KINDS, Library};

/// Partitions of each topic.
pub const PARTITIONS: i32 = 6;
/// Event numbers of one series.
const SERIES_EVENTS: u64 = 1 << 32;
const TIMEOUT: Duration = Duration::from_secs(30);
/// From a topic's removal until its files are gone: `log.segment.delete.delay.ms`, as long again until the broker looks, and
/// the removing itself.
const FILES_GONE_IN: Duration = Duration::from_millis(500);

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
        let lines = [
            "auto.create.topics.enable=false",
            "log.segment.delete.delay.ms=100",
            // The broker removes nothing before this has passed.
            "log.initial.task.delay.ms=500",
            "message.max.bytes=4194304",
        ];
        Stage::with(Kafka::start_with(&lines))
    }

    /// The same with a Kafka that runs already.
    pub fn with(kafka: Kafka) -> Stage {
        let library = Library::new(&series_source("").api_key);
        library.make_all();
        Stage { kafka, library, series: AtomicU64::new(0) }
    }

    /// Fresh topics.
    pub fn series(&self) -> Series {
        self.series_of(PARTITIONS)
    }

    /// Fresh topics, those that events go to of so many partitions each.
    pub fn series_of(&self, partitions: i32) -> Series {
        let series = self.bare();
        let topics: Vec<&str> = series.topics.iter().map(String::as_str).collect();
        self.kafka.create_topics(&topics, partitions, &[("max.message.bytes", support::topics::LARGE)]);
        self.kafka.create_all(&[&series.source], PARTITIONS, &KINDS);
        series
    }

    /// For a receiver that keeps nothing: no topics.
    pub fn bare(&self) -> Series {
        let number = self.series.fetch_add(1, Ordering::Relaxed) + 1;
        let source = series_source(&format!("bench{number}."));
        let topics = KINDS.into_iter().map(|kind| format!("{}{kind}", source.prefix)).collect();
        Series { paths: vec![source.path.clone()], source, first: number * SERIES_EVENTS, topics }
    }

    /// The round is over: its topics go, and their files.
    pub fn end(&self, series: &Series) {
        let topics = self.kafka.topics(&series.source.prefix);
        if topics.is_empty() {
            return;
        }
        let config = support::topics::client(&self.kafka.brokers());
        let admin: AdminClient<DefaultClientContext> = config.create().expect("the settings are valid");
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
        let results = runtime.block_on(admin.delete_topics(&names, &options)).expect("the broker answers");
        results.into_iter().for_each(|result| drop(result.expect("a topic can be removed")));
        let gone = || self.kafka.topics(&series.source.prefix).is_empty().then_some(());
        wait_until(TIMEOUT, gone).expect("topics that are removed go");
        std::thread::sleep(FILES_GONE_IN);
    }
}

fn series_source(prefix: &str) -> Arc<Source> {
    Source::new("default", "/webhook", prefix)
}
