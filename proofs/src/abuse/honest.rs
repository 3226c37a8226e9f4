//! Honest senders: signed events at a steady rate that does not wait for answers, with Retell's own patience.
//!
//! Out: how long each took from the moment it was due to its 2xx. Never happens: a pause of the bridge hidden because
//! the sender waited with it; an event given up without a word.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::http::Connection;
use support::sign::{now_ms, signature};

use super::hostile::Target;

/// Half of them keep their connection, the other half open one for each event.
pub(super) const SENDERS: u64 = 16;
/// Between the events of one sender: 40 events a second in all.
const EVERY: Duration = Duration::from_millis(400);
/// Retell's rules: so long for an answer, and so many more attempts.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Felt {
    /// From due to 2xx, retries included.
    pub latencies: Vec<Duration>,
    pub retried: u64,
}

/// One sender, until the target's end.
pub(super) fn send(target: &Target<'_>, nth: u64, stretch: &str) -> Felt {
    let (mut felt, mut connection) = (Felt::default(), None);
    let mut due = Instant::now() + EVERY * nth as u32 / SENDERS as u32;
    let mut number = 0;
    while due < target.until {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let body = format!(
            r#"{{"event":"call_ended","call":{{"call_id":"cidmk-{stretch}-{nth}-{number}-{}","from_number":"+12137771234","transcript":"User: saffron lantern {}"}}}}"#,
            target.seed,
            "x".repeat(300 + (number as usize * 997) % 3_000)
        );
        if nth % 2 == 1 {
            connection = None;
        }
        match deliver(target, &mut connection, body.as_bytes(), "an honest event", &mut felt.retried) {
            Ok(()) => felt.latencies.push(due.elapsed()),
            Err(wrong) => target.ledger.complain(format!("{stretch}: an honest event {wrong}")),
        }
        number += 1;
        due += EVERY;
    }
    felt
}

/// Sends one signed body by Retell's rules; what came of it where no 2xx did.
pub(super) fn deliver(
    target: &Target<'_>,
    connection: &mut Option<Connection>,
    body: &[u8],
    what: &'static str,
    retried: &mut u64,
) -> Result<(), String> {
    let signature = signature(&target.source.api_key, body, now_ms());
    target.ledger.may_keep(what, &signature, body);
    let mut answers = Vec::new();
    for attempt in 0..=RETRIES {
        if attempt > 0 {
            *retried += 1;
            std::thread::sleep(RETRY_PAUSE);
        }
        let began = Instant::now();
        let status = once(target.address, &target.source.path, connection, &signature, body);
        let is_kept = status.is_some_and(|status| (200..300).contains(&status));
        if is_kept {
            target.ledger.must_keep(&signature);
        } else if let Some(status @ (401 | 413)) = status {
            return Err(format!("of {} bytes was answered {status}", body.len()));
        }
        if is_kept && began.elapsed() < ANSWER_WITHIN {
            return Ok(());
        }
        let status = status.map_or("no answer".to_owned(), |status| status.to_string());
        answers.push(format!("{status} after {:.1} s", began.elapsed().as_secs_f64()));
    }
    Err(format!("had no 2xx in {} attempts: {}", RETRIES + 1, answers.join(", ")))
}

fn once(to: SocketAddr, path: &str, connection: &mut Option<Connection>, signature: &str, body: &[u8]) -> Option<u16> {
    if connection.is_none() {
        *connection = Connection::open(to).ok();
    }
    let headers = [("X-Retell-Signature", signature), ("Content-Type", "application/json")];
    let answer = connection.as_mut()?.post(path, &headers, body).ok();
    if answer.as_ref().is_none_or(|answer| answer.header("connection") == Some("close")) {
        *connection = None;
    }
    answer.map(|answer| answer.status)
}
