//! The running bridge sends letters again by itself: those that were too large for their topic, since a limit can be raised.
//!
//! In: the folder, Kafka's settings, the topics. Out: letters on their topics, a log line for each. When: at the start,
//! once an hour, and within a minute of a limit that has grown, where the right DescribeConfigs lets it be read: limits are
//! asked for at the start, so that a letter has one to be held against, and while letters lie there. Never happens: a lane
//! that waits for this (a thread and a producer of its own); a letter whose topic the settings do not name; more than one
//! body in memory at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::due::Tried;
use super::{Kept, StaysError, names, read, send, short};
use crate::journal::storage::Disk;
use crate::kafka::{KafkaProducer, Options, topics};
use crate::metrics::Metrics;
use crate::publisher::{Again, Letter, Router, TOO_LARGE, Topics};

/// How often the folder is looked at, and limits where it holds letters.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long Kafka may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where letters lie and how they go.
pub struct Post {
    pub dir: PathBuf,
    pub kafka: Options,
    pub topics: Topics,
    pub metrics: Arc<Metrics>,
}

/// The thread; it ends when this is dropped, at the latest after the letter at hand.
pub struct Retrying {
    over: Arc<Over>,
}

#[derive(Default)]
struct Over {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Retrying {
    /// Begins at once. Needs no broker.
    pub fn start(post: Post) -> std::io::Result<Retrying> {
        let over = Arc::<Over>::default();
        let mine = Arc::clone(&over);
        let run = move || Rounds::new(post).run(&mine);
        std::thread::Builder::new().name("letters".into()).spawn(run)?;
        Ok(Retrying { over })
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        *self.over.lock() = true;
        self.over.changed.notify_all();
    }
}

impl Over {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        *self.lock()
    }

    fn sleep(&self, time: Duration) {
        drop(self.changed.wait_timeout_while(self.lock(), time, |is_over| !*is_over));
    }
}

struct Rounds {
    post: Post,
    disk: Disk,
    lanes: BTreeSet<String>,
    /// By name: `None` is a letter that is left alone.
    seen: BTreeMap<String, Option<Tried>>,
    /// By topic, as far as looks have found them.
    limits: BTreeMap<String, usize>,
}

impl Rounds {
    fn new(post: Post) -> Rounds {
        let disk = Disk::read_only(&post.dir);
        let lanes = post.topics.lanes().into_iter().collect();
        Rounds { post, disk, lanes, seen: BTreeMap::new(), limits: BTreeMap::new() }
    }

    fn run(mut self, over: &Over) {
        let mut is_first = true;
        while !over.is_over() {
            let due = self.look(is_first);
            if !due.is_empty() {
                self.try_again(&due, over);
            }
            is_first = false;
            over.sleep(LOOK_EVERY);
        }
    }

    /// Names of the letters to try now.
    fn look(&mut self, is_first: bool) -> Vec<String> {
        // A folder that cannot be listed now is looked at again in a minute; the journal's own work tells of the disk.
        let names = names(&self.disk).unwrap_or_default();
        self.seen.retain(|name, _| names.binary_search(name).is_ok());
        if names.is_empty() && !is_first {
            return Vec::new();
        }
        let (limits, now) = (self.limits(), Instant::now());
        let mut due = Vec::new();
        for name in names {
            if !self.seen.contains_key(&name) {
                self.seen.insert(name.clone(), self.learn(&name, now));
            }
            let Some(Some(tried)) = self.seen.get_mut(&name) else { continue };
            let limit = limits.get(&tried.topic).copied();
            // One that came while the bridge runs has been refused just now; what a start finds is tried.
            if is_first || tried.is_due(limit, now) {
                due.push(name);
            } else {
                tried.hold_against(limit);
            }
        }
        self.limits.extend(limits);
        due
    }

    /// `None`: it is to be left alone.
    fn learn(&self, name: &str, now: Instant) -> Option<Tried> {
        let Letter { reason, topic, record } = read(&self.disk, name).ok().flatten()?.letter?;
        let topic = topic.filter(|topic| reason == TOO_LARGE && self.lanes.contains(topic))?;
        let before = self.limits.get(&topic).copied();
        Some(Tried::refused(topic, record.payload.len(), before, now))
    }

    fn limits(&self) -> BTreeMap<String, usize> {
        let lanes: Vec<String> = self.lanes.iter().cloned().collect();
        topics::limits(&self.post.kafka, &lanes)
    }

    fn try_again(&mut self, due: &[String], over: &Over) {
        let producer = match KafkaProducer::new(self.post.kafka.clone(), Vec::new()) {
            Ok(producer) => producer,
            Err(error) => return tracing::warn!(%error, "dead letters are not tried again"),
        };
        let mut again = Again::new(Box::new(producer), Router::new(&self.post.topics), PATIENCE);
        let Ok(disk) = Disk::new(&self.post.dir) else { return };
        for name in due {
            // One that cannot be read now is tried in the next round.
            let Ok(Some(kept)) = read(&self.disk, name) else { continue };
            if over.is_over() {
                return;
            }
            let sent = match send(&mut again, &disk, &kept, None) {
                // A command is at it, and will tell. Should it fail, the next round tries.
                Ok(None) | Err(StaysError::Claimed) => continue,
                Ok(Some(topics)) => Ok(topics),
                Err(error) => Err(error),
            };
            let ends_round = sent.as_ref().is_err_and(StaysError::ends_round);
            self.tell(&kept, sent);
            if let Some(Some(tried)) = self.seen.get_mut(name) {
                tried.again(self.limits.get(&tried.topic).copied(), Instant::now());
            }
            if ends_round {
                return;
            }
        }
    }

    fn tell(&self, kept: &Kept, sent: Result<Vec<String>, StaysError>) {
        let Some(letter) = &kept.letter else { return };
        let (id, bytes) = (short(&kept.name), letter.record.payload.len());
        match sent {
            Ok(topics) => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let elapsed = since_epoch.saturating_sub(Duration::from_millis(letter.record.received_at_ms));
                topics.iter().for_each(|topic| self.post.metrics.delivery_published(topic, elapsed));
                tracing::info!(id, topic = topics.join(", "), bytes, "dead letter sent again, and confirmed");
            }
            Err(error) => tracing::warn!(id, bytes, %error, "dead letter stays in the folder"),
        }
    }
}
