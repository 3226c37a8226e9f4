//! Row `readable`: a consumer that waits for records, and how long after its 204 each event is there.
//!
//! Few events, one after the other, judged by the tests' own judge: ledger against every partition, headers and order
//! included. Never happens: a record that was readable before its 204 counted as late (it counts as 0); one of the first
//! events, for which clients and broker still learn of each other, counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;
use support::events::Maker;
use support::judge::{Circumstances, judge};
use support::sender::Sender;

use super::Bench;
use crate::bodies::KINDS;
use crate::figures::{Figure, Goal, median};
use crate::load::{histogram, ms_at, note};
use crate::receiver::{Kind, Receiver};
use crate::stage::{PARTITIONS, Series, Stage};

const PACE: Duration = Duration::from_millis(20);

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut rounds = Vec::new();
    for number in 0..bench.effort.rounds() {
        let quantiles = round(bench)?;
        bench.keep("readable", number, json!({ "p50_p99_ms": quantiles }));
        rounds.push(quantiles);
    }
    let p99: Vec<f64> = rounds.iter().map(|quantiles| quantiles[1]).collect();
    let p50 = median(rounds.iter().map(|quantiles| quantiles[0]));
    Ok(vec![Figure::plain("readable", "p99", Goal::AtMost(15.0), "ms", &p99).noted(format!("p50 {p50:.1} ms"))])
}

fn round(bench: &Bench) -> Result<[f64; 2], String> {
    let stage = &bench.stage;
    let series = stage.series();
    let mut receiver = Receiver::start(Kind::Bridge, &stage.kafka.brokers(), &series)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (consumer, is_over) = (reader(stage, &series), Arc::clone(&is_over));
        std::thread::spawn(move || watch(&consumer, &is_over))
    };
    let mut sender = Sender::to(receiver.as_bridge());
    let mut maker = Maker::quietly(series.first);
    let mut answered = Vec::new();
    for turn in 0..bench.effort.pick(60, 400, 2_000_usize) {
        let (kind, bytes) = [(KINDS[0], 600), (KINDS[1], 8_600), (KINDS[2], 53_000)][turn % 3];
        let id = maker.id();
        let event = maker.sized(&series.source, kind, &id, false, bytes);
        if !sender.send(&event) {
            return Err("an event was not answered 2xx".to_owned());
        }
        answered.push((sender.ledger.entries[turn].ce_id.clone(), Instant::now()));
        std::thread::sleep(PACE);
    }
    stage.kafka.wait_count(&series.source.prefix, answered.len(), Duration::from_secs(30));
    std::thread::sleep(Duration::from_millis(500));
    is_over.store(true, Ordering::Relaxed);
    let seen = reader.join().map_err(|_| "the consumer panicked".to_owned())?;
    let mut took = histogram();
    for (id, answered) in answered.iter().skip(bench.effort.pick(5, 50, 50)) {
        let seen = seen.get(id).ok_or_else(|| format!("the consumer has not seen {id}"))?;
        note(&mut took, seen.saturating_duration_since(*answered));
    }
    let report = judge(&sender.ledger, &stage.kafka.read_all(&series.source.prefix), &Circumstances::default());
    report.scene().map_or(Ok(()), Err)?;
    drop(receiver);
    stage.end(&series);
    Ok([ms_at(&took, 0.5), ms_at(&took, 0.99)])
}

/// On all partitions of the round, with the defaults of librdkafka's fetches.
fn reader(stage: &Stage, series: &Series) -> BaseConsumer {
    let mut config = support::topics::client(&stage.kafka.brokers());
    config.set("group.id", "bench-readable").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("the settings are valid");
    let mut partitions = TopicPartitionList::new();
    for (topic, partition) in series.topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |at| (topic, at))) {
        partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset may be set");
    }
    consumer.assign(&partitions).expect("partitions may be assigned");
    consumer
}

/// When each `ce_id` was there first.
fn watch(consumer: &BaseConsumer, is_over: &AtomicBool) -> HashMap<String, Instant> {
    let mut seen = HashMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let now = Instant::now();
        let mut headers = message.headers().into_iter().flat_map(Headers::iter);
        let id = headers.find(|header| header.key == "ce_id").and_then(|header| header.value);
        if let Some(id) = id.and_then(|id| std::str::from_utf8(id).ok()) {
            seen.entry(id.to_owned()).or_insert(now);
        }
    }
    seen
}
