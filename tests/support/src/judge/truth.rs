//! What the senders know of one life: which of their requests it has answered, and how.
//!
//! In: the ledger, and the turns at which the life began, was scraped last and ended. Out: a [`Life`] without its
//! metrics. Never happens: a request without an answer that is taken for nothing: it may have been counted as anything.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::lives::{Count, Life};
use crate::ledger::{Attempt, Ledger};

/// One life, in turns of the ledger's counter.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Where it listened; a port may be taken again by a later life.
    pub intake: SocketAddr,
    /// Drawn before it was started.
    pub from: u64,
    /// Drawn before and after the last scrape.
    pub scrape: (u64, u64),
    /// Drawn when it was gone.
    pub until: u64,
}

impl Span {
    pub(super) fn truth(&self, ledger: &Ledger) -> Life {
        let mut by_event: HashMap<&str, Vec<Attempt>> = HashMap::new();
        for entry in &ledger.entries {
            by_event.entry(&entry.ce_id).or_default().extend(&entry.attempts);
        }
        let mut life = Life::default();
        for attempts in by_event.values() {
            self.add_event(attempts, &mut life);
        }
        life
    }

    /// All attempts of one event, those that went to other lives among them.
    fn add_event(&self, attempts: &[Attempt], life: &mut Life) {
        let mut may_be_received = false;
        for attempt in attempts.iter().filter(|attempt| self.may_count(attempt)) {
            let is_over = attempt.answered < self.scrape.0;
            let is_kept = was_kept(attempt);
            let is_unanswered = attempt.status == 0;
            // One that was given up may be worked on at any time after.
            let can_precede = |other: &&Attempt| is_unanswered || other.sent < attempt.answered;
            let others = attempts.iter().filter(|other| other.sent != attempt.sent).filter(can_precede);
            let is_first = others.clone().next().is_none();
            let is_further = others.clone().any(|other| was_kept(other) && other.answered < attempt.sent);
            let add = |count: &mut Count, is_sure: bool, is_possible: bool| {
                count.least += u64::from(is_sure && is_over);
                count.most += u64::from(is_possible);
            };
            let may_be_kept = is_kept || is_unanswered;
            add(&mut life.kept, is_kept, may_be_kept);
            add(&mut life.received, is_kept && is_first, false);
            add(&mut life.repeated, is_kept && is_further, may_be_kept && !is_first);
            add(&mut life.refused_503, attempt.status == 503, attempt.status == 503 || is_unanswered);
            let is_else = attempt.status >= 300 && attempt.status != 503;
            add(&mut life.refused_else, is_else, is_else || is_unanswered);
            may_be_received |= may_be_kept && !is_further;
        }
        // However often it was sent.
        life.received.most += u64::from(may_be_received);
    }

    fn may_count(&self, attempt: &Attempt) -> bool {
        attempt.to == self.intake && attempt.sent > self.from && attempt.sent < self.until.min(self.scrape.1)
    }
}

fn was_kept(attempt: &Attempt) -> bool {
    (200..300).contains(&attempt.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, Source};
    use crate::ledger::Entry;

    const HERE: u16 = 1;
    const ELSEWHERE: u16 = 2;

    /// Scraped at turns 100 to 110, killed at 120.
    fn truth(events: &[&[(u16, u64, u64, u16)]]) -> Life {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let source = Source::new("s", "/s", "s.");
        let entry = |(number, attempts): (usize, &&[(u16, u64, u64, u16)])| {
            let mut entry = Entry::new(Event::known(&source, "call_ended", None, number.to_string()), 1, String::new());
            let attempt = |&(port, sent, answered, status)| Attempt { to: at(port), sent, answered, status };
            entry.attempts = attempts.iter().map(attempt).collect();
            entry
        };
        let ledger = Ledger { entries: events.iter().enumerate().map(entry).collect() };
        Span { intake: at(HERE), from: 50, scrape: (100, 110), until: 120 }.truth(&ledger)
    }

    fn between(least: u64, most: u64) -> Count {
        Count { least, most }
    }

    #[test]
    fn what_was_answered_before_the_scrape_is_sure_and_what_was_under_way_is_in_doubt() {
        let life = truth(&[&[(HERE, 60, 61, 204)], &[(HERE, 99, 105, 204)], &[(HERE, 111, 112, 204)]]);
        assert_eq!((life.kept, life.received, life.repeated), (between(1, 2), between(1, 2), between(0, 0)));
    }

    #[test]
    fn another_life_is_known_by_its_port_and_by_its_turns() {
        let life = truth(&[&[(ELSEWHERE, 60, 61, 204)], &[(HERE, 40, 41, 204)]]);
        assert_eq!((life.kept, life.received), (between(0, 0), between(0, 0)));
    }

    #[test]
    fn a_second_2xx_is_a_repeat_and_one_behind_an_attempt_without_answer_may_be() {
        let life = truth(&[&[(ELSEWHERE, 10, 11, 204), (HERE, 60, 61, 204)]]);
        assert_eq!((life.received, life.repeated), (between(0, 0), between(1, 1)));
        let life = truth(&[&[(HERE, 60, 61, 0), (HERE, 62, 63, 204)]]);
        assert_eq!((life.kept, life.received, life.repeated), (between(1, 2), between(0, 1), between(0, 2)));
    }

    #[test]
    fn refusals_are_told_apart_and_no_answer_may_have_been_either() {
        let life = truth(&[&[(HERE, 60, 61, 503)], &[(HERE, 62, 63, 401)], &[(HERE, 64, 65, 0)]]);
        assert_eq!((life.refused_503, life.refused_else), (between(1, 2), between(1, 2)));
        assert_eq!((life.kept, life.received), (between(0, 1), between(0, 1)));
    }
}
