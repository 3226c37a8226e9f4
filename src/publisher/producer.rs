//! The seam to Kafka: scripted in tests, rdkafka in `kafka/`.

use std::time::Duration;

/// Why a delivery became a dead letter: `retell_reason`, and the label of `events_dead_lettered_total`.
pub const DEAD_LETTER_REASONS: [&str; 2] = [TOO_LARGE, INVALID];
/// The topic does not take records of this size.
pub const TOO_LARGE: &str = "too_large";
/// The broker calls the record invalid, or this release cannot read its envelope.
pub const INVALID: &str = "invalid";
/// The reason of deliveries that were in the queue when their producer ended: it says nothing about them.
pub const PURGED: &str = "purged";

/// One event on its way to one topic, as handed to the producer.
pub struct Delivery<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// Name and value, in order.
    pub headers: &'a [(&'static str, &'a [u8])],
    pub timestamp_ms: i64,
    /// Comes back in the receipt.
    pub token: u64,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub token: u64,
    pub outcome: Result<(), DeliveryError>,
}

/// A delivery that was not confirmed; possibly written all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryError {
    pub action: Action,
    /// Short code for labels and logs, e.g. `topic_authorization_failed`; one of [`Producer::error_reasons`].
    pub reason: &'static str,
}

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Back off and send again; a person may have to cure it.
    Wait,
    /// This record will never be taken. Believed of a receipt only when the producer sends each record in a batch of its
    /// own; believed at once when [`Producer::send`] itself says so, because then no batch was made. Holds the dead
    /// letter's reason, one of [`DEAD_LETTER_REASONS`].
    SetAside(&'static str),
    /// The producer is dead or the outcome unknown: make a new one.
    NewProducer,
}

/// Whether a topic takes records now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    Known,
    Missing,
    Forbidden,
    /// Not asked, no answer yet, or no broker answered.
    Unknown,
}

/// Why a delivery was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Back-pressure: poll, then send the same again.
    QueueFull,
    Refused(DeliveryError),
}

/// Kafka as the publisher sees it. Used from one thread.
pub trait Producer: Send {
    /// Queues a delivery without blocking. Every delivery that was queued gets one receipt, or none at all when
    /// [`Producer::replace`] ends the producer first.
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError>;

    /// Serves the client for at most `timeout`, less when receipts came, and takes them.
    fn poll(&mut self, timeout: Duration, receipts: &mut Vec<Receipt>);

    /// Asks for a topic's metadata without blocking, and forgets the answer before; the new one is in
    /// [`Producer::topic_state`] within a second or so.
    fn probe(&mut self, topic: &str);

    /// The answer to the last probe; [`TopicState::Unknown`] until it is there.
    fn topic_state(&self, topic: &str) -> TopicState;

    /// Ends the present producer (at most 2 s), gives the receipts that still came, and makes a new one. `alone`: each
    /// record travels in a batch of its own. When this returns, `Ok` or `Err`, no receipt of an earlier delivery follows.
    fn replace(&mut self, alone: bool, receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError>;

    /// The present producer takes nothing any more (a fatal error): a new one is needed, also where no receipt says so.
    fn has_ended(&self) -> bool;

    /// Whether a broker was reachable lately, for health.
    fn is_up(&self) -> bool;

    /// What stands between the bridge and Kafka and will not pass by itself, with its cure, where that is known.
    fn lasting_trouble(&self) -> Option<String> {
        None
    }

    /// The closed list of [`DeliveryError::reason`], for the labels that stand at zero from the start.
    fn error_reasons(&self) -> &'static [&'static str];
}
