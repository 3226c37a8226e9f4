//! When to try again: per lane ([`Retry`]) and for the producer as a whole ([`Renewal`]).
//!
//! Never happens: a topic that is fed before its metadata is known; a lane that is fed again before every delivery of it
//! that was on its way has come back (its author sees to that with `outstanding`).

use std::time::Duration;

use super::{Producer, TopicState};

/// A topic that is not known, or a held one, is asked for this often.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// A topic that is missing while nothing waits for it.
const PROBE_IDLE_EVERY: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest pause of a lane after a failed delivery, and of all lanes between producers.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Shortest and longest pause of a lane whose deliveries end the producer, which costs the other lanes a pause each time.
const BACKOFF_KILLER_MIN: Duration = Duration::from_secs(1);
const BACKOFF_KILLER_MAX: Duration = Duration::from_secs(30);
/// How long each record travels alone after the last verdict on a batch.
const ALONE_FOR: Duration = Duration::from_secs(10);

/// The shortest pause, doubled with each failure after the first.
fn backoff(failures: u32, min: Duration, max: Duration) -> Duration {
    min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max)
}

/// Whether a lane's deliveries may travel with those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Trusted,
    /// One has ended the producer, and none was confirmed since.
    Suspect,
    /// A suspect whose next delivery travels alone.
    OnTrial,
}

/// Whether one lane's topic can be fed.
#[derive(Debug)]
pub(super) struct Retry {
    state: TopicState,
    asked_at: Option<Duration>,
    /// Not fed before this time; after a failure.
    held_until: Option<Duration>,
    /// Since the last confirmed delivery.
    failures: u32,
    /// The last failure's reason, since the last confirmed delivery.
    failure: Option<&'static str>,
    trust: Trust,
    /// A delivery has failed since the present producer began.
    failed_lately: bool,
    confirmed_at: Option<Duration>,
    /// Last confirmation, or the beginning of waiting for one.
    progress_at: Duration,
}

impl Retry {
    pub fn new(now: Duration) -> Retry {
        Retry {
            state: TopicState::Unknown,
            asked_at: None,
            held_until: None,
            failures: 0,
            failure: None,
            trust: Trust::Trusted,
            failed_lately: false,
            confirmed_at: None,
            progress_at: now,
        }
    }

    /// The topic is known and no failure holds the lane.
    pub fn is_ready(&self) -> bool {
        self.held_until.is_none() && self.state == TopicState::Known && self.trust != Trust::Suspect
    }

    /// Its next delivery has to travel alone, and its time has come.
    pub fn is_due_for_trial(&self) -> bool {
        self.held_until.is_none() && self.state == TopicState::Known && self.trust == Trust::Suspect
    }

    pub fn is_on_trial(&self) -> bool {
        self.trust == Trust::OnTrial
    }

    pub fn begin_trial(&mut self) {
        self.trust = Trust::OnTrial;
    }

    /// A trial that has come to no verdict leaves a suspect.
    pub fn end_trial(&mut self) {
        if self.is_on_trial() {
            self.trust = Trust::Suspect;
        }
    }

    /// The producer has ended by itself: a lane that failed meanwhile is suspect. Whether it was not before.
    pub fn blame(&mut self, now: Duration) -> bool {
        let is_new = self.failed_lately && self.trust == Trust::Trusted;
        if self.failed_lately {
            self.trust = Trust::Suspect;
            self.held_until = Some(now + backoff(self.failures, BACKOFF_KILLER_MIN, BACKOFF_KILLER_MAX));
        }
        is_new
    }

    /// A new producer begins.
    pub fn begin_anew(&mut self) {
        self.failed_lately = false;
    }

    /// A broker has refused the topic or one of its deliveries.
    pub fn is_refused(&self) -> bool {
        let is_forbidden = matches!(self.state, TopicState::Missing | TopicState::Forbidden);
        self.held_until.is_some() || is_forbidden || self.trust == Trust::Suspect
    }

    /// The last answer about the topic.
    pub fn state(&self) -> TopicState {
        self.state
    }

    /// Why the topic takes nothing; `None` where nothing speaks against it.
    pub fn trouble(&self) -> Option<&'static str> {
        match self.state {
            TopicState::Missing => Some("topic_missing"),
            TopicState::Forbidden => Some("topic_forbidden"),
            TopicState::Known | TopicState::Unknown => self.failure,
        }
    }

    /// When a delivery was last confirmed.
    pub fn confirmed_at(&self) -> Option<Duration> {
        self.confirmed_at
    }

    /// When a delivery was last confirmed, or the waiting for one began.
    pub fn progress_at(&self) -> Duration {
        self.progress_at
    }

    pub fn confirmed(&mut self, now: Duration) {
        (self.failures, self.failure, self.trust) = (0, None, Trust::Trusted);
        (self.confirmed_at, self.progress_at) = (Some(now), now);
    }

    /// The first delivery after a pause was sent.
    pub fn sent_first(&mut self, now: Duration) {
        self.progress_at = now;
    }

    /// A delivery failed: the lane is held, and its topic asked for anew. `killer`: it ended the producer.
    pub fn failed(&mut self, now: Duration, reason: &'static str, killer: bool) {
        // Deliveries that fail together are one failure.
        if self.held_until.is_none() {
            self.failures += 1;
        }
        let is_suspect = killer || self.trust != Trust::Trusted;
        let (min, max) = if is_suspect { (BACKOFF_KILLER_MIN, BACKOFF_KILLER_MAX) } else { (BACKOFF_MIN, BACKOFF_MAX) };
        self.held_until = Some(now + backoff(self.failures, min, max));
        (self.failure, self.failed_lately) = (Some(reason), true);
        if is_suspect {
            self.trust = Trust::Suspect;
        }
        (self.state, self.asked_at) = (TopicState::Unknown, None);
        self.progress_at = now;
    }

    /// Asks for the topic where that is due, and lets the lane go where it may. `waiting`: something waits for the topic.
    pub fn refresh(
        &mut self,
        now: Duration,
        producer: &mut dyn Producer,
        topic: &str,
        outstanding: usize,
        waiting: bool,
    ) {
        if self.state != TopicState::Known {
            self.ask(now, producer, topic, waiting);
        }
        let over = self.held_until.is_some_and(|until| now >= until);
        if over && outstanding == 0 && self.state == TopicState::Known {
            self.held_until = None;
            self.progress_at = now;
        }
    }

    fn ask(&mut self, now: Duration, producer: &mut dyn Producer, topic: &str, waiting: bool) {
        if self.asked_at.is_some() {
            match producer.topic_state(topic) {
                TopicState::Unknown => {}
                answer => self.state = answer,
            }
        }
        let idle = self.is_refused() && !waiting;
        let every = if idle { PROBE_IDLE_EVERY } else { PROBE_EVERY };
        let due = self.asked_at.is_none_or(|asked| now >= asked + every);
        if due && self.state != TopicState::Known {
            producer.probe(topic);
            self.asked_at = Some(now);
        }
    }
}

