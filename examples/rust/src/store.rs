//! The rows, and the memory of what has been taken.

use crate::event::{Event, number, text};
use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior::Immediate, params, types::Value};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT);
CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT,
  reason TEXT, transcript TEXT, summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT,
  analyzed_position TEXT, events INTEGER NOT NULL DEFAULT 0);
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL";
/// How long a ce_id is remembered: longer than retention.ms and segment.ms. So far a group can be set back.
const REMEMBER_S: i64 = 35 * 24 * 3600;
/// Columns, and the fields of a call that they take: what an event always knows, and what from `call_ended` on.
const EARLY: [[&str; 2]; 2] = [["agent_id", "agent_id"], ["started_ms", "start_timestamp"]];
const LATE: [[&str; 2]; 3] =
    [["ended_ms", "end_timestamp"], ["reason", "disconnection_reason"], ["transcript", "transcript"]];

pub fn open(path: &str) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.execute_batch(TABLES)?;
    Ok(db)
}

/// Kafka hands out a record at least once. Its effect and the memory of it are in one transaction: after a kill
/// both are there, or neither.
pub fn take(db: &mut Connection, event: &Event<'_>) -> Result<()> {
    let Event { ce_id, time, position, replay, call_id: id, call, .. } = event;
    let change = db.transaction_with_behavior(Immediate)?;
    let known = "SELECT replay FROM seen WHERE ce_id = ?";
    let known: Option<Option<String>> = change.query_row(known, [ce_id], |row| row.get(0)).optional()?;
    if known.as_ref().is_some_and(|last| replay.is_none() || last == replay) {
        return Ok(());
    }
    change.execute("INSERT INTO calls(call_id) VALUES (?) ON CONFLICT DO NOTHING", [id])?;
    // Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps.
    // An analysis can be run again: the later one wins, in whichever order they come.
    let analyzed = event.name == "call_analyzed";
    let ended = analyzed || event.name == "call_ended";
    let wins = "SELECT ?2 AND (analyzed_at IS NULL OR ?3 AND (?4, CAST(?5 AS INTEGER)) >=
        (analyzed_at, CAST(analyzed_position AS INTEGER))) FROM calls WHERE call_id = ?1";
    let given = params![id, ended, analyzed, time, position];
    let wins: bool = change.query_row(wins, given, |row| row.get(0))?;
    for [column, field] in EARLY.iter().chain(LATE.iter().filter(|_| ended)) {
        let ms = column.ends_with("_ms");
        let value = if ms { Value::from(number(call, field)) } else { Value::from(text(call, field)) };
        let set = format!("{column} = iif(?2, coalesce(?3, {column}), coalesce({column}, ?3))");
        change.execute(&format!("UPDATE calls SET {set} WHERE call_id = ?1"), params![id, wins, value])?;
    }
    if analyzed && wins {
        let latest =
            "UPDATE calls SET summary = ?2, analyzed_at = ?3, analyzed_position = ?4 WHERE call_id = ?1";
        change.execute(latest, params![id, event.summary, time, position])?;
    }
    let count = "UPDATE calls SET events = events + ?2, analyses = analyses + ?3 WHERE call_id = ?1";
    change.execute(count, params![id, known.is_none(), analyzed && known.is_none()])?;
    change.execute("INSERT OR REPLACE INTO seen VALUES (?1, unixepoch(), ?2)", params![ce_id, replay])?;
    let forget = "DELETE FROM seen WHERE unixepoch() % 1000 = 0 AND seen_at < unixepoch() - ?1";
    change.execute(forget, [REMEMBER_S])?;
    change.commit()
}
