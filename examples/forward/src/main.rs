//! Posts each record of retell-bridge's topics to a webhook handler that you already have: byte for byte, signed, and for
//! each call in order. Settings: README.md. This file reads and commits, `post.rs` posts.

mod post;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use post::{Handler, env};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

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
    let progress = Progress { partitions: Mutex::default(), epoch: watch::Sender::new(0) };
    let consumer: StreamConsumer<Progress> = ClientConfig::new()
        .set("bootstrap.servers", env("KAFKA_BROKERS", "localhost:9092"))
        .set("group.id", &group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        // One forwarder gets the same partition of every topic, and with it all events of a call.
        .set("partition.assignment.strategy", "range")
        .create_with_context(progress)
        .expect("settings of Kafka");
    consumer.subscribe(&topics.split(',').collect::<Vec<_>>()).expect("topics");
    let handler = Arc::new(Handler::from_env(&group));
    let progress = consumer.context().clone();

    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut commits = tokio::time::interval(Duration::from_secs(1));
    // Of each key one record is at the handler, and those behind it wait here. Records without a key have no order.
    let mut lanes: HashMap<Vec<u8>, VecDeque<(u64, OwnedMessage)>> = HashMap::new();
    let mut posts = JoinSet::new();
    let start = |posts: &mut JoinSet<_>, epoch: u64, record: OwnedMessage| {
        let (handler, now) = (handler.clone(), progress.epoch.subscribe());
        posts.spawn(async move { (handler.forward(&record, epoch, now).await, record) });
    };
    let mut held = 0;
    let mut paused = None;
    loop {
        // Paused rather than not read: who does not read for five minutes is put out of the group.
        let epoch = *progress.epoch.borrow();
        if held >= HELD_MAX && paused != Some(epoch) {
            paused = consumer.assignment().and_then(|all| consumer.pause(&all)).is_ok().then_some(epoch);
        } else if held < HELD_MAX / 2 && paused.take() == Some(epoch) {
            consumer.assignment().and_then(|all| consumer.resume(&all)).expect("what was paused");
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = commits.tick() => progress.commit(&consumer, CommitMode::Async),
            Some(ended) = posts.join_next() => {
                let (done, record) = ended.expect("a post does not panic");
                held -= 1;
                if done { progress.done(&record) }
                if let Some(key) = record.key() {
                    match lanes.get_mut(key).and_then(VecDeque::pop_front) {
                        Some((epoch, next)) => start(&mut posts, epoch, next),
                        None => { lanes.remove(key); }
                    }
                }
            }
            record = consumer.recv() => match record {
                Err(e) => eprintln!("cannot read: {e}"),
                Ok(record) => {
                    let record = record.detach();
                    let epoch = progress.taken(&record);
                    held += 1;
                    match record.key().map(<[u8]>::to_vec) {
                        Some(key) if lanes.contains_key(&key) => lanes.get_mut(&key).expect("just seen").push_back((epoch, record)),
                        key => {
                            lanes.extend(key.map(|key| (key, VecDeque::new())));
                            start(&mut posts, epoch, record);
                        }
                    }
                }
            },
        }
    }
    // What is being posted ends, what waits is given back, and its offsets are not committed.
    progress.epoch.send_replace(STOPPING);
    let _ = tokio::time::timeout(STOP_WITHIN, async {
        while let Some(ended) = posts.join_next().await {
            let (done, record) = ended.expect("a post does not panic");
            if done { progress.done(&record) }
        }
    }).await;
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
        if next.count() > 0 && let Err(e) = consumer.commit(&next, mode) {
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
            self.epoch.send_if_modified(|epoch| { *epoch = epoch.saturating_add(1); true });
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(given) = rebalance && given.count() > 0 && *self.epoch.borrow() == 0 {
            println!("ready");
        }
    }
}
