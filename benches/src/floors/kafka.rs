//! librdkafka alone: the records that the bridge would make, produced with the bridge's settings as fast as it can.
//!
//! In: brokers, topics, a size, how many. Out: processor time and time until the last one is confirmed. Never happens: a
//! record that fails and is not told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::{Told, own_cpu};
use crate::bodies::{KINDS, Library, Size};

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

/// Failures that were confirmed.
#[derive(Default)]
struct Failed(Mutex<Option<KafkaError>>);

impl ClientContext for Failed {}

impl ProducerContext for Failed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().expect("no holder panics") = Some(error.clone());
        }
    }
}

/// Produces `count` events of `size` to `prefix`'s topics.
pub fn produce(brokers: &str, prefix: &str, size: Size, first: u64, count: u64) -> Result<Told, KafkaError> {
    let library = Library::new("key_made_up");
    let topics = KINDS.map(|kind| format!("{prefix}{kind}"));
    let producer: BaseProducer<Failed> = as_the_bridges(brokers).create_with_context(Failed::default())?;
    producer.client().fetch_metadata(Some(&topics[0]), Duration::from_secs(10))?;
    let (cpu, began) = (own_cpu(), Instant::now());
    let mut body = Vec::new();
    for number in first..first + count {
        let template = library.of(size, number);
        body.clear();
        body.extend_from_slice(&template.head);
        body.extend_from_slice(&template.tail(number));
        send(&producer, &topics[template.kind], &template.key, &body)?;
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(20));
    }
    let failed = producer.context().0.lock().expect("no holder panics").take();
    let told =
        Told { events: count, cpu_us: (own_cpu() - cpu).as_secs_f64() * 1e6, seconds: began.elapsed().as_secs_f64() };
    failed.map_or(Ok(told), Err)
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

fn send(producer: &BaseProducer<Failed>, topic: &str, key: &str, body: &[u8]) -> Result<(), KafkaError> {
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
