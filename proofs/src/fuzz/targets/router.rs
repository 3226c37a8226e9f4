//! The whole way of a request: HTTP, signature, duplicates, journal, publisher, and what a Kafka would have been handed.
//!
//! In: method, path, headers and body of one request, or the bytes of a whole conversation as they are. Out: nothing. What
//! must hold: a status that the documents name; as many records in the journal as answers that say "kept"; each record
//! signed by a key of its source (or unsigned where that is allowed), its body the very bytes; for each one delivery on its
//! own topic and one on the topic for all, topics that are configured, the documented key, the headers of the documents and
//! no others. For one request besides: the status that a plain look at it comes to.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use retell_bridge::event::{Event, Kind, Origin};
use retell_bridge::health::Health;
use retell_bridge::intake::{Keep, Options, SourceOptions, Stepped};
use retell_bridge::metrics::Metrics;
use retell_bridge::publisher::{self, Delivery, DeliveryError, Producer, Receipt, SendError, TopicState, Topics};
use retell_bridge::signature::ApiKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::input::{Input, piece};
use super::json;
use super::memory::Memory;
use super::rig::{NOW_MS, Rig};
use super::signature::signed;

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

/// One request that is well-formed HTTP, and its status where that can be told at once.
struct Request {
    bytes: Vec<u8>,
    body: Vec<u8>,
    expected: Option<u16>,
    is_of_health: bool,
}

impl Request {
    fn of(input: &mut Input<'_>, flags: u8) -> Request {
        let choice = input.byte();
        let path = PATHS[usize::from(choice % 6)];
        let method = if choice & 0x40 != 0 { "GET" } else { "POST" };
        let signing = input.byte();
        let extra = header_lines(input.piece());
        let forwarded = (flags & 2 != 0).then(|| ["10.1.9.9", "9.9.9.9", "rubbish"][usize::from(input.byte() % 3)]);
        let body = input.rest().to_vec();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let key = KEYS[usize::from(signing & 1)];
        // An hour ago is stale, and no clock of a test is off by that.
        let header = signed(key.as_bytes(), &body, if signing & 2 != 0 { now_ms - 12 * WINDOW_MS } else { now_ms });
        let is_signed = signing & 12 != 12;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        if is_signed {
            head += &format!("x-retell-signature: {header}\r\n");
        }
        if let Some(address) = forwarded {
            head += &format!("x-forwarded-for: {address}\r\n");
        }
        head += &extra;
        let is_chunked = signing & 16 != 0;
        let mut bytes = head.into_bytes();
        if is_chunked {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in body.chunks(usize::from(signing >> 5) * 97 + 5) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(&body);
        }
        let client = match forwarded {
            Some(address) if flags >> 6 == 0 => address.parse().ok(),
            _ => Some(peer(flags).to_canonical()),
        };
        let asked = Asked { path, method, is_signed, is_stale: signing & 2 != 0, key, client, length: body.len() };
        let is_local = flags >> 6 == 0 && forwarded.is_none();
        let expected = extra.is_empty().then(|| asked.status(&body, is_local));
        Request { bytes, body, expected, is_of_health: path == "/health" }
    }
}

/// Header lines that are well-formed, of anything.
fn header_lines(bytes: &[u8]) -> String {
    let name = |text: &[u8]| {
        text.iter()
            .filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .map(|byte| *byte as char)
            .collect::<String>()
    };
    let value = |text: &[u8]| {
        text.iter().filter(|byte| (32..127).contains(*byte)).map(|byte| *byte as char).collect::<String>()
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = name(&line[..at]);
        (!name.is_empty()).then(|| format!("{name}: {}\r\n", value(&line[at + 1..])))
    });
    lines.collect()
}

struct Asked<'a> {
    path: &'a str,
    method: &'a str,
    is_signed: bool,
    is_stale: bool,
    key: &'a str,
    client: Option<IpAddr>,
    length: usize,
}

impl Asked<'_> {
    /// By the table of the intake.
    fn status(&self, body: &[u8], is_local: bool) -> u16 {
        let source = match self.path.trim_end_matches('/') {
            "/webhook" => 0,
            "/webhook/team" => 1,
            "/dev" => 2,
            "/health" => return if self.method == "GET" { 200 } else { 405 },
            _ => return 404,
        };
        let is_of_team = self.client.is_some_and(|client| client.to_string().starts_with("10.1."));
        let holds = self.is_signed && self.key == KEYS[source & 1] && !self.is_stale;
        match () {
            () if source == 1 && !is_of_team => 403,
            () if self.method != "POST" => 405,
            () if self.length > BODY_BYTES_MAX => 413,
            () if source == 2 && !self.is_signed && is_local => status_kept(body),
            () if !holds => 401,
            () => status_kept(body),
        }
    }
}

fn status_kept(body: &[u8]) -> u16 {
    let is_inbound = retell_bridge::event::Peek::at(body).kind().is_inbound();
    if is_inbound { 200 } else { 204 }
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
        trusted_proxies: vec![PROXY.parse().expect("a network")],
        health_path: Some("/health".into()),
        duplicates_window: Duration::from_secs(3_600),
        duplicates_events_max: 100,
        observer: None,
    }
}

