//! The bridge as a whole: start order and stop order, side by side.
//!
//! In: a checked [`Config`]. Out: a running bridge, and its end with an exit code in mind.
//!
//! Start: metrics and health, the admin listener (so that `/livez` answers during a long recovery), the intake's port
//! (taken, not served), the journal (recovered), the publisher, the intake, the retry of dead letters, ready. Stop, in the
//! opposite order of the river: not ready, wait `shutdown.delay` while still answering, close the intake, publish what is
//! there until `shutdown.deadline`, last checkpoint, close the journal. Both times count from the signal.
//!
//! Never happens: an answer before recovery is done; a start that waits for Kafka; a stop that drops a request under way.

pub mod drain;
mod last_resort;
mod panics;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Admin;
use crate::config::{self, Config, Shutdown};
use crate::health::Health;
use crate::intake::{self, Intake};
use crate::journal::storage::Disk;
use crate::journal::{self, Journal};
use crate::kafka::{self, KafkaProducer};
use crate::letters::{Post, Retrying};
use crate::limits;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::reload::Watch;
use crate::schema;
use last_resort::LastResort;

/// How often the service looks whether a part has failed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long what is durable is still published after the journal or the publisher has failed.
const FAILED_PUBLISH: Duration = Duration::from_secs(5);

/// How long behind its deadline the publisher may take to end.
const PUBLISHER_SLACK: Duration = Duration::from_secs(3);
/// How long behind the deadlines of its parts the whole may take to end: a disk may be slow to close the journal.
const WHOLE_SLACK: Duration = Duration::from_secs(20);

