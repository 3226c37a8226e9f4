//! What `send` prints: a line an event, the summary, and for each kind of failure its cure, once.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::Failure;
use super::pace::Sent;
use crate::cli::output;

/// Why a request is answered 401, as the README lists it. The answer itself never tells which.
pub const SIX_CAUSES: [&str; 6] = [
    "the wrong key: it must be the one with the webhook badge, of the workspace that sends, whole, with its key_ prefix",
    "something rewrote the body: a proxy or framework that parses JSON and prints it again; pass raw bytes",
    "the X-Retell-Signature header was dropped on its way",
    "the header was changed or doubled: it is v=<milliseconds>,d=<64 lower-case hex digits>, once",
    "a clock is more than five minutes off, or an old request is sent again",
    "it did not come from Retell: scanners and test tools without the key get 401 as well",
];

/// Between two progress lines on a terminal.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Collects what was sent.
pub(super) struct Report {
    quiet: bool,
    wants_summary: bool,
    expected: u64,
    began: Instant,
    latencies: Vec<Duration>,
    retried: u64,
    failures: BTreeSet<Failure>,
    failed: u64,
    told: Option<Instant>,
}

impl Report {
    pub(super) fn new(quiet: bool, count: u64, expected: u64) -> Report {
        Report {
            quiet,
            wants_summary: quiet || count > 1,
            expected,
            began: Instant::now(),
            latencies: Vec::new(),
            retried: 0,
            failures: BTreeSet::new(),
            failed: 0,
            told: None,
        }
    }

    /// Takes one event and prints its line. An error is one of stdout.
    pub(super) fn take(&mut self, sent: &Sent) -> io::Result<()> {
        self.latencies.push(sent.latency);
        self.retried += u64::from(sent.outcome.attempts > 1);
        if let Err(failure) = &sent.outcome.result {
            self.failed += 1;
            self.failures.insert(failure.clone());
        }
        if self.quiet {
            self.show_progress();
            return Ok(());
        }
        output::line(line(sent))
    }

    /// Events answered 2xx so far.
    pub(super) fn answered(&self) -> u64 {
        self.latencies.len() as u64 - self.failed
    }

    fn show_progress(&mut self) {
        let due = self.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY);
        if due && io::stderr().is_terminal() {
            self.told = Some(Instant::now());
            // Nothing depends on it, so neither does the run.
            let _ = write!(io::stderr(), "\r{} of {}", self.latencies.len(), self.expected);
        }
    }

    /// Prints the summary and the cures; the exit code.
    pub(super) fn finish(mut self, url: &str) -> anyhow::Result<ExitCode> {
        if self.told.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        if self.wants_summary {
            output::line(self.summary())?;
        }
        for failure in &self.failures {
            output::complain(&format!("{failure}: {}", cure(failure, url)));
        }
        Ok(if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn summary(&mut self) -> String {
        let sent = self.latencies.len() as u64;
        let seconds = self.began.elapsed().as_secs_f64();
        self.latencies.sort_unstable();
        format!(
            "{sent} events in {seconds:.1} s ({:.1}/s): {} answered 2xx, {} failed, {} sent more than once; p50 {}, p99 {}, slowest {}",
            sent as f64 / seconds.max(0.001),
            sent - self.failed,
            self.failed,
            self.retried,
            show_ms(percentile(&self.latencies, 50)),
            show_ms(percentile(&self.latencies, 99)),
            show_ms(percentile(&self.latencies, 100)),
        )
    }
}

fn line(sent: &Sent) -> String {
    let name = sent.kind.name();
    let size = output::size(sent.body_bytes as u64);
    let latency = show_ms(sent.latency);
    let attempts = match sent.outcome.attempts {
        1 => String::new(),
        attempts => format!("  after {attempts} attempts"),
    };
    match &sent.outcome.result {
        Ok(answer) => {
            let id = answer.event_id.as_deref().map_or(String::new(), |id| format!("  X-Event-Id {id}"));
            format!("{name:<18} {size:>9}  {}  {latency:>9}{id}{attempts}", answer.status)
        }
        Err(failure) => format!("{name:<18} {size:>9}  {failure}  {latency:>9}{attempts}"),
    }
}

/// The smallest value that `percent` of the sorted values do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

pub(super) fn show_ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1_000.0;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// What to do about a failure, in one line (401: with the six causes).
fn cure(failure: &Failure, url: &str) -> String {
    match failure {
        Failure::Status(401) => {
            let causes = SIX_CAUSES.iter().enumerate().map(|(number, cause)| format!("\n  {}. {cause}", number + 1));
            format!("the signature was not believed. One of six causes:{}", causes.collect::<String>())
        }
        Failure::Status(403) => "this address is not allowed: see `allow` of the source".to_owned(),
        Failure::Status(404) => format!("no source has the path of {url}: the default is /webhook"),
        Failure::Status(405) => format!("the path of {url} takes no POST: is it the bridge's webhook path?"),
        Failure::Status(408) => "the body came too slowly, or others were served first: see intake.in_flight_max".to_owned(),
        Failure::Status(413) => "the body is over intake.body_max (8 MiB unless set)".to_owned(),
        Failure::Status(503) => {
            "the bridge cannot keep events now (no room, journal failed, stopping): see /readyz?verbose on its admin listener"
                .to_owned()
        }
        Failure::Status(300..=399) => "a redirect; Retell is not known to follow one: give the URL it points to".to_owned(),
        Failure::Status(_) => format!("not an answer of the bridge: does something else listen at {url}?"),
        Failure::Timeout => "Retell gives up after 10 s as well: is the disk slow, or the bridge overloaded?".to_owned(),
        Failure::Refused => format!("nothing listens at {url}: is `retell-bridge serve` or `retell-bridge dev` running?"),
        Failure::Broken => "something stopped or restarted there; the event may have been kept: send it again".to_owned(),
        Failure::HostNotFound => format!("is the host of {url} spelled right?"),
        Failure::Tls(_) => "is it an https port, with a certificate of that name that public authorities, or --cacert, vouch for?".to_owned(),
        Failure::Other(_) => format!("could not post to {url}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        for (percent, ms) in [(50, 50), (99, 99), (100, 100)] {
            assert_eq!(percentile(&sorted, percent), Duration::from_millis(ms));
        }
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn a_401_names_all_six_causes_and_a_refused_connection_asks_whether_it_runs() {
        let url = "http://127.0.0.1:8080/webhook";
        assert!(cure(&Failure::Status(401), url).contains("\n  6. "));
        assert!(cure(&Failure::Refused, url).contains("running?"));
    }
}
