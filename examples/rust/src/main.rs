//! Keeps one row per Retell call in SQLite, with its transcript and summary, from the topics of retell-bridge.
//! Kafka hands out each record at least once; the table `seen`, written in one transaction with the row, makes that once.

use hmac::{Hmac, KeyInit, Mac};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior::Immediate, params};
use serde_json::Value;
use std::sync::{Arc, Once, atomic::AtomicBool, atomic::Ordering::Relaxed};
use std::{env, error::Error, thread, time::Duration, time::UNIX_EPOCH};

const TABLES: &str = "CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT);
CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT,
  reason TEXT, transcript TEXT, summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT,
  analyzed_position TEXT, events INTEGER NOT NULL DEFAULT 0); PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL";
/// How long a ce_id is remembered: longer than the topics' retention.ms and segment.ms. A group can be set back so far.
const REMEMBER_S: i64 = 35 * 24 * 3600;
/// Columns, and the fields of a call that they take: what an event always knows, and what it knows from `call_ended` on.
const EARLY: [[&str; 2]; 2] = [["agent_id", "agent_id"], ["started_ms", "start_timestamp"]];
const LATE: [[&str; 2]; 3] =
    [["ended_ms", "end_timestamp"], ["reason", "disconnection_reason"], ["transcript", "transcript"]];

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn header<'a>(record: &'a BorrowedMessage<'_>, name: &str) -> &'a str {
    let found = record.headers().and_then(|all| all.iter().find(|header| header.key == name));
    found.and_then(|header| std::str::from_utf8(header.value?).ok()).unwrap_or_default()
}

/// Did Retell sign this? With the event's time as the clock: the SDKs' own check refuses what is five minutes old.
/// Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as you can.
fn verify(value: &[u8], signature: &str, ce_time: &str, keys: &str) -> Option<()> {
    let (stamp, digest) = signature.strip_prefix("v=")?.split_once(",d=")?;
    let ms: u64 = stamp.parse().ok().filter(|_| !stamp.starts_with('+'))?;
    let clock = humantime::parse_rfc3339(ce_time).ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let signed = |key: &str| {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).ok()?.chain_update(value);
        let own = mac.chain_update(ms.to_string()).finalize().into_bytes();
        (own.iter().map(|byte| format!("{byte:02x}")).collect::<String>() == digest && !key.is_empty()).then_some(())
    };
    keys.split([',', ' ']).find_map(signed).filter(|()| clock.abs_diff(ms.into()) <= 300_000)
}

/// The body, or why no second try can help this record. It stays open: no new field or type must stop a consumer.
fn read(record: &BorrowedMessage<'_>) -> Result<Value, &'static str> {
    let (value, keys) = (record.payload().unwrap_or_default(), setting("RETELL_API_KEYS", ""));
    let [id, time, signature] = ["ce_id", "ce_time", "retell_signature"].map(|name| header(record, name));
    let unless = |holds: bool, reason| if holds { Ok(()) } else { Err(reason) };
    unless(!id.is_empty(), "no_ce_id")?;
    unless(keys.is_empty() || verify(value, signature, time, &keys).is_some(), "signature")?;
    let body: Value = serde_json::from_slice(value).map_err(|_| "unreadable")?;
    let texts = [&body["event"], &call(&body)["call_id"]].map(|text| text.as_str().unwrap_or_default());
    unless(!texts.contains(&""), "unreadable").map(|()| body)
}

fn call(body: &Value) -> &Value {
    body.get("call").filter(|call| !call.is_null()).unwrap_or(&body["data"]) // `data`: its older name
}

/// The effect and the memory of it in one transaction: after a kill both are there, or neither.
fn store(db: &mut Connection, record: &BorrowedMessage<'_>, body: &Value) -> rusqlite::Result<()> {
    let (event, call, id) = (body["event"].as_str(), call(body), call(body)["call_id"].as_str());
    let [ce_id, time, position] = ["ce_id", "ce_time", "retell_position"].map(|name| header(record, name));
    let replay = env::var("REPLAY").ok().filter(|run| header(record, "retell_origin") == format!("replay:{run}"));
    let change = db.transaction_with_behavior(Immediate)?;
    let known = change.query_row("SELECT replay FROM seen WHERE ce_id = ?", [ce_id], |row| row.get(0)).optional()?;
    if known.as_ref().is_some_and(|last: &Option<String>| replay.is_none() || *last == replay) {
        return Ok(());
    }
    change.execute("INSERT INTO calls(call_id) VALUES (?) ON CONFLICT DO NOTHING", [id])?;
    // Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps. An
    // analysis can be run again: the later one wins, in whichever order they come.
    let (ended, analyzed) = (matches!(event, Some("call_ended" | "call_analyzed")), event == Some("call_analyzed"));
    let wins = "SELECT ?2 AND (analyzed_at IS NULL OR ?3 AND (?4, CAST(?5 AS INTEGER)) >=
        (analyzed_at, CAST(analyzed_position AS INTEGER))) FROM calls WHERE call_id = ?1";
    let wins: bool = change.query_row(wins, params![id, ended, analyzed, time, position], |row| row.get(0))?;
    for [column, field] in EARLY.iter().chain(LATE.iter().filter(|_| ended)) {
        let (text, number) = (call[field].as_str().map(str::to_owned), call[field].as_i64());
        let value: rusqlite::types::Value = if column.ends_with("_ms") { number.into() } else { text.into() };
        let set = format!("{column} = iif(?2, coalesce(?3, {column}), coalesce({column}, ?3))");
        change.execute(&format!("UPDATE calls SET {set} WHERE call_id = ?1"), params![id, wins, value])?;
    }
    if analyzed && wins {
        let set = "UPDATE calls SET summary = ?2, analyzed_at = ?3, analyzed_position = ?4 WHERE call_id = ?1";
        change.execute(set, params![id, call["call_analysis"]["call_summary"].as_str(), time, position])?;
    }
    let count = "UPDATE calls SET events = events + ?2, analyses = analyses + ?3 WHERE call_id = ?1";
    change.execute(count, params![id, known.is_none(), analyzed && known.is_none()])?;
    change.execute("INSERT OR REPLACE INTO seen VALUES (?1, unixepoch(), ?2)", params![ce_id, replay])?;
    change.execute("DELETE FROM seen WHERE unixepoch() % 1000 = 0 AND seen_at < unixepoch() - ?1", [REMEMBER_S])?;
    change.commit()
}

