//! The whole way of a request: HTTP, signature, duplicates, journal, publisher, and what a Kafka would have been handed.
//!
//! In: method, path, headers and body of one request, or the bytes of a whole conversation as they are. Out: nothing. What
//! must hold: a status that the documents name; as many records in the journal as answers that say "kept"; each record
//! signed by a key of its source (or unsigned where that is allowed), its body the very bytes; for each one delivery on its
//! own topic and one on the topic for all, topics that are configured, the documented key, the headers of the documents and
//! no others. For one request besides: the status that a plain look at it comes to.

mod ends;
mod judge;
mod request;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use retell_bridge::event::Kind;
use retell_bridge::health::Health;
use retell_bridge::intake::{Keep, Options, SourceOptions, Stepped};
use retell_bridge::metrics::Metrics;
use retell_bridge::publisher::{self, Topics};
use retell_bridge::signature::ApiKey;

use self::ends::{Kafka, Wire};
use self::judge::judge;
use self::request::Request;
use super::input::{Input, piece};
use super::memory::Memory;
use super::rig::{NOW_MS, Rig};

const KEYS: [&str; 2] = ["key_of_default", "key_of_team"];
const PATHS: [&str; 6] = ["/webhook", "/webhook/team", "/dev", "/health", "/webhook/", "/elsewhere"];
const BODY_BYTES_MAX: usize = 2 << 10;
const WINDOW_MS: u64 = 300_000;
/// From where the second source takes requests; the first takes all.
const TEAM: &str = "10.1.0.0/16";
const PROXY: &str = "127.0.0.1/32";
/// How often the stream says "later" before it ends, so that answers are written while it is open.
const PATIENCE: u32 = 16;

/// A record as the intake kept it, and what was handed to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    topic: String,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(&'static str, Vec<u8>)>,
    timestamp_ms: i64,
}

/// See the module.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    if flags & 1 == 0 {
        let outcome = converse(input.rest(), peer(flags));
        judge(&outcome);
        return;
    }
    let request = Request::of(&mut input, flags);
    let outcome = converse(&request.bytes, peer(flags));
    let kept = judge(&outcome);
    if let Some(expected) = request.expected {
        assert_eq!(outcome.statuses().first(), Some(&expected), "for {:?}", String::from_utf8_lossy(&request.bytes));
        let is_kept = matches!(expected, 200 | 204) && !request.is_of_health;
        let body = is_kept.then_some(&request.body[..]);
        assert_eq!(kept.first().map(|event| &event.body()[..]), body, "another body is kept than was sent");
    }
}

fn peer(flags: u8) -> IpAddr {
    let text = ["127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"][usize::from(flags >> 6)];
    text.parse().expect("an address")
}

fn sources() -> Vec<SourceOptions> {
    let source = |name: &str, path: &str, key: &str| SourceOptions {
        name: name.into(),
        path: path.into(),
        keys: vec![ApiKey::new(key)],
        keys_file: None,
        allow: Vec::new(),
        signature_window: Duration::from_millis(WINDOW_MS),
        call_inbound_answer: serde_json::json!({"a": 1}),
        chat_inbound_answer: serde_json::json!({}),
        allow_unsigned: false,
    };
    let mut sources = vec![
        source("default", "/webhook", KEYS[0]),
        source("team", "/webhook/team", KEYS[1]),
        source("dev", "/dev", KEYS[0]),
    ];
    sources[1].allow = vec![TEAM.parse().expect("a network")];
    sources[2].allow_unsigned = true;
    sources
}

fn topics() -> Topics {
    Topics {
        prefix: "r.".into(),
        source_prefixes: BTreeMap::from([("team".into(), "team.".into())]),
        types: Kind::KNOWN.into_iter().filter(|kind| *kind != Kind::ChatStarted).collect(),
        all: Some("every".into()),
        overrides: BTreeMap::from([("call_ended".into(), "ends".into())]),
    }
}

/// What a conversation came to.
struct Outcome {
    answers: Vec<u8>,
    records: Vec<Bytes>,
    sent: Vec<Sent>,
}

impl Outcome {
    /// Of each answer, in order, but for "go on, send the body". No body of an answer has such a line.
    fn statuses(&self) -> Vec<u16> {
        let text = String::from_utf8_lossy(&self.answers).replace("HTTP/1.1 100 Continue", "");
        text.split("\r\n").filter_map(|line| line.split("HTTP/1.1 ").nth(1)?.get(..3)?.parse().ok()).collect()
    }

