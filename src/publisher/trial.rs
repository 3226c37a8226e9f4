//! Lanes whose deliveries end the producer are tried one at a time, with nothing else on its way.
//!
//! A broker that refuses one record of a topic (no right to write, most often) ends librdkafka's producer, and with it what
//! is on its way to all other topics. Were such lanes fed with the others, several of them together would end every
//! producer before the others' records are confirmed.
//!
//! In: the lanes that are suspect. Out: one of them on trial, which alone is fed, one
//! record; its confirmation ends the suspicion. Never happens: a pause of the others for longer than [`DRAIN_FOR`] and
//! [`TRIAL_FOR`] in a row, or more often than every [`TRIAL_EVERY`].

use std::time::Duration;

use super::core::Core;
use super::receipts::DRAIN_FOR;

/// How long the others wait for a trial's verdict.
const TRIAL_FOR: Duration = Duration::from_secs(2);
/// From the end of one trial to the beginning of the next.
const TRIAL_EVERY: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// The lane on trial, and until when.
    running: Option<(usize, Duration)>,
    /// Feeding pauses since then, so that a trial can begin.
    draining_since: Option<Duration>,
    not_before: Duration,
    /// The lane that was tried last.
    last: usize,
}

impl Trial {
    /// The lane that alone may be fed.
    pub fn lane(&self) -> Option<usize> {
        self.running.map(|(lane, _)| lane)
    }

    pub fn is_draining(&self) -> bool {
        self.draining_since.is_some()
    }
}

impl Core {
    /// Ends a trial that has its verdict or takes too long, and begins the next one.
    pub(super) fn hold_trial(&mut self, now: Duration) {
        if let Some((index, until)) = self.trial.running {
            let lane = &mut self.lanes.list[index];
            if lane.retry.is_on_trial() && now < until {
                return;
            }
            lane.retry.end_trial();
            (self.trial.running, self.trial.not_before) = (None, now + TRIAL_EVERY);
        }
        let Some(index) = self.next_trial(now) else {
            self.trial.draining_since = None;
            return;
        };
        if self.lanes.outstanding() == 0 && self.desk.is_free() {
            let (head, lane) = (self.lanes.head.next(), &mut self.lanes.list[index]);
            lane.retry.begin_trial();
            lane.rewind(head);
            self.trial.running = Some((index, now + TRIAL_FOR));
            (self.trial.last, self.trial.draining_since) = (index, None);
        } else if now >= *self.trial.draining_since.get_or_insert(now) + DRAIN_FOR {
            // What is on its way takes long; the others are not held up for a suspect.
            (self.trial.draining_since, self.trial.not_before) = (None, now + TRIAL_FOR);
        }
    }

    /// The next lane in turn that is due.
    fn next_trial(&self, now: Duration) -> Option<usize> {
        if self.renewal.is_wanted() || now < self.trial.not_before {
            return None;
        }
        let (count, last) = (self.lanes.list.len(), self.trial.last);
        (1..=count).map(|step| (last + step) % count).find(|index| {
            let lane = &self.lanes.list[*index];
            lane.retry.is_due_for_trial() && lane.window.outstanding() == 0 && lane.backlog.events() > 0
        })
    }
}
