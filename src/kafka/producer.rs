//! The publisher's producer over rdkafka.
//!
//! A `BaseProducer` polled by the publisher's own thread: no thread and no allocation per record beside librdkafka's
//! copy. Metadata is asked by [`Prober`], on a thread and with a client of its own, which outlive every producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use super::Options;
use super::context::{Context, Reach};
use super::current::Current;
use super::errors::{self, REASONS};
use super::prober::Prober;
use super::settings::{self, SettingsError};
use super::wakeup::Wakeup;
use crate::priority;
use crate::publisher::{Action, Delivery, DeliveryError, Producer, Receipt, SendError, TopicState};
use crate::reload::Reload;

/// How long an old producer may take to give its receipts.
const END_WITHIN: Duration = Duration::from_secs(2);
const END_POLL: Duration = Duration::from_millis(5);
/// Whether the producer has ended is looked for this often, without a cause.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Events that one poll serves at most, where they keep coming.
const EVENTS_MAX: usize = 64;

/// See the module.
pub struct KafkaProducer {
    current: Current,
    /// The number of the options that `producer` was made of.
    made_of: u64,
    /// Until it is taken.
    reload: Option<Reload>,
    reach: Arc<Reach>,
    /// Above its producer, because it must be dropped first.
    wakeup: Wakeup,
    producer: BaseProducer<Context>,
    prober: Prober,
    /// A fatal error was raised, as far as was looked.
    ended: bool,
    looked_at: Instant,
}

impl KafkaProducer {
    /// Makes the client; asks no broker. `topics`: the full list, whose limits are compared with the settings in the
    /// background, once, when a broker answers.
    pub fn new(options: Options, topics: Vec<String>) -> Result<KafkaProducer, SettingsError> {
        let reach = Arc::new(Reach::new());
        let (current, reload) = Current::new(&options)?;
        let (made_of, in_force) = current.get();
        let (wakeup, producer) = make(&in_force, &reach, false)?;
        let prober = Prober::start(&current, &reach, topics)?;
        let (ended, looked_at) = (false, Instant::now());
        Ok(KafkaProducer { current, made_of, reload, reach, wakeup, producer, prober, ended, looked_at })
    }

    /// What reads the credentials again, once; `None` where the settings name no files.
    pub fn take_reload(&mut self) -> Option<Reload> {
        self.reload.take()
    }

    /// Serves one event after the other while they come.
    fn serve(&self, receipts: &mut Vec<Receipt>) {
        for _ in 0..EVENTS_MAX {
            let before = receipts.len();
            self.producer.poll(Duration::ZERO);
            self.producer.context().take(receipts);
            if receipts.len() == before {
                return;
            }
        }
    }

    /// Sees whether the producer has ended: at once where there is cause, else now and then. librdkafka's fatal error is
    /// not always among the errors that it calls back.
    fn look_for_end(&mut self, has_cause: bool) {
        if has_cause || self.looked_at.elapsed() >= LOOK_EVERY {
            self.looked_at = Instant::now();
            self.ended = self.producer.client().fatal_error().is_some();
        }
    }

    /// Takes nothing more, and waits for what is on its way.
    fn end(&self, receipts: &mut Vec<Receipt>) {
        let began = Instant::now();
        while self.producer.in_flight_count() > 0 && began.elapsed() < END_WITHIN {
            // What is queued now goes; what a broker has been sent gets its answer.
            self.producer.purge(PurgeConfig::default().queue());
            self.wakeup.wait(END_POLL);
            self.producer.poll(Duration::ZERO);
        }
        self.producer.poll(Duration::ZERO);
        self.producer.context().take(receipts);
    }
}

/// librdkafka's threads compress, frame and send: they let the intake go first.
fn make(options: &Options, reach: &Arc<Reach>, alone: bool) -> Result<(Wakeup, BaseProducer<Context>), SettingsError> {
    let config = settings::producer(options, alone)?;
    let context = Context::new(reach, settings::secrets(&config));
    let producer = priority::giving_way(|| settings::build(&config, context)).map_err(|cause| SettingsError {
        path: "kafka".to_owned(),
        problem: format!("the system gives no thread to make a producer on: {cause}"),
    })??;
    Ok((Wakeup::of(&producer)?, producer))
}

impl Producer for KafkaProducer {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        let mut headers = OwnedHeaders::new_with_capacity(delivery.headers.len());
        for (key, value) in delivery.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let token = usize::try_from(delivery.token).expect("the bridge runs on 64-bit machines: tokens are pointers");
        let record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord {
            topic: delivery.topic,
            partition: None,
            payload: Some(delivery.value),
            key: delivery.key,
            timestamp: Some(delivery.timestamp_ms),
            headers: Some(headers),
            delivery_opaque: token,
        };
        self.producer.send(record).map_err(|(error, _)| refused(&error))
    }

    fn poll(&mut self, timeout: Duration, receipts: &mut Vec<Receipt>) {
        let began = Instant::now();
        self.serve(receipts);
        while receipts.is_empty() && began.elapsed() < timeout {
            self.wakeup.wait(timeout.saturating_sub(began.elapsed()));
            self.serve(receipts);
        }
        self.look_for_end(receipts.iter().any(|receipt| receipt.outcome.is_err()));
    }

    fn probe(&mut self, topic: &str) {
        self.prober.ask(topic);
    }

    fn topic_state(&self, topic: &str) -> TopicState {
        self.prober.state(topic)
    }

    fn replace(&mut self, alone: bool, receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
        self.end(receipts);
        let (made_of, in_force) = self.current.get();
        let (wakeup, producer) = make(&in_force, &self.reach, alone).map_err(|error| {
            tracing::error!(error = error.to_string(), "Kafka settings do not hold any more");
            DeliveryError { action: Action::NewProducer, reason: errors::SETTINGS }
        })?;
        (self.wakeup, self.producer, self.made_of) = (wakeup, producer, made_of);
        self.ended = false;
        Ok(())
    }

    /// One made of credentials that have changed has ended, too: it is replaced at the first record that is not settled.
    fn has_ended(&self) -> bool {
        self.ended || self.made_of != self.current.number()
    }

    fn is_up(&self) -> bool {
        self.reach.is_up()
    }

    fn lasting_trouble(&self) -> Option<String> {
        let trouble = self.reach.trouble().filter(|trouble| trouble.kind.is_lasting())?;
        Some(format!("{trouble}: {}", trouble.kind.cure()))
    }

    fn error_reasons(&self) -> &'static [&'static str] {
        &REASONS
    }
}

/// Why the client did not queue a delivery.
fn refused(error: &KafkaError) -> SendError {
    match error.rdkafka_error_code() {
        Some(Code::QueueFull) => SendError::QueueFull,
        code => SendError::Refused(errors::sorted(code.unwrap_or(Code::Unknown))),
    }
}
