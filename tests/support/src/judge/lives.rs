//! What a bridge says of itself against what is known from outside.
//!
//! In: a life's last scrape, with what the senders were answered by it and what the topics gained meanwhile. Out: what
//! does not agree. Never happens: a killed life held to what came after its last scrape, since what it counted then died
//! with it; what it told before has to be true as well.

use super::Report;
use super::truth::Span;
use crate::bridge::Metrics;
use crate::ledger::Ledger;

/// Reasons that are answered 503.
const UNAVAILABLE: [&str; 4] = ["late", "no_room", "stopping", "journal"];

/// A number as far as it is known from outside, both ends possible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// What had happened for certain before the scrape began.
    pub least: u64,
    /// What may have happened before it was done.
    pub most: u64,
}

impl Count {
    pub fn exactly(count: u64) -> Count {
        Count { least: count, most: count }
    }

    pub fn at_most(most: u64) -> Count {
        Count { least: 0, most }
    }
}

/// One life of a bridge, from outside.
#[derive(Default)]
pub struct Life {
    /// The last scrape.
    pub metrics: Metrics,
    /// Something may still have waited.
    pub was_killed: bool,
    /// Requests that were answered 2xx.
    pub kept: Count,
    /// Of those, the first of their event.
    pub received: Count,
    /// Of those, the ones whose event had been answered 2xx before, by this life or an earlier one.
    pub repeated: Count,
    /// Requests that were answered 503, and with another status that refuses.
    pub refused_503: Count,
    pub refused_else: Count,
    /// Records that its topics gained.
    pub gained: Count,
}

impl Life {
    /// What the ledger knows of the life that this `span` was.
    pub fn of(span: &Span, ledger: &Ledger, metrics: Metrics, was_killed: bool, gained: Count) -> Life {
        Life { metrics, was_killed, gained, ..span.truth(ledger) }
    }

    /// Adds what does not agree to the report.
    pub fn judge(&self, report: &mut Report) {
        let total = |name: &str, labels: &[&str]| self.metrics.get(name, labels) as u64;
        let (received, repeated) = (total("events_received_total", &[]), total("events_duplicate_total", &[]));
        let refused = total("events_refused_total", &[]);
        let for_reason = |reason: &&str| total("events_refused_total", &[&format!("reason=\"{reason}\"")]);
        let refused_503 = UNAVAILABLE.iter().map(for_reason).sum();
        // An event whose sender was told that it takes too long may have been kept in the end.
        let late = for_reason(&"late");
        let or_late = |count: Count| Count { most: count.most + late, ..count };
        compare(report, "received and duplicate against 2xx", received + repeated, or_late(self.kept));
        compare(report, "received against the first 2xx of an event", received, or_late(self.received));
        compare(report, "duplicate against further 2xx of an event", repeated, self.repeated);
        compare(report, "published against the records gained", total("events_published_total", &[]), self.gained);
        compare(report, "refused against 503", refused_503, self.refused_503);
        compare(report, "refused against other statuses", refused - refused_503, self.refused_else);
        if !self.was_killed {
            for name in ["journal_backlog_events", "journal_oldest_unpublished_seconds"] {
                let left = self.metrics.get(name, &[]);
                if left != 0.0 {
                    report.add_line("metrics", format!("{name} is {left} when nothing waits"));
                }
            }
        }
    }
}

fn compare(report: &mut Report, what: &str, told: u64, truth: Count) {
    let Count { least, most } = truth;
    if !(least..=most).contains(&told) {
        report.add_line("metrics", format!("{what}: {told} told, {least} to {most} true"));
    }
}
