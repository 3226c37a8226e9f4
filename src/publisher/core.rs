//! The publisher without its thread: [`Core::step`] does what is to do at a given time and says how long there is nothing
//! more. Everything that it needs from outside, time included, is handed in, so that tests drive it in virtual time.

use std::sync::Arc;
use std::time::Duration;

use crate::health::Health;
use crate::journal::{LaneMark, Position};
use crate::metrics::Metrics;
use crate::schema::Watch;

use super::census::Census;
use super::dead_letters::Desk;
use super::feed::{Caps, Turn};
use super::headers::Stamps;
use super::lane::Lane;
use super::lanes::Lanes;
use super::report::Report;
use super::retry::Renewal;
use super::routing::Router;
use super::source::Source;
use super::trial::Trial;
use super::{DEAD_LETTER_REASONS, Producer, Receipt};

/// Marks are handed to the journal at most this often.
const MARK_EVERY: Duration = Duration::from_millis(100);
/// After a failed read of the journal.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Unix milliseconds.
    pub wall_ms: u64,
    /// Since some fixed moment; never goes back.
    pub mono: Duration,
}

/// What the next step should wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing: there is more to do.
    Busy,
    /// Receipts, or a pause; lately there were some, or not.
    Receipts { lately: bool },
    /// Something synced at or behind this position.
    Synced(Position),
}

/// See the module.
pub(super) struct Core {
    pub(super) router: Router,
    pub(super) source: Source,
    pub(super) producer: Box<dyn Producer>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) stamps: Stamps,
    pub(super) lanes: Lanes,
    pub(super) caps: Caps,
    pub(super) census: Census,
    pub(super) desk: Desk,
    pub(super) renewal: Renewal,
    pub(super) trial: Trial,
    pub(super) report: Report,
    /// Is shown each event that leaves the head; has no say.
    pub(super) watch: Watch,
    pub(super) receipts: Vec<Receipt>,
    pub(super) received_at: Duration,
    /// Feeding pauses from then on until everything has come back, and batches begin again.
    pub(super) draining_since: Option<Duration>,
    read_again_at: Duration,
    read_failed: bool,
    marked: Vec<LaneMark>,
    marked_at: Duration,
}

impl Core {
    /// Starts at the checkpoint's `marks`, or at `oldest` where there are none.
    pub fn new(
        router: Router,
        source: Source,
        producer: Box<dyn Producer>,
        (marks, oldest): (&[LaneMark], Position),
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        now: Now,
    ) -> Core {
        let takes: Vec<(&str, u64)> =
            router.topics().iter().enumerate().map(|(number, topic)| (&**topic, router.takes(number))).collect();
        let mut lanes = Lanes::new(&takes, marks, oldest, now.mono);
        for topic in router.topics() {
            metrics.expect_topic(topic, producer.error_reasons());
        }
        metrics.expect_dead_letter_reasons(&DEAD_LETTER_REASONS);
        Core {
            caps: Caps::share_of(router.topics().len()),
            census: Census::new(lanes.floor(), (source.synced)(), now.mono),
            desk: Desk::default(),
            renewal: Renewal::default(),
            trial: Trial::default(),
            report: Report::new(now.mono),
            watch: Watch::off(),
            stamps: Stamps::new(),
            receipts: Vec::new(),
            received_at: now.mono,
            draining_since: None,
            read_again_at: Duration::ZERO,
            read_failed: false,
            marked: marks.to_vec(),
            marked_at: Duration::ZERO,
            router,
            source,
            producer,
            metrics,
            health,
            lanes,
        }
    }

    /// Takes receipts, for which it waits at most `wait`, and does what is to do.
    pub fn step(&mut self, now: Now, wait: Duration) -> Pace {
        self.take_receipts(now, wait);
        self.renew(now);
        self.refresh_topics(now.mono);
        self.hold_trial(now.mono);
        self.lanes.arrange();
        let feeds = !self.renewal.is_wanted() && now.mono >= self.read_again_at && !self.is_draining(now.mono);
        let turn = if feeds { self.feed_turns(now.mono) } else { Turn::Waits };
        self.work_at_desk(now.mono);
        let counting = self.count_ahead(turn, feeds, now.mono);
        self.mark(now.mono, false);
        self.report(now, false);
        self.pace(turn, counting, now.mono)
    }

