//! Posts each record of retell-bridge's topics to a webhook handler that you already have: byte for byte, signed,
//! and in order per key. Here is what has to do with Kafka; `handler` posts. Settings: README.md.

mod handler;

use handler::{Handler, Later};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, Once};
use std::{env, error::Error, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio::{sync::Semaphore, task::JoinHandle, time::Instant, time::sleep, time::timeout};
use tokio_util::sync::CancellationToken;

/// Posts at the handler at the same time.
static POSTS: Semaphore = Semaphore::const_new(64);
/// So far behind the first record that is not done a partition is read: bounds the memory, and what is done but
/// not committed, which the handler sees again after a kill or a rebalance.
const SPAN_MAX: i64 = 100;

struct Forward {
    handler: Handler,
    replay: String,
    dead_letters: String,
    producer: FutureProducer,
    assigned: Mutex<Assigned>,
}

#[derive(Default)]
struct Assigned {
    /// Of each partition the offsets that are not done, and the one behind all that were read.
    partitions: HashMap<String, (BTreeSet<i64>, i64)>,
    /// Cancelled when what waits is given back: at a rebalance, which takes all partitions, and at the end.
    over: CancellationToken,
}

/// A record's partition, and what is cancelled when it is given back.
type Held = (TopicPartitionList, CancellationToken);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = setting("KAFKA_GROUP", "retell-forward");
    let mut kafka = ClientConfig::new();
    kafka.set("bootstrap.servers", setting("KAFKA_BROKERS", "localhost:9092"));
    kafka.set("message.max.bytes", "9437184"); // as large as the bridge takes a body
    let producer = kafka.clone().set("message.timeout.ms", "8000").create()?;
    // Committed, each second and before partitions go, is what is stored: up to the first record that is not done.
    kafka.set("auto.commit.interval.ms", "1000").set("enable.auto.offset.store", "false");
    // One forwarder gets the same partition of every topic, and with it all events of a call.
    kafka.set("partition.assignment.strategy", "range");
    kafka.set("group.id", &group).set("auto.offset.reset", "earliest");
    let forward = Forward {
        handler: Handler::new()?,
        replay: format!("replay:{}", setting("REPLAY", "")),
        dead_letters: setting("DEAD_LETTERS", &format!("retell.{group}.dead")),
        producer,
        assigned: Mutex::default(),
    };
    let consumer: Arc<StreamConsumer<Forward>> = Arc::new(kafka.create_with_context(forward)?);
    let topics = setting("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed");
    consumer.subscribe(&topics.split(',').map(str::trim).collect::<Vec<_>>())?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Of each key the record that was read last: the next one waits for it. Records without a key have no order.
    let mut last: HashMap<Vec<u8>, JoinHandle<()>> = HashMap::new();
    loop {
        let record = tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            record = consumer.recv() => record.map(|record| record.detach()),
        };
        let Ok(record) = record.inspect_err(|e| eprintln!("cannot read: {e}")) else { continue };
        last.retain(|_, task| !task.is_finished());
        let key = record.key().map(<[u8]>::to_vec);
        let before = key.as_ref().and_then(|key| last.remove(key));
        let (consumer, held) = (consumer.clone(), consumer.context().hold(&record, &consumer));
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.await.expect("a post does not panic");
            }
            consumer.context().forward(&record, held, &consumer).await;
        });
        last.extend(key.map(|key| (key, task)));
    }
    // What is being posted ends (10 s); what waits is given back, and its offsets are not committed.
    consumer.context().assigned.lock().expect("no panic").over.cancel();
    let _ = timeout(Duration::from_secs(10), POSTS.acquire_many(64)).await;
    // Dropped, the consumer commits and leaves the group; but it does not wait for a Kafka that is away.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(5));
        std::process::exit(0)
    });
    Ok(())
}

impl Forward {
    fn hold(&self, record: &OwnedMessage, consumer: &StreamConsumer<Self>) -> Held {
        let mut partition = TopicPartitionList::new();
        partition.add_partition(record.topic(), record.partition());
        let mut assigned = self.assigned.lock().expect("no panic");
        let (held, end) = assigned.partitions.entry(at(record)).or_default();
        held.insert(record.offset());
        *end = record.offset() + 1;
        // Paused rather than not read: who does not read for five minutes is put out of the group.
        if *end - held.first().unwrap_or(end) >= SPAN_MAX {
            let _ = consumer.pause(&partition); // or the next record tries again
        }
        (partition, assigned.over.clone())
    }

