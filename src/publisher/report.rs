//! What the publisher tells: metrics and health at intervals, and one log line for each change of state, with its cure.

use std::time::Duration;

use super::core::{Core, Now};
use super::lane::Lane;
use super::{DeliveryError, TopicState};

/// Figures are brought up to date this often.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// A Kafka that does not answer is told after this long at start, and after this long of silence of a topic.
const TELL_AFTER: Duration = Duration::from_secs(5);

/// What was told.
pub(super) struct Report {
    reported_at: Option<Duration>,
    started_at: Duration,
    kafka_up: Option<bool>,
    replacing_failed: bool,
}

impl Report {
    pub fn new(now: Duration) -> Report {
        Report { reported_at: None, started_at: now, kafka_up: None, replacing_failed: false }
    }

    /// A new producer was made, or could not be.
    pub fn tell_renewed(&mut self, made: Result<(), DeliveryError>, alone: bool) {
        match made {
            Ok(()) => {
                tracing::warn!(records_travel_alone = alone, "new Kafka producer, unconfirmed records are sent again")
            }
            Err(error) if !self.replacing_failed => tracing::error!(
                reason = error.reason,
                cure = "check kafka.properties and the files that they name",
                "no new Kafka producer can be made, publishing waits"
            ),
            Err(_) => {}
        }
        self.replacing_failed = made.is_err();
    }

    /// A batch was refused: its records travel alone until the one is found that is meant.
    pub fn tell_alone(&self, topic: &str, reason: &str) {
        tracing::warn!(topic, reason, "topic refused a batch, its records are sent one by one");
    }

    fn tell_kafka(&mut self, up: bool, now: Duration) {
        let since_start = now.saturating_sub(self.started_at);
        match (self.kafka_up, up) {
            (None, false) if since_start < TELL_AFTER => return,
            (Some(known), _) if known == up => return,
            (_, true) => tracing::info!("Kafka answers"),
            (_, false) => tracing::warn!(
                cure = "check kafka.brokers, network, TLS and credentials; events are kept and answered meanwhile",
                "Kafka does not answer, publishing waits"
            ),
        }
        self.kafka_up = Some(up);
    }
}

impl Core {
    pub(super) fn report(&mut self, now: Now, last: bool) {
        let due = self.report.reported_at.is_none_or(|at| now.mono >= at + REPORT_EVERY);
        if !due && !last {
            return;
        }
        self.report.reported_at = Some(now.mono);
        let up = self.producer.is_up();
        self.report.tell_kafka(up, now.mono);
        self.health.set_kafka_up(up);
        self.metrics.set_kafka_up(up);
        for lane in &mut self.lanes.list {
            self.metrics.set_backlog(&lane.topic, lane.backlog.events(), lane.backlog.oldest_age(now.wall_ms));
            let stall = stall(lane, up, now.mono);
            if stall != lane.stall {
                self.metrics.set_lane_stalled(&lane.topic, stall.is_some());
                tell_stall(lane, stall);
                lane.stall = stall;
            }
        }
        let floor = self.lanes.floor();
        self.metrics.set_backlog_bytes(self.census.bytes_from(floor));
    }
}

impl Core {
    /// What keeps Kafka from taking what waits, as last reported, with its cure; of several the first.
    pub(super) fn trouble(&self) -> Option<String> {
        if let Some(lasting) = self.producer.lasting_trouble() {
            return Some(lasting);
        }
        if !self.producer.is_up() {
            return Some("Kafka does not answer: check kafka.brokers and the network".to_owned());
        }
        self.lanes.list.iter().find_map(|lane| {
            let reason = lane.stall?;
            Some(format!("topic {} takes nothing ({reason}): {}", lane.topic, cure(lane.retry.state(), reason)))
        })
    }
}

/// Why the lane takes nothing though something waits for it; `None` while it does, or while all of Kafka is away.
fn stall(lane: &Lane, up: bool, now: Duration) -> Option<&'static str> {
    let waits = lane.backlog.events() > 0 || lane.window.oldest().is_some();
    if !waits {
        return None;
    }
    let silent = up && lane.window.outstanding() > 0 && now >= lane.retry.progress_at() + TELL_AFTER;
    lane.retry.trouble().or(silent.then_some("no_answer"))
}

fn tell_stall(lane: &Lane, stall: Option<&'static str>) {
    let topic = &*lane.topic;
    match stall {
        None => tracing::info!(topic, "lane goes on"),
        Some(reason) => tracing::warn!(
            topic,
            reason,
            position = lane.window.position().0,
            cure = cure(lane.retry.state(), reason),
            "lane stalled, its events wait"
        ),
    }
}

const FORBIDDEN: &str = "grant Write on the topic to the bridge's Kafka user";

fn cure(state: TopicState, reason: &str) -> &'static str {
    match state {
        _ if reason == "topic_authorization_failed" => FORBIDDEN,
        TopicState::Missing => "make the topic (retell-bridge topics apply), or change its name under topics",
        TopicState::Forbidden => FORBIDDEN,
        TopicState::Known | TopicState::Unknown => "see the reason in Kafka's log; the bridge tries again by itself",
    }
}
