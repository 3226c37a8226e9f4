//! Hands records to the producer: from the head to all lanes there, then from the reading place of each lane that is
//! apart.

use std::time::Duration;

use crate::journal::Position;
use crate::planted::Bug;

use super::core::Core;
use super::cursor::{Arrived, Content, Cursor};
use super::headers::Address;
use super::lanes::Blocked;
use super::window::Take;
use super::{Action, DEAD_LETTER_REASONS, DeliveryError, INVALID, SendError};

/// Records that one turn of one reading place hands over before receipts are looked at again.
const TURN_RECORDS: usize = 256;
const TURN_BYTES: usize = 1024 * 1024;
/// What a delivery costs the client's queue beside its value.
const OVERHEAD_BYTES: usize = 512;
/// A delivery's number in its lane takes the lower bits of its token, the lane's index the upper.
const NUMBER_BITS: u32 = 48;

/// Of the client's queue of 32 MiB, for what is on its way.
const QUEUE_BYTES: usize = 24 << 20;
/// What a lane may have on its way where the others leave room.
const LANE_BYTES: usize = 4 << 20;

/// What one lane may have on its way, so that stuck topics cannot fill the client's queue, which all share: some bytes that
/// are its own, and more from what all may borrow, as most events are of few topics. One record of any size always may.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub records: usize,
    own_bytes: usize,
    lent_bytes: usize,
}

impl Caps {
    /// Of each of `lanes` lanes.
    pub fn share_of(lanes: usize) -> Caps {
        let lanes = lanes.max(1);
        let own_bytes = (QUEUE_BYTES / 2 / lanes).clamp(256 << 10, LANE_BYTES);
        let lent_bytes = QUEUE_BYTES.saturating_sub(own_bytes * lanes);
        Caps { records: (60_000 / lanes).min(2_000), own_bytes, lent_bytes }
    }

    /// What a lane with so many bytes on its way has borrowed.
    fn borrowed(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.own_bytes)
    }
}

/// How a turn of a reading place ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// At the end of what is synced.
    AtEnd,
    /// The turn's share was used up.
    More,
    /// A record waits for a lane, for room in the client's queue, or for a new producer.
    Waits,
}

/// What became of one record for one lane.
enum Fed {
    Passed,
    Blocked(Blocked),
    /// Nothing can be sent now, whatever the topic.
    Stop,
}

pub(super) fn token(lane: usize, number: u64) -> u64 {
    ((lane as u64) << NUMBER_BITS) | number
}

/// Lane and number of a token.
pub(super) fn untoken(token: u64) -> (usize, u64) {
    ((token >> NUMBER_BITS) as usize, token & ((1 << NUMBER_BITS) - 1))
}

impl Core {
    /// One turn of the head.
    pub(super) fn feed_head(&mut self, now: Duration) -> Turn {
        let mut bytes = 0;
        for _ in 0..TURN_RECORDS {
            let from = self.lanes.head.next();
            match self.lanes.head.peek(&self.source, &self.router) {
                Ok(Some(_)) => {}
                Ok(None) => return Turn::AtEnd,
                Err(error) => return self.cannot_read(now, &error),
            }
            // Taken out while lanes are changed; put back where it has to wait.
            let Some(arrived) = self.lanes.head.pass() else { return Turn::AtEnd };
            self.census.meet(from, &arrived, &mut self.lanes.list, &self.router);
            bytes += arrived.record.payload.len();
            if let Some(turn) = self.feed_all_at_head(&arrived, now) {
                self.lanes.head.put_back(arrived);
                return turn;
            }
            self.show(&arrived, now);
            if bytes >= TURN_BYTES {
                break;
            }
        }
        Turn::More
    }

    /// Shows the drift watch an event that has left the head: once in a run, whatever lanes take it again.
    fn show(&mut self, arrived: &Arrived, now: Duration) {
        if let Content::Event { event, peek, .. } = &arrived.content {
            self.watch.offer(peek.kind(), event.body(), now);
        }
    }

    /// Hands one record to its lanes at the head. `Some`: it has to wait, or there is nobody left at the head.
    fn feed_all_at_head(&mut self, arrived: &Arrived, now: Duration) -> Option<Turn> {
        let mut waits = None;
        for index in arrived.lanes(&self.router) {
            if !self.lanes.list[index].is_at_head() {
                continue;
            }
            match self.feed(index, arrived, now) {
                Fed::Passed => {}
                Fed::Stop => return Some(Turn::Waits),
                Fed::Blocked(blocked) => {
                    let at = arrived.record.position;
                    if !self.lanes.leave_if_others_go_on(index, blocked, at, now) {
                        waits = Some(Turn::Waits);
                    }
                }
            }
        }
        waits
    }

