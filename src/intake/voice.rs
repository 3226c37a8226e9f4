//! Says what became of requests: the log line, the metric and the observer, from one place, so that telling and counting
//! cannot drift apart.
//!
//! A flood of refusals does not become a flood of lines: [`LINES_PER_SECOND`] of each reason, then a count. Never said: a
//! body, a signature, a query string, a path that no source has.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::warn;

use super::refused::Refused;
use crate::event::{Identity, Kind};
use crate::metrics::{Metrics, RefusedReason};

/// Lines of one reason in one second.
const LINES_PER_SECOND: u32 = 10;
/// Label for what was refused before its source was known.
const UNROUTED: &str = "";

/// What `dev` is shown of each request, in the process, as it is answered. Called from the intake's threads: it must not
/// block.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Seen<'_>) + Send + Sync>);

impl Observer {
    /// An observer that calls `see`.
    pub fn new(see: impl Fn(&Seen<'_>) + Send + Sync + 'static) -> Observer {
        Observer(Arc::new(see))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// One answered request. Holds a body where one can be shown a cure by signing it: never to be logged, so no `Debug`.
pub enum Seen<'a> {
    /// Synced and answered 2xx.
    Kept { source: &'a str, kind: Kind, id: Identity },
    /// Answered as its first copy was.
    Duplicate {
        source: &'a str,
        kind: Kind,
        id: Identity,
        /// How long ago the first copy was received.
        first_seen_ago: Duration,
    },
    /// Refused.
    Refused {
        /// Where the path named one.
        source: Option<&'a str>,
        status: u16,
        /// The metric's label: `missing`, `wrong`, `path` …
        reason: &'static str,
        /// The same as a sentence.
        cause: &'static str,
        /// The body, where it lacked a signature and was posted from this very machine.
        body: Option<&'a Bytes>,
    },
}

pub(super) struct Voice {
    metrics: Arc<Metrics>,
    observer: Option<Observer>,
    /// By reason, in the order of [`RefusedReason::ALL`].
    windows: [Mutex<Window>; RefusedReason::ALL.len()],
    handshakes: Mutex<Window>,
}

/// Lines of one reason in the present second.
#[derive(Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

/// Who was refused what.
pub(super) struct Whose<'a> {
    pub source: Option<&'a str>,
    pub address: IpAddr,
    pub body: Option<&'a Bytes>,
}

impl Voice {
    pub(super) fn new(metrics: Arc<Metrics>, observer: Option<Observer>) -> Voice {
        metrics.expect_refused(UNROUTED);
        Voice { metrics, observer, windows: Default::default(), handshakes: Mutex::default() }
    }

    pub(super) fn wants_bodies(&self) -> bool {
        self.observer.is_some()
    }

    /// A request was refused.
    pub(super) fn refused(&self, whose: &Whose<'_>, refused: Refused) {
        let (reason, source) = (refused.reason(), whose.source.unwrap_or(UNROUTED));
        self.metrics.event_refused(source, reason);
        let mut window = self.window(reason);
        let may_log = window.takes_line(Instant::now());
        let left_out = if may_log { std::mem::take(&mut window.left_out) } else { 0 };
        drop(window);
        let (status, cause, reason) = (refused.status().as_u16(), refused.cause(), reason.label());
        if may_log {
            warn!(status, reason, source, address = %whose.address, cause, left_out, "request refused");
        }
        self.see(&Seen::Refused { source: whose.source, status, reason, cause, body: whose.body });
    }

    /// A connection was refused before any request had come out of its head.
    pub(super) fn refused_before_routing(&self, address: IpAddr, refused: Refused) {
        self.refused(&Whose { source: None, address, body: None }, refused);
    }

    /// No TLS came about: the peer left, speaks no TLS, or does not believe the certificate.
    pub(super) fn handshake_failed(&self, address: IpAddr, error: &std::io::Error) {
        self.metrics.handshake_failed();
        let mut window = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        let may_log = window.takes_line(Instant::now());
        let left_out = if may_log { std::mem::take(&mut window.left_out) } else { 0 };
        drop(window);
        if may_log {
            warn!(%address, cause = %error, left_out, "TLS handshake failed");
        }
    }

    /// Shows the observer what was seen.
    pub(super) fn see(&self, seen: &Seen<'_>) {
        if let Some(Observer(see)) = &self.observer {
            see(seen);
        }
    }

    /// Says how many lines were left out in seconds that are over.
    pub(super) fn say_left_out(&self) {
        for reason in RefusedReason::ALL {
            let mut window = self.window(reason);
            let is_over = window.began.is_some_and(|began| began.elapsed() >= Duration::from_secs(1));
            if is_over && window.left_out > 0 {
                let left_out = std::mem::take(&mut window.left_out);
                warn!(reason = reason.label(), left_out, "requests refused, lines left out");
            }
        }
    }

    fn window(&self, reason: RefusedReason) -> std::sync::MutexGuard<'_, Window> {
        self.windows[reason as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn takes_line(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1)) {
            self.began = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES_PER_SECOND {
            self.left_out += 1;
            return false;
        }
        self.lines += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_in_the_order_of_all() {
        for (place, reason) in RefusedReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    /// What a run of `say` writes to the log.
    fn log_of(say: impl FnOnce(&Voice)) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || say(&Voice::new(Arc::new(Metrics::new()), None)));
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_refusal_is_one_line_with_its_cause_and_never_the_body() {
        let body = Bytes::from_static(b"what was said on the phone");
        let whose = Whose { source: Some("default"), address: IpAddr::from([1, 2, 3, 4]), body: Some(&body) };
        let log = log_of(|voice| voice.refused(&whose, Refused::Signature(crate::signature::Refusal::Wrong)));
        assert_eq!(log.lines().count(), 1);
        for part in ["request refused", "status=401", "reason=\"wrong\"", "source=\"default\"", "1.2.3.4"] {
            assert!(log.contains(part), "{part} is not in {log}");
        }
        assert!(!log.contains("phone"));
    }

    #[test]
    fn lines_left_out_are_counted_in_the_log() {
        let log = log_of(|voice| {
            let flood =
                |count| (0..count).for_each(|_| voice.refused_before_routing([1, 2, 3, 4].into(), Refused::TooSlow));
            flood(1_000);
            std::thread::sleep(Duration::from_millis(1_100));
            voice.say_left_out();
        });
        assert!(log.lines().count() < 100, "{log}");
        assert!(log.lines().last().unwrap().contains("left_out="), "{log}");
    }

    #[test]
    fn a_flood_writes_ten_lines_a_second_and_counts_the_rest() {
        let mut window = Window::default();
        let start = Instant::now();
        let lines = (0..1_000).filter(|_| window.takes_line(start)).count();
        assert_eq!((lines, window.left_out), (10, 990));
        assert!(window.takes_line(start + Duration::from_secs(1)));
    }
}