/// Why the bridge did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A port is taken or an address is not this machine's.
    #[error("cannot listen on {address} ({key}): {cause}; is the port taken, or the address not this machine's?")]
    Listen { key: &'static str, address: SocketAddr, cause: io::Error },
    /// The journal did not open.
    #[error("journal in {}: {cause}", dir.display())]
    Journal { dir: PathBuf, cause: journal::OpenError },
    /// The journal's folder cannot be made or used.
    #[error("journal.dir {} cannot be used: {cause}; make the folder, and let the bridge's user write there", dir.display())]
    Folder { dir: PathBuf, cause: io::Error },
    /// librdkafka refused the settings.
    #[error(transparent)]
    Kafka(#[from] kafka::SettingsError),
    /// The intake did not start.
    #[error(transparent)]
    Intake(#[from] intake::StartError),
    /// The machine gave no thread, runtime or signal.
    #[error("cannot start the {part}: {cause}")]
    Start { part: &'static str, cause: io::Error },
    /// A write or sync of the journal failed while running.
    #[error("the journal is poisoned by a failed write or sync (see the log); a restart publishes what is on disk")]
    Poisoned,
    /// The publisher ended by itself, which only a bug can bring about.
    #[error("the publisher ended by itself (see the log); a restart publishes what is on disk")]
    PublisherEnded,
    /// A second signal came while stopping.
    #[error("ended at once by a second signal; the next start publishes what is left")]
    Hurried,
    /// The journal did not close cleanly; the next start recovers it.
    #[error(transparent)]
    Close(#[from] journal::CloseError),
}

impl ServiceError {
    /// Whether the settings are to blame (exit code 78) and not the moment (exit code 1).
    pub fn is_bad_configuration(&self) -> bool {
        match self {
            ServiceError::Journal { cause, .. } => cause.is_configuration(),
            ServiceError::Kafka(_)
            | ServiceError::Intake(intake::StartError::KeyFile { .. } | intake::StartError::Certificate(_)) => true,
            _ => false,
        }
    }
}

/// Name of the runtime's thread.
const WORKER: &str = "service";

/// Runs the bridge until SIGTERM, SIGINT or SIGHUP; returns when all is on disk. A second signal ends it at once.
pub fn run(config: Config) -> Result<(), ServiceError> {
    panics::end_the_process(WORKER);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(WORKER)
        .enable_all()
        .build()
        .map_err(|cause| ServiceError::Start { part: "runtime", cause })?;
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run_until_signalled(config))));
    // A drop would wait for a publisher that a second signal, or its own client, keeps from ending; after a panic, for
    // threads that nobody wakes: a process that neither works nor ends is not started again.
    runtime.shutdown_background();
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn run_until_signalled(config: Config) -> Result<(), ServiceError> {
    let signals = Signals::new()?;
    let service = Service::start(config).await?;
    service.run(signals, std::future::pending()).await
}

/// A running bridge.
pub struct Service {
    admin: Admin,
    intake: Intake,
    publisher: Publisher,
    retrying: Retrying,
    journal: Journal,
    health: Arc<Health>,
    /// Ends with the bridge.
    _watch: Watch,
    shutdown: Shutdown,
    answer_within: Duration,
}

impl Service {
    /// Starts every part; returns when events are answered. Must be called inside a tokio runtime.
    pub async fn start(config: Config) -> Result<Service, ServiceError> {
        limits::forbid_core_dumps();
        limits::make_room(config.intake.connections_max);
        let answer_within = config.intake.answer_within;
        let metrics = Arc::new(Metrics::new());
        let health = Arc::new(Health::default());
        metrics.set_build(config::VERSION, config::COMMIT);

        let admin_listener = listen("admin.listen", config.admin_listen)?;
        let intake_listener = listen("listen", config.listen)?;
        let admin = Admin::start(admin_listener, metrics.clone(), health.clone())
            .map_err(|cause| ServiceError::Start { part: "admin listener", cause })?;
        let mut producer = KafkaProducer::new(config.kafka.clone(), config.topics.lanes())?;
        let watch =
            Watch::start(metrics.clone()).map_err(|cause| ServiceError::Start { part: "reload of files", cause })?;
        producer.take_reload().into_iter().for_each(|reload| watch.add(reload));

        let (journal, recovered) = open_journal(config.journal_dir.clone(), config.journal, &metrics, &health).await?;
        let drift = schema::Watch::start(config.drift, metrics.clone())
            .map_err(|cause| ServiceError::Start { part: "drift watch", cause })?;
        let to = health.clone();
        let publisher =
            Publisher::start(&config.topics, Box::new(producer), &journal, &recovered, metrics.clone(), to, drift)
                .map_err(|cause| ServiceError::Start { part: "publisher", cause })?;
        let keep: intake::Keep = {
            let journal = journal.clone();
            Arc::new(move |append| journal.append(append))
        };
        let (tags, to) = (recovered.tags, health.clone());
        let intake = Intake::start(config.intake, intake_listener, keep, tags, metrics.clone(), to, &watch)?;
        let post = Post { dir: config.journal_dir, kafka: config.kafka, topics: config.topics, metrics };
        let retrying =
            Retrying::start(post).map_err(|cause| ServiceError::Start { part: "retry of dead letters", cause })?;
        health.set_started();
        tracing::info!(version = config::VERSION, journal = %journal.identity(), "bridge started");
        let (shutdown, _watch) = (config.shutdown, watch);
        Ok(Service { admin, intake, publisher, retrying, journal, health, _watch, shutdown, answer_within })
    }

    /// The intake's address; its port is the one it got where the settings said 0.
    pub fn intake_address(&self) -> SocketAddr {
        self.intake.address()
    }

    /// The admin listener's address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Runs until a signal comes or `end` resolves, and stops; a second signal cuts the stop short. Where a part fails
    /// that the bridge cannot run without, it ends with that error.
    pub async fn run(self, mut signals: Signals, end: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let failed = tokio::select! {
            () = signals.next() => None,
            () = end => None,
            error = self.failed() => Some(error),
        };
        let publishing = failed.as_ref().map_or(self.shutdown.delay.max(self.shutdown.deadline), |_| FAILED_PUBLISH);
        let _last_resort = LastResort::arm(self.answer_within + publishing + PUBLISHER_SLACK + WHOLE_SLACK);
        if let Some(error) = failed {
            return self.abandon(error).await;
        }
        tokio::select! {
            done = self.stop() => done,
            () = signals.next() => Err(ServiceError::Hurried),
        }
    }

    /// Stops in order. Everything answered 2xx is on Kafka or in the closed journal afterwards.
    pub async fn stop(self) -> Result<(), ServiceError> {
        let began = Instant::now();
        self.health.set_stopping();
        tracing::info!("stopping");
        tokio::time::sleep(self.shutdown.delay).await;
        self.intake.stop().await;
        drop(self.retrying);
        let left = publish_until(self.publisher, began + self.shutdown.deadline).await;
        let journal = self.journal;
        let closed = blocking(move || journal.close()).await;
        self.admin.stop().await;
        tracing::info!(unpublished = left, "stopped");
        Ok(closed?)
    }

    /// Resolves when a part has failed that the bridge cannot run without.
    async fn failed(&self) -> ServiceError {
        loop {
            if self.journal.is_poisoned() {
                return ServiceError::Poisoned;
            }
            if self.publisher.is_finished() {
                return ServiceError::PublisherEnded;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The end after `error`, which it gives back: nothing more is accepted, what is durable goes out for a few seconds.
    async fn abandon(self, error: ServiceError) -> Result<(), ServiceError> {
        tracing::error!(%error, "ending");
        self.health.set_stopping();
        self.intake.stop().await;
        drop(self.retrying);
        let left = publish_until(self.publisher, Instant::now() + FAILED_PUBLISH).await;
        let journal = self.journal;
        // Poisoned or not, `error` is what counts.
        let _ = blocking(move || journal.close()).await;
        self.admin.stop().await;
        tracing::error!(unpublished = left, "ended");
        Err(error)
    }
}

/// SIGTERM, SIGINT, and the SIGHUP of a terminal that closes: each asks for a clean stop. Key files are re-read without a
/// signal.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on no signal is lost, also one that comes during the start. Must be called inside a tokio runtime.
    pub fn new() -> Result<Signals, ServiceError> {
        let listen = |kind| signal(kind).map_err(|cause| ServiceError::Start { part: "signal handler", cause });
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

async fn open_journal(
    dir: PathBuf,
    options: journal::Options,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
) -> Result<(Journal, journal::Recovered), ServiceError> {
    let (metrics, health) = (metrics.clone(), health.clone());
    blocking(move || {
        let disk = match Disk::new(&dir) {
            Ok(disk) => disk,
            Err(cause) => return Err(ServiceError::Folder { dir, cause }),
        };
        Journal::open(Arc::new(disk), options, metrics, health).map_err(|cause| ServiceError::Journal { dir, cause })
    })
    .await
}

/// How many deliveries are left for the next start; `None` where the publisher did not end. librdkafka waits by the wall
/// clock, and one that was set back can hold it for as long as that.
async fn publish_until(publisher: Publisher, deadline: Instant) -> Option<u64> {
    let patience = deadline.saturating_duration_since(Instant::now()) + PUBLISHER_SLACK;
    let left = tokio::time::timeout(patience, blocking(move || publisher.stop(deadline))).await;
    if left.is_err() {
        tracing::warn!("the publisher does not end; the next start publishes what is left");
    }
    left.ok().map(|left| left.deliveries)
}

/// Runs what blocks off the async threads; a panic there goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => resume_unwind(failed.into_panic()),
    }
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServiceError> {
    TcpListener::bind(address).map_err(|cause| ServiceError::Listen { key, address, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_may_not_be_opened_is_told_with_one_cure() {
        for (kind, cure) in [
            (io::ErrorKind::PermissionDenied, "; let the bridge's user read and write there"),
            (io::ErrorKind::ReadOnlyFilesystem, "; mount the file system for writing"),
            (io::ErrorKind::StorageFull, "; free some room beside the journal"),
        ] {
            let cause = journal::OpenError::Io { doing: "open", path: "journal/lock".into(), source: kind.into() };
            let told = ServiceError::Journal { dir: "/srv/j".into(), cause }.to_string();
            assert!(told.ends_with(cure) && told.matches(';').count() == 1, "{told}");
        }
    }
}
