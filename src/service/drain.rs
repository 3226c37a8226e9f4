//! A journal without an intake: everything it holds goes to Kafka, then it is closed.
//!
//! In: a checked [`Config`] whose `journal_dir` is the journal of a bridge that is gone, or stopped. Out: [`Drained`].
//! The same recovery, publisher and checkpoint as a bridge's, under the same lock. Never happens: a journal made where
//! there was none (the caller has looked); an end, by whatever cause, at which something is neither on Kafka nor on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ServiceError, Signals, blocking, open_journal};
use crate::config::Config;
use crate::health::Health;
use crate::kafka::KafkaProducer;
use crate::limits;
use crate::metrics::Metrics;
use crate::publisher::{Left, Publisher};
use crate::schema::Watch;

/// How often it is looked whether the publisher is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a publisher without a deadline may take.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained {
    /// Deliveries that the next start, or the next drain, has to go on with.
    pub left: u64,
    /// Bytes that recovery found damaged, quarantined and told.
    pub corrupt_bytes: u64,
    /// A signal, or the deadline, has ended it.
    pub was_ended: bool,
    /// What kept Kafka from taking what is left, as far as that is known, with its cure.
    pub trouble: Option<String>,
}

/// Publishes until nothing waits, `within` is over, or a signal comes. `progress` gets the number of deliveries that wait,
/// a few times a second; for some seconds after the start it is too low. Blocks.
pub fn run(config: Config, within: Option<Duration>, progress: &mut dyn FnMut(u64)) -> Result<Drained, ServiceError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| ServiceError::Start { part: "runtime", cause })?;
    let drained = runtime.block_on(drain(config, within, progress));
    runtime.shutdown_background();
    drained
}

async fn drain(
    mut config: Config,
    within: Option<Duration>,
    progress: &mut dyn FnMut(u64),
) -> Result<Drained, ServiceError> {
    // What damage has cost stays told until a person has seen it, however old it is.
    config.journal.quarantine_retention = FOREVER;
    let mut signals = Signals::new()?;
    limits::forbid_core_dumps();
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let lanes = config.topics.lanes();
    let producer = KafkaProducer::new(config.kafka, lanes.clone())?;
    let (journal, recovered) = open_journal(config.journal_dir, config.journal, &metrics, &health).await?;
    let unwatched = Watch::off();
    let publisher =
        Publisher::start(&config.topics, Box::new(producer), &journal, &recovered, metrics.clone(), health, unwatched)
            .map_err(|cause| ServiceError::Start { part: "publisher", cause })?;
    let mut deadline = Instant::now() + within.unwrap_or(FOREVER);
    publisher.end_by(deadline);
    let mut was_signalled = false;
    while !publisher.is_finished() {
        if journal.is_poisoned() {
            break;
        }
        progress(metrics.backlog_events(&lanes));
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = signals.next(), if !was_signalled => {
                was_signalled = true;
                deadline = Instant::now();
                publisher.end_by(deadline);
            }
        }
    }
    if journal.is_poisoned() {
        deadline = Instant::now();
    }
    let Left { deliveries: left, trouble } = blocking(move || publisher.stop(deadline)).await;
    let is_poisoned = journal.is_poisoned();
    let closed = blocking(move || journal.close()).await;
    if is_poisoned {
        return Err(ServiceError::Poisoned);
    }
    closed?;
    let was_ended = left > 0 || was_signalled;
    let trouble = trouble.filter(|_| left > 0);
    Ok(Drained { left, corrupt_bytes: recovered.corrupt_bytes, was_ended, trouble })
}
