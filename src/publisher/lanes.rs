//! All lanes, and which of them read together.
//!
//! The **head** is a shared reading place: each record is read once and handed to every lane that it belongs to. A lane
//! that cannot take its record while others go on leaves the head; it catches up alone, from its own position, and joins
//! again where the head is. Where all lanes are stuck (Kafka is away) nobody leaves: the head waits, and the backlog is
//! read once when Kafka is back.
//!
//! Never happens: a lane whose position passes an unsettled delivery; a head that passes a record which a lane at the
//! head has not taken.

use std::time::Duration;

use crate::journal::{LaneMark, Position};

use super::cursor::Cursor;
use super::lane::Lane;

/// A lane that makes no progress for this long while another does leaves the head.
const PATIENCE: Duration = Duration::from_secs(1);
/// A lane that is behind another by more positions than this does not read with it: the other's new events would wait
/// until all of the old ones are sent.
const FAR: u64 = 10_000;

/// Why a lane cannot take its record now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Its topic, or a delivery to it, was refused by a broker.
    Refused,
    /// No answer: its topic is not known yet, or as much as may be is on its way, or a record of the same key.
    NoAnswer,
}

/// See the module.
pub(super) struct Lanes {
    pub list: Vec<Lane>,
    pub head: Cursor,
}

impl Lanes {
    /// All lanes where the checkpoint has left them. `topics`: each with the fingerprint of what it takes.
    pub fn new(topics: &[(&str, u64)], marks: &[LaneMark], oldest: Position, now: Duration) -> Lanes {
        let starts = starts(topics, marks, oldest);
        let lowest = starts.iter().min().copied().unwrap_or(oldest);
        let lane = |((topic, takes), start): (&(&str, u64), Position)| Lane::new(topic, *takes, start, now);
        let list: Vec<Lane> = topics.iter().zip(starts).map(lane).collect();
        let mut lanes = Lanes { list, head: Cursor::new(lowest) };
        lanes.gather();
        lanes
    }

    /// The lowest position that any lane has not settled.
    pub fn floor(&mut self) -> Position {
        self.note_head();
        self.list.iter().map(|lane| lane.window.position()).min().unwrap_or(self.head.next())
    }

    /// How far every lane is, for the checkpoint.
    pub fn marks(&mut self) -> Vec<LaneMark> {
        self.note_head();
        self.list.iter().map(Lane::mark).collect()
    }

    /// Deliveries on their way, of all lanes.
    pub fn outstanding(&self) -> usize {
        self.list.iter().map(|lane| lane.window.outstanding()).sum()
    }

    /// The producer has ended: each lane goes on from its first unsettled delivery.
    pub fn ground(&mut self) {
        self.note_head();
        for lane in &mut self.list {
            lane.window.ground();
            let next = lane.window.next();
            if let Some(cursor) = &mut lane.apart {
                cursor.seek(next);
            }
        }
        self.head_to_lowest();
    }

    /// Brings head and lanes together or apart as their state asks.
    pub fn arrange(&mut self) {
        let head = self.head.next();
        let may_join = |lane: &&mut Lane| lane.retry.is_ready() && !lane.retry.is_on_trial();
        for lane in self.list.iter_mut().filter(may_join).filter(|lane| lane.window.next() >= head) {
            // It has caught up.
            lane.apart = None;
        }
        let all_stuck = self.list.iter().all(|lane| !lane.retry.is_ready());
        let nobody = self.list.iter().all(|lane| !lane.is_at_head());
        if nobody || (all_stuck && self.list.iter().any(|lane| !lane.is_at_head())) {
            self.gather();
        } else {
            self.leave_far_behind();
            self.note_head();
            self.head_to_lowest();
        }
    }

    /// The lane at the head is blocked at a record: whether it left the head, so that the others can go on.
    pub fn leave_if_others_go_on(&mut self, index: usize, blocked: Blocked, at: Position, now: Duration) -> bool {
        let lane = &self.list[index];
        let since = lane.retry.progress_at();
        let mut others = self.list.iter().enumerate().filter(|(other, lane)| *other != index && lane.is_at_head());
        let leaves = match blocked {
            Blocked::Refused => others.any(|(_, other)| other.retry.is_ready()),
            Blocked::NoAnswer => {
                // It has had its receipts since, and waits for none, or not for long.
                let goes_on = |other: &Lane| {
                    let is_idle = other.window.outstanding() == 0;
                    other.retry.confirmed_at().is_some_and(|at| at > since && (is_idle || now < at + PATIENCE))
                };
                now >= since + PATIENCE && others.any(|(_, other)| goes_on(other))
            }
        };
        if leaves {
            self.list[index].leave_head(at);
        }
        leaves
    }

