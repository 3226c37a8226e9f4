//! Full: by others, by the bridge's own backlog, by `journal.size_max`; and full while slow.
//!
//! In: a file system. Out: how many answers were judged. Never happens: an event lost; a restart needed to take events
//! again; a refusal that takes long or names no time for the retry.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::crowd::Crowd;
use super::slow::held_up;
use super::trouble::SMALL;
use super::volume::{Kind, Volume};
use crate::syscalls::life::Life;
use crate::syscalls::stage::{Program, Stage};
use crate::syscalls::strace::Orders;
use crate::syscalls::told::Told;

/// Two spares, one segment at hand, and some that wait.
const SMALL_DISK_BYTES: u64 = 6 << 20;
/// Four segments of 64 MiB and a journal of ext4's own.
const LARGE_DISK_BYTES: u64 = 420 << 20;
const SIZE_MAX_BYTES: u64 = 6 * (64 << 10);
/// More than any disk here holds.
const EVENTS_MAX: usize = 2_000;
/// How long until events are taken again, and until a backlog is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody else fills the disk; Kafka is away meanwhile, so that publishing on the full disk is seen.
pub fn by_others(kind: Kind, program: Program, seed: u64) -> Result<u64, String> {
    let is_large = matches!(program, Program::Binary);
    let volume = Volume::make(kind, if is_large { LARGE_DISK_BYTES } else { SMALL_DISK_BYTES })?;
    let mut stage = stage(program, &volume.journal_dir(), seed)?;
    let mut life = start(&stage)?;
    send(&mut stage, &mut life, 12)?;
    stage.mock.set_up(false)?;
    send(&mut stage, &mut life, 12)?;
    volume.fill()?;
    // A segment of 64 MiB is not filled: its disk is met full by a start instead.
    if !is_large {
        send_until_full(&mut stage, &mut life, Some(&volume))?;
    }
    stage.died(&life.kill())?;
    volume.fill()?;
    let mut life = start(&stage)?;
    volume.fill()?;
    stage.mock.set_up(true)?;
    wait_published(&life)?;
    volume.empty();
    taken_again(&mut stage, &mut life)?;
    end(stage, life)
}

/// Kafka is away until nothing fits any more; a restart on the full disk changes nothing, Kafka's return does.
pub fn by_backlog(kind: Kind, seed: u64) -> Result<u64, String> {
    let volume = Volume::make(kind, SMALL_DISK_BYTES)?;
    let mut stage = stage(SMALL, &volume.journal_dir(), seed)?;
    stage.mock.set_up(false)?;
    let mut life = start(&stage)?;
    send_until_full(&mut stage, &mut life, None)?;
    stage.died(&life.kill())?;
    let told = Told::before_start(&stage)?;
    let mut life = start(&stage)?;
    send_until_full(&mut stage, &mut life, None)?;
    stage.mock.set_up(true)?;
    taken_again(&mut stage, &mut life)?;
    wait_published(&life)?;
    told.compare(&stage, &life)?;
    end(stage, life)
}

/// As by the backlog, on a large disk with a small `journal.size_max`, which is never passed.
pub fn by_size_max(seed: u64) -> Result<u64, String> {
    let program = Program::Small { segment_bytes: 64 << 10, size_max_bytes: SIZE_MAX_BYTES };
    let mut stage = Stage::new(program, None, seed, json!({}))?;
    stage.mock.set_up(false)?;
    let mut life = start(&stage)?;
    send_until_full(&mut stage, &mut life, None)?;
    within_size_max(&stage)?;
    stage.died(&life.kill())?;
    let told = Told::before_start(&stage)?;
    let mut life = start(&stage)?;
    send_until_full(&mut stage, &mut life, None)?;
    within_size_max(&stage)?;
    stage.mock.set_up(true)?;
    taken_again(&mut stage, &mut life)?;
    wait_published(&life)?;
    told.compare(&stage, &life)?;
    within_size_max(&stage)?;
    end(stage, life)
}

