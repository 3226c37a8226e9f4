//! All open connections, and the bounds they share: how many there are, and how many bytes of bodies are in memory.
//!
//! Where a bound is reached, the one furthest behind loses, never the newcomer: quiet and slow connections make room for
//! it. Only where all others have arrived whole and wait for their sync, the newcomer gets 503.
//!
//! In: accepts, arriving bytes, the clock (every [`SWEEP_EVERY`]). Out: verdicts, given to connections. Never happens: a
//! bound held by waiting, or more than [`SPARE`] connections beyond the bound, all of them on their way out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{Connection, Standing};
use super::phase::Behind;
use crate::metrics::Metrics;
use crate::planted::Bug;

/// How often the clock is held against every connection. Deadlines are seconds: a tenth late does no harm.
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// Connections beyond the bound that only wait for their refusal to be read.
pub(super) const SPARE: usize = 64;
/// How many go at once when the bound is reached in a flood, so that not every newcomer costs a walk.
const EVICTED_AT_ONCE: usize = 16;

pub(super) struct Registry {
    connections_max: usize,
    in_flight_max_bytes: usize,
    answer_within: Duration,
    in_flight_bytes: AtomicUsize,
    crowd: Mutex<Crowd>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Crowd {
    all: HashMap<u64, Arc<Connection>>,
    /// Of them, those that were not evicted.
    counted: usize,
    next_number: u64,
    closing: bool,
}

/// Why a body cannot grow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is itself the slowest one.
    Slowest,
    /// All others have arrived whole.
    NoRoom,
}

