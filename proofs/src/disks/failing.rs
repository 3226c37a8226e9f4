//! Failing: a sync that is held up and then fails, while a crowd waits for it.
//!
//! In: which sync, after how long, Kafka there or away. Out: how many answers were judged. Never happens: a 2xx for what
//! waited; a process that stays; an acknowledged event that is gone after the restart.

use std::time::{Duration, Instant};

use serde_json::json;

use super::crowd::Crowd;
use super::full::{in_time, send, start};
use super::trouble::SMALL;
use crate::syscalls::stage::Stage;
use crate::syscalls::strace::Orders;

const SENDERS: usize = 16;
/// What is durable is published for 5 s, and librdkafka ends within 3 more.
const ENDS_WITHIN: Duration = Duration::from_secs(9);

pub fn prove(delay: Duration, nth: u64, has_kafka: bool, seed: u64) -> Result<u64, String> {
    let mut stage = Stage::new(SMALL, None, seed, json!({}))?;
    let mut life = start(&stage)?;
    send(&mut stage, &mut life, 8)?;
    stage.mock.set_up(has_kafka)?;
    send(&mut stage, &mut life, 4)?;
    let orders = Orders::fail_late("fdatasync", delay, nth, stage.folder.join("trace"));
    let _tracer = orders.attach(life.pid())?;
    let events = (0..SENDERS).map(|_| stage.sized(3_000)).collect();
    let crowd = Crowd::start(life.intake, events, Duration::from_millis(100), nth as u32 * delay + ENDS_WITHIN);
    let until = Instant::now() + nth as u32 * delay + Duration::from_secs(20);
    while !life.has_said("journal poisoned") {
        if Instant::now() > until {
            return Err("a sync has failed, and the journal is not poisoned".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = life.ended(ENDS_WITHIN);
    let (entries, slowest) = crowd.finish();
    stage.died(&ended)?;
    if ended.code() != Some(1) {
        return Err(format!("poisoned, and no exit with 1 within {ENDS_WITHIN:?} ({:?})", ended.status));
    }
    in_time(slowest)?;
    if let Some(entry) = entries.iter().find(|entry| !matches!(entry.statuses.first(), Some(204 | 503))) {
        return Err(format!("one that waited was not answered 503 but {:?}", entry.statuses));
    }
    if entries.iter().all(|entry| entry.is_kept()) {
        return Err("every event was kept, though a sync failed".to_owned());
    }
    stage.sender.ledger.entries.extend(entries);
    stage.mock.set_up(true)?;
    stage.judge()?;
    Ok(stage.sender.ledger.entries.iter().map(|entry| entry.statuses.len() as u64).sum())
}
