//! The phases of a connection, and what the clock says of each. Pure but for the waker it keeps.
//!
//! ```text
//! Handshake ─ done, over TLS alone ─▶ Quiet
//! Quiet ─ first byte ─▶ Head ─ the handler begins ─▶ Body ─ all arrived ─▶ Whole ─ answered ─▶ Quiet
//!                                                      └──── answered without it ────▶ Closing
//! ```

use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Slowest sender that is waited for, bytes in a second.
pub(super) const RATE_MIN_BYTES: u64 = 64 * 1024;
/// How long a body may take before its rate is looked at.
pub(super) const RATE_GRACE: Duration = Duration::from_secs(2);
/// How long a connection may say nothing between requests, or before its first.
pub(super) const QUIET_MAX: Duration = Duration::from_secs(75);
/// The same where all is to close: who has just connected, or had an answer, may be sending a request at this moment.
pub(super) const QUIET_AT_STOP_MAX: Duration = Duration::from_millis(500);
/// How long the rest of a refused body is read and thrown away, so that the sender reads the answer instead of a reset.
pub(super) const CLOSING_MAX: Duration = Duration::from_secs(3);
/// Less lag than this is nobody's fault: a newcomer has it before its first byte.
const LAG_FORGIVEN_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Handshake,
    Quiet,
    Head,
    Body,
    Whole,
    Closing,
}

/// Why a request or a quiet connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Slower than [`RATE_MIN_BYTES`], or the slowest when a bound was reached.
    TooSlow,
    /// The one deadline has passed.
    Late,
    /// Closed without an answer: nothing was asked, or all was answered.
    Gone,
}

/// How far behind a connection is, in the order in which they go: the largest first.
///
/// First those that are unwelcome or have had their answer; then those that never brought an authenticated event, which a
/// flood cannot do; among equals those slower than the slowest that is waited for, by how much; then by age. Age rather than rate between those that are fast enough: who sent much at once and then
/// stands still would otherwise outlive every newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Behind {
    pub is_first_to_go: bool,
    pub is_unproven: bool,
    /// Milliseconds behind [`RATE_MIN_BYTES`]; of a quiet connection, how long it has been so. 0 up to a second.
    pub lag_ms: u64,
    pub age: Duration,
}

pub(super) struct State {
    pub phase: Phase,
    /// First byte of the present request's head; in `Handshake`, `Quiet` and `Closing`: since when it is so.
    pub since: Instant,
    pub last_read_at: Instant,
    /// Bytes of the head in `Head`, of the body from `Body` on.
    pub arrived_bytes: usize,
    /// Bytes of the unfinished body that count as in flight.
    pub held_bytes: usize,
    /// The reader has let the parser look at a full head once.
    pub head_was_looked_at: bool,
    pub verdict: Option<Verdict>,
    /// An authenticated event came over it.
    pub is_proven: bool,
    /// Ended for the sake of another, or never given a place: it does not count among the connections, and must be
    /// closed.
    pub evicted: bool,
    /// The connection's task: reader and handler are the same one.
    waker: Option<Waker>,
}

impl State {
    /// A new connection; `is_spare`: it has no place among those that count.
    pub(super) fn new(is_spare: bool, now: Instant) -> State {
        State {
            phase: Phase::Quiet,
            since: now,
            last_read_at: now,
            arrived_bytes: 0,
            held_bytes: 0,
            head_was_looked_at: false,
            verdict: None,
            is_proven: false,
            evicted: is_spare,
            waker: None,
        }
    }

    /// Keeps the waker of the connection's task.
    pub(super) fn remember(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }

    /// Gives the verdict and wakes the task; gives back what an unfinished body held.
    pub(super) fn end(&mut self, verdict: Verdict) -> usize {
        self.verdict = Some(verdict);
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
        std::mem::take(&mut self.held_bytes)
    }