    /// Waits until something at or behind `from` is synced. A journal that has ended does not wait: the pause is kept
    /// all the same.
    pub fn wait_synced(&self, from: Position, timeout: Duration) {
        let synced = (self.source.wait_synced)(from, timeout);
        if synced <= from {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The last marks and figures. How many deliveries wait, as far as they are counted; never none where not all is settled.
    pub fn finish(&mut self, now: Now) -> u64 {
        self.mark(now.mono, true);
        self.report(now, true);
        let at_least = u64::from(!self.is_done());
        self.left().max(at_least)
    }

    /// How many deliveries wait; a lower bound until the census is through.
    pub fn left(&self) -> u64 {
        self.lanes.list.iter().map(|lane| lane.backlog.events()).sum()
    }

    /// Everything that is synced now is settled.
    pub fn is_done(&mut self) -> bool {
        let synced = (self.source.synced)();
        self.lanes.floor() >= synced
    }

    fn refresh_topics(&mut self, now: Duration) {
        for lane in &mut self.lanes.list {
            let Lane { topic, window, retry, backlog, .. } = lane;
            let waiting = backlog.events() > 0;
            retry.refresh(now, &mut *self.producer, topic, window.outstanding(), waiting);
        }
    }

    /// One turn for each reading place that can use one.
    fn feed_turns(&mut self, now: Duration) -> Turn {
        if let Some(index) = self.trial.lane() {
            self.feed_apart(index, now);
            return Turn::Waits;
        }
        let mut more = false;
        let mut waits = false;
        for index in 0..self.lanes.list.len() {
            if self.lanes.list[index].is_at_head() {
                continue;
            }
            if !self.is_open(index) {
                waits = true;
                continue;
            }
            let turn = self.feed_apart(index, now);
            more |= turn == Turn::More;
            waits |= turn == Turn::Waits;
        }
        match self.feed_head(now) {
            Turn::Waits => Turn::Waits,
            _ if more => Turn::More,
            Turn::AtEnd if waits => Turn::Waits,
            turn => turn,
        }
    }

    /// Whether the lane's own reading place is read.
    pub(super) fn is_open(&self, index: usize) -> bool {
        let lane = &self.lanes.list[index];
        lane.retry.is_ready() || index == self.router.dead_letter() || lane.window.has_aside()
    }

    /// The journal could not be read: told once, tried again later, nothing is skipped.
    pub(super) fn cannot_read(&mut self, now: Duration, error: &str) -> Turn {
        if !self.read_failed {
            tracing::error!(error, cure = "check the disk", "journal cannot be read, publishing waits");
        }
        self.read_failed = true;
        self.read_again_at = now + READ_AGAIN_AFTER;
        Turn::Waits
    }

    /// Counts what the head cannot reach now, or has not passed. Whether there may be more.
    fn count_ahead(&mut self, turn: Turn, feeds: bool, now: Duration) -> bool {
        let head = self.lanes.head.next();
        let end = match turn {
            Turn::Waits => self.count_up_to(head, feeds, now),
            _ => head,
        };
        if now < self.read_again_at {
            return false;
        }
        if self.census.to() >= end {
            self.census.rest_behind(head);
            return false;
        }
        match self.census.read(end, &self.source, &mut self.lanes.list, &self.router) {
            Ok(more) => more,
            Err(error) => {
                self.cannot_read(now, &error);
                false
            }
        }
    }

    /// Ahead of a head that waits: everything where it is not fed or no receipts come (Kafka is away), else what has waited
    /// long enough.
    fn count_up_to(&mut self, head: Position, feeds: bool, now: Duration) -> Position {
        let synced = (self.source.synced)();
        let due = self.census.due(synced, now).min(synced);
        let goes_on = feeds && self.trial.lane().is_none() && self.has_receipts_lately(now);
        if goes_on { due.max(head) } else { synced }
    }

    fn has_receipts_lately(&self, now: Duration) -> bool {
        now < self.received_at + MARK_EVERY
    }

    fn mark(&mut self, now: Duration, last: bool) {
        if !last && now < self.marked_at + MARK_EVERY {
            return;
        }
        let marks = self.lanes.marks();
        if marks != self.marked {
            (self.source.mark)(marks.clone());
            (self.marked, self.marked_at) = (marks, now);
        }
    }

    fn pace(&self, turn: Turn, counting: bool, now: Duration) -> Pace {
        let lately = counting || self.has_receipts_lately(now);
        match turn {
            Turn::More => Pace::Busy,
            Turn::Waits => Pace::Receipts { lately },
            Turn::AtEnd if self.lanes.outstanding() > 0 || !self.desk.is_free() => Pace::Receipts { lately },
            Turn::AtEnd => Pace::Synced(self.lanes.head.next()),
        }
    }
}
