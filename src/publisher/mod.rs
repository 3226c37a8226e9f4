//! The publisher: contract (draft of the lead; its author completes it).
//!
//! In: records from the journal. Out: deliveries on their topics, marks for the checkpoint, dead letters.

use std::time::Duration;

use bytes::Bytes;

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
pub struct Receipt {
    pub token: u64,
    pub outcome: Result<(), DeliveryError>,
}

/// A delivery that was not confirmed; possibly written all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryError {
    pub action: Action,
    /// Short code for labels and logs, e.g. `topic_authorization_failed`. From a closed list.
    pub reason: &'static str,
}

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Back off and send again; a person may have to cure it.
    Wait,
    /// This record will never be taken (only believed when it was refused in a batch of its own).
    SetAside,
    /// The producer is dead or the outcome unknown: make a new one.
    NewProducer,
}

/// Whether a topic takes records now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    Known,
    Missing,
    Forbidden,
    /// No broker answered.
    Unknown,
}

/// Kafka as the publisher sees it; scripted in tests, rdkafka in `kafka/`.
pub trait Producer: Send {
    /// Queues a delivery. `Err(QueueFull)` is back-pressure: poll, then send the same again.
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError>;
    /// Serves the client for at most `timeout` and takes the receipts that came.
    fn poll(&mut self, timeout: Duration, receipts: &mut Vec<Receipt>);
    /// Asks for a topic's metadata without blocking; the answer is in `topic_state` within a second or so.
    fn probe(&mut self, topic: &str);
    /// The last answer to a probe.
    fn topic_state(&self, topic: &str) -> TopicState;
    /// Ends the present producer (purged, drained within 2 s) and makes a new one. `alone`: each record its own batch.
    fn replace(&mut self, alone: bool) -> Result<(), DeliveryError>;
    /// Whether a broker was reachable lately, for health.
    fn is_up(&self) -> bool;
}

/// Why a delivery was not queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    QueueFull,
    Refused(DeliveryError),
}

#[allow(dead_code)]
type Draft = Bytes;

/// Which topic takes what; made by `config`, checked there (at most 64 topics in all).
#[derive(Debug, Clone)]
pub struct Topics {
    /// Default prefix, e.g. `retell.`.
    pub prefix: String,
    /// Prefix of a source, where it has its own.
    pub source_prefixes: std::collections::BTreeMap<String, String>,
    /// The types that have a topic; the others go to `unrecognized`, reason `not_listed`.
    pub types: Vec<crate::event::Kind>,
    /// Full name of the topic that takes every event of all sources.
    pub all: Option<String>,
    /// Full names, over any prefix, by short name (`call_ended`, `unrecognized`, `dead_letter`).
    pub overrides: std::collections::BTreeMap<String, String>,
}