/// Takes the record or sets it aside. Comes back without an error when that is durable: then its offset may be committed.
fn process(db: &mut Connection, dead: &FutureProducer, record: &BorrowedMessage<'_>) -> Result<(), Box<dyn Error>> {
    let reason = match read(record) {
        Ok(body) => return Ok(store(db, record, &body)?),
        Err(reason) => reason,
    };
    eprintln!("dead letter ({reason}): {} {} {}", record.topic(), record.partition(), record.offset());
    let headers = record.headers().map_or_else(OwnedHeaders::new, |headers| headers.detach());
    let headers = Some(headers.insert(Header { key: "reason", value: Some(reason) }));
    let topic = setting("DEAD_LETTERS", &format!("retell.{}.dead", setting("KAFKA_GROUP", "retell-rust")));
    let (key, payload) = (record.key(), record.payload());
    let letter = FutureRecord { topic: &topic, partition: None, payload, key, timestamp: None, headers };
    futures_executor::block_on(dead.send(letter, Duration::ZERO)).map(|_| ()).map_err(|(error, _)| error.into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.clone())?;
    signal_hook::flag::register(signal_hook::consts::SIGINT, stop.clone())?;
    let mut kafka = rdkafka::ClientConfig::new(); // security.protocol, sasl.… belong here; bodies have up to 8 MiB
    kafka.set("bootstrap.servers", setting("KAFKA_BROKERS", "localhost:9092")).set("message.max.bytes", "16777216");
    let dead = kafka.clone().set("enable.idempotence", "true").set("delivery.timeout.ms", "10000").create()?;
    kafka.set("group.id", setting("KAFKA_GROUP", "retell-rust")).set("auto.offset.reset", "earliest");
    // So long a killed consumer keeps its partitions from the next.
    kafka.set("enable.auto.commit", "false").set("session.timeout.ms", "15000");
    let consumer: BaseConsumer = kafka.create()?;
    let topics = setting("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed");
    consumer.subscribe(&topics.split(',').collect::<Vec<_>>())?;
    let mut db = Connection::open(setting("DATABASE", "calls.sqlite"))?;
    db.execute_batch(TABLES)?;
    let ready = Once::new();
    while !stop.load(Relaxed) {
        let polled = consumer.poll(Duration::from_millis(500));
        if consumer.assignment()?.count() > 0 {
            ready.call_once(|| println!("ready"));
        }
        let told = |error| eprintln!("Kafka: {error}");
        let Some(record) = polled.and_then(|record| record.map_err(told).ok()) else { continue };
        let mut wait = Duration::from_millis(500);
        // No fault of the record's: it stays in hand, none is skipped. After five minutes (max.poll.interval.ms) the
        // group gives the partition away and the record comes again, which `seen` makes harmless.
        while let Err(error) = process(&mut db, &dead, &record) {
            eprintln!("tries again in {wait:?}: {error}");
            thread::sleep(wait);
            if stop.load(Relaxed) {
                return Ok(());
            }
            wait = (wait * 2).min(Duration::from_secs(5));
        }
        consumer.commit_message(&record, CommitMode::Async)?;
    }
    Ok(()) // dropped, the consumer waits for the commits on their way and leaves the group
}
