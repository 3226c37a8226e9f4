//! One life of one bridge process, which may end at any moment, and whoever sends to it.
//!
//! In: a command, events. Out: each answer in a ledger, and how the process ended. Never happens: a wait without an end;
//! a process left over.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::bridge::Metrics;
use support::events::{Event, QUERY_MARKER};
use support::http::{self, Connection};
use support::ledger::{Entry, Ledger, turn};
use support::process::{Lines, Process};
use support::sign::{now_ms, signature};
use support::sweep;

/// From the command to the listening intake; generous, as two cores are shared.
const START: Duration = Duration::from_secs(60);
/// `shutdown.deadline`, what publisher and journal may take behind it, and behind all of that the bridge's last resort.
const STOP: Duration = Duration::from_secs(60);

/// What the log says where a producer is given up: what it had not confirmed is sent again.
const RENEWAL: &str = "new Kafka producer";

/// A running bridge.
pub struct Life {
    process: Process,
    lines: Arc<Lines>,
    pub intake: SocketAddr,
    admin: SocketAddr,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// `None`: it did not end in time and was killed.
    pub status: Option<ExitStatus>,
    pub log: Vec<String>,
}

impl Life {
    /// Starts; `Err` where the process ends before it takes events.
    pub fn start(mut command: Command) -> Result<Life, Ended> {
        command.env_remove("RETELL_API_KEY").env("RUST_BACKTRACE", "1");
        let lines = Arc::<Lines>::default();
        let process = Process::start(command, Arc::clone(&lines)).expect("the binary can be run");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut life = Life { process, lines, intake: nowhere, admin: nowhere };
        let end = Instant::now() + START;
        loop {
            let slice = Duration::from_millis(50);
            if let Some(intake) = life.lines.find(0, slice, |line| address_of(line, "intake listening")) {
                life.intake = intake;
                let admin = life.lines.find(0, slice, |line| address_of(line, "admin listening"));
                life.admin = admin.unwrap_or(nowhere);
                return Ok(life);
            }
            if !life.process.running() || Instant::now() > end {
                return Err(life.ended(Duration::ZERO));
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.running()
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Ended {
        self.process.kill();
        self.ended(Duration::ZERO)
    }

    /// SIGTERM, and the end.
    pub fn stop(self) -> Ended {
        self.process.terminate();
        self.ended(STOP)
    }

    /// Waits for the end that comes by itself; one that does not come is killed.
    pub fn ended(mut self, patience: Duration) -> Ended {
        let status = self.process.wait(patience);
        self.process.kill();
        // What was printed last may still be in the pipe.
        std::thread::sleep(Duration::from_millis(20));
        Ended { status, log: self.lines.since(0) }
    }

    /// Whether a line with this message has been logged.
    pub fn has_said(&self, message: &str) -> bool {
        self.lines.find(0, Duration::ZERO, |line| line.contains(message).then_some(())).is_some()
    }

    /// Whether it has given up a producer.
    pub fn has_renewed(&self) -> bool {
        self.has_said(RENEWAL)
    }

    pub fn metrics(&self) -> Result<Metrics, String> {
        let answer = http::get(self.admin, "/metrics").map_err(|error| format!("/metrics does not answer: {error}"))?;
        Ok(Metrics(answer.text()))
    }
}

impl Ended {
    /// The exit code; `None` where a signal ended it, or nothing did.
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    pub fn is_killed(&self) -> bool {
        self.status.and_then(|status| status.signal()) == Some(9)
    }

    /// Producers that it gave up.
    pub fn renewals(&self) -> usize {
        self.log.iter().filter(|line| line.contains(RENEWAL)).count()
    }

    pub fn has_said(&self, message: &str) -> bool {
        self.log.iter().any(|line| line.contains(message))
    }

    /// What it said and may not have: transcripts, keys, panics.
    pub fn betrayals(&self) -> Vec<String> {
        sweep::betrayals(self.log.iter().map(String::as_str))
    }

    /// The last lines, for a story.
    pub fn last_lines(&self) -> String {
        let from = self.log.len().saturating_sub(12);
        self.log[from..].iter().map(|line| format!("\n      {line}")).collect()
    }
}

/// One sender: a connection and its ledger.
#[derive(Default)]
pub struct Sender {
    connection: Option<Connection>,
    pub ledger: Ledger,
}

impl Sender {
    /// Signs an event; nothing is sent yet.
    pub fn sign(event: &Event) -> Entry {
        let v = now_ms();
        let mut entry = Entry::new(event.clone(), v, signature(&event.source.api_key, &event.body, v));
        (entry.sent_turn, entry.sent_ms, entry.answered_ms) = (turn(), v, v);
        entry
    }

    /// One request; the status, 0 where no answer came. What is wrong with an answer goes into the entry.
    pub fn attempt(&mut self, address: SocketAddr, entry: &mut Entry) -> u16 {
        let sent = turn();
        let answer = self.post(address, entry);
        entry.answered_ms = now_ms();
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        entry.tried(address, sent, status);
        let Ok(answer) = answer else {
            self.connection = None;
            return 0;
        };
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = None;
        }
        let complaint = match status {
            200..300 if answer.header("x-event-id") != Some(&entry.ce_id) => Some("a 2xx with another event's id"),
            503 if answer.header("retry-after").is_none() => Some("a 503 without Retry-After"),
            200..300 | 503 => None,
            _ => Some("neither 2xx nor 503"),
        };
        entry.complaints.extend(complaint.map(|what| format!("{what} ({status})")));
        status
    }

    fn post(&mut self, address: SocketAddr, entry: &Entry) -> std::io::Result<http::Answer> {
        if self.connection.as_ref().is_none_or(|connection| connection.address() != address) {
            self.connection = Some(Connection::open(address)?);
        }
        let connection = self.connection.as_mut().expect("opened above");
        let path = format!("{}?agent={QUERY_MARKER}", entry.event.source.path);
        let headers = [("X-Retell-Signature", entry.signature.as_str()), ("Content-Type", "application/json")];
        connection.post(&path, &headers, &entry.event.body)
    }
}

/// The address that a `"<part> listening"` line of the JSON log names.
fn address_of(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str();
    (field("message")? == message).then(|| field("address")?.parse().ok()).flatten()
}
