//! Deliveries that were confirmed while one before them was not.
//!
//! A run that goes back to that one meets them a second time, and must not send them again. Never happens: more of them
//! than [`AHEAD_MAX`] positions: where one partition is stuck and the others go on, the run waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::Position;

/// Well above what is on its way at once, so that a slow partition does not hold the others up for a while; about 1 MB.
pub(super) const AHEAD_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    topics: BTreeMap<Position, Vec<Arc<str>>>,
}

impl Ahead {
    pub fn insert(&mut self, position: Position, topic: Arc<str>) {
        self.topics.entry(position).or_default().push(topic);
    }

    pub fn contains(&self, position: Position, topic: &str) -> bool {
        self.topics.get(&position).is_some_and(|topics| topics.iter().any(|confirmed| **confirmed == *topic))
    }

    /// Nothing before `position` will be met again.
    pub fn forget_before(&mut self, position: Position) {
        while let Some(first) = self.topics.first_entry()
            && *first.key() < position
        {
            first.remove();
        }
    }

    /// Whether `position` may be sent. One that lies before another here always may: what fills the gap adds no end.
    pub fn has_room_for(&self, position: Position) -> bool {
        self.topics.len() < AHEAD_MAX || self.topics.last_key_value().is_some_and(|(last, _)| position <= *last)
    }

    pub fn clear(&mut self) {
        self.topics.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_of_a_position_is_remembered_until_nothing_goes_back_so_far() {
        let mut ahead = Ahead::default();
        ahead.insert(Position(5), "a".into());
        ahead.insert(Position(7), "b".into());
        assert!(ahead.contains(Position(5), "a") && !ahead.contains(Position(5), "b"));
        ahead.forget_before(Position(6));
        assert!(!ahead.contains(Position(5), "a") && ahead.contains(Position(7), "b"));
    }

    #[test]
    fn a_full_memory_takes_what_fills_a_gap_and_nothing_further_on() {
        let mut ahead = Ahead::default();
        (1..=AHEAD_MAX as u64).for_each(|position| ahead.insert(Position(2 * position), "a".into()));
        let last = 2 * AHEAD_MAX as u64;
        assert!(ahead.has_room_for(Position(3)) && !ahead.has_room_for(Position(last + 1)));
        ahead.forget_before(Position(3));
        assert!(ahead.has_room_for(Position(last + 1)));
    }
}