    fn event_ids(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.answers);
        text.split("\r\n").filter_map(|line| Some(line.strip_prefix("x-event-id: ")?.to_owned())).collect()
    }
}

/// One connection from its first byte to its end, then everything published.
fn converse(bytes: &[u8], peer: IpAddr) -> Outcome {
    let rig = Arc::new(Mutex::new(Rig::open(&Memory::default(), 7).expect("an empty disk that never fails")));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let mut publisher = {
        let rig = rig.lock().expect("one thread");
        let kafka = Box::new(Kafka { sent: sent.clone(), tokens: Vec::new() });
        let (journal, recovered) = (&rig.stepped.journal, &rig.stepped.recovered);
        let (metrics, health) = (metrics.clone(), health.clone());
        publisher::open_stepped(&topics(), kafka, journal, recovered, metrics, health, NOW_MS, Duration::ZERO)
    };
    let records = Arc::new(Mutex::new(Vec::new()));
    let keep: Keep = {
        let (rig, records) = (rig.clone(), records.clone());
        Arc::new(move |append| {
            records.lock().expect("one thread").push(Bytes::from(append.payload.concat()));
            let mut rig = rig.lock().expect("one thread");
            rig.stepped.journal.append(append)?;
            rig.stepped.writer.turn(NOW_MS);
            Ok(())
        })
    };
    health.set_started();
    let intake = Stepped::new(options(), keep, std::iter::empty(), metrics, health).expect("no key files");
    let answers = Arc::new(Mutex::new(Vec::new()));
    let wire = Wire { unread: bytes.to_vec(), patience: PATIENCE, answers: answers.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime without I/O");
    tokio::task::LocalSet::new().block_on(&runtime, intake.serve(wire, peer));
    let mut steps = 0;
    while !publisher.is_done() {
        publisher.step(NOW_MS, Duration::from_millis(steps), Duration::ZERO);
        steps += 1;
        assert!(steps < 10_000, "the backlog does not drain");
    }
    let take = |answers: &Mutex<Vec<u8>>| std::mem::take(&mut *answers.lock().expect("one thread"));
    let records = std::mem::take(&mut *records.lock().expect("one thread"));
    let sent = std::mem::take(&mut *sent.lock().expect("one thread"));
    Outcome { answers: take(&answers), records, sent }
}

fn options() -> Options {
    Options {
        sources: sources(),
        body_max_bytes: BODY_BYTES_MAX,
        in_flight_max_bytes: 64 << 10,
        connections_max: 4,
        answer_within: Duration::from_secs(3_600),
        tls: None,
        trusted_proxies: vec![PROXY.parse().expect("a network")],
        health_path: Some("/health".into()),
        duplicates_window: Duration::from_secs(3_600),
        duplicates_events_max: 100,
        observer: None,
    }
}

/// Requests of every kind, and a conversation.
pub fn seeds() -> Vec<Vec<u8>> {
    let none = piece(b"");
    let ended: &[u8] = br#"{"event":"call_ended","call":{"call_id":"c1"}}"#;
    let inbound: &[u8] = br#"{"event":"call_inbound","call_inbound":{"from_number":"+1"}}"#;
    let request = |head: &[u8], extra: &[u8], body: &[u8]| [head, extra, body].concat();
    let two = b"\0GET /health HTTP/1.1\r\nhost: a\r\n\r\nPOST /dev HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}";
    vec![
        request(&[1, 0, 0], &none, ended),
        request(&[1, 0, 0x10], &none, inbound),
        request(&[0x41, 1, 1], &none, br#"{"event":"chat_started","chat":{"chat_id":"h"}}"#),
        request(&[3, 1, 1], &[&none[..], &[0]].concat(), br#"{"event":"transfer_ended","call":{"call_id":"t"}}"#),
        request(&[1, 2, 12], &none, b"not json"),
        request(&[1, 3 | 0x40, 0], &none, b""),
        request(&[1, 5, 0], &none, b"{}"),
        request(&[1, 0, 2], &none, b"{}"),
        request(&[1, 0, 1], &piece(b"Expect: 100-continue\nConnection: close\nUpgrade: websocket"), b"{}"),
        two.to_vec(),
    ]
}
