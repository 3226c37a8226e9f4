//! One record at the handler: as it was signed, or signed anew; again while the handler is away; to the dead letters when it refuses.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message};
use reqwest::Url;
use reqwest::redirect::Policy;
use sha2::Sha256;
use tokio::sync::{Semaphore, watch};

/// Posts at the handler at the same time.
const POSTS_MAX: usize = 64;
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Longer than this no `Retry-After` holds up a call.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Retell's own check takes a signature for five minutes; the rest is for the way there and for clocks that differ.
const SIGNED_FOR_MS: u64 = 4 * 60 * 1000;

pub struct Handler {
    client: reqwest::Client,
    url: Url,
    keys: Vec<String>,
    posts: Semaphore,
    dead_letters: String,
    producer: FutureProducer,
}

/// Why a record is not done yet.
enum Trouble {
    /// The handler will never take it: the reason for the dead letter.
    Refused(String),
    /// It may take it later, but not before this time, where it says so.
    Later(String, Option<Duration>),
}

impl Handler {
    pub fn from_env(group: &str) -> Handler {
        let timeout = Duration::from_millis(env("TIMEOUT_MS", "10000").parse().expect("TIMEOUT_MS: milliseconds"));
        // WARNING: this key can also place calls. One a line: the first one signs, any of them may have signed.
        // One a line: the first one signs, any of them may have signed. WARNING: such a key can also place calls.
        let keys =
            std::env::var("RETELL_API_KEY_FILE").map(|file| std::fs::read_to_string(file).expect("the file of keys"));
        // A redirect is an answer like another: a signed body is not carried elsewhere.
        let client = reqwest::Client::builder().timeout(timeout).redirect(Policy::none()).build();
        Handler {
            client: client.expect("an HTTP client"),
            url: env("HANDLER_URL", "").parse().expect("HANDLER_URL: where to post to"),
            keys: keys.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            posts: Semaphore::new(POSTS_MAX),
            dead_letters: env("DEAD_LETTERS", &format!("retell.{group}.dead")),
            producer: ClientConfig::new()
                .set("bootstrap.servers", env("KAFKA_BROKERS", "localhost:9092"))
                .set("message.max.bytes", "9437184") // as large as the bridge takes a body
                .set("message.timeout.ms", "8000") // then it is tried again here
                .create()
                .expect("settings of Kafka"),
        }
    }

    /// Until the record is done; false when it is given back, because the epoch in which it was read is over.
    pub async fn forward(&self, record: &OwnedMessage, epoch: u64, mut now: watch::Receiver<u64>) -> bool {
        let mut refused: Option<String> = None;
        let mut wait = WAIT_MIN;
        loop {
            let result = match &refused {
                Some(reason) => self.set_aside(record, reason).await,
                None => {
                    let _post = self.posts.acquire().await.expect("it is never closed");
                    if *now.borrow() != epoch {
                        return false;
                    }
                    self.post(record).await
                }
            };
            let at = format!("{}-{}@{}", record.topic(), record.partition(), record.offset());
            let sleep = match result {
                Ok(()) => return true,
                Err(Trouble::Refused(reason)) => {
                    eprintln!("{at} to {}: {reason}", self.dead_letters);
                    refused = Some(reason);
                    continue;
                }
                Err(Trouble::Later(why, after)) => {
                    if wait == WAIT_MIN {
                        eprintln!("{at} tried again until it is taken: {why}");
                    }
                    after.unwrap_or_default().max(wait.mul_f64(0.5 + fastrand::f64() / 2.0))
                }
            };
            wait = WAIT_MAX.min(wait * 2);
            tokio::select! {
                _ = tokio::time::sleep(sleep) => {}
                _ = now.wait_for(|now| *now != epoch) => return false,
            }
        }
    }

    /// Cancelled, it may have been taken: the handler then sees it twice, with the same `ce-id`.
    async fn post(&self, record: &OwnedMessage) -> Result<(), Trouble> {
        let body = record.payload().unwrap_or_default().to_vec();
        let mut request = self.client.post(self.url.clone()).header("content-type", "application/json");
        if let Some(signature) = header(record, "retell_signature") {
            request = request.header("x-retell-signature", self.signature(&body, signature));
        }
        if let Some(id) = header(record, "ce_id") {
            request = request.header("ce-id", id);
        }
        let answer = request.body(body).send().await.map_err(|e| {
            let why = if e.is_timeout() { "no answer in time" } else { "no connection" };
            Trouble::Later(why.into(), None)
        })?;
        match answer.status().as_u16() {
            200..300 => Ok(()),
            status @ (408 | 425 | 429 | 500..) => Err(Trouble::Later(format!("http_{status}"), retry_after(&answer))),
            status => Err(Trouble::Refused(format!("http_{status}"))),
        }
    }

    /// As received, or, where that is too old to be taken, anew. Never for a body that no key of ours has signed before:
    /// whoever can write to the topic could have anything signed.
    fn signature(&self, body: &[u8], received: &str) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        let signed_at = received.strip_prefix("v=").and_then(|rest| rest.split_once(",d=")?.0.parse::<u64>().ok());
        match signed_at {
            Some(v)
                if now.saturating_sub(v) > SIGNED_FOR_MS
                    && self.keys.iter().any(|key| sign(key, body, v) == received) =>
            {
                sign(&self.keys[0], body, now)
            }
            _ => received.to_owned(),
        }
    }

    async fn set_aside(&self, record: &OwnedMessage, reason: &str) -> Result<(), Trouble> {
        let headers = record
            .headers()
            .cloned()
            .unwrap_or_else(OwnedHeaders::new)
            .insert(Header { key: "reason", value: Some(reason) });
        let mut letter: FutureRecord<[u8], [u8]> = FutureRecord::to(&self.dead_letters).headers(headers);
        (letter.key, letter.payload) = (record.key(), record.payload());
        match self.producer.send(letter, Duration::from_secs(8)).await {
            Ok(_) => Ok(()),
            Err((e, _)) => Err(Trouble::Later(format!("no dead letter: {e}"), None)),
        }
    }
}

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let value = answer.headers().get("retry-after")?.to_str().ok()?;
    let after = value.parse().map(Duration::from_secs).ok();
    let until = || httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok();
    Some(after.or_else(until)?.min(RETRY_AFTER_MAX))
}

/// Retell's scheme: HMAC-SHA256 with the key's text over the body and the digits of the time.
fn sign(key: &str, body: &[u8], v: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(body);
    mac.update(v.to_string().as_bytes());
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v={v},d={digest}")
}

fn header<'a>(record: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let header = record.headers()?.iter().find(|header| header.key == name)?;
    str::from_utf8(header.value?).ok().filter(|value| value.chars().all(|c| c.is_ascii_graphic()))
}

pub fn env(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}