    /// One turn of a lane's own reading place.
    pub(super) fn feed_apart(&mut self, index: usize, now: Duration) -> Turn {
        let Some(mut cursor) = self.lanes.list[index].apart.take() else { return Turn::AtEnd };
        let mut turn = Turn::More;
        let mut bytes = 0;
        for _ in 0..TURN_RECORDS {
            match cursor.peek(&self.source, &self.router) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    turn = Turn::AtEnd;
                    break;
                }
                Err(error) => {
                    turn = self.cannot_read(now, &error);
                    break;
                }
            }
            let Some(arrived) = cursor.pass() else { break };
            bytes += arrived.record.payload.len();
            let fed = if arrived.lanes(&self.router).any(|lane| lane == index) {
                self.feed(index, &arrived, now)
            } else {
                Fed::Passed
            };
            if !matches!(fed, Fed::Passed) {
                cursor.put_back(arrived);
                turn = Turn::Waits;
                break;
            }
            self.lanes.list[index].window.advance(cursor.next());
            if bytes >= TURN_BYTES {
                break;
            }
        }
        self.put_apart(index, cursor);
        turn
    }

    fn put_apart(&mut self, index: usize, mut cursor: Cursor) {
        if !self.is_open(index) {
            cursor.rest();
        }
        let lane = &mut self.lanes.list[index];
        lane.window.advance(cursor.next());
        lane.apart = Some(cursor);
    }

    fn feed(&mut self, index: usize, arrived: &Arrived, now: Duration) -> Fed {
        let record = &arrived.record;
        let lane = &mut self.lanes.list[index];
        let number = match lane.window.take(record.position) {
            Take::Passed => return Fed::Passed,
            Take::SetAside(number, reason) => return self.feed_aside(index, number, reason, arrived, now),
            Take::Send(number) => number,
        };
        if matches!(arrived.content, Content::Unreadable) {
            lane.window.aside(number, record, INVALID);
            return self.feed_aside(index, number, INVALID, arrived, now);
        }
        if lane.retry.is_refused() || self.desk.blocks(index) {
            return Fed::Blocked(Blocked::Refused);
        }
        let bytes = record.payload.len() + OVERHEAD_BYTES;
        if lane.retry.is_on_trial() && lane.window.outstanding() > 0 {
            return Fed::Blocked(Blocked::NoAnswer);
        }
        let has_many = lane.window.is_new(number) && lane.window.len() >= self.caps.records;
        let is_held = lane.window.holds(arrived.key) && !Bug::KeyNotHeld.is_planted();
        if has_many || is_held || !lane.retry.is_ready() || !self.has_room(index, bytes) {
            return Fed::Blocked(Blocked::NoAnswer);
        }
        self.send(index, number, bytes, arrived, now)
    }

    /// Whether so many more bytes of this lane may be on their way.
    fn has_room(&self, index: usize, more_bytes: usize) -> bool {
        let window = &self.lanes.list[index].window;
        let bytes = window.outstanding_bytes() + more_bytes;
        if window.outstanding() == 0 || bytes <= self.caps.own_bytes {
            return true;
        }
        let others = self.lanes.list.iter().enumerate().filter(|(other, _)| *other != index);
        let lent: usize = others.map(|(_, lane)| self.caps.borrowed(lane.window.outstanding_bytes())).sum();
        bytes <= LANE_BYTES && lent + self.caps.borrowed(bytes) <= self.caps.lent_bytes
    }

    fn send(&mut self, index: usize, number: u64, bytes: usize, arrived: &Arrived, now: Duration) -> Fed {
        let record = &arrived.record;
        let lane = &mut self.lanes.list[index];
        let (token, reason) = (token(index, number), arrived.reason_on(index));
        let address = Address { topic: &lane.topic, token, reason, aside: None, replay: None };
        let producer = &mut self.producer;
        match self.stamps.lend(arrived, &address, |delivery| producer.send(delivery)) {
            Ok(()) => {
                if lane.window.outstanding() == 0 {
                    lane.retry.sent_first(now);
                }
                lane.window.sent(number, record, bytes, arrived.key);
                Fed::Passed
            }
            Err(SendError::QueueFull) => Fed::Stop,
            Err(SendError::Refused(error)) => self.not_sent(index, number, error, arrived, now),
        }
    }

    /// The client itself refused the delivery: nothing of it is on its way.
    fn not_sent(&mut self, index: usize, number: u64, error: DeliveryError, arrived: &Arrived, now: Duration) -> Fed {
        let record = &arrived.record;
        let lane = &mut self.lanes.list[index];
        self.metrics.delivery_failed(&lane.topic, error.reason);
        match error.action {
            Action::SetAside(reason) => {
                debug_assert!(DEAD_LETTER_REASONS.contains(&reason));
                lane.window.aside(number, record, reason);
                self.feed_aside(index, number, reason, arrived, now)
            }
            Action::Wait => {
                lane.retry.failed(now, error.reason, false);
                Fed::Blocked(Blocked::Refused)
            }
            Action::NewProducer => {
                self.renewal.want();
                Fed::Stop
            }
        }
    }

    fn feed_aside(&mut self, index: usize, number: u64, reason: &'static str, arrived: &Arrived, now: Duration) -> Fed {
        if !self.desk.is_free() {
            return Fed::Blocked(Blocked::Refused);
        }
        self.lay_on_desk(index, number, reason, arrived, now);
        self.lanes.list[index].window.advance(Position(arrived.record.position.0 + 1));
        Fed::Passed
    }
}
