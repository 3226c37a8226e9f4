//! The kinds of abuse, each for a stretch of time over a few threads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::events::Source;
use support::sign::{now_ms, signature};

use super::ledger::Ledger;
use super::wire::{self, Answers};
use crate::random::Random;

mod bodies;
mod heads;
mod odd;
mod signatures;
mod slow;
mod smuggling;

/// Whom to abuse, until when, and where to write down what happened.
pub(super) struct Target<'a> {
    pub address: SocketAddr,
    pub source: &'a Source,
    pub ledger: &'a Ledger,
    pub seed: u64,
    pub until: Instant,
    pub tries: &'a AtomicU64,
    /// For each reason of a refusal that can be known beforehand: requests sent, and those of them answered.
    pub known: &'a Mutex<BTreeMap<&'static str, (u64, u64)>>,
    /// What was answered, for the sweep.
    pub said: &'a Mutex<Vec<String>>,
}

/// One kind of abuse.
pub(super) struct Abuse {
    pub name: &'static str,
    pub time: Duration,
    pub threads: u64,
    /// Called on each thread with its number; returns at the target's end.
    pub work: fn(&Target<'_>, u64, &mut Random),
}

/// In the order in which they come. The first is none: what is quiet in the same run.
pub(super) const ABUSES: [Abuse; 7] = [
    Abuse { name: "quiet", time: Duration::from_secs(8), threads: 0, work: |_, _, _| () },
    Abuse { name: "slow", time: Duration::from_secs(18), threads: slow::THREADS, work: slow::abuse },
    Abuse { name: "signatures", time: Duration::from_secs(7), threads: 4, work: signatures::abuse },
    Abuse { name: "bodies", time: Duration::from_secs(10), threads: 12, work: bodies::abuse },
    Abuse { name: "smuggling", time: Duration::from_secs(7), threads: 8, work: smuggling::abuse },
    Abuse { name: "heads", time: Duration::from_secs(6), threads: 8, work: heads::abuse },
    Abuse { name: "odd", time: Duration::from_secs(7), threads: 4, work: odd::abuse },
];

impl Target<'_> {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    fn tried(&self) {
        self.tries.fetch_add(1, Ordering::Relaxed);
    }

    /// A header line that signs `body`, and the signature in it.
    fn sign(&self, body: &[u8]) -> (String, String) {
        let signature = signature(&self.source.api_key, body, now_ms());
        (format!("X-Retell-Signature: {signature}\r\n"), signature)
    }

    /// A body that no other is equal to.
    fn body(&self, lane: u64, chance: &mut Random) -> String {
        format!(
            r#"{{"event":"call_ended","call":{{"call_id":"cidmk-{}-{lane}-{:016x}","transcript":"saffron lantern"}}}}"#,
            self.seed,
            chance.number()
        )
    }

    /// Sends `bytes` on a connection of its own. `None`: it was not even let in, or cut off without an answer.
    fn exchange(&self, bytes: &[u8], wait: Duration) -> Option<Answers> {
        self.tried();
        let answers = wire::exchange(self.address, bytes, wait).ok()?;
        let mut said = self.said.lock().expect("no holder panics");
        if said.last() != Some(&answers.text) {
            said.push(answers.text.clone());
        }
        Some(answers)
    }

    /// As [`Target::exchange`], of bytes that hold no event: a 2xx for any of it is wrong.
    fn expect_refusal(&self, what: &str, bytes: &[u8], wait: Duration) {
        let answers = self.exchange(bytes, wait);
        if let Some(status) = answers.and_then(|answers| answers.statuses.into_iter().find(|s| (200..300).contains(s)))
        {
            self.ledger.complain(format!("{what} was answered {status}"));
        }
    }
}
