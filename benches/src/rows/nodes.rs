//! Row `nodes`: the same answers with three Kafka nodes, two of which must have each record, in turns with one node; beside
//! them the Rust handler that waits.
//!
//! Never happens: the three nodes running while another row measures.

use serde_json::json;
use support::kafka::Kafka;

use super::Bench;
use super::slices::Slices;
use crate::arrived;
use crate::figures::{Figure, Goal};
use crate::peers::{Mode, Peer};
use crate::receiver::{Kind, Receiver};
use crate::round::wait_published;
use crate::stage::{Series, Stage};

const TURNS: usize = 3;

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut nodes = Kafka::start_three();
    let first = nodes.remove(0);
    let three = Stage::with(first);
    let mut pairs = [Vec::new(), Vec::new()];
    let mut peers = [Vec::new(), Vec::new()];
    for number in 0..bench.effort.few_rounds() {
        let (bridge, peer) = compare_both(bench, &three, number)?;
        for (at, quantile) in [0.5, 0.99].into_iter().enumerate() {
            pairs[at].push((bridge[1].ms(quantile), bridge[0].ms(quantile)));
            peers[at].push((peer[1].ms(quantile), peer[0].ms(quantile)));
        }
        let both = |slices: &Slices| [slices.ms(0.5), slices.ms(0.99)];
        bench.keep(
            "nodes",
            number,
            json!({
                "one_node_p50_p99_ms": both(&bridge[0]),
                "three_nodes_p50_p99_ms": both(&bridge[1]),
                "rust_one_node_p50_p99_ms": both(&peer[0]),
                "rust_three_nodes_p50_p99_ms": both(&peer[1]),
            }),
        );
    }
    drop((three, nodes));
    let mut figures = Vec::new();
    for (at, quantile) in ["p50", "p99"].into_iter().enumerate() {
        figures.push(Figure::ratio("nodes", quantile, Goal::AtMost(1.1), "ms", &pairs[at], "one node"));
        let case = format!("{quantile}, the Rust handler that waits");
        figures.push(Figure::ratio("nodes", &case, Goal::Told, "ms", &peers[at], "one node"));
    }
    Ok(figures)
}

/// Who goes first changes from round to round.
fn compare_both(bench: &Bench, three: &Stage, number: usize) -> Result<([Slices; 2], [Slices; 2]), String> {
    let rust = Kind::Peer(Peer::Rust(Mode::Waits));
    if number.is_multiple_of(2) {
        let bridge = compare(bench, three, Kind::Bridge)?;
        Ok((bridge, compare(bench, three, rust)?))
    } else {
        let peer = compare(bench, three, rust)?;
        Ok((compare(bench, three, Kind::Bridge)?, peer))
    }
}

/// Slices against one node and against three, in turns.
fn compare(bench: &Bench, three: &Stage, kind: Kind) -> Result<[Slices; 2], String> {
    let stages = [&bench.stage, three];
    let series = stages.map(Stage::series);
    let start = |at: usize| Receiver::start(kind, &stages[at].kafka.brokers(), &series[at]);
    let receivers = [start(0)?, start(1)?];
    let mut firsts = [series[0].first, series[1].first];
    let mut slices = [Slices::default(), Slices::default()];
    // A producer's first record waits for its first metadata.
    let mut warm = Slices::default();
    for _ in 0..TURNS {
        for at in 0..2 {
            if slices[at].outcomes.is_empty() {
                warm.load(bench, &receivers[at], &series[at], &mut firsts[at], bench.effort.seconds(0.5, 1.0, 1.0));
            }
            let time = bench.effort.seconds(1.0, 2.0, 6.0);
            slices[at].load(bench, &receivers[at], &series[at], &mut firsts[at], time);
        }
    }
    for at in 0..2 {
        slices[at].check_all_kept()?;
        let sent = |series: &Series| -> Vec<_> {
            let all = warm.sent().chain(slices[at].sent());
            all.filter(|(_, outcome)| outcome.first >> 32 == series.first >> 32).collect()
        };
        let sent = sent(&series[at]);
        let kept = sent.iter().map(|(_, outcome)| outcome.kept()).sum();
        wait_published(stages[at], &receivers[at], &series[at], kept)?;
        arrived::judge(stages[at], &series[at], &sent).check(false)?;
    }
    drop(receivers);
    (0..2).for_each(|at| stages[at].end(&series[at]));
    Ok(slices)
}
