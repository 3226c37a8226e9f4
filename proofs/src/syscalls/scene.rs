//! The story of one case.
//!
//! In: a case. Out: what the blow came to, or what is wrong. Never happens: an end that is not judged.

use std::time::Duration;

use serde_json::json;

use super::case::{Case, Scene};
use super::life::{Ended, Life};
use super::stage::{Program, Stage};
use super::strace::Orders;
use super::verdict::{Lived, Outcome, outcome};

/// Segments that a handful of events fills, and room for four used ones, so that some must go.
const SMALL: Program = Program::Small { segment_bytes: 64 << 10, size_max_bytes: 7 * (64 << 10) };
/// Enough to roll three times.
const EVENTS: usize = 24;
const EVENTS_BEFORE: usize = 10;
/// So that the keeper has its turns in between.
const PACE: Duration = Duration::from_millis(15);
const ATTEMPTS: usize = 60;
/// Of one seed, so that every run makes the same calls.
const SEED: u64 = 4;

/// Runs a case.
pub fn run(case: &Case, tell: bool) -> Result<Outcome, String> {
    let mut stage = stage(case.scene)?;
    let orders = Orders::strike(case, &stage.dir, stage.folder.join("trace"));
    let (started, ended, entries_from) = live(&mut stage, case.scene, &orders)?;
    match ended.code() {
        Some(0) => stage.is_over(&ended),
        _ => stage.died(&ended)?,
    }
    if tell {
        println!("{case}\nended {:?}\n{}\n{}", ended.status, orders.written(), ended.log.join("\n"));
    }
    let entries = stage.entries(entries_from);
    let lived = Lived { started, ended: &ended, strikes: orders.strikes(), entries };
    let outcome = outcome(case, &lived)?;
    if tell {
        println!("{outcome:?}; {} of {} events kept", entries.iter().filter(|e| e.is_kept()).count(), entries.len());
    }
    stage.judge().map_err(|wrong| format!("{wrong}\n    the life that was struck ended so:{}", ended.last_lines()))?;
    Ok(outcome)
}

/// The calls of a scene without a blow, as strace writes them down.
pub fn watch(scene: Scene) -> Result<Vec<Case>, String> {
    let mut stage = stage(scene)?;
    let orders = Orders::watch(stage.folder.join("trace"));
    let (_, ended, from) = live(&mut stage, scene, &orders)?;
    stage.is_over(&ended);
    let all_kept = stage.entries(from).iter().all(|entry| entry.is_kept());
    if ended.code() != Some(0) || !all_kept {
        return Err(format!("{scene:?} does not even go well without a blow:{}", ended.last_lines()));
    }
    let cases = super::case::cases(scene, &orders.written(), &stage.dir);
    stage.judge()?;
    Ok(cases)
}

fn stage(scene: Scene) -> Result<Stage, String> {
    let (program, settings) = match scene {
        // Segments of 64 MiB are rolled by age.
        Scene::Binary => {
            (Program::Binary, json!({ "journal": { "retention": "2s" }, "duplicates": { "window": "2s" } }))
        }
        _ => (SMALL, json!({})),
    };
    Stage::new(program, None, SEED, settings)
}

/// The lives up to the one that is traced, and that one: whether it listened, how it ended, which entries are its own.
fn live(stage: &mut Stage, scene: Scene, orders: &Orders) -> Result<(bool, Ended, usize), String> {
    if scene == Scene::Recovery {
        let started = Life::start(stage.command());
        let mut life = started.map_err(|ended| format!("the first start fails:{}", ended.last_lines()))?;
        send(stage, &mut life, EVENTS_BEFORE);
        stage.died(&life.kill())?;
    }
    let from = stage.sender.ledger.entries.len();
    let started = match scene {
        Scene::Running => Life::start(stage.command()),
        _ => Life::start(orders.launch(&stage.command())),
    };
    let mut life = match started {
        Ok(life) => life,
        Err(ended) => return Ok((false, ended, from)),
    };
    // It goes when the process does.
    let _tracer = if scene == Scene::Running { Some(orders.attach(life.pid())?) } else { None };
    send(stage, &mut life, EVENTS);
    let ended = if life.is_running() { life.stop() } else { life.ended(Duration::ZERO) };
    Ok((true, ended, from))
}

/// Ends early where the bridge is gone, or takes nothing any more.
fn send(stage: &mut Stage, life: &mut Life, count: usize) {
    for _ in 0..count {
        let event = stage.event();
        if !stage.send(life, &event, ATTEMPTS) || !life.is_running() {
            return;
        }
        std::thread::sleep(PACE);
    }
}