/// Somebody else fills a disk whose every sync is held up; room comes back, and events are taken without a restart.
pub fn and_slow(delay: Duration, seed: u64) -> Result<u64, String> {
    let volume = Volume::make(Kind::Ext4, SMALL_DISK_BYTES)?;
    let mut stage = stage(SMALL, &volume.journal_dir(), seed)?;
    let mut life = start(&stage)?;
    send(&mut stage, &mut life, 4)?;
    let orders = Orders::delay("fdatasync", delay, stage.folder.join("trace"));
    let _tracer = orders.attach(life.pid())?;
    volume.fill()?;
    let mut is_full = false;
    let end_at = Instant::now() + Duration::from_secs(90);
    while !is_full && Instant::now() < end_at {
        let events = (0..24).map(|_| stage.sized(15_000)).collect();
        let crowd = Crowd::start(life.intake, events, Duration::ZERO, Duration::ZERO);
        let (entries, slowest) = crowd.finish();
        in_time(slowest)?;
        stage.sender.ledger.entries.extend(entries);
        volume.fill()?;
        is_full = life.has_said("journal full");
    }
    held_up(&orders, 1)?;
    if !is_full {
        return Err("the disk never got full".to_owned());
    }
    volume.empty();
    taken_again(&mut stage, &mut life)?;
    end(stage, life)
}

fn stage(program: Program, dir: &Path, seed: u64) -> Result<Stage, String> {
    Stage::new(program, Some(dir), seed, json!({}))
}

pub fn start(stage: &Stage) -> Result<Life, String> {
    Life::start(stage.command()).map_err(|ended| format!("no start ({:?}):{}", ended.status, ended.last_lines()))
}

/// Each is kept at once.
pub fn send(stage: &mut Stage, life: &mut Life, count: usize) -> Result<(), String> {
    for _ in 0..count {
        let event = stage.event();
        if !stage.send(life, &event, 1) {
            return Err("an event is refused while there is room".to_owned());
        }
    }
    Ok(())
}

/// Until one is refused for want of room; what room comes meanwhile is taken by the ballast, where there is one.
fn send_until_full(stage: &mut Stage, life: &mut Life, ballast: Option<&Volume>) -> Result<(), String> {
    for _ in 0..EVENTS_MAX {
        let (event, began) = (stage.event(), Instant::now());
        let kept = stage.send(life, &event, 1);
        in_time(began.elapsed())?;
        if !kept && life.is_running() {
            return if life.has_said("journal full") || refused_for_room(life)? {
                Ok(())
            } else {
                Err("an event is refused, and not for want of room".to_owned())
            };
        }
        if !life.is_running() {
            return Err("the bridge ended while its disk got full".to_owned());
        }
        if let Some(volume) = ballast {
            volume.fill()?;
        }
    }
    Err(format!("{EVENTS_MAX} events are taken, and the disk is not full"))
}

fn refused_for_room(life: &Life) -> Result<bool, String> {
    Ok(life.metrics()?.get("events_refused_total", &["reason=\"no_room\""]) > 0.0)
}

/// The same process takes an event.
fn taken_again(stage: &mut Stage, life: &mut Life) -> Result<(), String> {
    let (event, attempts) = (stage.event(), PATIENCE.as_millis() as usize / 100);
    if stage.send(life, &event, attempts) {
        return send(stage, life, 3);
    }
    Err(format!("there is room again, and no event is taken within {PATIENCE:?} (running: {})", life.is_running()))
}

/// Publishing needs no room.
fn wait_published(life: &Life) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = life.metrics()?.get("journal_backlog_events", &[]);
        if left == 0.0 {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("{left} events are not published within {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn in_time(answered_in: Duration) -> Result<(), String> {
    // Retell gives up at 10 s.
    if answered_in < Duration::from_millis(9_500) { Ok(()) } else { Err(format!("an answer took {answered_in:?}")) }
}

fn within_size_max(stage: &Stage) -> Result<(), String> {
    let bytes: u64 = ["journal", "quarantine", "dead"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(stage.dir.join(folder)).into_iter().flatten().flatten())
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum();
    if bytes <= SIZE_MAX_BYTES { Ok(()) } else { Err(format!("{bytes} bytes are used of {SIZE_MAX_BYTES}")) }
}

/// A clean stop, and the judge. How many answers were judged.
pub fn end(mut stage: Stage, life: Life) -> Result<u64, String> {
    let ended = life.stop();
    stage.is_over(&ended);
    if ended.code() != Some(0) {
        return Err(format!("no clean stop ({:?}):{}", ended.status, ended.last_lines()));
    }
    stage.judge()?;
    Ok(stage.sender.ledger.entries.iter().map(|entry| entry.statuses.len() as u64).sum())
}
