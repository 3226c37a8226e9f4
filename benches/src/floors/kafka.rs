//! librdkafka alone: the records that the bridge would make, produced with the bridge's settings as fast as it can.
//!
//! In: brokers, topics, a size, how many. Out: processor time of all of it, and the time from the first confirmation to the
//! last, as a drain of the bridge is timed. Never happens: a record that fails and is not told; a body that is made while the
//! clock runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::{Told, finished, own_cpu};
use crate::bodies::{KINDS, Size};

/// Names and lengths of values as in the bridge's records.
const HEADERS: [(&str, &[u8]); 10] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"d54b07642515e4e9b1d8b7b4f2956749"),
    ("ce_source", b"/retell/default"),
    ("ce_type", b"com.retellai.call_analyzed"),
    ("ce_subject", b"call_0000000000000000000005eed0000"),
    ("ce_time", b"2026-01-31T11:59:59.123Z"),
    ("content-type", b"application/json"),
    ("retell_signature", b"v=1795276800000,d=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ("retell_journal", b"0123456789abcdef0123456789abcdef"),
    ("retell_position", b"123456"),
];

/// What was confirmed.
#[derive(Default)]
struct Confirmed {
    failure: Mutex<Option<KafkaError>>,
    first: OnceLock<Instant>,
}

impl ClientContext for Confirmed {}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.failure.lock().expect("no holder panics") = Some(error.clone());
        }
        self.first.get_or_init(Instant::now);
    }
}

/// Produces `count` events of `size` to `prefix`'s topics.
pub fn produce(brokers: &str, prefix: &str, size: Size, count: u64) -> Result<Told, KafkaError> {
    let bodies = finished(size);
    let topics = KINDS.map(|kind| format!("{prefix}{kind}"));
    let producer: BaseProducer<Confirmed> = as_the_bridges(brokers).create_with_context(Confirmed::default())?;
    for topic in &topics {
        producer.client().fetch_metadata(Some(topic), Duration::from_secs(10))?;
    }
    let cpu = own_cpu();
    for finished in bodies.iter().cycle().take(count as usize) {
        send(&producer, &topics[finished.kind], &finished.key, &finished.body)?;
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(20));
    }
    let cpu_us = (own_cpu() - cpu).as_secs_f64() * 1e6;
    let seconds = producer.context().first.get().map_or(0.0, |first| first.elapsed().as_secs_f64());
    let failure = producer.context().failure.lock().expect("no holder panics").take();
    failure.map_or(Ok(Told { events: count, cpu_us, timed_events: count - 1, seconds }), Err)
}

/// The bridge's own settings, with its limit of 8 MiB for a body.
fn as_the_bridges(brokers: &str) -> ClientConfig {
    let options = retell_bridge::kafka::Options {
        brokers: brokers.to_owned(),
        properties: BTreeMap::new(),
        properties_files: BTreeMap::new(),
        body_max_bytes: 8 << 20,
    };
    ClientConfig::from_iter(options.producer_properties().expect("no property is given that could be wrong"))
}

fn send(producer: &BaseProducer<Confirmed>, topic: &str, key: &str, body: &[u8]) -> Result<(), KafkaError> {
    let headers = HEADERS.iter().fold(OwnedHeaders::new_with_capacity(HEADERS.len()), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    });
    let mut record = BaseRecord::to(topic).key(key).payload(body).timestamp(1_795_276_800_000).headers(headers);
    loop {
        match producer.send(record) {
            Ok(()) => break,
            Err((KafkaError::MessageProduction(Code::QueueFull), again)) => {
                record = again;
                producer.poll(Duration::from_millis(5));
            }
            Err((error, _)) => return Err(error),
        }
    }
    producer.poll(Duration::ZERO);
    Ok(())
}
