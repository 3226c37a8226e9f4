//! What is known of one connection: who is at the other end, which request it is on and since when, how many bytes of it
//! have arrived, and whether it has been told to end.
//!
//! Shared by three: the [`Stream`](super::stream::Stream) says what was read, the handler which request it is on (by
//! [`Request`](super::request::Request)), the [`Registry`](super::registry::Registry) looks for what must end. All three
//! take the one lock for a few instructions; none holds it across an await, and none takes another lock inside it.
//!
//! The phases of a connection:
//!
//! ```text
//! Quiet ─ first byte ─▶ Head ─ the handler begins ─▶ Body ─ all arrived ─▶ Whole ─ answered ─▶ Quiet
//!                                                      └──── answered without it ────▶ Closing
//! ```
//!
//! Never happens: a request that has arrived whole is told that it was too slow; a verdict given to one request meets
//! the next one of the same connection.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Slowest sender that is waited for, bytes in a second.
pub(super) const RATE_MIN_BYTES: u64 = 64 * 1024;
/// How long a body may take before its rate is looked at.
pub(super) const RATE_GRACE: Duration = Duration::from_secs(2);
/// How long a connection may say nothing between requests, or before its first.
pub(super) const QUIET_MAX: Duration = Duration::from_secs(75);
/// How long the rest of a refused body is read and thrown away, so that the sender reads the answer instead of a reset.
pub(super) const CLOSING_MAX: Duration = Duration::from_secs(3);
/// Largest head. Unread heads are not counted in the bytes in flight, so this times the connections is their bound.
pub(super) const HEAD_MAX_BYTES: usize = 32 * 1024;
/// Less lag than this is nobody's fault: a newcomer has it before its first byte.
const LAG_FORGIVEN_MS: u64 = 1_000;

/// How a connection is looked at since its accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Welcome,
    /// No source allows its address: 403 after the head, no body is read, first to go.
    Unwelcome,
    /// It came when all others had arrived whole: 503 after the head.
    NoRoom,
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
/// First those that are unwelcome or have had their answer; then those slower than the slowest that is waited for, by
/// how much; then by age. Age rather than rate between those that are fast enough: who sent much at once and then
/// stands still would otherwise outlive every newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Behind {
    pub is_first_to_go: bool,
    /// Milliseconds behind [`RATE_MIN_BYTES`]; of a quiet connection, how long it has been so. 0 up to a second.
    pub lag_ms: u64,
    age: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Quiet,
    Head,
    Body,
    Whole,
    Closing,
}

struct State {
    phase: Phase,
    /// First byte of the present request's head; in `Quiet` and `Closing`: since when it is so.
    since: Instant,
    last_read_at: Instant,
    /// Bytes of the head in `Head`, of the body from `Body` on.
    arrived_bytes: usize,
    /// Bytes of the unfinished body that count as in flight.
    held_bytes: usize,
    /// The reader has let the parser look at a full head once.
    head_was_looked_at: bool,
    verdict: Option<Verdict>,
    /// Ended for the sake of another, or never given a place: it does not count among the connections, and must be
    /// closed.
    evicted: bool,
    /// The connection's task: reader and handler are the same one.
    waker: Option<Waker>,
}

pub(super) struct Connection {
    peer: IpAddr,
    standing: Standing,
    state: Mutex<State>,
}

/// What the reader is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Go,
    /// Nothing now; the task has been woken to look at what was read.
    Later,
    /// Nothing any more: answer this, where it is anything, and close.
    End(Option<End>),
}

/// An answer that the connection gives itself, because no request has come out of the head yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    TooSlow,
    HeadTooLarge,
}

impl Connection {
    /// A connection that counts, or one in a spare place, which is closed with its first answer.
    pub(super) fn new(peer: IpAddr, standing: Standing, is_spare: bool, now: Instant) -> Connection {
        let state = State {
            phase: Phase::Quiet,
            since: now,
            last_read_at: now,
            arrived_bytes: 0,
            held_bytes: 0,
            head_was_looked_at: false,
            verdict: None,
            evicted: is_spare,
            waker: None,
        };
        Connection { peer, standing, state: Mutex::new(state) }
    }

    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything could panic, so a poisoned state is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the reader.
impl Connection {
    /// Asked before each read, in the connection's task.
    pub(super) fn before_read(&self, context: &Context<'_>) -> Read {
        let mut state = self.state();
        state.remember(context);
        match (state.phase, state.verdict) {
            (Phase::Head, Some(Verdict::TooSlow | Verdict::Late)) => Read::End(Some(End::TooSlow)),
            (Phase::Quiet | Phase::Head | Phase::Closing, Some(_)) => Read::End(None),
            (Phase::Head, None) if state.arrived_bytes >= HEAD_MAX_BYTES => {
                if state.head_was_looked_at {
                    return Read::End(Some(End::HeadTooLarge));
                }
                // The head may be complete and the rest be body: that shows when it is parsed.
                state.head_was_looked_at = true;
                context.waker().wake_by_ref();
                Read::Later
            }
            _ => Read::Go,
        }
    }

