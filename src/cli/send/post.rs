//! One event over HTTP, with Retell's time-out and retries.
//!
//! In: a body. Out: [`Outcome`]: how it was answered in the end, and after how many attempts. Blocks; the caller
//! brings the thread. Never happens: a redirect that is followed, a key or body in an error.

use std::io::ErrorKind;
use std::time::Duration;

use super::Belief;
use super::belief::BadBelief;
use crate::signature::{self, ApiKey};

/// Retell's own time-out for one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Retell's number of retries.
pub(super) const RETRIES: u32 = 3;
/// Between two attempts; Retell's is not documented.
const PAUSE: Duration = Duration::from_millis(500);
/// Idle connections older than this are not used again: below the time after which servers close them.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// Signs and posts to one URL.
pub struct Sender {
    agent: ureq::Agent,
    url: String,
    key: ApiKey,
    retries: u32,
    pause: Duration,
}

/// How an event ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub result: Result<Answer, Failure>,
    /// 1 where the first was answered 2xx.
    pub attempts: u32,
}

/// A 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `X-Event-Id`, where the bridge sent one.
    pub event_id: Option<String>,
}

/// Why an attempt was no success.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Failure {
    /// An answer other than 2xx.
    #[error("{0}")]
    Status(u16),
    /// No answer within Retell's time-out; the event may have been kept.
    #[error("no answer within 10 s")]
    Timeout,
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The connection broke before an answer; the event may have been kept.
    #[error("the connection broke before an answer")]
    Broken,
    /// The URL's host has no address.
    #[error("no address is known for this host")]
    HostNotFound,
    /// TLS could not be agreed on, or the certificate does not hold.
    #[error("TLS: {0}")]
    Tls(String),
    /// Anything else, in the client's words.
    #[error("{0}")]
    Other(String),
}

/// A URL that cannot be posted to.
#[derive(Debug, thiserror::Error)]
pub enum BadUrl {
    /// Not of the form `http://host/path`.
    #[error("--url {0}: give the whole URL, e.g. http://127.0.0.1:8080/webhook")]
    Shape(String),
    /// https asked of a build without TLS.
    #[error("--url {0}: this build has no TLS; build with default features for https")]
    NoTls(String),
    /// A flag about certificates that cannot be followed.
    #[error(transparent)]
    Belief(#[from] BadBelief),
}

impl Sender {
    /// Posts to `url`, signed with `key`; https only where `belief` holds of the certificate.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "https is refused"))]
    pub fn new(url: &str, key: ApiKey, belief: &Belief) -> Result<Sender, BadUrl> {
        let shape = || BadUrl::Shape(url.to_owned());
        let uri: ureq::http::Uri = url.parse().map_err(|_| shape())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(shape)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") if cfg!(feature = "tls") => {}
            Some("https") => return Err(BadUrl::NoTls(url.to_owned())),
            _ => return Err(shape()),
        }
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_age(IDLE_MAX)
            .max_idle_connections(1_024)
            .max_idle_connections_per_host(1_024)
            .user_agent(concat!("retell-bridge-send/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "tls")]
        if uri.scheme_str() == Some("https") {
            config = config.tls_config(belief.tls()?);
        }
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            // A proxy of the environment cannot reach this machine's loopback.
            config = config.proxy(None);
        }
        Ok(Sender { agent: config.build().into(), url: url.to_owned(), key, retries: RETRIES, pause: PAUSE })
    }

    /// With another number of retries than Retell's.
    pub fn with_retries(mut self, retries: u32) -> Sender {
        self.retries = retries;
        self
    }

    /// Posts `body` until it is answered 2xx or the retries are used up.
    pub fn post(&self, body: &[u8]) -> Outcome {
        let signature = signature::sign(&self.key, body, crate::cli::sign::now_ms());
        let mut attempts = 1;
        loop {
            let result = self.attempt(body, &signature);
            if result.is_ok() || attempts > self.retries {
                return Outcome { result, attempts };
            }
            attempts += 1;
            std::thread::sleep(self.pause);
        }
    }

