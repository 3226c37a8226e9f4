//! Those who post: several sources, each with its key, that send again what was not answered 2xx.
//!
//! In: a seed, the clock. Out: letters, and each of them, signed, as an event as often as it is asked for. Never happens: two
//! letters that are one event, but for those that are meant to be.

use bytes::Bytes;
use retell_bridge::event::Event;
use retell_bridge::signature::{self, ApiKey};

use super::judge::{POISON, Signed};
use crate::random::Random;

/// Names of the sources; two share the topics of the default prefix.
pub const SOURCES: [&str; 3] = ["alpha", "beta", "gamma"];
const WINDOW_MS: u64 = 300_000;
const KINDS: [&str; 8] = [
    "call_ended",
    "call_started",
    "call_ended",
    "transfer_started",
    "chat_ended",
    "call_inbound",
    "brand_new_type",
    "call_analyzed",
];

/// One thing that a sender has to say.
pub struct Letter {
    source: usize,
    body: Bytes,
    key: Option<String>,
    /// The signed clock of the last time it was sent.
    clock_ms: u64,
    pub is_answered: bool,
}

/// See the module.
pub struct Senders {
    random: Random,
    keys: [ApiKey; SOURCES.len()],
    pub letters: Vec<Letter>,
    largest_bytes: u64,
}

impl Senders {
    pub fn new(random: Random, largest_bytes: u64) -> Senders {
        let keys = SOURCES.map(|name| ApiKey::new(&format!("key of {name}")));
        Senders { random, keys, letters: Vec::new(), largest_bytes }
    }

    /// A new letter; its number.
    pub fn write(&mut self, now_ms: u64) -> usize {
        let number = self.letters.len();
        let random = &mut self.random;
        let key = format!("c{}", random.below(6));
        let kind = random.pick(&KINDS);
        let filler_bytes = match random.below(40) {
            0 => self.largest_bytes,
            1..4 => random.between(2_000, 6_000),
            _ => random.between(0, 900),
        };
        let filler = "x".repeat(filler_bytes as usize);
        let poison = if random.chance(2) { std::str::from_utf8(POISON).expect("it is ASCII") } else { "" };
        let (body, key) = match random.below(40) {
            0 => (format!("no JSON {number} {filler}"), None),
            1 => (format!(r#"{{"event":"{kind}","n":{number},"filler":"{filler}{poison}"}}"#), None),
            // Two transfers of one call to one number: equal bytes, two events.
            2 => (format!(r#"{{"event":"transfer_started","call":{{"call_id":"{key}"}}}}"#), Some(key)),
            _ => {
                let holder = match kind {
                    "chat_ended" => r#""chat":{"chat_id""#,
                    "call_inbound" => r#""call_inbound":{"call_id""#,
                    _ => r#""call":{"call_id""#,
                };
                let body =
                    format!(r#"{{"event":"{kind}",{holder}:"{key}"}},"n":{number},"filler":"{filler}{poison}"}}"#);
                (body, Some(key))
            }
        };
        let source = random.below(SOURCES.len() as u64) as usize;
        // No two letters share a clock.
        let clock_ms = now_ms + number as u64 % 1_000;
        self.letters.push(Letter { source, body: body.into(), key, clock_ms, is_answered: false });
        number
    }

    /// Signs a letter as before, or with the present time where that is asked for or needed, and verifies it as the intake
    /// does.
    pub fn send(&mut self, number: usize, now_ms: u64, is_fresh: bool) -> (Event, Signed) {
        let Letter { source, body, key, clock_ms, .. } = &mut self.letters[number];
        if is_fresh || clock_ms.abs_diff(now_ms) > WINDOW_MS {
            *clock_ms = now_ms;
        }
        let header = signature::sign(&self.keys[*source], body, *clock_ms);
        let keys = &self.keys[*source..=*source];
        let proof = signature::verify([header.as_bytes()].into_iter(), body.clone(), keys, now_ms, WINDOW_MS);
        let proof = proof.expect("it was signed just now with the source's own key");
        let name = SOURCES[*source];
        let signed = Signed { source: name.to_owned(), body: body.clone(), key: key.clone() };
        (Event::live(name, now_ms, proof), signed)
    }

    /// One that was not answered 2xx, or one that was.
    pub fn pick(&mut self, is_answered: bool) -> Option<usize> {
        let matching = |letter: &&(usize, &Letter)| letter.1.is_answered == is_answered;
        let letters: Vec<(usize, &Letter)> = self.letters.iter().enumerate().collect();
        let numbers: Vec<usize> = letters.iter().filter(matching).map(|(number, _)| *number).collect();
        (!numbers.is_empty()).then(|| numbers[self.random.below(numbers.len() as u64) as usize])
    }
}