/// What must hold for any conversation; the events that were kept.
fn judge(outcome: &Outcome) -> Vec<Event> {
    let (statuses, ids) = (outcome.statuses(), outcome.event_ids());
    let documented = [200, 204, 400, 401, 403, 404, 405, 408, 413, 431, 503];
    assert!(statuses.iter().all(|status| documented.contains(status)), "{statuses:?}");
    let kept = statuses.iter().filter(|status| matches!(status, 200 | 204)).count();
    assert!(ids.len() <= kept, "an event's id in an answer that does not say it is kept: {statuses:?} {ids:?}");
    let mut first_ids = ids.clone();
    first_ids.sort();
    first_ids.dedup();
    assert!(
        first_ids.len() <= outcome.records.len(),
        "{ids:?} are answered, {} records are kept",
        outcome.records.len()
    );
    let decode = |record: &Bytes| Event::decode(record.clone()).expect("the intake wrote it");
    let events: Vec<Event> = outcome.records.iter().map(decode).collect();
    for event in &events {
        is_authentic(event);
        delivered(event, &outcome.sent);
        let id = event.identity(&event.peek()).to_string();
        assert!(
            ids.contains(&id) || statuses.len() < outcome.records.len() + 1,
            "{id} is kept and not answered: {ids:?}"
        );
    }
    assert_eq!(outcome.sent.len(), 2 * events.len(), "two deliveries for each event: its own topic, the one for all");
    events
}

/// Signed by a key of its source, or of the source that needs no signature.
fn is_authentic(event: &Event) {
    let source =
        ["default", "team", "dev"].iter().position(|name| *name == event.source()).expect("a configured source");
    if event.origin() == Origin::Unsigned {
        assert_eq!(source, 2, "an unsigned event of {}", event.source());
        return;
    }
    let expected = signed(KEYS[source & 1].as_bytes(), event.body(), event.clock_ms());
    let digest = |header: &str| header.rsplit_once("d=").map(|(_, digest)| digest.to_owned());
    assert_eq!(digest(event.signature()), digest(&expected), "kept with a signature that nobody made");
}

fn delivered(event: &Event, sent: &[Sent]) {
    let peek = event.peek();
    let id = event.identity(&peek).to_string();
    let header =
        |one: &Sent, name: &str| one.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let of_this: Vec<&Sent> = sent.iter().filter(|one| header(one, "ce_id") == Some(id.clone().into_bytes())).collect();
    let topics: Vec<&str> = of_this.iter().map(|one| one.topic.as_str()).collect();
    let (own, reason) = route(event);
    assert!(topics == [&own, "every"] || topics == ["every", &own], "{topics:?} for {own}, {reason:?}");
    for one in of_this {
        assert!(one.value[..] == event.body()[..], "another value than the body");
        assert!(one.timestamp_ms == event.received_at_ms() as i64);
        assert_eq!(one.key.as_deref(), peek.key().map(str::as_bytes));
        let names: Vec<&str> = one.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, header_names(event, if one.topic == own { reason } else { None }));
        let text = |name: &str| header(one, name).map(|value| String::from_utf8(value).expect("headers are text"));
        assert_eq!(text("ce_source"), Some(format!("/retell/{}", event.source())));
        assert_eq!(text("ce_subject").as_deref(), peek.key());
        assert_eq!(text("retell_reason").as_deref(), if one.topic == own { reason } else { None });
        let kind = Kind::KNOWN.into_iter().find(|kind| *kind == peek.kind() && (reason.is_none() || one.topic != own));
        assert_eq!(text("ce_type"), Some(format!("com.retellai.{}", kind.map_or("unrecognized", Kind::name))));
    }
}

/// Topic and reason by the sentences of the topics chapter, from the whole tree where that can be read.
fn route(event: &Event) -> (String, Option<&'static str>) {
    let peek = event.peek();
    let said = json::said(event.body());
    let (kind, key) = said.as_ref().map_or((peek.kind(), peek.key()), |said| (said.kind, said.key.as_deref()));
    let prefix = if event.source() == "team" { "team." } else { "r." };
    let reason = match kind {
        Kind::Test => "test",
        _ if said.is_none() && !peek.is_readable() => "unreadable",
        Kind::Other => "unknown_type",
        Kind::ChatStarted => "not_listed",
        _ if key.is_none() && !kind.is_inbound() => "no_key",
        Kind::CallEnded => return ("ends".into(), None),
        _ => return (format!("{prefix}{}", kind.name()), None),
    };
    (format!("{prefix}unrecognized"), Some(reason))
}

fn header_names(event: &Event, reason: Option<&str>) -> Vec<&'static str> {
    let is_live = event.origin() == Origin::Live;
    [
        ("ce_specversion", true),
        ("ce_id", true),
        ("ce_source", true),
        ("ce_type", true),
        ("ce_subject", event.peek().key().is_some()),
        ("ce_time", true),
        ("content-type", true),
        ("retell_signature", is_live),
        ("retell_journal", true),
        ("retell_position", true),
        ("retell_origin", !is_live),
        ("retell_reason", reason.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_there)| is_there.then_some(name))
    .collect()
}

/// A Kafka that takes everything and confirms it.
struct Kafka {
    sent: Arc<Mutex<Vec<Sent>>>,
    tokens: Vec<u64>,
}

impl Producer for Kafka {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        self.tokens.push(delivery.token);
        self.sent.lock().expect("one thread").push(Sent {
            topic: delivery.topic.to_owned(),
            key: delivery.key.map(<[u8]>::to_vec),
            value: delivery.value.to_vec(),
            headers: delivery.headers.iter().map(|(name, value)| (*name, value.to_vec())).collect(),
            timestamp_ms: delivery.timestamp_ms,
        });
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        receipts.extend(self.tokens.drain(..).map(|token| Receipt { token, outcome: Ok(()) }));
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

/// A client that sends everything, waits a little, and leaves.
struct Wire {
    unread: Vec<u8>,
    patience: u32,
    answers: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.unread.len().min(buffer.remaining());
        if length == 0 && self.patience > 0 {
            self.patience -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece: Vec<u8> = self.unread.drain(..length).collect();
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answers.lock().expect("one thread").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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
