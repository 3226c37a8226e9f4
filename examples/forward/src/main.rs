//! Posts each record of retell-bridge's topics to a webhook handler that you already have: byte for byte, signed, and in
//! order per key. Settings: README.md. This file reads and commits, `post.rs` posts.

mod post;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use post::{Handler, env};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

/// Records that were read and are not done, whether they are posted, wait for another try or for the one before them:
/// bounds the memory, and how many records the handler may see again after a kill.
const HELD_MAX: usize = 256;
/// How long a stop waits for the posts in flight.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// The epoch in which everything is given back.
const STOPPING: u64 = u64::MAX;

#[tokio::main]
async fn main() {
    let group = env("KAFKA_GROUP", "retell-forward");
    let topics = env("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed");
    let consumer: StreamConsumer<Progress> = ClientConfig::new()
        .set("bootstrap.servers", env("KAFKA_BROKERS", "localhost:9092"))
        .set("group.id", &group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        // One forwarder gets the same partition of every topic, and with it all events of a call.
        .set("partition.assignment.strategy", "range")
        .create_with_context(Progress { partitions: Mutex::default(), epoch: watch::Sender::new(0) })
        .expect("settings of Kafka");
    consumer.subscribe(&topics.split(',').collect::<Vec<_>>()).expect("topics");
    let (handler, progress) = (Arc::new(Handler::from_env(&group)), consumer.context().clone());

    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut commits = interval(Duration::from_secs(1));
    let held = Arc::new(Semaphore::new(HELD_MAX));
    let mut paused = None;
    // Of each key the record that was read last: the next one waits for it. Records without a key have no order.
    let mut last: HashMap<Vec<u8>, JoinHandle<()>> = HashMap::new();
    loop {
        // Paused rather than not read: who does not read for five minutes is put out of the group.
        let epoch = *progress.epoch.borrow();
        if held.available_permits() == 0 && paused != Some(epoch) {
            paused = consumer.assignment().and_then(|all| consumer.pause(&all)).is_ok().then_some(epoch);
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = commits.tick() => {
                progress.commit(&consumer, CommitMode::Async);
                last.retain(|_, record| !record.is_finished());
            }
            _ = held.acquire_many(HELD_MAX as u32 / 2), if paused.is_some() => {
                paused = None;
                consumer.assignment().and_then(|all| consumer.resume(&all)).expect("what was paused");
            }
            record = consumer.recv() => match record {
                Err(e) => eprintln!("cannot read: {e}"),
                Ok(record) => {
                    let (record, room) = (record.detach(), held.clone().try_acquire_owned());
                    let key = record.key().map(<[u8]>::to_vec);
                    let before = key.as_ref().and_then(|key| last.remove(key));
                    let (epoch, now) = (progress.taken(&record), progress.epoch.subscribe());
                    let (handler, progress) = (handler.clone(), progress.clone());
                    let task = tokio::spawn(async move {
                        if let Some(before) = before {
                            before.await.expect("a post does not panic");
                        }
                        if handler.forward(&record, epoch, now).await {
                            progress.done(&record);
                        }
                        drop(room);
                    });
                    last.extend(key.map(|key| (key, task)));
                }
            },
        }
    }
    // What is being posted ends, what waits is given back, and its offsets are not committed.
    progress.epoch.send_replace(STOPPING);
    let _ = timeout(STOP_WITHIN, held.acquire_many(HELD_MAX as u32)).await;
    progress.commit(&consumer, CommitMode::Sync);
    // Dropped, the consumer leaves the group.
}

/// How far each partition is, and how often partitions were taken from us. What was held before is then another's.
struct Progress {
    partitions: Mutex<HashMap<(String, i32), Partition>>,
    epoch: watch::Sender<u64>,
}

#[derive(Default)]
struct Partition {
    /// Offsets in their order, and whether they are done.
    held: VecDeque<(i64, bool)>,
    /// Everything before it is done.
    next: Option<i64>,
}

impl Progress {
    fn taken(&self, record: &OwnedMessage) -> u64 {
        let mut partitions = self.partitions.lock().expect("no panic");
        let partition = partitions.entry((record.topic().into(), record.partition())).or_default();
        partition.held.push_back((record.offset(), false));
        *self.epoch.borrow()
    }

    fn done(&self, record: &OwnedMessage) {
        let mut partitions = self.partitions.lock().expect("no panic");
        let Some(partition) = partitions.get_mut(&(record.topic().into(), record.partition())) else { return };
        for (_, done) in partition.held.iter_mut().filter(|(offset, _)| *offset == record.offset()) {
            *done = true;
        }
        while let Some((offset, true)) = partition.held.front() {
            partition.next = Some(offset + 1);
            partition.held.pop_front();
        }
    }

    /// Up to the first record of each partition that is not done.
    fn commit<C: Consumer<Progress>>(&self, consumer: &C, mode: CommitMode) {
        let mut next = TopicPartitionList::new();
        for ((topic, partition), at) in self.partitions.lock().expect("no panic").iter() {
            if let Some(offset) = at.next {
                next.add_partition_offset(topic, *partition, Offset::Offset(offset)).expect("an offset");
            }
        }
        if next.count() > 0
            && let Err(e) = consumer.commit(&next, mode)
        {
            eprintln!("not committed, the handler will see some records again: {e}");
        }
    }
}

impl ClientContext for Progress {}

impl ConsumerContext for Progress {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(_) = rebalance {
            self.commit(consumer, CommitMode::Sync);
            self.partitions.lock().expect("no panic").clear();
            // The range protocol takes all partitions at each rebalance: what is still wanted comes again.
            self.epoch.send_if_modified(|epoch| {
                *epoch = epoch.saturating_add(1);
                true
            });
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(given) = rebalance
            && given.count() > 0
            && *self.epoch.borrow() == 0
        {
            println!("ready");
        }
    }
}
