//! Whether a segment is old enough to go.
//!
//! In: the clock and what the segment holds. Out: yes or no. Never happens: a clock that jumped by more than an hour and
//! at once drops what was kept: an hour of uptime confirms it first.

use super::shared::SegmentMeta;

/// A jump of more than this is not believed at once; and how long it takes to be believed.
const JUMP_MS: u64 = 3_600_000;

/// What is known about the clock.
pub struct Clock {
    /// Unix time minus uptime, as believed so far or, while a jump waits for its hour, as jumped to.
    base_ms: Option<i128>,
    /// The uptime from which on the clock is believed.
    trusted_from_ms: u64,
    /// A point in time that the journal knows from before the start.
    witness_ms: Option<u64>,
}

impl Clock {
    /// `witness_ms` is the newest received-at in the journal; a start within an hour of it is no jump.
    pub fn new(witness_ms: Option<u64>) -> Clock {
        Clock { base_ms: None, trusted_from_ms: 0, witness_ms }
    }

    /// Takes in what the clocks say; whether Unix time may drop something.
    pub fn is_trusted(&mut self, now_ms: u64, uptime_ms: u64) -> bool {
        let base_ms = i128::from(now_ms) - i128::from(uptime_ms);
        let jumped = match self.base_ms {
            Some(before) => before.abs_diff(base_ms) > u128::from(JUMP_MS),
            None => self.witness_ms.is_some_and(|witness| witness.abs_diff(now_ms) > JUMP_MS),
        };
        if jumped {
            tracing::warn!(now_ms, "the clock is more than an hour off: nothing is dropped by age for an hour");
            self.trusted_from_ms = uptime_ms + JUMP_MS;
        }
        // Slow drift is followed.
        self.base_ms = Some(base_ms);
        uptime_ms >= self.trusted_from_ms
    }
}

/// Whether the segment is closed and its newest record older than the retention.
pub fn is_aged(segment: &SegmentMeta, now_ms: u64, retention_ms: u64) -> bool {
    segment.closed && now_ms.saturating_sub(segment.newest_ms) >= retention_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = JUMP_MS;

    #[test]
    fn a_jump_either_way_waits_an_hour_of_uptime() {
        for jump in [10 * HOUR as i64, -10 * HOUR as i64] {
            let mut clock = Clock::new(None);
            let now = |uptime: u64| 100 * HOUR + uptime;
            assert!(clock.is_trusted(now(0), 0));
            assert!(clock.is_trusted(now(5), 5));
            let jumped = |uptime: u64| now(uptime).saturating_add_signed(jump);
            assert!(!clock.is_trusted(jumped(10), 10));
            assert!(!clock.is_trusted(jumped(HOUR), HOUR));
            assert!(clock.is_trusted(jumped(HOUR + 10), HOUR + 10));
        }
    }

    #[test]
    fn a_start_far_from_what_the_journal_knows_waits_too() {
        assert!(Clock::new(Some(5 * HOUR)).is_trusted(5 * HOUR + 7, 0));
        let mut clock = Clock::new(Some(5 * HOUR));
        assert!(!clock.is_trusted(500 * HOUR, 3));
        assert!(clock.is_trusted(501 * HOUR, HOUR + 3));
    }
}
