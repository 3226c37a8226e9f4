//! The bridge's own functions, one at a time: what each costs on one thread.
//!
//! In: a body. Out: [`Part`]s, each to be called in a loop, by the bench of the same name (`cargo bench -p bench`) and by
//! the rounds; one that librdkafka does for the bridge; and three that nobody does, to see what they would cost. Never
//! happens: a part written a second time: each calls the crate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use retell_bridge::event::{Event, Peek};
use retell_bridge::journal::{JournalId, Position, Record};
use retell_bridge::publisher::{
    Again, Delivery, DeliveryError, Producer, Receipt, Router, SendError, Target, TopicState, Topics,
};
use retell_bridge::signature::{self, ApiKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zstd_safe::CCtx;

use super::own_thread_cpu;

pub const SOURCE: &str = "default";
const WINDOW_MS: u64 = 300_000;
/// The quickest of those without a minus.
const ZSTD_LEVEL: i32 = 1;

/// A body, signed, and all that the parts need of it.
pub struct Subject {
    key: [ApiKey; 1],
    header: String,
    clock_ms: u64,
    body: Bytes,
    event: Event,
    peek: Peek,
    again: Again,
    record: Record,
    topic: String,
    zstd: CCtx<'static>,
    /// What the compressors write into, long enough for either.
    compressed: Vec<u8>,
}

/// What a handler would parse a body into.
#[derive(Deserialize)]
struct Typed<'a> {
    event: &'a str,
    #[serde(borrow)]
    call: TypedCall<'a>,
}

#[derive(Deserialize)]
struct TypedCall<'a> {
    call_id: &'a str,
}

/// One step of an event's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The HMAC over the body, compared.
    Signature,
    /// The envelope around it: copied are the head's fields alone.
    Envelope,
    /// Type and key out of the body.
    Peek,
    /// BLAKE3 over the body.
    Identity,
    /// The checksum of a record, made and checked again.
    Checksum,
    /// From the journal's bytes to the record that the producer is handed: read, routed, with its headers.
    Delivery,
    /// What librdkafka does itself, and what is in its floor: the codec of the producer's settings. One body at a time here,
    /// and a batch of records there, so that a small body has a start of its own.
    Lz4,
    /// What is not done, for comparison: the quickest level of the other codec.
    Zstd,
    /// What is not done, for comparison: a second SHA-256 for an id.
    Sha256,
    /// What is not done, for comparison: the whole body parsed for its type and key.
    Json,
}

impl Part {
    pub const ALL: [Part; 10] = [
        Part::Signature,
        Part::Envelope,
        Part::Peek,
        Part::Identity,
        Part::Checksum,
        Part::Delivery,
        Part::Lz4,
        Part::Zstd,
        Part::Sha256,
        Part::Json,
    ];
    /// Those on an event's way that are in no other floor: the journal's has the checksum, librdkafka's has lz4.
    pub const OWN: [Part; 5] = [Part::Signature, Part::Envelope, Part::Peek, Part::Identity, Part::Delivery];

    pub fn name(self) -> &'static str {
        match self {
            Part::Signature => "signature (HMAC-SHA256)",
            Part::Envelope => "envelope",
            Part::Peek => "type and key",
            Part::Identity => "BLAKE3",
            Part::Checksum => "CRC32C, twice",
            Part::Delivery => "route and headers",
            Part::Lz4 => "in librdkafka's own: lz4 (here lz4_flex)",
            Part::Zstd => "not done: zstd 1",
            Part::Sha256 => "not done: a second SHA-256",
            Part::Json => "not done: serde_json, typed",
        }
    }
}

impl Subject {
    /// A body of type `kind`.
    pub fn new(kind: &str, body: Vec<u8>) -> Subject {
        let (key, clock_ms) = ([ApiKey::new("key_made_up")], 1_795_276_800_000);
        let (header, body) = (signature::sign(&key[0], &body, clock_ms), Bytes::from(body));
        let event = event(&key, &header, &body, clock_ms);
        let payload = Bytes::from(event.encode().concat());
        let peek = event.peek();
        let tag = event.identity(&peek).0;
        let record =
            Record { position: Position(1), journal: JournalId([7; 16]), tag, received_at_ms: clock_ms, payload };
        let again = Again::new(Box::new(Sink::default()), router(), Duration::from_secs(1));
        let topic = format!("retell.{kind}");
        let room_bytes =
            lz4_flex::block::get_maximum_output_size(body.len()).max(zstd_safe::compress_bound(body.len()));
        let (zstd, compressed) = (CCtx::create(), vec![0; room_bytes]);
        Subject { key, header, clock_ms, body, event, peek, again, record, topic, zstd, compressed }
    }

