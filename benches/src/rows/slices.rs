//! Slices of an open loop in turns with slices of something else, merged into one histogram each.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Bench;
use crate::bodies::Size;
use crate::load::{self, Order, Outcome, Pace, Until, histogram, ms_at};
use crate::receiver::Receiver;
use crate::stage::Series;

/// As the goal has it.
pub const PER_SECOND: f64 = 500.0;

/// Slices of one kind.
pub struct Slices {
    merged: Histogram<u64>,
    pub outcomes: Vec<Outcome>,
}

impl Default for Slices {
    fn default() -> Slices {
        Slices { merged: histogram(), outcomes: Vec::new() }
    }
}

impl Slices {
    /// One more slice of the mix at 500 events/s on `receiver`; `first` moves on.
    pub fn load(&mut self, bench: &Bench, receiver: &Receiver, series: &Series, first: &mut u64, time: Duration) {
        let order = Order {
            to: receiver.address(),
            paths: &series.paths,
            library: &bench.stage.library,
            size: Size::Mix,
            first: *first,
            pace: Pace::open(PER_SECOND),
            until: Until::time(time),
        };
        let outcome = load::run(&order);
        *first += outcome.statuses.len() as u64;
        self.add(&outcome.answers);
        self.outcomes.push(outcome);
    }

    /// Takes over those of `other`.
    pub fn join(&mut self, other: Slices) {
        self.add(&other.merged);
        self.outcomes.extend(other.outcomes);
    }

    pub fn add(&mut self, slice: &Histogram<u64>) {
        self.merged.add(slice).expect("all have the same bounds");
    }

    /// A quantile over all slices, milliseconds.
    pub fn ms(&self, quantile: f64) -> f64 {
        ms_at(&self.merged, quantile)
    }

    /// Events of all slices with their size, for the judge.
    pub fn sent(&self) -> impl Iterator<Item = (Size, &Outcome)> {
        self.outcomes.iter().map(|outcome| (Size::Mix, outcome))
    }

    pub fn kept(&self) -> u64 {
        self.outcomes.iter().map(Outcome::kept).sum()
    }

    /// In a quiet hour nothing may be refused.
    pub fn check_all_kept(&self) -> Result<(), String> {
        let refused: u64 = self.outcomes.iter().map(|outcome| outcome.refused() + outcome.unanswered()).sum();
        let first = self.outcomes.iter().find_map(|outcome| outcome.first_refusal.clone());
        if refused == 0 { Ok(()) } else { Err(format!("{refused} events were not answered 2xx: {first:?}")) }
    }

    /// By how much the generator itself was late, milliseconds: the largest p99 of the slices.
    pub fn late_ms(&self) -> f64 {
        self.outcomes.iter().map(|outcome| load::late_ms(outcome, 0.99)).fold(0.0, f64::max)
    }
}
