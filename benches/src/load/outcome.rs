//! What became of a load.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest time that is told apart, microseconds.
const ANSWER_MAX_US: u64 = 60_000_000;

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Sent, and no answer came: it may be kept or not.
    Unanswered,
    /// 2xx.
    Kept,
    /// Any other answer.
    Refused,
}

/// See the module.
pub struct Outcome {
    /// Number of the first event.
    pub first: u64,
    /// By event, from the first on.
    pub statuses: Vec<Status>,
    /// Microseconds to each 2xx.
    pub answers: Histogram<u64>,
    /// Microseconds by which the generator itself was late, in an open loop.
    pub late: Histogram<u64>,
    /// 2xx in each second.
    pub by_second: Vec<u64>,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Processor time of the generator's thread.
    pub cpu: Duration,
    /// Bytes of the bodies that were answered 2xx.
    pub kept_bytes: u64,
    /// The first answer that was not 2xx.
    pub first_refusal: Option<String>,
}

impl Outcome {
    pub(super) fn new(first: u64) -> Outcome {
        Outcome {
            first,
            statuses: Vec::new(),
            answers: histogram(),
            late: histogram(),
            by_second: Vec::new(),
            took: Duration::ZERO,
            cpu: Duration::ZERO,
            kept_bytes: 0,
            first_refusal: None,
        }
    }

    fn count(&self, wanted: Status) -> u64 {
        self.statuses.iter().filter(|status| **status == wanted).count() as u64
    }

    pub fn kept(&self) -> u64 {
        self.count(Status::Kept)
    }

    pub fn refused(&self) -> u64 {
        self.count(Status::Refused)
    }

    pub fn unanswered(&self) -> u64 {
        self.count(Status::Unanswered)
    }

    pub fn kept_per_second(&self) -> f64 {
        self.kept() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Of one core, what the generator's thread took.
    pub fn cpu_share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64().max(1e-9)
    }

    /// A quantile of the answers, milliseconds.
    pub fn answer_ms(&self, quantile: f64) -> f64 {
        ms_at(&self.answers, quantile)
    }

    pub(super) fn answered(&mut self, index: usize, code: u16, bytes: usize, took: Duration, since_start: Duration) {
        if !(200..300).contains(&code) {
            self.statuses[index] = Status::Refused;
            self.first_refusal.get_or_insert_with(|| format!("{code} after {took:?}"));
            return;
        }
        self.statuses[index] = Status::Kept;
        self.kept_bytes += bytes as u64;
        note(&mut self.answers, took);
        let second = since_start.as_secs() as usize;
        if self.by_second.len() <= second {
            self.by_second.resize(second + 1, 0);
        }
        self.by_second[second] += 1;
    }
}

/// A histogram of microseconds, exact to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, ANSWER_MAX_US, 3).expect("the bounds are valid")
}

pub fn note(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record((took.as_nanos() / 1_000).clamp(1, u128::from(ANSWER_MAX_US)) as u64);
}

/// A quantile of a histogram of microseconds, milliseconds.
pub fn ms_at(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1_000.0
}
