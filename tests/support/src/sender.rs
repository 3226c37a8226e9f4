//! Sends events as Retell does: signed, over keep-alive connections, the events of one call one after the other, again
//! when no 2xx comes. More patient than Retell, which gives up after three retries: a test wants to see them all kept.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::bridge::{Bridge, Intake};
use super::events::{Event, QUERY_MARKER};
use super::http::{Answer, Connection};
use super::ledger::{Entry, Ledger, turn};
use super::sign::{now_ms, signature};

const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Longer than any test keeps a bridge down.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// One connection to one bridge.
pub struct Sender {
    intake: Intake,
    said: Arc<Mutex<Vec<String>>>,
    connection: Option<Connection>,
    pub ledger: Ledger,
}

impl Sender {
    pub fn to(bridge: &Bridge) -> Sender {
        Sender { intake: bridge.intake(), said: bridge.keep_for_sweep(), connection: None, ledger: Ledger::default() }
    }

    /// Signs `event` now and sends it until it is kept. True if it was.
    pub fn send(&mut self, event: &Event) -> bool {
        self.send_at(event, now_ms())
    }

    /// As [`Sender::send`], signed at `v`.
    pub fn send_at(&mut self, event: &Event, v: u64) -> bool {
        let mut entry = Entry::new(event.clone(), v, signature(&event.source.api_key, &event.body, v));
        entry.sent_turn = turn();
        entry.sent_ms = now_ms();
        let end = Instant::now() + GIVE_UP_AFTER;
        while !entry.is_kept() && Instant::now() < end {
            self.attempt(&mut entry);
            if !entry.is_kept() {
                thread::sleep(RETRY_PAUSE);
            }
        }
        let kept = entry.is_kept();
        self.ledger.entries.push(entry);
        kept
    }

    fn attempt(&mut self, entry: &mut Entry) {
        let to = *self.intake.lock().expect("no holder panics");
        let sent = turn();
        let answer = self.post_to(to, &entry.event, &entry.signature);
        entry.answered_ms = now_ms();
        entry.tried(to, sent, answer.as_ref().map_or(0, |answer| answer.status));
        entry.failures.extend(answer.as_ref().err().map(io::Error::kind));
        if let Ok(answer) = answer.as_ref()
            && (200..300).contains(&answer.status)
        {
            entry.complaints.extend(complaint(entry, answer));
        }
    }

    /// One request as it is, outside the ledger. An answer that refuses is kept for the sweep.
    pub fn post(&mut self, event: &Event, signature: &str) -> io::Result<Answer> {
        let to = *self.intake.lock().expect("no holder panics");
        self.post_to(to, event, signature)
    }

    fn post_to(&mut self, address: SocketAddr, event: &Event, signature: &str) -> io::Result<Answer> {
        if self.connection.as_ref().is_none_or(|connection| connection.address() != address) {
            self.connection = Some(Connection::open(address)?);
        }
        let connection = self.connection.as_mut().expect("opened above");
        let path = format!("{}?agent={QUERY_MARKER}", event.source.path);
        let headers = [("X-Retell-Signature", signature), ("Content-Type", "application/json")];
        let answer = connection.post(&path, &headers, &event.body);
        let hangs_up = |a: &Answer| a.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if answer.as_ref().map_or(true, hangs_up) {
            self.connection = None;
        }
        if let Ok(answer) = &answer
            && answer.status >= 300
        {
            self.said.lock().expect("no holder panics").push(format!("{:?} {}", answer.headers, answer.text()));
        }
        answer
    }
}

/// What is wrong with the 2xx itself.
fn complaint(entry: &Entry, answer: &Answer) -> Option<String> {
    let inbound = entry.event.is_inbound();
    let expected = if inbound { 200 } else { 204 };
    if answer.status != expected {
        return Some(format!("answered {} instead of {expected}", answer.status));
    }
    if answer.header("x-event-id") != Some(&entry.ce_id) {
        return Some(format!("X-Event-Id is {:?}, not {}", answer.header("x-event-id"), entry.ce_id));
    }
    let body: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    match inbound {
        true if body.as_ref().and_then(|b| b.get(&entry.event.kind)).is_none_or(|answer| !answer.is_object()) => {
            Some(format!("an inbound event was answered {:?}", answer.text()))
        }
        false if !answer.body.is_empty() => Some(format!("204 with a body: {:?}", answer.text())),
        _ => None,
    }
}

/// Sends all `stories` with `senders` connections at once, pausing `pace` between the events of each connection.
pub fn send_all(bridge: &Bridge, stories: Vec<Vec<Event>>, senders: usize, pace: Duration) -> Ledger {
    start_sending(bridge, stories, senders, pace).finish()
}

/// Senders at work, while the test breaks something.
pub struct Sending {
    threads: Vec<thread::JoinHandle<Ledger>>,
    sent: Arc<AtomicU64>,
    pub total: u64,
}

pub fn start_sending(bridge: &Bridge, stories: Vec<Vec<Event>>, senders: usize, pace: Duration) -> Sending {
    let total = stories.iter().map(Vec::len).sum::<usize>() as u64;
    let (stories, sent) = (Arc::new(Mutex::new(VecDeque::from(stories))), Arc::new(AtomicU64::new(0)));
    let start_one = |_| {
        let (stories, sent, mut sender) = (Arc::clone(&stories), Arc::clone(&sent), Sender::to(bridge));
        thread::spawn(move || {
            loop {
                let Some(story) = stories.lock().expect("no holder panics").pop_front() else {
                    break;
                };
                for event in &story {
                    sender.send(event);
                    sent.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pace);
                }
            }
            sender.ledger
        })
    };
    Sending { threads: (0..senders).map(start_one).collect(), sent, total }
}

impl Sending {
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns when this share of the events has been sent.
    pub fn wait_share(&self, hundredths: u64) {
        let end = Instant::now() + Duration::from_secs(120);
        while self.sent() * 100 < self.total * hundredths {
            assert!(Instant::now() < end, "after two minutes {} of {} events are sent", self.sent(), self.total);
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn finish(self) -> Ledger {
        let mut ledger = Ledger::default();
        for thread in self.threads {
            ledger.extend(thread.join().expect("a sender does not panic"));
        }
        ledger
    }
}
