//! The intake: the HTTP front door. Steps 1, 2, 3 and 5 of the way of one event.
//!
//! In: HTTP/1.x requests of anyone. Out: to each an answer within one deadline, and through [`event`](crate::event) and
//! [`journal`](crate::journal) every event that was authenticated.
//!
//! ```text
//! accept ─▶ registry ─▶ stream (bytes, clock) ─▶ HTTP ─▶ handler ─┬▶ body ─▶ signature ─▶ event ─▶ duplicates ─▶ journal
//!              ▲  every 100 ms: who is overdue                      │                                                │
//!              └── a bound is reached: who is furthest behind       └◀───────────────── 204, or the refusal ◀────────┘
//! ```
//!
//! | case | status |
//! | --- | --- |
//! | kept, or a duplicate of something kept | 204, `X-Event-Id`; the two inbound events 200 with JSON |
//! | no signature, malformed, stale, wrong | 401, empty |
//! | address not allowed | 403, before the body |
//! | path unknown; method other than POST | 404; 405 with `Allow` |
//! | body too slow, or the slowest when a bound is reached | 408 |
//! | body over the limit | 413 |
//! | no room, too late, stopping, journal failed | 503 with `Retry-After` |
//! | not HTTP as it is taken here; head over 32 KiB | 400; 431 |
//!
//! Never happens: a 2xx before the sync; a 4xx for an authenticated event that has arrived whole from an allowed address;
//! memory that grows with the number of senders beyond `connections_max` heads and `in_flight_max` bytes; a body, a
//! signature or a query string in a log line or an answer.
//!
//! This is one of the two places that know actix.

mod address;
mod answer;
mod body;
mod carrier;
mod certificate;
mod clerk;
mod connection;
mod duplicates;
mod handler;
mod keys;
mod phase;
mod refused;
mod registry;
mod request;
mod routes;
mod server;
mod stepped;
mod stream;
mod unsigned;
mod voice;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::health::Health;
use crate::journal::{Append, AppendError, Tag};
use crate::metrics::Metrics;
use crate::reload::Watch;
use crate::signature::ApiKey;

pub use certificate::{CertificateError, CertificateFacts, TlsFiles, certificate_of_files};
pub use clerk::{Clerk, NotKept, Taken};
// Under a checker of schedules, requests come from its scenes.
#[cfg(feature = "shuttle")]
pub use duplicates::{Admission, Duplicates, Outcome, Ticket};
pub use keys::{KeyFileError, keys_of_file};
pub use routes::without_slash;
pub use stepped::Stepped;
pub use voice::{Observer, Seen};

/// Queues one record in the journal; `Journal::append`. Must not block. On `Err`, `done` was not called.
pub type Keep = Arc<dyn Fn(Append) -> Result<(), AppendError> + Send + Sync>;

/// How the intake behaves; made by `config`, checked there.
#[derive(Debug, Clone)]
pub struct Options {
    /// At least one; each has its own path.
    pub sources: Vec<SourceOptions>,
    pub body_max_bytes: usize,
    /// At least `body_max_bytes`.
    pub in_flight_max_bytes: usize,
    pub connections_max: usize,
    /// From the first byte of the head to the answer.
    pub answer_within: Duration,
    /// `None`: HTTP without TLS.
    pub tls: Option<TlsFiles>,
    /// Who may set X-Forwarded-For.
    pub trusted_proxies: Vec<IpNet>,
    /// Answers the same as the admin listener's /readyz, empty; `None`: no such path.
    pub health_path: Option<String>,
    pub duplicates_window: Duration,
    pub duplicates_events_max: usize,
    /// Only `dev` sets it: is shown every answered request.
    pub observer: Option<Observer>,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    pub name: String,
    /// Begins with `/`, no trailing slash.
    pub path: String,
    /// Keys from the settings.
    pub keys: Vec<ApiKey>,
    /// One key a line; re-read when it changes.
    pub keys_file: Option<PathBuf>,
    /// Empty: any address.
    pub allow: Vec<IpNet>,
    pub signature_window: Duration,
    /// JSON values answered to the inbound events: `{"call_inbound": <this>}`.
    pub call_inbound_answer: serde_json::Value,
    pub chat_inbound_answer: serde_json::Value,
    /// Only `dev` sets it: a request without signature is kept as `unsigned` (local Host, no forwarding headers).
    pub allow_unsigned: bool,
}

/// Why the intake does not start. Nothing listens then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A key file cannot be believed at the start, when there are no earlier keys to fall back on.
    #[error("key file {} of source {source_name} {error}", path.display())]
    KeyFile { source_name: String, path: PathBuf, error: KeyFileError },
    /// The certificate or its key cannot be believed.
    #[error("{error}; {cure}", error = .0, cure = .0.cure())]
    Certificate(#[from] CertificateError),
    /// The listener or a thread cannot be set up.
    #[error("the intake cannot be set up: {0}")]
    Setup(#[from] std::io::Error),
}

/// The running intake. Dropped without [`Intake::stop`], it ends at once.
pub struct Intake {
    address: SocketAddr,
    server: server::Running,
}

impl Intake {
    /// Begins to serve on `listener`. `recovered` are the tags in the journal with their received-at, newest first; it is
    /// read before the first connection is taken, as far as the duplicates' window reaches. Key files and certificate are
    /// given to `watch`.
    ///
    /// Must be called inside a tokio runtime, which carries the clock of the intake; the requests have threads of their
    /// own, as many as cores and at least two.
    pub fn start(
        options: Options,
        listener: TcpListener,
        keep: Keep,
        recovered: impl Iterator<Item = (Tag, u64)>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        watch: &Watch,
    ) -> Result<Intake, StartError> {
        let address = listener.local_addr()?;
        let tls = options.tls.clone();
        let (desk, key_files) = server::prepare(options, keep, recovered, metrics.clone(), health)?;
        key_files.into_iter().for_each(|reload| watch.add(reload));
        let tls = match tls {
            Some(files) => {
                let (config, reload) = certificate::open(files, metrics)?;
                watch.add(reload);
                Some(config)
            }
            None => None,
        };
        let is_tls = tls.is_some();
        let server = server::Running::start(desk, listener, tls)?;
        tracing::info!(%address, tls = is_tls, "intake listening");
        Ok(Intake { address, server })
    }

    /// The address it listens on; with the port it got, where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, answers what comes over those that are there, once each, closes those that stay quiet, and
    /// ends when the last connection is closed; at the latest a second after `answer_within`.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

#[cfg(test)]
mod tests;
