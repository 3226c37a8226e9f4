//! When the bridge tries a letter again that was too large for its topic. Pure.

use std::time::{Duration, Instant};

/// How often a letter is tried of whose topic nothing is known to have changed.
const TRY_EVERY: Duration = Duration::from_secs(3_600);

/// What is known of one such letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub topic: String,
    /// What its record takes in the topic, but for Kafka's own few bytes; compressed it may be less.
    record_bytes: usize,
    at: Instant,
    /// The topic's limit that is known to be too small for it.
    refused_limit_bytes: Option<usize>,
}

impl Tried {
    /// A letter that was refused a while ago. `before_bytes`: the topic's limit as it was known then, if it was.
    pub fn refused(topic: String, record_bytes: usize, before_bytes: Option<usize>, at: Instant) -> Tried {
        // A limit with room for it was not the one that refused it.
        let refused_limit_bytes = before_bytes.filter(|limit| *limit < record_bytes);
        Tried { topic, record_bytes, at, refused_limit_bytes }
    }

    /// It has been tried, at this limit, and it stays.
    pub fn again(&mut self, limit_bytes: Option<usize>, at: Instant) {
        (self.at, self.refused_limit_bytes) = (at, limit_bytes);
    }

    /// This limit has no room for it: from now on a larger one is a cause, whatever the letter's size.
    pub fn hold_against(&mut self, limit_bytes: Option<usize>) {
        self.refused_limit_bytes = self.refused_limit_bytes.or(limit_bytes);
    }

    /// A limit is too small where it is not above one that refused the letter. Where none is known, size decides.
    pub fn is_due(&self, limit_bytes: Option<usize>, now: Instant) -> bool {
        let is_room = match (self.refused_limit_bytes, limit_bytes) {
            (Some(refused), Some(limit)) => limit > refused,
            (None, Some(limit)) => limit >= self.record_bytes,
            (_, None) => false,
        };
        is_room || now.duration_since(self.at) >= TRY_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    fn refused(before_bytes: Option<usize>, at: Instant) -> Tried {
        Tried::refused("t".into(), 100, before_bytes, at)
    }

    #[test]
    fn a_limit_that_was_raised_before_the_first_look_at_a_letter_makes_it_due() {
        let at = Instant::now();
        // Before it was refused the limit was this, or nobody knew; now there is room.
        for before in [None, Some(50), Some(100)] {
            assert!(refused(before, at).is_due(Some(100), at + SOON), "{before:?}");
        }
        // Compressed it may fit into less than its size: growth is cause enough.
        assert!(refused(Some(50), at).is_due(Some(60), at + SOON));
        for (before, now) in [(None, Some(99)), (Some(50), Some(50)), (Some(50), Some(40)), (Some(50), None)] {
            assert!(!refused(before, at).is_due(now, at + SOON), "{before:?} {now:?}");
        }
        let mut tried = refused(None, at);
        tried.hold_against(Some(60));
        assert!(tried.is_due(Some(61), at + SOON) && !tried.is_due(Some(60), at + SOON));
    }

    #[test]
    fn a_letter_that_was_tried_in_vain_is_due_when_the_limit_has_grown_and_otherwise_after_an_hour() {
        let at = Instant::now();
        let tried = |limit| {
            let mut tried = refused(None, at);
            tried.again(limit, at);
            tried
        };
        assert!(tried(Some(200)).is_due(Some(201), at + SOON));
        // Room by its size is no cause any more: it was refused all the same.
        for (then, now) in [(Some(200), Some(200)), (Some(200), Some(150)), (None, Some(50)), (Some(200), None)] {
            assert!(!tried(then).is_due(now, at + SOON), "{then:?} {now:?}");
            assert!(tried(then).is_due(now, at + TRY_EVERY));
        }
    }
}
