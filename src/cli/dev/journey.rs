//! The way of events through `dev`, from both ends: samples are posted at one, records are read at the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::console::{Arrival, Happening, Teller};
use super::explain::Refused;
use super::topics::Topics;
use crate::cli::send::{Rounds, Sender, WHOLE_CALL};
use crate::cli::sign::now_ms;
use crate::intake::{Observer, Seen};
use crate::kafka;
use crate::kafka::consumer::{self, Start, TopicRecord};

/// How long one look at the topics waits; the reader ends within two.
const LOOK: Duration = Duration::from_millis(300);
/// How often missing topics are looked for.
const LOOK_FOR_MISSING: Duration = Duration::from_secs(2);
/// Length of the sample call.
const SAMPLE_LENGTH: Duration = Duration::from_secs(30);
/// Between two samples, so that their lines come in the order of the call: topics are read side by side.
const SAMPLE_PAUSE: Duration = Duration::from_millis(250);

/// Posts one whole call, as Retell does. Blocks until it is answered; says what was not taken.
pub(super) fn post_samples(sender: &Sender, teller: &Teller) {
    for posting in Rounds::made(&WHOLE_CALL, None, SAMPLE_LENGTH, 1) {
        let kind = posting.kind.name();
        if let Err(failure) = sender.post(&posting.into_bytes()).result {
            teller.tell(Happening::Note(format!("the sample {kind} was not taken: {failure}")));
        }
        std::thread::sleep(SAMPLE_PAUSE);
    }
}

/// Tells the console what the intake sees. Called from the intake's threads, and never makes one wait.
pub(super) fn observer(teller: Teller) -> Observer {
    Observer::new(move |seen| {
        teller.tell(match seen {
            Seen::Kept { .. } => Happening::Kept,
            Seen::Duplicate { kind, first_seen_ago, .. } => {
                Happening::Duplicate { kind: kind.name(), age: *first_seen_ago }
            }
            Seen::Refused { status, reason, cause, body, .. } => {
                let local_unsigned_body = body.cloned();
                Happening::Refused(Refused { status: *status, reason, cause, local_unsigned_body })
            }
        });
    })
}

/// Reads the topics beside the bridge.
pub(super) struct Reader {
    reader: consumer::Reader,
    /// Looked for again and again, until somebody makes them.
    missing: Vec<String>,
}

/// A reader that tells the console.
pub(super) struct Reading {
    is_ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Takes its place on the topics that are there: before the bridge starts, so that nothing of this run is missed.
    pub(super) fn open(kafka: &kafka::Options, topics: Topics, start: Start) -> anyhow::Result<Reader> {
        let mut reader = consumer::Reader::new(kafka)?;
        for topic in &topics.there {
            reader.add(topic, start)?;
        }
        Ok(Reader { reader, missing: topics.missing })
    }

    /// Tells of every record until it is stopped.
    pub(super) fn start(mut self, teller: Teller) -> Reading {
        let is_ending = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&is_ending);
        let thread = std::thread::spawn(move || {
            let mut looked = Instant::now();
            loop {
                // Asked before the look, so that what was there at the end is still told.
                let is_last = ending.load(Ordering::Acquire);
                match self.reader.next(LOOK) {
                    Ok(Some(record)) => teller.tell_surely(Happening::Arrived(arrival(&record))),
                    Ok(None) if is_last => return,
                    // The publisher tells of trouble with Kafka; this one goes on when that is over.
                    Err(_) if is_last => return,
                    Ok(None) | Err(_) => {}
                }
                if !self.missing.is_empty() && looked.elapsed() >= LOOK_FOR_MISSING {
                    self.look_for_missing();
                    looked = Instant::now();
                }
            }
        });
        Reading { is_ending, thread }
    }

    fn look_for_missing(&mut self) {
        let Reader { reader, missing } = self;
        // Made since the start, so all that is in them is of this run.
        missing.retain(|topic| reader.add(topic, Start::Beginning).is_err());
    }
}

impl Reading {
    /// Tells what is still on its way out of Kafka, and ends.
    pub(super) fn stop(self) {
        self.is_ending.store(true, Ordering::Release);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn arrival(record: &TopicRecord) -> Arrival {
    let now_ms = now_ms();
    let header = |name: &str| record.header(name).map(str::to_owned);
    let kind = header("ce_type").unwrap_or_default();
    let received_at_ms = record.timestamp_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(now_ms);
    Arrival {
        now_ms,
        topic: record.topic.clone(),
        key: record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        kind: kind.rsplit('.').next().unwrap_or_default().to_owned(),
        reason: header("retell_reason"),
        body_bytes: record.value.len(),
        way: Duration::from_millis(now_ms.saturating_sub(received_at_ms)),
        id: header("ce_id").unwrap_or_default(),
    }
}