impl Registry {
    pub(super) fn new(
        connections_max: usize,
        in_flight_max_bytes: usize,
        answer_within: Duration,
        metrics: Arc<Metrics>,
    ) -> Registry {
        let in_flight_bytes = AtomicUsize::new(0);
        Registry {
            connections_max,
            in_flight_max_bytes,
            answer_within,
            in_flight_bytes,
            crowd: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn connections_max(&self) -> usize {
        self.connections_max
    }

    pub(super) fn answer_within(&self) -> Duration {
        self.answer_within
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        // Every change below is complete before anything could panic, so a poisoned crowd is a sound one.
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in; `None` where even the spare places are taken.
    pub(super) fn admit(&self, peer: IpAddr, is_welcome: bool) -> Option<(u64, Arc<Connection>)> {
        let now = Instant::now();
        let mut crowd = self.crowd();
        if crowd.counted >= self.connections_max {
            // Who is not welcome takes the place of its like only.
            self.give_back(crowd.evict(now, |behind| is_welcome || behind.is_first_to_go));
        }
        let has_room = crowd.counted < self.connections_max;
        if crowd.all.len() >= self.connections_max + SPARE {
            // They have had their answer, or will never read it.
            crowd.cut_dying();
            if crowd.all.len() >= self.connections_max + 2 * SPARE {
                return None;
            }
        }
        let standing = match (is_welcome, has_room) {
            (false, _) => Standing::Unwelcome,
            (true, true) => Standing::Welcome,
            (true, false) => Standing::NoRoom,
        };
        let connection = Arc::new(Connection::new(peer, standing, !has_room, now));
        let number = crowd.next_number;
        crowd.next_number += 1;
        crowd.all.insert(number, connection.clone());
        crowd.counted += usize::from(has_room);
        self.metrics.set_connections(crowd.all.len());
        Some((number, connection))
    }

    /// A connection is closed.
    pub(super) fn leave(&self, number: u64) {
        let mut crowd = self.crowd();
        if let Some(connection) = crowd.all.remove(&number) {
            crowd.counted -= usize::from(connection.is_counted());
        }
        self.metrics.set_connections(crowd.all.len());
    }

    /// Counts `more` bytes for the body of `connection`; the slowest other bodies make room.
    pub(super) fn hold(&self, connection: &Connection, more: usize) -> Result<(), Refusal> {
        if !self.try_hold(more) {
            let now = Instant::now();
            let crowd = self.crowd();
            while !self.try_hold(more) {
                let victim = crowd.slowest_body(connection, now)?;
                self.give_back(victim.end_body());
            }
        }
        connection.hold(more);
        Ok(())
    }

    /// Counts bytes that are in memory whether there is room or not.
    pub(super) fn hold_anyway(&self, bytes: usize) {
        self.in_flight_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes that are in memory no more.
    pub(super) fn give_back(&self, bytes: usize) {
        self.in_flight_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    fn try_hold(&self, more: usize) -> bool {
        let fits = |sum: &usize| *sum <= self.in_flight_max_bytes || Bug::InFlightWithoutLimit.is_planted();
        let sum = |held: usize| held.checked_add(more).filter(fits);
        self.in_flight_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, sum).is_ok()
    }

    /// Holds the clock against every connection.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let crowd = self.crowd();
        for connection in crowd.all.values() {
            self.give_back(connection.end_overdue(now, self.answer_within, crowd.closing));
        }
    }

    /// From now on connections that stay quiet are closed, and all others with their next answer.
    pub(super) fn close(&self) {
        self.crowd().closing = true;
        self.sweep();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.crowd().closing
    }

    pub(super) fn is_empty(&self) -> bool {
        self.crowd().all.is_empty()
    }

    #[cfg(test)]
    pub(super) fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes.load(Ordering::Acquire)
    }
}

impl Crowd {
    /// Ends the one furthest behind of those that may be ended, and in a flood some more of the slow; gives back the bytes
    /// they held.
    fn evict(&mut self, now: Instant, may_end: impl Fn(&Behind) -> bool) -> usize {
        let all = self.all.values().filter_map(|one| one.behind(now).map(|behind| (behind, one)));
        let mut order: Vec<(Behind, &Arc<Connection>)> = all.filter(|(behind, _)| may_end(behind)).collect();
        order.sort_unstable_by_key(|(behind, _)| std::cmp::Reverse(*behind));
        let others = order.iter().skip(1).take(EVICTED_AT_ONCE - 1);
        let is_slow = |behind: &Behind| behind.is_first_to_go || (behind.is_unproven && behind.lag_ms > 0);
        let slow = others.take_while(|(behind, _)| is_slow(behind)).count();
        order.truncate(1 + slow);
        let held: Vec<usize> = order.iter().filter_map(|(_, one)| one.evict(now)).collect();
        self.counted -= held.len();
        held.iter().sum()
    }

    /// Closes at once those that were evicted and have their answer.
    fn cut_dying(&self) {
        self.all.values().for_each(|one| one.cut_if_dying());
    }

    /// The unfinished body furthest behind; an error where that is the asking one.
    fn slowest_body(&self, asking: &Connection, now: Instant) -> Result<&Connection, Refusal> {
        let others = self.all.values().filter(|one| !std::ptr::eq(Arc::as_ptr(one), asking));
        let holding = others.filter_map(|one| one.body_behind(now).filter(|(_, held)| *held > 0).zip(Some(one)));
        let ((behind, _), slowest) = holding.max_by_key(|((behind, _), _)| *behind).ok_or(Refusal::NoRoom)?;
        let is_asking_behind = asking.body_behind(now).is_some_and(|(own, _)| own > behind);
        if is_asking_behind { Err(Refusal::Slowest) } else { Ok(slowest) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::phase::Verdict;
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn registry(connections_max: usize, in_flight_max_bytes: usize) -> Registry {
        Registry::new(connections_max, in_flight_max_bytes, Duration::from_secs(8), Arc::new(Metrics::new()))
    }

    /// A connection whose body began `ago_ms` ago.
    fn reading(registry: &Registry, ago_ms: u64) -> Arc<Connection> {
        let (_, connection) = registry.admit(PEER, true).unwrap();
        connection.has_read(1, Instant::now() - Duration::from_millis(ago_ms));
        connection.begin(true);
        connection
    }

    #[test]
    fn the_one_furthest_behind_makes_room_for_the_newcomer() {
        let registry = registry(3, 1);
        let slow = reading(&registry, 900);
        let fast = reading(&registry, 900);
        fast.has_arrived(10 << 20);
        let whole = reading(&registry, 7_000);
        whole.whole();
        let (_, newcomer) = registry.admit(PEER, true).unwrap();
        assert_eq!(newcomer.standing(), Standing::Welcome);
        assert!(slow.is_evicted() && !fast.is_evicted() && !whole.is_evicted());
    }

    #[test]
    fn who_has_brought_an_authenticated_event_outlives_who_has_not() {
        let registry = registry(2, 1);
        let proven = reading(&registry, 1_900);
        proven.prove();
        proven.whole();
        proven.end_of_request(Instant::now() - Duration::from_secs(60));
        let fresh = reading(&registry, 10);
        registry.admit(PEER, true).unwrap();
        assert!(fresh.is_evicted() && !proven.is_evicted());
    }

    #[test]
    fn the_unwelcome_go_before_all_others() {
        let registry = registry(2, 1);
        let slow = reading(&registry, 900);
        let (_, unwelcome) = registry.admit(PEER, false).unwrap();
        registry.admit(PEER, true).unwrap();
        assert!(unwelcome.is_evicted() && !slow.is_evicted());
    }

    #[test]
    fn the_unwelcome_take_no_place_from_the_welcome() {
        let registry = registry(1, 1);
        let slow = reading(&registry, 1_900);
        let (_, unwelcome) = registry.admit(PEER, false).unwrap();
        assert!(!slow.is_evicted() && unwelcome.is_evicted());
    }

    #[test]
    fn where_all_have_arrived_whole_the_newcomer_has_no_room_and_the_spare_places_are_bounded() {
        let registry = registry(1, 1);
        reading(&registry, 10).whole();
        let mut standings = Vec::new();
        while let Some((_, one)) = registry.admit(PEER, true) {
            standings.push(one.standing());
        }
        assert!(standings.iter().all(|standing| *standing == Standing::NoRoom));
        assert_eq!(standings.len(), 2 * SPARE);
    }

    #[test]
    fn a_body_that_needs_room_takes_it_from_the_slowest_and_counts_what_was_held() {
        let registry = registry(9, 100);
        let slow = reading(&registry, 1_000);
        let fast = reading(&registry, 100);
        registry.hold(&slow, 60).unwrap();
        registry.hold(&fast, 40).unwrap();
        registry.hold(&fast, 50).unwrap();
        assert_eq!(registry.in_flight_bytes(), 90);
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(slow.verdict(&context), Some(Verdict::TooSlow));
        assert_eq!(fast.verdict(&context), None);
    }

    #[test]
    fn the_slowest_itself_loses_and_a_newcomer_among_whole_ones_has_no_room() {
        let registry = registry(9, 100);
        let fast = reading(&registry, 100);
        registry.hold(&fast, 100).unwrap();
        assert_eq!(registry.hold(&reading(&registry, 1_000), 1), Err(Refusal::Slowest));
        fast.whole();
        assert_eq!(registry.hold(&reading(&registry, 1_000), 1), Err(Refusal::NoRoom));
    }

    #[test]
    fn who_leaves_gives_the_place_back() {
        let registry = registry(1, 1);
        for _ in 0..3 {
            let (number, one) = registry.admit(PEER, true).unwrap();
            assert_eq!(one.standing(), Standing::Welcome);
            one.has_read(1, Instant::now());
            one.begin(false);
            registry.leave(number);
        }
        assert!(registry.is_empty());
    }
}