    /// `bytes` were read.
    pub(super) fn has_read(&self, bytes: usize, now: Instant) {
        let mut state = self.state();
        state.last_read_at = now;
        match state.phase {
            Phase::Quiet => {
                state.phase = Phase::Head;
                state.since = now;
                state.arrived_bytes = bytes;
                state.head_was_looked_at = false;
            }
            Phase::Head => state.arrived_bytes += bytes,
            Phase::Body | Phase::Whole | Phase::Closing => {}
        }
    }
}

/// For the handler, by [`Request`](super::request::Request).
impl Connection {
    /// A request came out of the head; says when the head's first byte arrived.
    pub(super) fn begin(&self, has_body: bool) -> Instant {
        let mut state = self.state();
        if state.phase != Phase::Head {
            // Pipelined: it came with bytes read before the last answer, at the latest with the last of them.
            state.since = state.last_read_at;
        }
        state.phase = if has_body { Phase::Body } else { Phase::Whole };
        state.arrived_bytes = 0;
        state.since
    }

    /// The verdict over the present request; without one, the task is woken when there is one.
    pub(super) fn verdict(&self, context: &Context<'_>) -> Option<Verdict> {
        let mut state = self.state();
        state.remember(context);
        state.verdict
    }

    /// `bytes` of the body arrived.
    pub(super) fn has_arrived(&self, bytes: usize) {
        self.state().arrived_bytes += bytes;
    }

    /// `bytes` more count as in flight for the present body.
    pub(super) fn hold(&self, bytes: usize) {
        self.state().held_bytes += bytes;
    }

    /// The body has arrived to its end: from here on it cannot be too slow, even if it was evicted in this very moment.
    /// Says how many bytes are counted as in flight for it.
    pub(super) fn whole(&self) -> usize {
        let mut state = self.state();
        state.phase = Phase::Whole;
        state.verdict = state.verdict.filter(|verdict| *verdict != Verdict::TooSlow);
        std::mem::take(&mut state.held_bytes)
    }

    /// Whether the connection must be closed with its answer.
    pub(super) fn is_evicted(&self) -> bool {
        self.state().evicted
    }

    /// The request is answered or abandoned; gives back what it still held.
    pub(super) fn end_of_request(&self, now: Instant) -> usize {
        let mut state = self.state();
        state.phase = if state.phase == Phase::Body { Phase::Closing } else { Phase::Quiet };
        state.since = now;
        // The verdict was about this request, whoever answered it.
        state.verdict = None;
        std::mem::take(&mut state.held_bytes)
    }
}

/// For the registry.
impl Connection {
    /// Whether it counts among the connections.
    pub(super) fn is_counted(&self) -> bool {
        !self.state().evicted
    }

    /// How far behind it is; `None`: its request has arrived whole, or it is ending already.
    pub(super) fn behind(&self, now: Instant) -> Option<Behind> {
        let state = self.state();
        if state.evicted || state.verdict.is_some() || state.phase == Phase::Whole {
            return None;
        }
        let is_first_to_go = self.standing != Standing::Welcome || state.phase == Phase::Closing;
        Some(Behind { is_first_to_go, ..state.behind(now) })
    }

    /// As [`Connection::behind`], of bodies alone, and how many bytes are held for it.
    pub(super) fn body_behind(&self, now: Instant) -> Option<(Behind, usize)> {
        let state = self.state();
        let is_unfinished = state.phase == Phase::Body && state.verdict.is_none();
        is_unfinished.then(|| (state.behind(now), state.held_bytes))
    }

    /// What has to end by the clock alone.
    pub(super) fn overdue(&self, now: Instant, answer_within: Duration) -> Option<Verdict> {
        let state = self.state();
        if state.verdict.is_some() {
            return None;
        }
        let elapsed = state.age(now);
        match state.phase {
            Phase::Quiet => (elapsed > QUIET_MAX).then_some(Verdict::Gone),
            Phase::Closing => (elapsed > CLOSING_MAX).then_some(Verdict::Gone),
            Phase::Head => (elapsed > answer_within).then_some(Verdict::TooSlow),
            Phase::Body | Phase::Whole if elapsed > answer_within => Some(Verdict::Late),
            Phase::Body => (elapsed > RATE_GRACE && state.lag_ms(now) > 0).then_some(Verdict::TooSlow),
            Phase::Whole => None,
        }
    }

    /// Whether nothing is being asked or answered on it.
    pub(super) fn is_quiet(&self) -> bool {
        self.state().phase == Phase::Quiet
    }

    /// Whether it was evicted and no request of it is with the handler any more.
    pub(super) fn is_dying(&self) -> bool {
        let state = self.state();
        state.evicted && !matches!(state.phase, Phase::Body | Phase::Whole)
    }

    /// Gives the verdict and wakes the task; gives back what an unfinished body held.
    pub(super) fn end(&self, verdict: Verdict) -> usize {
        let mut state = self.state();
        state.verdict = Some(verdict);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
        std::mem::take(&mut state.held_bytes)
    }

