//! Row `burst`: a closed loop of 64 and 512 connections, each size, the bridge and every peer in turns.
//!
//! From the same rounds: answers per second, processor time per event, publishing per second, the largest memory. Never
//! happens: a refusal that is not told.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use support::tools;

use super::Bench;
use crate::bodies::Size;
use crate::figures::{Figure, Goal, median};
use crate::floors::disk::Disk;
use crate::load::{Pace, Until};
use crate::peers::{Mode, Peer};
use crate::receiver::Kind;
use crate::round::{self, Measured};

const RUST: Kind = Kind::Peer(Peer::Rust(Mode::Waits));
/// Of the disk's sequential rate.
const DISK_SHARE: f64 = 0.8;

/// One receiver under one load.
type Case = (Kind, &'static str, usize);

/// All rounds of a case, in order.
#[derive(Default)]
struct Rounds {
    cpu_us: Vec<f64>,
    kept: Vec<f64>,
    published: Vec<f64>,
    megabytes: Vec<f64>,
    peak_mib: Vec<f64>,
    refused: u64,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut rounds: HashMap<Case, Rounds> = HashMap::new();
    let mut disk_rates = Vec::new();
    for round in 0..bench.effort.rounds() {
        disk_rates.push(disk_rate(bench.effort.seconds(0.3, 2.0, 4.0))?);
        bench.keep("burst", round, json!({ "disk_megabytes_per_second": disk_rates[round] }));
        for size in Size::ALL {
            for connections in [64, 512] {
                for kind in kinds(bench.all_peers, connections) {
                    let pace = Pace::Closed { connections };
                    let until = Until::time(bench.effort.seconds(1.0, 5.0, 10.0));
                    let measured = round::run(&bench.stage, kind, size, pace, until)?;
                    let mut told = measured.json();
                    told["connections"] = connections.into();
                    bench.keep("burst", round, told);
                    rounds.entry((kind, size.name(), connections)).or_default().add(&measured);
                }
            }
        }
    }
    Ok(figures(bench.all_peers, &rounds, median(disk_rates.into_iter())))
}

impl Rounds {
    fn add(&mut self, measured: &Measured) {
        self.cpu_us.push(measured.cpu_us());
        self.kept.push(measured.outcome.kept_per_second());
        self.published.push(measured.published_per_second());
        self.megabytes.push(measured.megabytes_per_second());
        self.peak_mib.push(measured.peak_bytes as f64 / f64::from(1 << 20));
        self.refused += measured.outcome.refused() + measured.outcome.unanswered();
    }
}

/// The others than the Rust peer with 64 connections only: they would take hours.
fn kinds(all_peers: bool, connections: usize) -> Vec<Kind> {
    let peers: &[Peer] = if all_peers && connections == 64 { &Peer::ALL } else { &Peer::SHORT[..1] };
    std::iter::once(Kind::Bridge).chain(peers.iter().map(|peer| Kind::Peer(*peer))).collect()
}

fn disk_rate(time: Duration) -> Result<f64, String> {
    let folder = tools::folder("disk");
    let rate = Disk::new(&folder).and_then(|mut disk| disk.sequential(time)).map_err(|error| error.to_string())?;
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(rate)
}

fn figures(all_peers: bool, rounds: &HashMap<Case, Rounds>, disk: f64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for size in Size::ALL.map(Size::name) {
        let (bridge, rust) = (&rounds[&(Kind::Bridge, size, 64)], &rounds[&(RUST, size, 64)]);
        let pairs = zip(&bridge.cpu_us, &rust.cpu_us);
        figures.push(Figure::ratio("cpu-rust", size, Goal::AtMost(1.0), "µs", &pairs, Peer::Rust(Mode::Waits).name()));
        let pairs = zip(&bridge.published, &rust.published);
        let beside = Peer::Rust(Mode::Waits).name();
        figures.push(Figure::ratio("sustained", size, Goal::AtLeast(1.2), "events/s", &pairs, beside));
        for peer in
            Peer::ALL.iter().filter(|peer| matches!(peer, Peer::FastApi(Mode::AtOnce) | Peer::Express(Mode::AtOnce)))
        {
            if let Some(other) = rounds.get(&(Kind::Peer(*peer), size, 64)) {
                let (goal, pairs) = (Goal::AtMost(0.125), zip(&bridge.cpu_us, &other.cpu_us));
                let case = format!("{size}, {}", peer.name());
                figures.push(Figure::ratio("cpu-scripted", &case, goal, "µs", &pairs, peer.name()));
            }
        }
        figures.extend([64, 512].map(|connections| burst(all_peers, rounds, (size, connections), disk)));
    }
    let bursts = rounds.iter().filter(|((kind, ..), _)| *kind == Kind::Bridge);
    let peaks = bursts.map(|((_, size, connections), rounds)| {
        let case = format!("{size}, {connections} connections");
        Figure::plain("memory-burst", &case, Goal::AtMost(160.0), "MiB", &rounds.peak_mib)
    });
    let largest = peaks.max_by(|one, other| one.value().total_cmp(&other.value()));
    figures.extend(largest.map(|figure| figure.noted("the largest of all bursts")));
    figures
}

/// Against the best peer that waits; where the disk comes first, against that.
fn burst(
    all_peers: bool,
    rounds: &HashMap<Case, Rounds>,
    (size, connections): (&'static str, usize),
    disk: f64,
) -> Figure {
    let bridge = &rounds[&(Kind::Bridge, size, connections)];
    let waiting =
        kinds(all_peers, connections).into_iter().filter(|kind| matches!(kind, Kind::Peer(peer) if peer.waits()));
    let best = waiting
        .max_by(|one, other| kept(rounds, *one, size, connections).total_cmp(&kept(rounds, *other, size, connections)));
    let best = best.expect("the Rust peer waits");
    let pairs = zip(&bridge.kept, &rounds[&(best, size, connections)].kept);
    let case = format!("{size}, {connections} connections");
    let figure = Figure::ratio("burst", &case, Goal::AtLeast(2.0), "answers/s", &pairs, best.name());
    let share = median(bridge.megabytes.iter().copied()) / disk;
    let note = format!("{:.0} % of the disk's {disk:.0} MB/s; {} refused", share * 100.0, bridge.refused);
    let holds = bridge.refused == 0 && (figure.holds() || share >= DISK_SHARE);
    figure.decided(holds, note)
}

fn kept(rounds: &HashMap<Case, Rounds>, kind: Kind, size: &'static str, connections: usize) -> f64 {
    median(rounds[&(kind, size, connections)].kept.iter().copied())
}

fn zip(measured: &[f64], beside: &[f64]) -> Vec<(f64, f64)> {
    measured.iter().copied().zip(beside.iter().copied()).collect()
}