    /// All lanes but those far behind read at the head, from the lowest of them on.
    fn gather(&mut self) {
        self.note_head();
        let newest = self.list.iter().map(|lane| lane.window.next()).max().unwrap_or(self.head.next());
        for lane in &mut self.list {
            let next = lane.window.next();
            let stays = next.0.saturating_add(FAR) < newest.0 || lane.retry.is_on_trial();
            lane.apart = stays.then(|| lane.apart.take().unwrap_or_else(|| Cursor::new(next)));
        }
        self.head_to_lowest();
    }

    fn leave_far_behind(&mut self) {
        let head = self.head.next();
        let at_head = |lane: &&mut Lane| lane.is_at_head();
        let next = |lane: &Lane| lane.window.next().max(head).0;
        let newest = self.list.iter().filter(|lane| lane.is_at_head()).map(next).max().unwrap_or(head.0);
        for lane in self.list.iter_mut().filter(at_head).filter(|lane| next(lane).saturating_add(FAR) < newest) {
            lane.leave_head(head);
        }
    }

    /// The head goes to the lowest place that a lane at the head has to look at: forward after one has left, back after
    /// the producer has ended. The lanes at the head must know where the head was, or have gone back since.
    fn head_to_lowest(&mut self) {
        let at_head = self.list.iter().filter(|lane| lane.is_at_head());
        if let Some(lowest) = at_head.map(|lane| lane.window.next()).min() {
            self.head.seek(lowest);
        }
    }

    /// Lets the lanes at the head know how far it is.
    fn note_head(&mut self) {
        let head = self.head.next();
        self.list.iter_mut().filter(|lane| lane.is_at_head()).for_each(|lane| lane.window.advance(head));
    }
}

/// Where each topic starts: where the checkpoint has left it, if it takes what it took then. One that the checkpoint does
/// not know, or that takes something else now, may have to publish what waited for another topic (renamed, left out, given
/// to another source): it starts at the lowest position that any lane there has not settled, and some events go out twice.
fn starts(topics: &[(&str, u64)], marks: &[LaneMark], oldest: Position) -> Vec<Position> {
    let lowest = marks.iter().map(|mark| mark.position).min().unwrap_or(oldest);
    let same = |topic: &str, takes: u64| marks.iter().find(|mark| mark.topic == topic && mark.takes == takes);
    topics.iter().map(|(topic, takes)| same(topic, *takes).map_or(lowest, |mark| mark.position)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(topic: &str, takes: u64, position: u64) -> LaneMark {
        LaneMark { topic: topic.into(), position: Position(position), takes }
    }

    fn starts_of(topics: &[(&str, u64)], marks: &[(&str, u64, u64)]) -> Vec<u64> {
        let marks: Vec<LaneMark> =
            marks.iter().map(|(topic, takes, position)| mark(topic, *takes, *position)).collect();
        starts(topics, &marks, Position(3)).into_iter().map(|position| position.0).collect()
    }

    #[test]
    fn without_a_checkpoint_all_lanes_start_at_the_oldest_record() {
        assert_eq!(starts_of(&[("a", 1), ("b", 2)], &[]), [3, 3]);
    }

    #[test]
    fn a_topic_that_the_checkpoint_does_not_know_starts_where_the_lowest_lane_is() {
        assert_eq!(starts_of(&[("a", 1), ("b", 2), ("new", 3)], &[("a", 1, 9), ("b", 2, 7)]), [9, 7, 7]);
    }

    #[test]
    fn what_waited_under_a_name_that_is_gone_is_read_again_by_the_lane_that_takes_it_now() {
        let marks = [("a", 1, 9), ("b", 2, 8), ("gone", 3, 7)];
        assert_eq!(starts_of(&[("a", 1), ("b", 4)], &marks), [9, 7]);
    }

    #[test]
    fn what_waited_for_a_topic_that_is_still_there_is_read_again_by_the_one_that_takes_it_now() {
        assert_eq!(starts_of(&[("a", 5), ("b", 6)], &[("a", 1, 4), ("b", 2, 9)]), [4, 4]);
    }

    #[test]
    fn lanes_read_together_but_for_one_that_is_far_behind() {
        let topics = [("near", 1), ("newest", 2), ("far", 3)];
        let marks = [mark("near", 1, 90_000), mark("newest", 2, 90_005), mark("far", 3, 2)];
        let lanes = Lanes::new(&topics, &marks, Position(1), Duration::ZERO);
        assert_eq!(lanes.head.next(), Position(90_000));
        assert_eq!(lanes.list.iter().map(Lane::is_at_head).collect::<Vec<_>>(), [true, true, false]);
    }
}
