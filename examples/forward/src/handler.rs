//! Posts a record to the handler, signed as Retell signs, and tells from the answer what becomes of it.

use crate::{header, setting};
use hmac::{Hmac, KeyInit, Mac};
use rdkafka::message::{Message, OwnedMessage};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};
use std::{env, error::Error, fs};

/// Retell's own check takes a signature for five minutes; the rest is for the way and for clocks that differ.
const SIGNED_FOR_MS: u64 = 4 * 60 * 1000;

pub struct Handler {
    client: reqwest::Client,
    url: reqwest::Url,
    keys: Vec<String>,
    /// Has it taken anything since the start? As long as it has not, a refusal is likelier the fault of these
    /// settings than the event's.
    proven: AtomicBool,
}

/// Not taken yet: why, and how long to wait at least.
pub struct Later {
    pub why: String,
    pub after: Duration,
}

impl Later {
    pub fn soon(why: String) -> Self {
        Self { why, after: Duration::ZERO }
    }
}

impl Handler {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let url = setting("HANDLER_URL", "").parse().ok();
        let url: reqwest::Url =
            url.ok_or("HANDLER_URL: where to post to, such as http://localhost:3000/webhook")?;
        if url.scheme() != "http" && !(url.scheme() == "https" && cfg!(feature = "https")) {
            return Err("HANDLER_URL: http, or with `cargo build --features https` https".into());
        }
        let timeout_ms = setting("TIMEOUT_MS", "10000").parse().ok().filter(|ms| *ms > 0);
        let timeout = Duration::from_millis(timeout_ms.ok_or("TIMEOUT_MS: milliseconds")?);
        // A redirect is an answer like another: a signed body is not carried elsewhere.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        // One a line: the first one signs, any of them may have signed. WARNING: such a key can also place calls.
        let read = |file| fs::read_to_string(file).ok().filter(|keys| !keys.trim().is_empty());
        let keys = env::var("RETELL_API_KEY_FILE").map_or(Some(String::new()), read);
        let keys = keys.ok_or("RETELL_API_KEY_FILE: no key can be read there")?;
        Ok(Self {
            client: client.timeout(timeout).build()?,
            url,
            keys: keys.split_whitespace().map(str::to_owned).collect(),
            proven: AtomicBool::new(false),
        })
    }

    /// Nothing when it has taken the record, a reason when it has refused it for good. Cut off, it may have been
    /// taken: the handler then sees it twice, with the same `ce-id`.
    pub async fn post(&self, record: &OwnedMessage) -> Result<Option<String>, Later> {
        let body = record.payload().unwrap_or_default();
        let mut request = self.client.post(self.url.clone()).header("content-type", "application/json");
        let signature = header(record, "retell_signature");
        if let Some(signature) = signature {
            request = request.header("x-retell-signature", self.signature(body, signature));
        }
        if let Some(id) = header(record, "ce_id") {
            request = request.header("ce-id", id);
        }
        let none = |e: reqwest::Error| if e.is_timeout() { "no answer in time" } else { "no connection" };
        let answer = request.body(body.to_vec()).send().await.map_err(|e| Later::soon(none(e).into()))?;
        let (status, reason) = (answer.status().as_u16(), format!("http_{}", answer.status().as_u16()));
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let after = Duration::from_secs(after.unwrap_or(0).min(3600));
        match status {
            200..300 => {
                self.proven.store(true, Relaxed);
                Ok(None)
            }
            408 | 425 | 429 | 500.. => Err(Later { why: reason, after }),
            // That is an outage's fault: a handler which checks signatures takes none that is so old.
            401 | 403 if self.keys.is_empty() && signature.and_then(too_old).is_some() => {
                let cure =
                    "its signature is too old to be taken: set RETELL_API_KEY_FILE, or look at the handler";
                Err(Later { why: format!("{reason}, {cure}"), after })
            }
            _ if !self.proven.load(Relaxed) => {
                let cure = "and it has taken nothing since the start: are HANDLER_URL and its keys right?";
                Err(Later { why: format!("{reason}, {cure}"), after })
            }
            _ => Ok(Some(reason)),
        }
    }

    /// As received, or, where that is too old to be taken, anew. Never for a body that no key of ours has signed
    /// before: whoever can write to the topic could have anything signed.
    fn signature(&self, body: &[u8], received: &str) -> String {
        let ours =
            too_old(received).is_some_and(|v| self.keys.iter().any(|key| sign(key, body, v) == received));
        if ours { sign(&self.keys[0], body, now_ms()) } else { received.to_owned() }
    }
}

/// The time of a signature that is too old.
fn too_old(signature: &str) -> Option<u64> {
    let signed_at = signature.strip_prefix("v=")?.split_once(",d=")?.0.parse().ok()?;
    (now_ms().saturating_sub(signed_at) > SIGNED_FOR_MS).then_some(signed_at)
}

fn now_ms() -> u64 {
    UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64
}

/// Retell's scheme: HMAC-SHA256 with the key's text over the body and the digits of the time.
fn sign(key: &str, body: &[u8], v: u64) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    let digest = mac.chain_update(body).chain_update(v.to_string()).finalize().into_bytes();
    format!("v={v},d={}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