    /// What has to end by the clock alone.
    pub(super) fn overdue(&self, now: Instant, answer_within: Duration) -> Option<Verdict> {
        let age = self.age(now);
        match self.phase {
            _ if self.verdict.is_some() => None,
            Phase::Handshake => (age > answer_within).then_some(Verdict::Gone),
            Phase::Quiet => (age > QUIET_MAX).then_some(Verdict::Gone),
            Phase::Closing => (age > CLOSING_MAX).then_some(Verdict::Gone),
            Phase::Head => (age > answer_within).then_some(Verdict::TooSlow),
            Phase::Body | Phase::Whole if age > answer_within => Some(Verdict::Late),
            Phase::Body => (age > RATE_GRACE && self.lag_ms(now) > 0).then_some(Verdict::TooSlow),
            Phase::Whole => None,
        }
    }

    /// Said nothing for so long that it need not be waited for where all is to close.
    pub(super) fn is_needless(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Handshake | Phase::Quiet) && self.age(now) > QUIET_AT_STOP_MAX
    }

    /// How far behind it is; `None`: its request has arrived whole, or it is ending already.
    pub(super) fn behind(&self, now: Instant) -> Option<Behind> {
        if self.verdict.is_some() || self.phase == Phase::Whole {
            return None;
        }
        let lag_ms = Some(self.lag_ms(now)).filter(|lag_ms| *lag_ms > LAG_FORGIVEN_MS).unwrap_or(0);
        let (is_first_to_go, is_unproven) = (self.phase == Phase::Closing, !self.is_proven);
        Some(Behind { is_first_to_go, is_unproven, lag_ms, age: self.age(now) })
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    fn lag_ms(&self, now: Instant) -> u64 {
        let arrived_bytes = if self.phase == Phase::Body { self.arrived_bytes as u64 } else { 0 };
        let age_ms = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        age_ms.saturating_sub(arrived_bytes.saturating_mul(1_000) / RATE_MIN_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(8);

    fn body(start: Instant, arrived_bytes: usize) -> State {
        State { phase: Phase::Body, arrived_bytes, ..State::new(false, start) }
    }

    #[test]
    fn a_body_is_judged_by_its_rate_after_two_seconds() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        assert_eq!(body(start, 100 << 10).overdue(ms(1_900), WITHIN), None);
        assert_eq!(body(start, 100 << 10).overdue(ms(2_100), WITHIN), Some(Verdict::TooSlow));
        assert_eq!(body(start, 200 << 10).overdue(ms(2_100), WITHIN), None);
        assert_eq!(body(start, 8 << 20).overdue(ms(8_100), WITHIN), Some(Verdict::Late));
    }

    #[test]
    fn each_phase_has_its_end() {
        let start = Instant::now();
        for (phase, seconds, verdict) in [
            (Phase::Handshake, 8, Verdict::Gone),
            (Phase::Quiet, 75, Verdict::Gone),
            (Phase::Head, 8, Verdict::TooSlow),
            (Phase::Whole, 8, Verdict::Late),
            (Phase::Closing, 3, Verdict::Gone),
        ] {
            let state = State { phase, ..State::new(false, start) };
            assert_eq!(state.overdue(start + Duration::from_secs(seconds), WITHIN), None, "{phase:?}");
            let later = start + Duration::from_secs(seconds + 1);
            assert_eq!(state.overdue(later, WITHIN), Some(verdict), "{phase:?}");
        }
    }

    #[test]
    fn who_sent_much_at_once_and_stands_still_is_behind_a_newcomer_and_before_a_slow_one() {
        let start = Instant::now();
        let now = start + Duration::from_millis(1_500);
        let newcomer = body(now - Duration::from_millis(10), 0).behind(now);
        let burst = body(start, 1 << 20).behind(now);
        let slow = body(start, 100).behind(now);
        assert!(newcomer < burst && burst < slow);
        let answered = State { phase: Phase::Closing, ..State::new(false, now) };
        assert!(answered.behind(now) > slow);
    }
}
