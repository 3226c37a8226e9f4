//! What became of deliveries: receipts in, settled prefixes, held lanes and new producers out.
//!
//! Never happens: a record that is set aside because of a verdict on a batch that held others.

use std::time::Duration;

use super::core::{Core, Now};
use super::dead_letters;
use super::feed::untoken;
use super::{Action, DeliveryError, PURGED, Receipt};
use crate::event::{self, Identity};
use crate::planted::Bug;

/// How long records may take to come back before batches are given up for now.
pub(super) const DRAIN_FOR: Duration = Duration::from_secs(2);

impl Core {
    pub(super) fn take_receipts(&mut self, now: Now, wait: Duration) {
        let mut receipts = std::mem::take(&mut self.receipts);
        self.producer.poll(wait, &mut receipts);
        if !receipts.is_empty() {
            self.received_at = now.mono;
        }
        receipts.drain(..).for_each(|receipt| self.on_receipt(&receipt, now));
        self.receipts = receipts;
        if self.producer.has_ended() {
            self.renewal.want();
        }
    }

    fn on_receipt(&mut self, receipt: &Receipt, now: Now) {
        let (index, number) = untoken(receipt.token);
        if index == dead_letters::LANE {
            if self.desk.on_receipt(number, &receipt.outcome, now.mono) {
                self.dead_letter_confirmed();
            }
            if receipt.outcome.is_err_and(|error| error.action == Action::NewProducer) {
                self.renewal.want();
            }
            return;
        }
        match receipt.outcome {
            Ok(()) => self.on_confirmed(index, number, now),
            Err(error) => self.on_failed(index, number, error, now.mono),
        }
    }

    fn on_confirmed(&mut self, index: usize, number: u64, now: Now) {
        let Some(lane) = self.lanes.list.get_mut(index) else { return };
        let Some(settled) = lane.window.confirmed(number) else { return };
        lane.settled(&settled);
        lane.retry.confirmed(now.mono);
        self.renewal.progressed();
        let after_ms = now.wall_ms.saturating_sub(settled.received_at_ms);
        self.metrics.delivery_published(&lane.topic, Duration::from_millis(after_ms));
        let (position, topic, id) = (settled.position.0, &*lane.topic, Identity(settled.tag));
        tracing::info!(target: event::LOG_TARGET, position, topic, %id, after_ms, "event published");
    }

    fn on_failed(&mut self, index: usize, number: u64, error: DeliveryError, now: Duration) {
        let head = self.lanes.head.next();
        let Some(lane) = self.lanes.list.get_mut(index) else { return };
        self.metrics.delivery_failed(&lane.topic, error.reason);
        match error.action {
            Action::Wait => {
                if lane.window.failed(number) {
                    lane.retry.failed(now, error.reason, false);
                    lane.rewind(head);
                }
            }
            Action::SetAside(reason) if self.renewal.is_alone() || Bug::WholeBatchSetAside.is_planted() => {
                if lane.window.refused(number, reason) {
                    lane.rewind(head);
                    self.renewal.verdict(now);
                }
            }
            Action::SetAside(_) => {
                if lane.window.failed(number) {
                    lane.condemned = lane.window.newest().map(|flight| flight.position);
                    self.report.tell_alone(&lane.topic, error.reason);
                    self.renewal.want_alone(now);
                }
            }
            Action::NewProducer => {
                if lane.window.failed(number) && error.reason != PURGED {
                    lane.retry.failed(now, error.reason, true);
                }
                self.renewal.want();
            }
        }
    }

    /// Makes a new producer where one is wanted and due.
    pub(super) fn renew(&mut self, now: Now) {
        if self.renewal.is_alone_over(now.mono) && self.lanes.list.iter().all(|lane| lane.condemned.is_none()) {
            self.go_back_to_batches(now.mono);
        }
        if !self.renewal.is_due(now.mono) {
            return;
        }
        let mut receipts = std::mem::take(&mut self.receipts);
        let (alone, has_ended) = (self.renewal.next_is_alone(), self.producer.has_ended());
        let made = self.producer.replace(alone, &mut receipts);
        receipts.drain(..).for_each(|receipt| self.on_receipt(&receipt, now));
        self.receipts = receipts;
        self.judge_lanes(has_ended, now.mono);
        self.lanes.ground();
        self.desk.ground();
        self.draining_since = None;
        self.renewal.renewed(now.mono, alone, made.is_ok());
        self.report.tell_renewed(made, alone);
    }

    /// Finds the lanes that have ended the producer, where it `has_ended` by itself.
    fn judge_lanes(&mut self, has_ended: bool, now: Duration) {
        for lane in &mut self.lanes.list {
            if has_ended && lane.retry.blame(now) {
                self.renewal.progressed();
            }
            lane.retry.begin_anew();
        }
    }

    /// Records travel together again once nothing is on its way; where that takes long, a while later.
    fn go_back_to_batches(&mut self, now: Duration) {
        if self.lanes.outstanding() == 0 && self.desk.is_free() {
            return self.renewal.want_batches();
        }
        let since = *self.draining_since.get_or_insert(now);
        if now >= since + DRAIN_FOR {
            self.draining_since = None;
            self.renewal.stay_alone(now);
        }
    }

    /// Feeding pauses, so that batches can begin again, or a trial.
    pub(super) fn is_draining(&self, now: Duration) -> bool {
        self.trial.is_draining() || self.draining_since.is_some_and(|since| now < since + DRAIN_FOR)
    }
}
