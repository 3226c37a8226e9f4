//! The publisher's side of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use retell_bridge::publisher::{Delivery, DeliveryError, Producer, Receipt, SendError, TopicState};

use super::{FATAL, Kafka, LARGE, PARTITIONS, Queued, REASONS, SETTINGS};
use crate::pipeline::judge::Handed;

/// What the publisher lets one lane have outstanding, whatever the number of lanes; one record more is possible.
const LANE_RECORDS_MAX: usize = 2_000;
const LANE_BYTES_MAX: usize = 4 << 20;

/// See the module.
pub struct Scripted {
    kafka: Kafka,
    /// Topics that were asked for, and when the answer is there.
    asked: BTreeMap<String, Duration>,
}

impl Scripted {
    pub(super) fn new(kafka: Kafka) -> Scripted {
        Scripted { kafka, asked: BTreeMap::new() }
    }
}

impl Producer for Scripted {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        let mut cluster = self.kafka.cluster();
        if cluster.machine.is_down() {
            return Err(SendError::QueueFull);
        }
        let header = |name: &str| {
            let found = delivery.headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| std::str::from_utf8(value).expect("the bridge's headers are text"))
        };
        let position = header("retell_position").and_then(|text| text.parse().ok()).unwrap_or(0);
        let meant_for = header("retell_topic");
        cluster.judge.ask().handed(&Handed {
            topic: delivery.topic,
            key: delivery.key,
            value: delivery.value,
            position,
            ce_id: header("ce_id").unwrap_or_default(),
            reason: header("retell_reason"),
            meant_for,
        });
        if cluster.has_ended {
            return Err(SendError::Refused(FATAL));
        }
        if delivery.value.len() > cluster.limits.client_bytes {
            return Err(SendError::Refused(LARGE));
        }
        let queued = cluster.queues.values().map(|queue| queue.len()).sum::<usize>();
        if queued >= cluster.room {
            return Err(SendError::QueueFull);
        }
        let (records, bytes) = cluster.outstanding(delivery.topic);
        if records > LANE_RECORDS_MAX || bytes > LANE_BYTES_MAX {
            let wrong = format!("{} has {records} records and {bytes} bytes on their way", delivery.topic);
            cluster.judge.ask().exceeds(wrong);
        }
        let key = delivery.key.map(|key| String::from_utf8_lossy(key).into_owned());
        let partition = match &key {
            Some(key) => key.bytes().map(u64::from).sum::<u64>() % PARTITIONS,
            None => cluster.random.below(PARTITIONS),
        };
        let queued = Queued {
            token: delivery.token,
            topic: delivery.topic.to_owned(),
            partition,
            lane: meant_for.unwrap_or(delivery.topic).to_owned(),
            is_dead_letter: meant_for.is_some(),
            position,
            key,
            value_bytes: delivery.value.len(),
            is_invalid: cluster.limits.is_invalid(delivery.value),
        };
        cluster.queues.entry((delivery.topic.to_owned(), partition)).or_default().push_back(queued);
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        let mut cluster = self.kafka.cluster();
        if cluster.machine.is_down() {
            return;
        }
        let batches = cluster.random.below(6);
        (0..batches).for_each(|_| cluster.work());
        cluster.take_receipts(false, receipts);
    }

    fn probe(&mut self, topic: &str) {
        let cluster = self.kafka.cluster();
        self.asked.insert(topic.to_owned(), cluster.clock.mono() + cluster.answer_after);
    }

    fn topic_state(&self, topic: &str) -> TopicState {
        let cluster = self.kafka.cluster();
        let is_there = self.asked.get(topic).is_some_and(|at| cluster.clock.mono() >= *at);
        if cluster.is_up && is_there { cluster.state(topic) } else { TopicState::Unknown }
    }

    fn replace(&mut self, alone: bool, receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
        let mut cluster = self.kafka.cluster();
        if cluster.machine.is_down() {
            return Err(SETTINGS);
        }
        if !cluster.has_ended {
            cluster.end_producer(None);
        }
        cluster.take_receipts(true, receipts);
        cluster.failing.clear();
        if cluster.replacing_fails {
            return Err(SETTINGS);
        }
        cluster.producers += 1;
        cluster.judge.ask().note(|| format!("new producer, records alone: {alone}"));
        (cluster.is_alone, cluster.has_ended) = (alone, false);
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.kafka.cluster().has_ended
    }

    fn is_up(&self) -> bool {
        self.kafka.cluster().is_up
    }

    fn error_reasons(&self) -> &'static [&'static str] {
        &REASONS
    }
}
