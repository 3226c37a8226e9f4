//! Dead letters: deliveries that no topic takes.
//!
//! One at a time, on a desk: it is sent to the dead-letter topic, and when that topic is missing, refuses, or has not
//! confirmed within [`SHORT_WAIT`], it is kept in `<dir>/dead/` and synced. Only then is the original settled. When even
//! that has no room, it stays on the desk, its lane waits, and both are tried again every second.
//!
//! Never happens: a delivery that is settled as a dead letter before it is confirmed or synced.

use std::time::Duration;

use super::core::Core;
use super::cursor::{Arrived, Content};
use super::feed::token;
use super::headers::{Address, Aside};
use super::letter::{self, Letter};
use super::window::Settled;
use super::{Action, DeliveryError, SendError, TOO_LARGE, TopicState};

/// Tokens of dead letters stand in the place of this lane, which is none; each is used once, so that a late receipt is
/// not taken for the next one's.
pub(super) const LANE: usize = 0xffff;
/// How long a dead letter waits for its topic.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// How often a dead letter is tried again that fits nowhere.
const AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How long the size is remembered that the dead-letter topic has refused; each try ends a producer.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// Where the one dead letter in work lies.
#[derive(Default)]
pub(super) struct Desk {
    slot: Option<Slot>,
    /// Number of the last dead letter that was sent.
    last_sent: u64,
    /// Records of this size and above were refused by the dead-letter topic, and until when that is believed.
    refused: Option<(usize, Duration)>,
}

struct Slot {
    lane: usize,
    number: u64,
    reason: &'static str,
    arrived: Arrived,
    state: State,
    /// Since when it waits for its topic.
    since: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    ToSend,
    Sent,
    ToKeep,
    /// There was no room; tried again at this time.
    NoRoom(Duration),
}

impl Desk {
    pub fn is_free(&self) -> bool {
        self.slot.is_none()
    }

    /// The lane waits for its dead letter, which fits nowhere.
    pub fn blocks(&self, lane: usize) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.lane == lane && matches!(slot.state, State::NoRoom(_)))
    }

    /// What became of the dead letter that was sent; `true`: it is confirmed.
    pub fn on_receipt(&mut self, number: u64, outcome: &Result<(), DeliveryError>, now: Duration) -> bool {
        let is_meant = |slot: &&mut Slot| slot.state == State::Sent && number == self.last_sent;
        let Some(slot) = self.slot.as_mut().filter(is_meant) else { return false };
        let Err(error) = outcome else { return true };
        if error.action == Action::SetAside(TOO_LARGE) {
            self.refused = Some((slot.arrived.record.payload.len(), now + REFUSED_FOR));
        }
        slot.state = State::ToKeep;
        false
    }

    /// The producer has ended, and no receipt came.
    pub fn ground(&mut self) {
        if let Some(slot) = self.slot.as_mut().filter(|slot| slot.state == State::Sent) {
            slot.state = State::ToKeep;
        }
    }

    fn is_too_large(&self, bytes: usize, now: Duration) -> bool {
        self.refused.is_some_and(|(refused, until)| bytes >= refused && now < until)
    }
}

impl Core {
    /// Begins with a dead letter; the desk must be free.
    pub(super) fn lay_on_desk(
        &mut self,
        lane: usize,
        number: u64,
        reason: &'static str,
        arrived: &Arrived,
        now: Duration,
    ) {
        let arrived = arrived.share(&self.router);
        let too_large = self.desk.is_too_large(arrived.record.payload.len(), now);
        let state = if too_large { State::ToKeep } else { State::ToSend };
        self.desk.slot = Some(Slot { lane, number, reason, arrived, state, since: now });
    }