    fn attempt(&self, body: &[u8], signature: &str) -> Result<Answer, Failure> {
        let request = self.agent.post(&self.url);
        let request = request.header("content-type", "application/json").header(signature::HEADER, signature);
        let mut response = request.send(body).map_err(failure)?;
        let status = response.status().as_u16();
        let event_id = response.headers().get("x-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        // Read to its end (a few bytes), so that the connection can be used again; the answer stands without it.
        let _ = response.body_mut().with_config().limit(64 * 1024).read_to_vec();
        if (200..300).contains(&status) { Ok(Answer { status, event_id }) } else { Err(Failure::Status(status)) }
    }
}

fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::Timeout,
        ureq::Error::HostNotFound => Failure::HostNotFound,
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Failure::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Timeout,
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Failure::Broken,
            // What rustls says during the handshake arrives as this.
            ErrorKind::InvalidData => Failure::Tls(error.to_string()),
            _ => Failure::Other(error.to_string()),
        },
        ureq::Error::Tls(what) => Failure::Tls(what.to_owned()),
        #[cfg(feature = "tls")]
        ureq::Error::Rustls(error) => Failure::Tls(error.to_string()),
        other => Failure::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    use bytes::Bytes;

    use super::*;

    /// What the server does with one connection: an answer's head, or `None`: it closes without a word.
    type Script = &'static [Option<&'static str>];
    const NO_CONTENT: Option<&str> = Some("204 No Content\r\nX-Event-Id: abc\r\nContent-Length: 0");
    const FAILED: Option<&str> = Some("500 Internal Server Error\r\nContent-Length: 0");

    /// Signature and body of one request.
    type Seen = (String, Vec<u8>);

    /// A server that plays `script`, one connection after the other, and hands back signature and body of each.
    fn server(script: Script) -> (String, JoinHandle<Vec<Seen>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhook?x=1", listener.local_addr().unwrap());
        let serve = move || script.iter().map(|step| answer(listener.accept().unwrap().0, *step)).collect();
        (url, std::thread::spawn(serve))
    }

    fn answer(stream: TcpStream, step: Option<&str>) -> Seen {
        let mut reader = BufReader::new(stream);
        let (mut signature, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                assert_eq!(line.trim_end(), "POST /webhook?x=1 HTTP/1.1");
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                signature::HEADER => signature = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        if let Some(head) = step {
            write!(reader.get_mut(), "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").unwrap();
        }
        (signature, body)
    }

    fn sender(url: &str) -> Sender {
        let mut sender = Sender::new(url, ApiKey::new("key_made_up"), &Belief::default()).unwrap();
        sender.pause = Duration::from_millis(1);
        sender
    }

    #[test]
    fn an_event_is_signed_and_its_answer_and_id_come_back() {
        let (url, served) = server(&[NO_CONTENT]);
        let outcome = sender(&url).post(b"{\"a\": 1.0}");
        assert_eq!(outcome.result, Ok(Answer { status: 204, event_id: Some("abc".into()) }));
        assert_eq!(outcome.attempts, 1);
        let (signature, body) = served.join().unwrap().remove(0);
        assert_eq!(body, b"{\"a\": 1.0}");
        let key = [ApiKey::new("key_made_up")];
        let headers = [signature.as_bytes()];
        signature::verify(headers.into_iter(), Bytes::from(body), &key, crate::cli::sign::now_ms(), 10_000)
            .ok()
            .unwrap();
    }

    #[test]
    fn what_is_not_2xx_or_breaks_off_is_sent_again_with_the_same_signature() {
        let (url, served) = server(&[FAILED, None, NO_CONTENT]);
        let outcome = sender(&url).post(b"{}");
        assert!(outcome.result.is_ok());
        assert_eq!(outcome.attempts, 3);
        let seen = served.join().unwrap();
        assert!(seen.iter().all(|request| *request == seen[0]), "each attempt carries the same bytes");
    }

    #[test]
    fn after_three_retries_the_last_failure_is_the_outcome() {
        let moved = Some("307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0");
        let (url, served) = server(Box::leak(Box::new([FAILED, FAILED, FAILED, moved])));
        let outcome = sender(&url).post(b"{}");
        assert_eq!((outcome.result, outcome.attempts), (Err(Failure::Status(307)), 4));
        assert_eq!(served.join().unwrap().len(), 4);
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_as_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(sender(&url).with_retries(1).post(b"{}").result, Err(Failure::Refused));
    }

    #[test]
    fn silence_is_a_time_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = sender(&format!("http://{}/", listener.local_addr().unwrap())).with_retries(0);
        sender.agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_millis(50))).build().into();
        assert_eq!(sender.post(b"{}").result, Err(Failure::Timeout));
    }

    #[test]
    fn a_url_that_cannot_be_posted_to_is_refused_before_anything_is_sent() {
        for url in ["", "localhost:8080", "ftp://x/", "http:///webhook", "not a url"] {
            assert!(Sender::new(url, ApiKey::new("k"), &Belief::default()).is_err(), "{url}");
        }
    }
}
