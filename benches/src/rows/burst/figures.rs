//! The lines of the table that come from the bursts.
//!
//! In: the rounds. Out: figures. Never happens: a comparison with a peer that failed in silence.

use super::rounds::{Case, Rounds, Sample};
use super::{CONNECTIONS, kinds};
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::peers::{Mode, Peer};
use crate::receiver::Kind;
use crate::rows::Bench;

const RUST: Kind = Kind::Peer(Peer::Rust(Mode::Waits));
/// Of the disk's sequential rate.
const DISK_SHARE: f64 = 0.8;
/// A load generator that takes more of its core may be what was measured.
const GENERATOR_SHARE: f64 = 0.9;

pub fn all(bench: &Bench, rounds: &Rounds, disk: f64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for size in Size::ALL {
        for connections in CONNECTIONS {
            let at = (size, connections);
            let cpu = |sample: &Sample| sample.cpu_us;
            figures.push(beside_rust(rounds, "cpu-rust", at, Goal::AtMost(1.0), "µs", cpu));
            let published = |sample: &Sample| sample.published;
            figures.push(beside_rust(rounds, "sustained", at, Goal::AtLeast(1.2), "events/s", published));
            figures.push(burst(bench.all_peers, rounds, at, disk));
            figures.push(published_after(bench, rounds, at));
        }
        if bench.all_peers {
            figures.extend([Peer::FastApi(Mode::AtOnce), Peer::Express(Mode::AtOnce)].map(|peer| {
                let (bridge, other) = ((Kind::Bridge, size, 64), (Kind::Peer(peer), size, 64));
                let case = format!("{}, {}", size.name(), peer.name());
                let cpu = |sample: &Sample| sample.cpu_us;
                compared(rounds, ("cpu-scripted", &case), Goal::AtMost(0.125), "µs", (bridge, other), cpu)
            }));
        }
    }
    figures.extend(largest_memory(rounds));
    figures
}

fn named((size, connections): (Size, usize)) -> String {
    format!("{}, {connections} connections", size.name())
}

fn beside_rust(
    rounds: &Rounds,
    name: &str,
    at: (Size, usize),
    goal: Goal,
    unit: &str,
    field: fn(&Sample) -> f64,
) -> Figure {
    let cases = ((Kind::Bridge, at.0, at.1), (RUST, at.0, at.1));
    compared(rounds, (name, &named(at)), goal, unit, cases, field)
}

/// The bridge against another; where that one failed, a line that says so.
fn compared(
    rounds: &Rounds,
    (name, case): (&str, &str),
    goal: Goal,
    unit: &str,
    (bridge, other): (Case, Case),
    field: fn(&Sample) -> f64,
) -> Figure {
    let pairs = rounds.pairs(bridge, other, field);
    let failure = rounds.failure(other);
    match failure {
        Some(story) if pairs.is_empty() => Figure::failed(name, case, &format!("{}: {story}", other.0.name())),
        _ => {
            let note = failure.map_or(String::new(), |_| format!("{} rounds; the peer failed in others", pairs.len()));
            Figure::ratio(name, case, goal, unit, &pairs, other.0.name()).noted(note)
        }
    }
}

/// Against the best peer that waits; where the disk comes first, against that.
fn burst(all_peers: bool, rounds: &Rounds, (size, connections): (Size, usize), disk: f64) -> Figure {
    let bridge = (Kind::Bridge, size, connections);
    let kept = |sample: &Sample| sample.kept;
    let rate = |kind: &Kind| rounds.median((*kind, size, connections), kept);
    let waiting = kinds(all_peers, size, connections).into_iter().filter(|kind| kind.waits() && rate(kind).is_finite());
    let best = waiting.max_by(|one, other| rate(one).total_cmp(&rate(other))).unwrap_or(RUST);
    let cases = (bridge, (best, size, connections));
    let figure = compared(rounds, ("burst", &named((size, connections))), Goal::AtLeast(2.0), "answers/s", cases, kept);
    let share = rounds.median(bridge, |sample| sample.megabytes) / disk;
    let refused = rounds.refused(bridge);
    let after = rounds.median(bridge, |sample| sample.published_after);
    let mut note = format!(
        "{:.0} % of the disk's {disk:.0} MB/s; {refused} refused; all on Kafka {after:.1} s after the load's end",
        share * 100.0
    );
    let generator = rounds.median(bridge, |sample| sample.generator);
    if generator > GENERATOR_SHARE {
        note.push_str(&format!("; the load generator took {:.0} % of a core and may be the limit", generator * 100.0));
    }
    let holds = refused == 0 && (figure.holds() || share >= DISK_SHARE);
    figure.decided(holds, note)
}

/// "Soon" is no longer than the burst itself was: a publisher that keeps half the pace.
fn published_after(bench: &Bench, rounds: &Rounds, at: (Size, usize)) -> Figure {
    let seconds = rounds.values((Kind::Bridge, at.0, at.1), |sample| sample.published_after);
    let goal = Goal::AtMost(bench.effort.burst_time().as_secs_f64());
    let figure = Figure::bound("published-after", &named(at), goal, "s", &seconds);
    figure.noted("the Rust handler that waits: 0 s by its nature")
}

/// Of all bursts, each on a bridge that was just started.
fn largest_memory(rounds: &Rounds) -> Option<Figure> {
    let cases = Size::ALL.into_iter().flat_map(|size| CONNECTIONS.map(|connections| (size, connections)));
    let peaks = cases.map(|at| {
        let peaks = rounds.values((Kind::Bridge, at.0, at.1), |sample| sample.peak_mib);
        let case = format!("{}, few events in the index", named(at));
        Figure::bound("memory-burst", &case, Goal::AtMost(160.0), "MiB", &peaks)
    });
    let largest = peaks.max_by(|one, other| one.value().total_cmp(&other.value()));
    largest.map(|figure| figure.noted("the largest of all bursts"))
}