    /// Goes on with the dead letter on the desk.
    pub(super) fn work_at_desk(&mut self, now: Duration) {
        let Some(mut slot) = self.desk.slot.take() else { return };
        match slot.state {
            State::ToSend => slot.state = self.send_dead_letter(&slot, now),
            State::Sent if now >= slot.since + SHORT_WAIT => slot.state = State::ToKeep,
            State::NoRoom(until) if now >= until => (slot.state, slot.since) = (State::ToSend, now),
            State::Sent | State::ToKeep | State::NoRoom(_) => {}
        }
        if slot.state == State::ToKeep {
            match self.keep(&slot) {
                Ok(()) => return self.dead_letter_safe(slot, "disk"),
                Err(error) => {
                    self.tell_no_room(&slot, &error);
                    slot.state = State::NoRoom(now + AGAIN_EVERY);
                }
            }
        }
        self.desk.slot = Some(slot);
    }

    /// The dead-letter topic has confirmed.
    pub(super) fn dead_letter_confirmed(&mut self) {
        if let Some(slot) = self.desk.slot.take() {
            self.dead_letter_safe(slot, "topic");
        }
    }

    fn send_dead_letter(&mut self, slot: &Slot, now: Duration) -> State {
        self.desk.last_sent += 1;
        let to = slot.arrived.dead_letter(&self.router);
        let target = &self.lanes.list[to];
        let refuses_itself = to == slot.lane && matches!(slot.arrived.content, Content::Event { .. });
        if refuses_itself || target.retry.is_refused() {
            return State::ToKeep;
        }
        let waited = now >= slot.since + SHORT_WAIT;
        let waiting = if waited { State::ToKeep } else { State::ToSend };
        if target.retry.state() != TopicState::Known || self.renewal.is_wanted() {
            return waiting;
        }
        let readable = matches!(slot.arrived.content, Content::Event { .. });
        let topic = readable.then_some(&*self.lanes.list[slot.lane].topic);
        let aside = Some(Aside { reason: slot.reason, topic });
        let reason = slot.arrived.reason_on(slot.lane);
        let token = token(LANE, self.desk.last_sent);
        let address = Address { topic: &target.topic, token, reason, aside, replay: None };
        let producer = &mut self.producer;
        match self.stamps.lend(&slot.arrived, &address, |delivery| producer.send(delivery)) {
            Ok(()) => State::Sent,
            Err(SendError::QueueFull) => waiting,
            Err(SendError::Refused(error)) => {
                self.metrics.delivery_failed(&target.topic, error.reason);
                if error.action == Action::NewProducer {
                    self.renewal.want();
                }
                State::ToKeep
            }
        }
    }

    fn keep(&self, slot: &Slot) -> Result<(), String> {
        let (topic, record) = (self.own_topic(slot), &slot.arrived.record);
        (self.source.keep_dead_letter)(&Letter::name(topic, record), &letter::encode(slot.reason, topic, record))
    }

    fn dead_letter_safe(&mut self, slot: Slot, kept: &'static str) {
        let lane = &mut self.lanes.list[slot.lane];
        let Some(settled) = lane.window.kept_aside(slot.number) else { return };
        lane.settled(&settled);
        // Its own refusal, by the dead-letter topic, may have ended the producer.
        self.renewal.learnt();
        let Settled { position, .. } = settled;
        self.metrics.delivery_dead_lettered(slot.reason);
        tracing::error!(
            position = position.0,
            topic = %lane.topic,
            reason = slot.reason,
            bytes = slot.arrived.record.payload.len(),
            kept,
            "delivery set aside as a dead letter"
        );
    }

    fn tell_no_room(&self, slot: &Slot, error: &str) {
        tracing::error!(
            position = slot.arrived.record.position.0,
            topic = %self.lanes.list[slot.lane].topic,
            reason = slot.reason,
            error,
            cure = "make room on the disk, or let the dead-letter topic take records",
            "dead letter fits nowhere, its lane waits"
        );
    }

    /// Where the dead letter should have gone; `None` where the record cannot be read.
    fn own_topic(&self, slot: &Slot) -> Option<&str> {
        let readable = matches!(slot.arrived.content, Content::Event { .. });
        readable.then_some(&*self.lanes.list[slot.lane].topic)
    }
}