    /// Does `part` once; the number keeps a compiler from leaving it out.
    pub fn run(&mut self, part: Part) -> u64 {
        match part {
            Part::Signature => {
                let headers = std::iter::once(self.header.as_bytes());
                let held = signature::verify(headers, self.body.clone(), &self.key, self.clock_ms, WINDOW_MS);
                held.is_ok().into()
            }
            Part::Envelope => self.event.encode()[0].len() as u64,
            Part::Peek => self.event.peek().key().map_or(0, |key| key.len() as u64),
            Part::Identity => u64::from(self.event.identity(&self.peek).0[0]) + 1,
            Part::Checksum => {
                let sum = || u64::from(crc32c::crc32c(std::hint::black_box(&self.record.payload)));
                sum() + sum()
            }
            Part::Delivery => {
                self.record.position.0 += 1;
                let target = Target { topic: &self.topic, replay: None };
                self.again.send(&self.record, target).expect("the sink takes everything");
                self.again.confirmed()
            }
            Part::Lz4 => {
                let written = lz4_flex::block::compress_into(&self.body, &mut self.compressed);
                written.expect("there is room") as u64
            }
            Part::Zstd => {
                let written = self.zstd.compress(&mut self.compressed[..], &self.body, ZSTD_LEVEL);
                written.unwrap_or_else(|code| panic!("{}", zstd_safe::get_error_name(code))) as u64
            }
            Part::Sha256 => u64::from(Sha256::digest(&self.body)[0]) + 1,
            Part::Json => {
                let typed: Typed<'_> = serde_json::from_slice(&self.body).expect("a body is JSON");
                (typed.event.len() + typed.call.call_id.len()) as u64
            }
        }
    }

    /// Microseconds of processor time of one `part`.
    pub fn cost_us(&mut self, part: Part, time: Duration) -> f64 {
        let began = own_thread_cpu();
        let (mut turns, mut sum) = (0_u64, 0_u64);
        while own_thread_cpu() - began < time {
            (0..16).for_each(|_| sum = sum.wrapping_add(self.run(part)));
            turns += 16;
        }
        assert!(sum > 0, "{part:?} has done nothing");
        (own_thread_cpu() - began).as_secs_f64() * 1e6 / turns as f64
    }
}

fn event(key: &[ApiKey], header: &str, body: &Bytes, now_ms: u64) -> Event {
    let headers = std::iter::once(header.as_bytes());
    let held = signature::verify(headers, body.clone(), key, now_ms, WINDOW_MS);
    Event::live(SOURCE, now_ms, held.unwrap_or_else(|refusal| panic!("it was signed here: {refusal}")))
}

/// Topics as they come.
pub fn topics() -> Topics {
    use retell_bridge::event::Kind;
    let types = Kind::KNOWN.to_vec();
    let (source_prefixes, overrides) = Default::default();
    Topics { prefix: "retell.".to_owned(), source_prefixes, types, all: None, overrides }
}

fn router() -> Router {
    Router::new(&topics())
}

/// A Kafka that confirms everything at once and keeps nothing.
#[derive(Default)]
pub struct Sink {
    receipts: Vec<Receipt>,
    /// Records that were handed over, for whoever asks.
    pub taken: Arc<std::sync::atomic::AtomicU64>,
}

impl Producer for Sink {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        self.taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.receipts.push(Receipt { token: delivery.token, outcome: Ok(()) });
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        receipts.append(&mut self.receipts);
    }

    fn probe(&mut self, _topic: &str) {}

    fn topic_state(&self, _topic: &str) -> TopicState {
        TopicState::Known
    }

    fn replace(&mut self, _alone: bool, _receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
        Ok(())
    }

    fn has_ended(&self) -> bool {
        false
    }

    fn is_up(&self) -> bool {
        true
    }

    fn error_reasons(&self) -> &'static [&'static str] {
        &[]
    }
}