    /// Until the record is done, or given back.
    async fn forward(&self, record: &OwnedMessage, (partition, over): Held, consumer: &StreamConsumer<Self>) {
        let (at, mut said, mut wait) = (at(record), None::<Instant>, Duration::from_millis(500));
        let mut refused = None;
        let _until_stored = loop {
            let Some(Ok(post)) = over.run_until_cancelled(POSTS.acquire()).await else { return };
            let Err(Later { why, after }) = self.attempt(record, &mut refused).await else { break post };
            drop(post);
            // Only the record that a partition waits for says so, at first and each minute.
            if self.holds(&at, record.offset()) && said.is_none_or(|at| at.elapsed().as_secs() >= 60) {
                eprintln!("{at}@{} tried again until it is taken: {why}", record.offset());
                said = Some(Instant::now());
            }
            over.run_until_cancelled(sleep(after.max(wait.mul_f64(0.5 + fastrand::f64() / 2.0)))).await;
            wait = (wait * 2).min(Duration::from_secs(30));
        };
        let mut assigned = self.assigned.lock().expect("no panic");
        if let Some((held, end)) = assigned.partitions.get_mut(&at) {
            held.remove(&record.offset());
            let first = *held.first().unwrap_or(end);
            // The last one that is done. Not stored: another has the partition by now, and posts it again.
            let _ = consumer.store_offset(record.topic(), record.partition(), first - 1);
            if *end - record.offset() > SPAN_MAX / 2 && *end - first <= SPAN_MAX / 2 {
                let _ = consumer.resume(&partition);
            }
        }
    }

    /// Does its partition wait for this record?
    fn holds(&self, at: &str, offset: i64) -> bool {
        let assigned = self.assigned.lock().expect("no panic");
        assigned.partitions.get(at).is_some_and(|(held, _)| held.first() == Some(&offset))
    }

    /// To the handler; when that has refused it for good, to the dead letters, and to them alone from then on.
    async fn attempt(&self, record: &OwnedMessage, refused: &mut Option<String>) -> Result<(), Later> {
        // A replay is for the consumer that asked for it; the handler has had the event.
        if header(record, "retell_origin").is_some_and(|of| of.starts_with("replay:") && of != self.replay) {
            return Ok(());
        }
        if refused.is_none() {
            *refused = self.handler.post(record).await?;
        }
        let Some(reason) = refused else { return Ok(()) };
        let headers = record.headers().cloned().unwrap_or_else(OwnedHeaders::new);
        let headers = headers.insert(Header { key: "reason", value: Some(&*reason) });
        let mut letter: FutureRecord<[u8], [u8]> = FutureRecord::to(&self.dead_letters).headers(headers);
        (letter.key, letter.payload) = (record.key(), record.payload());
        let sent = self.producer.send(letter, Duration::from_secs(8)).await;
        let none = |e| Later::soon(format!("{reason}, and no dead letter: {e}"));
        sent.map_err(|(e, _)| none(e))?;
        eprintln!("set aside ({reason}): {}@{}", at(record), record.offset());
        Ok(())
    }
}

impl ClientContext for Forward {}

impl ConsumerContext for Forward {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        static READY: Once = Once::new();
        // What was paused when it went is so still when it comes back.
        if let Rebalance::Assign(given) = rebalance
            && consumer.resume(given).is_ok()
            && given.count() > 0
        {
            READY.call_once(|| println!("ready"));
        }
        std::mem::take(&mut *self.assigned.lock().expect("no panic")).over.cancel();
    }
}

fn header<'a>(record: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let header = record.headers()?.iter().find(|header| header.key == name)?;
    str::from_utf8(header.value?).ok().filter(|value| value.chars().all(|c| c.is_ascii_graphic()))
}

fn at(record: &OwnedMessage) -> String {
    format!("{}-{}", record.topic(), record.partition())
}

fn setting(name: &str, otherwise: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| otherwise.to_owned())
}
