//! The intake over real sockets, with a fake journal. By question: what is answered, what the bounds do, who is a
//! duplicate, how HTTP may be spoken, how it stops.

mod answers;
mod bounds;
mod duplicates;
mod protocol;
mod sources;
mod stop;
mod tls;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::journal::Position;
use crate::signature;

pub(super) const KEY: &str = "key_made_up_for_tests";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the fake journal does with a record.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// Queued, and synced at once by a thread of its own.
    Sync,
    /// Queued until [`FakeJournal::release`].
    Hold,
    /// Not queued.
    Refuse(AppendError),
    /// Queued, and failed at once.
    Fail(AppendError),
}

pub(super) struct FakeJournal {
    mode: Mutex<Mode>,
    queued: Mutex<Vec<Vec<u8>>>,
    held: Mutex<Vec<Append>>,
    writer: mpsc::Sender<(Append, Result<Position, AppendError>)>,
}

impl FakeJournal {
    fn start() -> Arc<FakeJournal> {
        let (writer, orders) = mpsc::channel::<(Append, Result<Position, AppendError>)>();
        std::thread::spawn(move || orders.into_iter().for_each(|(append, outcome)| (append.done)(outcome)));
        Arc::new(FakeJournal { mode: Mutex::new(Mode::Sync), queued: Mutex::default(), held: Mutex::default(), writer })
    }

    pub(super) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn append(&self, append: Append) -> Result<(), AppendError> {
        let mode = *self.mode.lock().unwrap();
        if let Mode::Refuse(error) = mode {
            return Err(error);
        }
        self.queued.lock().unwrap().push(append.payload.concat());
        match mode {
            Mode::Hold => self.held.lock().unwrap().push(append),
            Mode::Fail(error) => self.writer.send((append, Err(error))).unwrap(),
            _ => self.writer.send((append, Ok(Position(1)))).unwrap(),
        }
        Ok(())
    }

    /// Says of all held records what became of them.
    pub(super) fn release(&self, outcome: Result<Position, AppendError>) {
        for append in self.held.lock().unwrap().drain(..) {
            self.writer.send((append, outcome)).unwrap();
        }
    }

    /// The bodies of all records that were queued.
    pub(super) fn bodies(&self) -> Vec<Vec<u8>> {
        let records = self.queued.lock().unwrap();
        let decode = |record: &Vec<u8>| crate::event::Event::decode(record.clone().into()).unwrap();
        records.iter().map(|record| decode(record).body().to_vec()).collect()
    }

    pub(super) fn wait_for_held(&self, count: usize) {
        eventually("held records", || self.held.lock().unwrap().len() == count);
    }
}

/// A running intake and all around it.
pub(super) struct Bench {
    pub journal: Arc<FakeJournal>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub address: SocketAddr,
    pub intake: Option<Intake>,
    pub runtime: tokio::runtime::Runtime,
    _watch: Watch,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Options)) -> Bench {
        Bench::recovered(Vec::new(), change)
    }

    pub(super) fn recovered(tags: Vec<(Tag, u64)>, change: impl FnOnce(&mut Options)) -> Bench {
        let mut options = options();
        change(&mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let journal = FakeJournal::start();
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        health.set_started();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to_journal = journal.clone();
        let keep: Keep = Arc::new(move |append| to_journal.append(append));
        let guard = runtime.enter();
        let (tags, watch) = (tags.into_iter(), Watch::start(metrics.clone()).unwrap());
        let intake = Intake::start(options, listener, keep, tags, metrics.clone(), health.clone(), &watch).unwrap();
        drop(guard);
        Bench { _watch: watch, journal, metrics, health, address: intake.address(), intake: Some(intake), runtime }
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends one request on a connection of its own.
    pub(super) fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    pub(super) fn post(&self, body: &str) -> Answer {
        self.ask(signed(body))
    }

    pub(super) fn metric(&self, line: &str) -> String {
        let text = self.metrics.scrape();
        let prefix = format!("retell_bridge_{line} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&prefix));
        found.unwrap_or_else(|| panic!("{line} is not in\n{text}")).to_owned()
    }

    pub(super) fn refused(&self, reason: &str) -> String {
        self.metric(&format!("events_refused_total{{reason=\"{reason}\",source=\"default\"}}"))
    }
}

pub(super) fn source(name: &str, path: &str) -> SourceOptions {
    SourceOptions {
        name: name.into(),
        path: path.into(),
        keys: vec![ApiKey::new(KEY)],
        keys_file: None,
        allow: Vec::new(),
        signature_window: Duration::from_secs(300),
        call_inbound_answer: serde_json::json!({"override_agent_id": "a"}),
        chat_inbound_answer: serde_json::json!({}),
        allow_unsigned: false,
    }
}

fn options() -> Options {
    Options {
        sources: vec![source("default", "/webhook")],
        body_max_bytes: 8 << 20,
        in_flight_max_bytes: 64 << 20,
        connections_max: 1024,
        answer_within: Duration::from_secs(8),
        tls: None,
        trusted_proxies: Vec::new(),
        health_path: Some("/readyz".into()),
        duplicates_window: Duration::from_secs(3_600),
        duplicates_events_max: 500_000,
        observer: None,
    }
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A `call_ended` that no other test sends.
pub(super) fn event(name: &str) -> String {
    format!(r#"{{"event":"call_ended","call":{{"call_id":"{name}"}}}}"#)
}

pub(super) fn signature_of(body: &str) -> String {
    signature::sign(&ApiKey::new(KEY), body.as_bytes(), now_ms())
}

/// A request with these lines between request line and body; a Content-Length is added.
pub(super) fn request(first_line: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{first_line} HTTP/1.1\r\nhost: bridge.example\r\n");
    headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

pub(super) fn signed(body: &str) -> Vec<u8> {
    signed_to("/webhook", body)
}

pub(super) fn signed_to(path: &str, body: &str) -> Vec<u8> {
    let signature = format!("x-retell-signature: {}", signature_of(body));
    request(&format!("POST {path}"), &[&signature], body)
}

pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(super) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: Vec::new() }
    }

    /// Sends what the other side takes; it may close while this goes on.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub(super) fn answer(&mut self) -> Answer {
        self.try_answer().expect("the connection was closed without an answer")
    }

    /// The next answer; `None` where the connection ends first.
    pub(super) fn try_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.take_answer() {
                return Some(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => self.read.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let end = self.read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if self.read.len() < end + length {
            return None;
        }
        answer.body = self.read[end..end + length].to_vec();
        self.read.drain(..end + length);
        Some(answer)
    }

    /// Waits until the other side closes; what comes before is thrown away.
    pub(super) fn wait_for_close(&mut self) {
        while self.try_answer().is_some() {}
    }

    /// Says that nothing more will be sent, and waits until the other side closes without another answer.
    pub(super) fn finish(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        assert!(self.try_answer().is_none(), "one answer too many");
    }

    /// Whether the connection is open and says nothing.
    pub(super) fn is_open(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let outcome = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Leaves with a reset, as a sender that dies.
    pub(super) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }
}
