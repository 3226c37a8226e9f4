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
mod hoard;
mod odd;
mod signatures;
mod slow;
mod smuggling;

pub(super) use signatures::REASONS;

/// Whom to abuse, until when, and where to write down what happened.
pub(super) struct Target<'a> {
    /// Of the abuse.
    pub name: &'static str,
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
    /// What the settings let the bridge's memory grow by meanwhile.
    pub growth_max_bytes: u64,
    /// As many connections must have been open at once, or the abuse was none.
    pub connections_least: u64,
    /// Called on each thread with its number; returns at the target's end.
    pub work: fn(&Target<'_>, u64, &mut Random),
}

/// The bridge's defaults, and what its source says of its spare places.
pub(super) const CONNECTIONS_MAX: u64 = 1_024;
/// Where ten times as many come, no bridge with room is left below this.
const NEAR_CONNECTIONS_MAX: u64 = CONNECTIONS_MAX * 9 / 10;
const SPARE_CONNECTIONS: u64 = 2 * 64;
const HEAD_MAX_BYTES: u64 = 32 << 10;
const IN_FLIGHT_MAX_BYTES: u64 = 64 << 20;
/// Honest senders' events, batches, Kafka's queue, the allocator's holes.
const MARGIN_BYTES: u64 = 32 << 20;
/// Every connection may hold a head.
const HEADS_BYTES: u64 = (CONNECTIONS_MAX + SPARE_CONNECTIONS) * HEAD_MAX_BYTES;
const OF_HEADS_BYTES: u64 = HEADS_BYTES + MARGIN_BYTES;
/// A body may lie twice: as it arrived, and in the journal's batch.
const OF_BODIES_BYTES: u64 = 2 * IN_FLIGHT_MAX_BYTES + MARGIN_BYTES;
/// Its four threads send bodies of up to 8 MiB.
const OF_ODD_BYTES: u64 = 2 * 4 * (8 << 20) + OF_HEADS_BYTES;
const INDEX_BYTES: u64 = 32 << 20;
const KAFKA_QUEUE_BYTES: u64 = 32 << 20;
/// Of all stretches together, so that what each keeps does not add up. A head may lie twice, unread and parsed.
pub(super) const ALL_GROWTH_MAX_BYTES: u64 =
    OF_BODIES_BYTES + 2 * HEADS_BYTES + INDEX_BYTES + KAFKA_QUEUE_BYTES + MARGIN_BYTES;

/// In the order in which they come. The first is none: what is quiet in the same run.
pub(super) const ABUSES: [Abuse; 8] = [
    abuse("quiet", 8, 0, OF_HEADS_BYTES, |_, _, _| ()),
    Abuse { connections_least: NEAR_CONNECTIONS_MAX, ..abuse("slow", 18, slow::THREADS, OF_HEADS_BYTES, slow::abuse) },
    abuse("signatures", 7, 4, OF_HEADS_BYTES, signatures::abuse),
    abuse("bodies", 10, 12, OF_BODIES_BYTES, bodies::abuse),
    abuse("hoard", 10, hoard::THREADS, OF_BODIES_BYTES, hoard::abuse),
    abuse("smuggling", 7, 8, OF_HEADS_BYTES, smuggling::abuse),
    abuse("heads", 6, 8, OF_HEADS_BYTES, heads::abuse),
    abuse("odd", 7, 4, OF_ODD_BYTES, odd::abuse),
];

const fn abuse(
    name: &'static str,
    seconds: u64,
    threads: u64,
    growth_max_bytes: u64,
    work: fn(&Target<'_>, u64, &mut Random),
) -> Abuse {
    Abuse { name, time: Duration::from_secs(seconds), threads, growth_max_bytes, connections_least: 0, work }
}

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

    /// A body that no other is equal to: kind and thread have a stream of chance to themselves, which repeats no number.
    fn body(&self, lane: u64, chance: &mut Random) -> String {
        format!(
            r#"{{"event":"call_ended","call":{{"call_id":"cidmk-{}-{}-{lane}-{:016x}","transcript":"saffron lantern"}}}}"#,
            self.seed,
            self.name,
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
