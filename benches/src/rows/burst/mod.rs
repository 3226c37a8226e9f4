//! Row `burst`: a closed loop of 64 and 512 connections, each size, the bridge and every peer in turns.
//!
//! From the same rounds: answers per second, processor time per event, publishing per second, how long after the load all was
//! published, the largest memory. Who goes first changes from round to round. A peer that fails in a round has no figure of
//! it, and the page says so; the bridge's failure is the row's. Never happens: a refusal that is not told.

mod figures;
mod rounds;

use serde_json::json;
use support::tools;

use self::rounds::{Case, Rounds};
use super::Bench;
use crate::bodies::Size;
use crate::figures::{Figure, median};
use crate::floors::disk::Disk;
use crate::load::{Pace, Until};
use crate::peers::{Mode, Peer};
use crate::receiver::Kind;
use crate::round;

pub const CONNECTIONS: [usize; 2] = [64, 512];

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut rounds = Rounds::default();
    let mut disk_rates = Vec::new();
    for round in 0..bench.effort.rounds() {
        disk_rates.push(disk_rate(bench)?);
        bench.keep("burst", round, json!({ "disk_megabytes_per_second": disk_rates[round] }));
        for size in Size::ALL {
            for connections in CONNECTIONS {
                for kind in bench.in_turns(round, kinds(bench.all_peers, size, connections)) {
                    one(bench, round, (kind, size, connections), &mut rounds)?;
                }
            }
        }
    }
    Ok(figures::all(bench, &rounds, median(disk_rates.into_iter())))
}

/// One receiver under one load.
fn one(bench: &Bench, round: usize, case: Case, rounds: &mut Rounds) -> Result<(), String> {
    let (kind, size, connections) = case;
    let until = Until::time(bench.effort.burst_time());
    match round::run(&bench.stage, kind, size, Pace::Closed { connections }, until) {
        Ok(measured) => {
            let mut told = measured.json();
            told["connections"] = connections.into();
            bench.keep("burst", round, told);
            rounds.add(case, round, &measured);
        }
        Err(story) if kind == Kind::Bridge => return Err(story),
        Err(story) => {
            let told = json!({
                "receiver": kind.name(), "size": size.name(), "connections": connections, "failed": &story,
            });
            bench.keep("burst", round, told);
            rounds.fail(case, story);
        }
    }
    Ok(())
}

/// The bridge and the Rust peer everywhere. The mix over 64 connections has a floor that keeps nothing, and the peer that
/// answers at once; the other peers come with 64 connections only: they would take hours.
fn kinds(all_peers: bool, size: Size, connections: usize) -> Vec<Kind> {
    let peers: &[Peer] = match (connections, all_peers, size) {
        (64, true, _) => &Peer::ALL,
        (64, false, Size::Mix) => &[Peer::Rust(Mode::Waits), Peer::Rust(Mode::AtOnce)],
        _ => &[Peer::Rust(Mode::Waits)],
    };
    let floor = (connections == 64 && size == Size::Mix).then_some(Kind::Hmac);
    std::iter::once(Kind::Bridge).chain(peers.iter().map(|peer| Kind::Peer(*peer))).chain(floor).collect()
}

fn disk_rate(bench: &Bench) -> Result<f64, String> {
    let (folder, time) = (tools::folder("disk"), bench.effort.seconds(0.3, 2.0, 4.0));
    let rate = Disk::new(&folder).and_then(|mut disk| disk.sequential(time)).map_err(|error| error.to_string())?;
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(rate)
}
