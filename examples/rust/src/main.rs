//! Keeps one row per Retell call in SQLite, with its transcript and summary, from the topics of retell-bridge.
//! Here is what has to do with Kafka; `event` reads a record, `store` keeps it.

mod event;
mod store;

use event::Event;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::{Arc, Once, atomic::AtomicBool, atomic::Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, error::Error, thread};

const UNPROVEN: &str = "no signature has held since the start. Are RETELL_API_KEYS the bridge's, and that of \
    before among them, where events are older than the key? Set them and start again";

struct Work {
    db: rusqlite::Connection,
    dead: FutureProducer,
    dead_letters: String,
    /// Without, no signature is checked again.
    keys: Vec<String>,
    /// Has a signature held since the start? As long as none has, the keys are likelier wrong than an event is
    /// forged: that one waits, as when the store is away, and not all events are set aside for wrong keys.
    proven: bool,
}

impl Work {
    /// Takes the record or sets it aside. Without an error that is durable: its offset may be committed.
    fn take(&mut self, record: &BorrowedMessage<'_>) -> Result<(), Box<dyn Error>> {
        if !event::is_of_call(record) {
            return Ok(());
        }
        let read = Event::read(record, &self.keys);
        self.proven |= !matches!(read, Err("no_ce_id" | "signature")); // what else fails is looked at later
        let reason = match read {
            Ok(event) => return Ok(store::take(&mut self.db, &event)?),
            Err("signature") if !self.proven => return Err(UNPROVEN.into()),
            Err(reason) => reason,
        };
        let headers = record.headers().map_or_else(OwnedHeaders::new, |headers| headers.detach());
        let headers = headers.insert(Header { key: "reason", value: Some(reason) });
        let mut letter = FutureRecord::<[u8], [u8]>::to(&self.dead_letters).headers(headers);
        (letter.key, letter.payload) = (record.key(), record.payload());
        futures_executor::block_on(self.dead.send(letter, Duration::ZERO)).map_err(|(error, _)| error)?;
        eprintln!("set aside ({reason}): {}-{}@{}", record.topic(), record.partition(), record.offset());
        Ok(())
    }
}

/// Told of every commit: they are sent without waiting for the answer.
struct Commits;

impl ClientContext for Commits {}

impl ConsumerContext for Commits {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            eprintln!("not committed, the records may come again: {error}");
        }
    }
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn list(of: &str) -> Vec<String> {
    let items = of.split(|c: char| c == ',' || c.is_whitespace());
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.clone())?;
    signal_hook::flag::register(signal_hook::consts::SIGINT, stop.clone())?;
    let keys = list(&setting("RETELL_API_KEYS", ""));
    if keys.is_empty() && env::var_os("RETELL_API_KEYS").is_some() {
        return Err("RETELL_API_KEYS has no key in it: give one, or unset it".into());
    }
    let group = setting("KAFKA_GROUP", "retell-rust");
    // security.protocol, sasl.… belong here; bodies have up to 8 MiB.
    let mut kafka = rdkafka::ClientConfig::new();
    kafka.set("bootstrap.servers", setting("KAFKA_BROKERS", "localhost:9092"));
    kafka.set("message.max.bytes", "16777216");
    let dead = kafka.clone().set("enable.idempotence", "true").set("delivery.timeout.ms", "8000").create()?;
    kafka.set("group.id", &group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    // So long a killed consumer keeps its partitions from the next.
    kafka.set("session.timeout.ms", "15000");
    let consumer: BaseConsumer<Commits> = kafka.create_with_context(Commits)?;
    let topics = list(&setting("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed"));
    consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;

    let db = store::open(&setting("DATABASE", "calls.sqlite"))?;
    let dead_letters = setting("DEAD_LETTERS", &format!("retell.{group}.dead"));
    let mut work = Work { db, dead, dead_letters, keys, proven: false };
    let (ready, shortest) = (Once::new(), Duration::from_millis(500));
    let (mut wait, mut said) = (shortest, None::<Instant>);
    while !stop.load(Relaxed) {
        let polled = consumer.poll(Duration::from_millis(500));
        if consumer.assignment()?.count() > 0 {
            ready.call_once(|| println!("ready"));
        }
        let told = |error| eprintln!("Kafka: {error}");
        let Some(record) = polled.and_then(|record| record.map_err(told).ok()) else { continue };
        let Err(error) = work.take(&record) else {
            (wait, said) = (shortest, None);
            consumer.commit_message(&record, CommitMode::Async)?;
            continue;
        };
        // No fault of the record's: none is skipped, it is read again. Polls keep us in the group.
        if said.is_none_or(|at| at.elapsed().as_secs() >= 60) {
            eprintln!("not taken, tried again until it is: {error}");
            said = Some(Instant::now());
        }
        let again = Offset::Offset(record.offset());
        consumer.seek(record.topic(), record.partition(), again, Duration::from_secs(5))?;
        thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_secs(5));
    }
    // Dropped, the consumer waits for the commits on their way and leaves the group; but not for a Kafka that is
    // away. What is not committed comes again.
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(5));
        std::process::exit(0)
    });
    Ok(())
}
