//! Raw headers, raw body, keys and a clock go in; [`Authenticated`] or a [`Refusal`] comes out. Also signs, for the
//! sender tool. Pure: no I/O, no clock of its own, no log line.
//!
//! The scheme is Retell's: header `v=<unix ms>,d=<64 lower-case hex digits>`, where
//! `d = HMAC-SHA256(key = the API key's text, message = raw body ‖ decimal digits of v)`, and `|now − v|` is at most the
//! window, bounds included. `v` is read as a number and printed again before it is hashed, so a leading zero does not
//! count. The reading is the strict one: exactly that shape, ASCII digits, lower case.
//!
//! Never happens: an [`Authenticated`] without a MAC that holds over the very bytes it carries; a comparison whose
//! duration depends on the digest; a key, digest or body in `Debug` output or an error.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Name of the header that carries the signature, in lower case.
pub const HEADER: &str = "x-retell-signature";

/// Largest `v` that is taken: JavaScript's largest exact integer, above which Retell's own SDK cannot print the number
/// again.
const CLOCK_MAX_MS: u64 = (1 << 53) - 1;

/// An API key of the sender. Its text never shows in `Debug`.
#[derive(Clone)]
pub struct ApiKey {
    text: SecretString,
    fingerprint: String,
}

impl ApiKey {
    /// Takes the key's text as it is. The caller has made sure that it is not empty.
    pub fn new(text: &str) -> ApiKey {
        let digest = Sha256::digest(text.as_bytes());
        let fingerprint = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        ApiKey { text: SecretString::from(text), fingerprint }
    }

    /// First 8 hex digits of the SHA-256 of the key's text: names the key in metrics and settings without telling it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn mac(&self, body: &[u8], clock_ms: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.text.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(body);
        mac.update(clock_ms.to_string().as_bytes());
        mac
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.fingerprint)
    }
}

/// A body whose signature held: the proof that [`crate::event::Event::live`] asks for.
pub struct Authenticated {
    /// The signature header, as received.
    header: String,
    /// The sender's signed clock `v`, Unix milliseconds.
    clock_ms: u64,
    body: Bytes,
    fingerprint: String,
}

impl Authenticated {
    /// The signature header as received.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The sender's signed clock, Unix milliseconds.
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// The raw body that was signed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Fingerprint of the key that held.
    pub fn key_fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Why a request is not believed. The sender is never told which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature header.
    #[error("no X-Retell-Signature header: the request does not come from Retell, or a proxy dropped the header")]
    Missing,
    /// Not `v=<digits>,d=<64 lower-case hex digits>`, or the header stands there twice.
    #[error("the X-Retell-Signature header is not of the form v=<unix ms>,d=<64 lower-case hex digits>")]
    Malformed,
    /// The MAC holds, the clock is outside the window.
    #[error("the signature holds but is outside the time window: a clock is off, or an old request is sent again")]
    Stale,
    /// No key makes this MAC.
    #[error("no key makes this signature: wrong key, or the body was changed on its way")]
    Wrong,
}

/// Checks `headers` (every value of the signature header, in order) over `body` against each key.
///
/// All keys are tried, so that the time taken does not tell which one held.
pub fn verify<'h>(
    mut headers: impl Iterator<Item = &'h [u8]>,
    body: Bytes,
    keys: &[ApiKey],
    now_ms: u64,
    window_ms: u64,
) -> Result<Authenticated, Refusal> {
    let header = headers.next().ok_or(Refusal::Missing)?;
    if headers.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let (clock_ms, digest) = parse(header).ok_or(Refusal::Malformed)?;
    let mut held = None;
    for key in keys {
        if key.mac(&body, clock_ms).verify_slice(&digest).is_ok() {
            held = Some(key);
        }
    }
    let key = held.ok_or(Refusal::Wrong)?;
    if now_ms.abs_diff(clock_ms) > window_ms {
        return Err(Refusal::Stale);
    }
    let header = String::from_utf8_lossy(header).into_owned();
    Ok(Authenticated { header, clock_ms, body, fingerprint: key.fingerprint.clone() })
}