    /// Ends it for the sake of another; gives back what it held.
    pub(super) fn evict(&self) -> usize {
        self.state().evicted = true;
        self.end(Verdict::TooSlow)
    }
}

impl State {
    fn remember(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    fn lag_ms(&self, now: Instant) -> u64 {
        let arrived_bytes = if self.phase == Phase::Body { self.arrived_bytes as u64 } else { 0 };
        let age_ms = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        age_ms.saturating_sub(arrived_bytes.saturating_mul(1_000) / RATE_MIN_BYTES)
    }

    fn behind(&self, now: Instant) -> Behind {
        let lag_ms = Some(self.lag_ms(now)).filter(|lag_ms| *lag_ms > LAG_FORGIVEN_MS).unwrap_or(0);
        Behind { is_first_to_go: false, lag_ms, age: self.age(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(8);

    fn connection() -> (Connection, Instant) {
        let now = Instant::now();
        (Connection::new(IpAddr::from([127, 0, 0, 1]), Standing::Welcome, false, now), now)
    }

    fn read(connection: &Connection) -> Read {
        connection.before_read(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_deadline_counts_from_the_first_byte_of_each_head() {
        let (connection, start) = connection();
        let first = start + Duration::from_secs(30);
        connection.has_read(1, first);
        connection.has_read(1, first + Duration::from_secs(1));
        assert_eq!(connection.begin(true), first);
        connection.whole();
        assert_eq!(connection.overdue(first + WITHIN, WITHIN), None);
        assert_eq!(connection.overdue(first + WITHIN * 2, WITHIN), Some(Verdict::Late));
        connection.end_of_request(first + Duration::from_secs(9));
        let second = first + Duration::from_secs(60);
        connection.has_read(1, second);
        assert_eq!(connection.begin(true), second);
    }

    #[test]
    fn a_pipelined_request_counts_from_the_last_read() {
        let (connection, start) = connection();
        connection.has_read(100, start);
        connection.begin(false);
        let later = start + Duration::from_secs(1);
        connection.has_read(100, later);
        connection.end_of_request(start + Duration::from_secs(2));
        assert_eq!(connection.begin(false), later);
    }

    #[test]
    fn a_body_is_judged_by_its_rate_after_two_seconds() {
        let (connection, start) = connection();
        connection.has_read(1, start);
        connection.begin(true);
        connection.has_arrived(100 * 1024);
        assert_eq!(connection.overdue(start + Duration::from_millis(1_900), WITHIN), None);
        assert_eq!(connection.overdue(start + Duration::from_millis(2_100), WITHIN), Some(Verdict::TooSlow));
        connection.has_arrived(100 * 1024);
        assert_eq!(connection.overdue(start + Duration::from_millis(2_100), WITHIN), None);
    }

    #[test]
    fn a_request_that_became_whole_while_it_was_evicted_is_not_too_slow() {
        let (connection, start) = connection();
        connection.has_read(1, start);
        connection.begin(true);
        connection.hold(10);
        assert_eq!(connection.evict(), 10);
        assert_eq!(connection.whole(), 0);
        assert_eq!(connection.verdict(&Context::from_waker(Waker::noop())), None);
        assert!(connection.is_evicted());
    }

    #[test]
    fn a_verdict_does_not_meet_the_next_request() {
        let (connection, start) = connection();
        connection.has_read(1, start);
        connection.begin(false);
        connection.end(Verdict::Late);
        connection.end_of_request(start);
        assert_eq!(read(&connection), Read::Go);
    }

    #[test]
    fn a_head_that_fills_its_bound_is_looked_at_once_and_then_refused() {
        let (connection, start) = connection();
        connection.has_read(HEAD_MAX_BYTES, start);
        assert_eq!(read(&connection), Read::Later);
        assert_eq!(read(&connection), Read::End(Some(End::HeadTooLarge)));
        connection.begin(true);
        assert_eq!(read(&connection), Read::Go);
    }

    #[test]
    fn who_sent_much_at_once_and_stands_still_is_behind_a_newcomer_and_before_a_slow_one() {
        let ((burst, start), (newcomer, _), (slow, _)) = (connection(), connection(), connection());
        let ms = |ms| start + Duration::from_millis(ms);
        for (one, at_ms, arrived_bytes) in [(&burst, 0, 1 << 20), (&newcomer, 1_490, 0), (&slow, 0, 100)] {
            one.has_read(1, ms(at_ms));
            one.begin(true);
            one.has_arrived(arrived_bytes);
        }
        let now = ms(1_500);
        assert!(newcomer.behind(now) < burst.behind(now) && burst.behind(now) < slow.behind(now));
    }

    #[test]
    fn the_unwelcome_and_the_answered_are_further_behind_than_any_other() {
        let (welcome, start) = connection();
        let unwelcome = Connection::new(welcome.peer(), Standing::Unwelcome, false, start);
        let later = start + Duration::from_secs(3_600);
        assert!(unwelcome.behind(start) > welcome.behind(later));
        welcome.has_read(1, start);
        welcome.begin(true);
        welcome.end_of_request(start);
        assert!(welcome.behind(start).unwrap().is_first_to_go);
    }
}
