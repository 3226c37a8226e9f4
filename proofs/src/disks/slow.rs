//! Slow: syncs that take longer than a sender waits.
//!
//! In: how long each sync is held up. Out: how many answers were judged. Never happens: an answer later than Retell waits
//! for it; memory that grows with the senders; an event published twice because its answer came too late.

use std::time::{Duration, Instant};

use serde_json::json;
use support::process::status_bytes;

use super::crowd::Crowd;
use super::full::{end, in_time, send, start};
use crate::syscalls::life::Life;
use crate::syscalls::stage::{Program, Stage};
use crate::syscalls::strace::Orders;

const PROGRAM: Program = Program::Small { segment_bytes: 4 << 20, size_max_bytes: 128 << 20 };
const SENDERS: usize = 24;
/// All of them on four topics: the broker in memory keeps 5 MiB of a partition.
const BODY_BYTES: usize = 800_000;
/// A ninth of what the senders bring at once.
const IN_FLIGHT_BYTES: u64 = 2 << 20;
/// Of the writer alone: in_flight_max makes nine batches of the crowd, and more.
const DELAYED: usize = 3;
/// Bodies, their copies in batch and queues, Kafka's share, and the allocator's: 19 MiB were measured, and 42 of a bridge
/// that let all bodies in.
const GROWTH_MAX_BYTES: u64 = 30 << 20;

pub fn prove(delay: Duration, seed: u64) -> Result<u64, String> {
    let settings = json!({ "intake": { "body_max": "1MiB", "in_flight_max": IN_FLIGHT_BYTES.to_string() + "B" } });
    let mut stage = Stage::new(PROGRAM, None, seed, settings)?;
    let mut life = start(&stage)?;
    send(&mut stage, &mut life, 8)?;
    let before = resident_bytes(&life)?;
    // Of each thread: the crowd must come through in the end.
    let orders = Orders::delay_first("fdatasync", delay, DELAYED as u64, stage.folder.join("trace"));
    let _tracer = orders.attach(life.pid())?;
    let events = (0..SENDERS).map(|_| stage.sized(BODY_BYTES)).collect();
    let patience = 4 * delay + Duration::from_secs(20);
    let crowd = Crowd::start(life.intake, events, Duration::from_millis(400), patience);
    let (mut highest, began) = (before, Instant::now());
    while !crowd.is_done() && began.elapsed() < patience + Duration::from_secs(30) {
        highest = highest.max(resident_bytes(&life)?);
        std::thread::sleep(Duration::from_millis(50));
    }
    let (mut entries, slowest) = crowd.finish();
    in_time(slowest)?;
    // Where in_flight_max is reached, the slowest that has not arrived whole makes room with a 408, as documented.
    entries.iter_mut().for_each(|entry| entry.complaints.retain(|complaint| !complaint.ends_with("(408)")));
    let lost_patience = entries.iter().filter(|entry| !entry.is_kept()).count();
    let was_refused = entries.iter().any(|entry| entry.statuses.contains(&503));
    stage.sender.ledger.entries.extend(entries);
    if lost_patience > 0 {
        return Err(format!("{lost_patience} events are not taken when the disk is fast again"));
    }
    if highest - before > GROWTH_MAX_BYTES {
        return Err(format!("{} bytes more than before are resident", highest - before));
    }
    if delay > Duration::from_secs(9) {
        let duplicates = life.metrics()?.get("events_duplicate_total", &[]);
        if !was_refused || duplicates == 0.0 {
            return Err(format!("refused: {was_refused}; {duplicates} late events were found as duplicates"));
        }
    }
    held_up(&orders, DELAYED)?;
    end(stage, life)
}

/// A disk that nobody slowed down is a proof of nothing.
pub fn held_up(orders: &Orders, least: usize) -> Result<(), String> {
    let delays = orders.delays();
    if delays >= least {
        Ok(())
    } else {
        Err(format!("{delays} syncs were held up, at least {least} were meant to be"))
    }
}

fn resident_bytes(life: &Life) -> Result<u64, String> {
    status_bytes(life.pid(), "VmRSS:").ok_or_else(|| "the bridge is gone while its disk is slow".to_owned())
}
