//! What arrived, against what was answered.
//!
//! In: the outcome of a load and its topics. Out: [`Arrived`]. Every record of every topic of the round is read and
//! compared with the body that its number stands for, byte for byte, key and topic included; every event that was answered
//! 2xx must be there. Never happens: a verdict about a topic that was not read to its end.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::bodies::{KINDS, Library, Size, number_of};
use crate::load::{Outcome, Status};
use crate::stage::{Series, Stage};

/// A topic that gives nothing for so long gives no more.
const SILENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    pub records: u64,
    /// Answered 2xx and not there.
    pub lost: u64,
    /// There, but not as it was sent.
    pub altered: u64,
    /// Sent by nobody, or on a topic where it does not belong.
    pub unknown: u64,
    /// Copies beyond the first.
    pub repeated: u64,
}

impl Arrived {
    /// Nothing is wrong, copies allowed or not.
    pub fn check(&self, may_repeat: bool) -> Result<(), String> {
        let wrong = self.lost + self.altered + self.unknown + if may_repeat { 0 } else { self.repeated };
        if wrong == 0 { Ok(()) } else { Err(format!("a fast run that is wrong is no run: {self:?}")) }
    }
}

/// Reads the topics of `series` to their ends.
pub fn judge(stage: &Stage, series: &Series, outcomes: &[(Size, &Outcome)]) -> Arrived {
    let mut seen: Vec<Vec<bool>> = outcomes.iter().map(|(_, outcome)| vec![false; outcome.statuses.len()]).collect();
    let mut arrived = Arrived::default();
    for_each(stage, series, |topic, key, value| {
        arrived.records += 1;
        let Some(number) = number_of(value) else {
            arrived.unknown += 1;
            return;
        };
        let place = outcomes.iter().zip(&mut seen).find_map(|((size, outcome), seen)| {
            let index = usize::try_from(number.checked_sub(outcome.first)?).ok()?;
            Some((*size, seen.get_mut(index)?))
        });
        match place {
            None => arrived.unknown += 1,
            Some((size, _)) if !is_as_sent(&stage.library, size, number, series, (topic, key, value)) => {
                arrived.altered += 1;
            }
            Some((_, seen)) if *seen => arrived.repeated += 1,
            Some((_, seen)) => *seen = true,
        }
    });
    for ((_, outcome), seen) in outcomes.iter().zip(&seen) {
        let kept = outcome.statuses.iter().zip(seen).filter(|(status, _)| **status == Status::Kept);
        arrived.lost += kept.filter(|(_, seen)| !**seen).count() as u64;
    }
    arrived
}

fn is_as_sent(
    library: &Library,
    size: Size,
    number: u64,
    series: &Series,
    (topic, key, value): (&str, &[u8], &[u8]),
) -> bool {
    let template = library.of(size, number);
    let tail = template.tail(number);
    let head = value.strip_suffix(&tail[..]);
    topic == series.topics[template.kind] && key == template.key.as_bytes() && head == Some(&template.head)
}

/// Hands every record of the round to `take`, those of `unrecognized` and of dead letters included.
fn for_each(stage: &Stage, series: &Series, mut take: impl FnMut(&str, &[u8], &[u8])) {
    let consumer = reader(stage);
    let mut partitions = TopicPartitionList::new();
    let mut missing: i64 = 0;
    let metadata = consumer.fetch_metadata(None, SILENCE).expect("the broker answers");
    for topic in metadata.topics().iter().filter(|topic| topic.name().starts_with(&series.source.prefix)) {
        for partition in topic.partitions() {
            let (low, high) = stage.kafka.ends(&consumer, topic.name(), partition.id());
            missing += high - low;
            if high > low {
                let added = partitions.add_partition_offset(topic.name(), partition.id(), Offset::Beginning);
                added.expect("an offset may be set");
            }
        }
    }
    consumer.assign(&partitions).expect("partitions may be assigned");
    let mut heard = Instant::now();
    while missing > 0 {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            assert!(heard.elapsed() < SILENCE, "{missing} records of {} do not come", series.source.prefix);
            continue;
        };
        let message = message.expect("a topic can be read");
        heard = Instant::now();
        missing -= 1;
        take(message.topic(), message.key().unwrap_or_default(), message.payload().unwrap_or_default());
    }
}

fn reader(stage: &Stage) -> BaseConsumer {
    let mut config = support::topics::client(&stage.kafka.brokers());
    config.set("group.id", "bench").set("enable.auto.commit", "false").set("check.crcs", "true");
    config.set("fetch.message.max.bytes", "8388608").set("queued.max.messages.kbytes", "131072");
    config.create().expect("the settings are valid")
}

/// How many records the round's own topics hold.
pub fn count(stage: &Stage, series: &Series) -> u64 {
    debug_assert_eq!(series.topics.len(), KINDS.len());
    stage.kafka.counts(&series.topics).values().sum::<i64>().unsigned_abs()
}
