//! What the rounds of the bursts gave, by case and by round.
//!
//! In: rounds that were measured, and those that failed. Out: values, and pairs of one round. Never happens: a pair of two
//! different rounds.

use std::collections::{BTreeMap, HashMap};

use crate::bodies::Size;
use crate::figures::median;
use crate::receiver::Kind;
use crate::round::Measured;

/// One receiver under one load: its bodies, its connections.
pub type Case = (Kind, Size, usize);

/// What figures are made of.
pub struct Sample {
    pub cpu_us: f64,
    pub kept: f64,
    pub published: f64,
    pub published_after: f64,
    pub megabytes: f64,
    pub peak_mib: f64,
    pub refused: u64,
    /// Of one core, what the load generator took.
    pub generator: f64,
}

#[derive(Default)]
pub struct Rounds {
    samples: HashMap<Case, BTreeMap<usize, Sample>>,
    failures: HashMap<Case, String>,
}

impl Rounds {
    pub fn add(&mut self, case: Case, round: usize, measured: &Measured) {
        let sample = Sample {
            cpu_us: measured.cpu_us(),
            kept: measured.outcome.kept_per_second(),
            published: measured.published_per_second(),
            published_after: measured.published_after(),
            megabytes: measured.megabytes_per_second(),
            peak_mib: measured.peak_bytes as f64 / f64::from(1 << 20),
            refused: measured.outcome.refused() + measured.outcome.unanswered(),
            generator: measured.outcome.cpu_share(),
        };
        self.samples.entry(case).or_default().insert(round, sample);
    }

    pub fn fail(&mut self, case: Case, story: String) {
        self.failures.insert(case, story);
    }

    /// Why a case has no round, or not all.
    pub fn failure(&self, case: Case) -> Option<&str> {
        self.failures.get(&case).map(String::as_str)
    }

    fn of(&self, case: Case) -> impl Iterator<Item = (&usize, &Sample)> {
        self.samples.get(&case).into_iter().flatten()
    }

    pub fn values(&self, case: Case, field: fn(&Sample) -> f64) -> Vec<f64> {
        self.of(case).map(|(_, sample)| field(sample)).collect()
    }

    /// Of the rounds that both have.
    pub fn pairs(&self, one: Case, other: Case, field: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
        let beside = |round: &usize| self.samples.get(&other)?.get(round);
        self.of(one).filter_map(|(round, sample)| Some((field(sample), field(beside(round)?)))).collect()
    }

    pub fn median(&self, case: Case, field: fn(&Sample) -> f64) -> f64 {
        median(self.values(case, field).into_iter())
    }

    /// Refused or unanswered in all rounds.
    pub fn refused(&self, case: Case) -> u64 {
        self.of(case).map(|(_, sample)| sample.refused).sum()
    }
}
