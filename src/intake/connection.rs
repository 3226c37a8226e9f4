//! What is known of one connection: who is at the other end, which request it is on and since when, how many bytes of it
//! have arrived, and whether it has been told to end.
//!
//! Shared by three: the [`Stream`](super::stream::Stream) says what was read, the handler which request it is on (by
//! [`Request`](super::request::Request)), the [`Registry`](super::registry::Registry) looks for what must end. All three
//! take the one lock for a few instructions; none holds it across an await, and none takes another lock inside it.
//!
//! Never happens: a request that has arrived whole is told that it was too slow; a verdict given to one request meets
//! the next one of the same connection.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use super::phase::{Behind, Phase, State, Verdict};

/// Largest head. Unread heads are not counted in the bytes in flight, so this times the connections is their bound.
pub(super) const HEAD_MAX_BYTES: usize = 32 * 1024;

/// How a connection is looked at since its accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Welcome,
    /// No source allows its address: 403 after the head, no body is read, first to go.
    Unwelcome,
    /// It came when all others had arrived whole: 503 after the head.
    NoRoom,
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
    /// Once more, and where nothing has come, close: a request that lies there would be answered by a reset.
    Last,
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
        Connection { peer, standing, state: Mutex::new(State::new(is_spare, now)) }
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
            (Phase::Quiet, Some(_)) if !state.evicted => Read::Last,
            (Phase::Handshake | Phase::Quiet | Phase::Head | Phase::Closing, Some(_)) => Read::End(None),
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

    /// Asked when a write is not taken: whether to give up on it. Nobody may hold a place by not reading.
    pub(super) fn gives_up_writing(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        state.remember(context);
        state.verdict.is_some() && matches!(state.phase, Phase::Quiet | Phase::Head | Phase::Closing)
    }

    /// `bytes` were read.
    pub(super) fn has_read(&self, bytes: usize, now: Instant) {
        let mut state = self.state();
        state.last_read_at = now;
        match state.phase {
            Phase::Quiet => {
                state.phase = Phase::Head;
                state.since = now;
                // It was to be closed for being quiet.
                state.verdict = state.verdict.filter(|_| state.evicted);
                state.arrived_bytes = bytes;
                state.head_was_looked_at = false;
            }
            Phase::Head => state.arrived_bytes += bytes,
            Phase::Handshake | Phase::Body | Phase::Whole | Phase::Closing => {}
        }
    }

    /// Its first bytes are a TLS handshake, not a head.
    pub(super) fn begin_handshake(&self, now: Instant) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::Handshake, now);
    }

    /// A head may come now.
    pub(super) fn end_handshake(&self, now: Instant) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::Quiet, now);
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

    /// The present request was authenticated.
    pub(super) fn prove(&self) {
        self.state().is_proven = true;
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

    /// How far behind it is; `None` where it cannot make room for another: its request has arrived whole, or it is ending
    /// already.
    pub(super) fn behind(&self, now: Instant) -> Option<Behind> {
        self.behind_in(&self.state(), now)
    }

    fn behind_in(&self, state: &State, now: Instant) -> Option<Behind> {
        let behind = state.behind(now).filter(|_| !state.evicted)?;
        Some(Behind { is_first_to_go: behind.is_first_to_go || self.standing != Standing::Welcome, ..behind })
    }

    /// Ends it for the sake of another; gives back what it held, or `None` where it can no longer make room.
    pub(super) fn evict(&self, now: Instant) -> Option<usize> {
        let mut state = self.state();
        self.behind_in(&state, now)?;
        state.evicted = true;
        Some(state.end(Verdict::TooSlow))
    }

    /// How far behind its unfinished body is, and how many bytes are held for it.
    pub(super) fn body_behind(&self, now: Instant) -> Option<(Behind, usize)> {
        let state = self.state();
        let behind = state.behind(now).filter(|_| state.phase == Phase::Body)?;
        Some((behind, state.held_bytes))
    }

    /// Ends its unfinished body for the sake of another; gives back what it held.
    pub(super) fn end_body(&self) -> usize {
        let mut state = self.state();
        let is_unfinished = state.phase == Phase::Body && state.verdict.is_none();
        if is_unfinished { state.end(Verdict::TooSlow) } else { 0 }
    }

    /// Ends what the clock says, and what is quiet where all is to close; gives back what it held.
    pub(super) fn end_overdue(&self, now: Instant, answer_within: Duration, is_closing: bool) -> usize {
        let mut state = self.state();
        let needless = (is_closing && state.is_needless(now)).then_some(Verdict::Gone);
        state.overdue(now, answer_within).or(needless).map_or(0, |verdict| state.end(verdict))
    }

    /// Ends it at once where it was evicted and no request of it is with the handler any more.
    pub(super) fn cut_if_dying(&self) {
        let mut state = self.state();
        if state.evicted && !matches!(state.phase, Phase::Body | Phase::Whole) {
            state.end(Verdict::Gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

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
        let verdict = |now| {
            connection.end_overdue(now, WITHIN, false);
            connection.verdict(&Context::from_waker(Waker::noop()))
        };
        assert_eq!(verdict(first + WITHIN), None);
        assert_eq!(verdict(first + WITHIN * 2), Some(Verdict::Late));
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
    fn a_request_that_became_whole_while_it_was_evicted_is_not_too_slow() {
        let (connection, start) = connection();
        connection.has_read(1, start);
        connection.begin(true);
        connection.hold(10);
        assert_eq!(connection.evict(start), Some(10));
        assert_eq!(connection.whole(), 0);
        assert_eq!(connection.verdict(&Context::from_waker(Waker::noop())), None);
        assert!(connection.is_evicted());
    }

    #[test]
    fn a_verdict_does_not_meet_the_next_request() {
        let (connection, start) = connection();
        connection.has_read(1, start);
        connection.begin(false);
        connection.end_overdue(start + WITHIN * 2, WITHIN, false);
        connection.end_of_request(start);
        assert_eq!(read(&connection), Read::Go);
    }

    #[test]
    fn a_quiet_connection_is_read_once_more_before_it_is_closed_and_a_request_that_lies_there_is_taken() {
        let (connection, start) = connection();
        connection.end_overdue(start + Duration::from_millis(400), WITHIN, true);
        assert_eq!(read(&connection), Read::Go, "its first request may be on the way");
        connection.end_overdue(start + Duration::from_millis(600), WITHIN, true);
        assert_eq!(read(&connection), Read::Last);
        connection.has_read(1, start + Duration::from_millis(600));
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