/// The header's value for `body`, signed at `now_ms`.
pub fn sign(key: &ApiKey, body: &[u8], now_ms: u64) -> String {
    let digest = key.mac(body, now_ms).finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v={now_ms},d={hex}")
}

/// The signed clock `v` of a header that was accepted once; `None` where it has not the form.
pub fn clock_ms(header: &str) -> Option<u64> {
    parse(header.as_bytes()).map(|(clock_ms, _)| clock_ms)
}

fn parse(header: &[u8]) -> Option<(u64, [u8; 32])> {
    let rest = header.strip_prefix(b"v=")?;
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let (digits, rest) = rest.split_at(comma);
    let hex = rest.strip_prefix(b",d=")?;
    Some((parse_clock(digits)?, parse_digest(hex)?))
}

fn parse_clock(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (value <= CLOCK_MAX_MS).then_some(value)
}

fn parse_digest(hex: &[u8]) -> Option<[u8; 32]> {
    let hex: &[u8; 64] = hex.try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_276_800_000;
    const WINDOW: u64 = 300_000;

    fn check(header: &str, body: &str, key: &str, now_ms: u64) -> Result<Authenticated, Refusal> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        verify([header.as_bytes()].into_iter(), body, &[ApiKey::new(key)], now_ms, WINDOW)
    }

    #[test]
    fn every_vector_of_the_official_sdks_is_judged_as_they_judge_it() {
        let text = include_str!("../tests/data/signature_vectors.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 20);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let now_ms = vector["now_ms"].as_u64().unwrap();
            let verdict = check(text("header"), text("body"), text("key"), now_ms).is_ok();
            // Where the two SDKs differ (null), ours is the stricter verdict.
            assert_eq!(verdict, vector["expected"].as_bool().unwrap_or(false), "{}", text("id"));
        }
    }

    #[test]
    fn what_is_signed_here_verifies_here_to_the_edges_of_the_window() {
        let header = sign(&ApiKey::new("k"), b"{}", NOW);
        for (now_ms, outcome) in [
            (NOW - WINDOW, None),
            (NOW + WINDOW, None),
            (NOW - WINDOW - 1, Some(Refusal::Stale)),
            (NOW + WINDOW + 1, Some(Refusal::Stale)),
        ] {
            assert_eq!(check(&header, "{}", "k", now_ms).err(), outcome);
        }
    }

    #[test]
    fn a_stale_signature_with_a_wrong_mac_is_wrong_and_not_stale() {
        let header = sign(&ApiKey::new("other"), b"{}", 1);
        assert_eq!(check(&header, "{}", "k", NOW).err(), Some(Refusal::Wrong));
    }

    #[test]
    fn any_live_key_may_hold_and_the_one_that_held_is_named() {
        let keys = [ApiKey::new("old"), ApiKey::new("new")];
        for key in &keys {
            let header = sign(key, b"{}", NOW);
            let held = verify([header.as_bytes()].into_iter(), Bytes::from_static(b"{}"), &keys, NOW, WINDOW);
            assert_eq!(held.ok().unwrap().key_fingerprint(), key.fingerprint());
        }
    }

    #[test]
    fn a_header_sent_twice_is_malformed_even_when_both_hold() {
        let header = sign(&ApiKey::new("k"), b"{}", NOW);
        let twice = [header.as_bytes(), header.as_bytes()];
        let outcome = verify(twice.into_iter(), Bytes::from_static(b"{}"), &[ApiKey::new("k")], NOW, WINDOW);
        assert_eq!(outcome.err(), Some(Refusal::Malformed));
    }

    #[test]
    fn a_key_never_shows_in_debug_output() {
        assert!(!format!("{:?}", ApiKey::new("key_secret")).contains("secret"));
    }
}