/// When a new producer is made, and whether each record travels in a batch of its own.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// The present producer sends each record in a batch of its own.
    alone: bool,
    /// The next one does.
    next_alone: bool,
    wanted: bool,
    /// New producers in a row without a confirmed delivery between.
    failures: u32,
    not_before: Duration,
    /// The last refusal that asks for batches of one.
    verdict_at: Duration,
}

impl Renewal {
    /// The present producer sends each record in a batch of its own: its verdicts are on single records.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// The next producer does.
    pub fn next_is_alone(&self) -> bool {
        self.next_alone
    }

    /// A new producer is wanted: the present one takes nothing any more.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    pub fn is_due(&self, now: Duration) -> bool {
        self.wanted && now >= self.not_before
    }

    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// A record was refused: from now on each travels alone.
    pub fn want_alone(&mut self, now: Duration) {
        self.verdict_at = now;
        (self.next_alone, self.wanted) = (true, true);
    }

    /// A record was refused while alone: the producer stays alone for longer.
    pub fn verdict(&mut self, now: Duration) {
        self.verdict_at = now;
        self.learnt();
    }

    /// Batches cannot begin yet.
    pub fn stay_alone(&mut self, now: Duration) {
        self.verdict_at = now;
    }

    /// Records have travelled alone for long enough.
    pub fn is_alone_over(&self, now: Duration) -> bool {
        self.alone && now >= self.verdict_at + ALONE_FOR
    }

    /// Batches again; nothing may be on its way.
    pub fn want_batches(&mut self) {
        (self.next_alone, self.wanted) = (false, true);
    }

    /// A new producer was made, or not; the next one is made no earlier than after a pause that grows.
    /// `alone` is what it was asked for: the receipts of the old one may have asked for another meanwhile.
    pub fn renewed(&mut self, now: Duration, alone: bool, made: bool) {
        if made {
            self.alone = alone;
        }
        self.wanted = !made || self.alone != self.next_alone;
        self.failures += 1;
        self.not_before = now + backoff(self.failures, BACKOFF_MIN, BACKOFF_MAX);
    }

    /// A delivery was settled, or a lane was found that ends producers: the next one has a better chance.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }

    /// A verdict may have ended the producer, and what it is about will not be sent again: the next producer need not wait.
    /// No more of them are made than there are such records.
    pub fn learnt(&mut self) {
        (self.failures, self.not_before) = (0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_100_ms_to_their_longest() {
        let pauses: Vec<u128> =
            (1..9).map(|failures| backoff(failures, BACKOFF_MIN, BACKOFF_MAX).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(backoff(u32::MAX, BACKOFF_KILLER_MIN, BACKOFF_KILLER_MAX), BACKOFF_KILLER_MAX);
    }

    #[test]
    fn deliveries_that_fail_together_are_one_failure() {
        let mut retry = Retry::new(Duration::ZERO);
        (0..5).for_each(|_| retry.failed(Duration::ZERO, "timed_out", false));
        assert_eq!((retry.failures, retry.held_until), (1, Some(BACKOFF_MIN)));
    }

    #[test]
    fn producers_that_confirm_nothing_follow_each_other_ever_more_slowly() {
        let mut renewal = Renewal::default();
        renewal.want();
        assert!(renewal.is_due(Duration::ZERO));
        renewal.renewed(Duration::ZERO, false, true);
        renewal.want();
        assert!(!renewal.is_due(Duration::from_millis(99)) && renewal.is_due(Duration::from_millis(100)));
        renewal.renewed(Duration::from_millis(100), false, true);
        renewal.want();
        assert!(!renewal.is_due(Duration::from_millis(299)) && renewal.is_due(Duration::from_millis(300)));
    }

    #[test]
    fn a_producer_that_ended_by_a_verdict_on_one_record_is_followed_by_the_next_at_once() {
        let mut renewal = Renewal::default();
        let mut now = Duration::from_secs(1);
        for _ in 0..10 {
            renewal.verdict(now);
            renewal.want();
            assert!(renewal.is_due(now));
            renewal.renewed(now, true, true);
            now += Duration::from_millis(1);
        }
        renewal.want();
        assert!(!renewal.is_due(now), "without a verdict it waits");
    }
}
