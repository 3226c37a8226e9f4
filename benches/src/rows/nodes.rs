//! Row `nodes`: the same answers with three Kafka nodes, two of which must have each record, in turns with one node; beside
//! them the Rust handler that waits. The nodes take processors from whatever answers on the same machine: how much is seen
//! from bare actix-web, which asks no Kafka for anything, while a bridge beside it keeps the nodes at work.
//!
//! Never happens: the three nodes running while another row measures.

use serde_json::json;
use support::kafka::Kafka;

use super::Bench;
use super::slices::{PER_SECOND, Slices};
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::load::{self, Order, Pace, Until};
use crate::peers::{Mode, Peer};
use crate::receiver::{Kind, NOBODY, Receiver};
use crate::round::wait_published;
use crate::stage::Stage;

const TURNS: usize = 3;

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut nodes = Kafka::start_three();
    let first = nodes.remove(0);
    let three = Stage::with(first);
    let mut pairs = [Vec::new(), Vec::new()];
    let mut peers = [Vec::new(), Vec::new()];
    let mut bare = [Vec::new(), Vec::new()];
    for number in 0..bench.effort.few_rounds() {
        let (bridge, peer) = compare_both(bench, &three, number)?;
        let beside = control(bench, &three)?;
        for (at, quantile) in [0.5, 0.99].into_iter().enumerate() {
            bare[at].push((beside[1].ms(quantile), beside[0].ms(quantile)));
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
                "bare_beside_one_node_p50_p99_ms": both(&beside[0]),
                "bare_beside_three_nodes_p50_p99_ms": both(&beside[1]),
            }),
        );
    }
    drop((three, nodes));
    let mut figures = Vec::new();
    for (at, quantile) in ["p50", "p99"].into_iter().enumerate() {
        figures.push(Figure::ratio("nodes", quantile, Goal::AtMost(1.1), "ms", &pairs[at], "one node"));
        let case = format!("{quantile}, the Rust handler that waits");
        figures.push(Figure::ratio("nodes", &case, Goal::Told, "ms", &peers[at], "one node"));
        let case = format!("{quantile}, bare actix-web with HMAC; a bridge beside it gets as much for the same nodes");
        figures.push(Figure::ratio("nodes", &case, Goal::Told, "ms", &bare[at], "one node"));
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
    let mut warm = [Slices::default(), Slices::default()];
    for _ in 0..TURNS {
        for at in 0..2 {
            if slices[at].outcomes.is_empty() {
                warm[at].load(bench, &receivers[at], &series[at], &mut firsts[at], bench.effort.seconds(0.5, 1.0, 1.0));
            }
            let time = bench.effort.seconds(1.0, 2.0, 6.0);
            slices[at].load(bench, &receivers[at], &series[at], &mut firsts[at], time);
        }
    }
    for at in 0..2 {
        slices[at].check_all_kept()?;
        wait_published(stages[at], &receivers[at], &series[at], warm[at].kept() + slices[at].kept())?;
        let sent: Vec<_> = warm[at].sent().chain(slices[at].sent()).collect();
        arrived::judge(stages[at], &series[at], &sent).check(false)?;
    }
    drop(receivers);
    (0..2).for_each(|at| stages[at].end(&series[at]));
    Ok(slices)
}

/// Slices of bare actix-web, each while a bridge is given as many events for one node, and for three, in turns.
fn control(bench: &Bench, three: &Stage) -> Result<[Slices; 2], String> {
    let stages = [&bench.stage, three];
    let (series, nothing) = (stages.map(Stage::series), bench.stage.bare());
    let start = |at: usize| Receiver::start(Kind::Bridge, &stages[at].kafka.brokers(), &series[at]);
    let bridges = [start(0)?, start(1)?];
    let bare_actix = Receiver::start(Kind::Hmac, NOBODY, &nothing)?;
    let (mut firsts, mut nothing_first) = ([series[0].first, series[1].first], nothing.first);
    let (mut slices, mut beside) = ([Slices::default(), Slices::default()], [Slices::default(), Slices::default()]);
    let time = bench.effort.seconds(1.0, 2.0, 6.0);
    for turn in 0..2 * TURNS {
        let at = turn % 2;
        let (to, first) = (bridges[at].address(), firsts[at]);
        let (library, paths) = (&bench.stage.library, &series[at].paths[..]);
        let published = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let (pace, until) = (Pace::open(PER_SECOND), Until::time(time));
                load::run(&Order { to, paths, library, size: Size::Mix, first, pace, until })
            });
            slices[at].load(bench, &bare_actix, &nothing, &mut nothing_first, time);
            load.join().map_err(|_| "the load generator panicked".to_owned())
        })?;
        firsts[at] += published.statuses.len() as u64;
        beside[at].add(&published.answers);
        beside[at].outcomes.push(published);
    }
    drop(bare_actix);
    for at in 0..2 {
        slices[at].check_all_kept()?;
        beside[at].check_all_kept()?;
        wait_published(stages[at], &bridges[at], &series[at], beside[at].kept())?;
        arrived::judge(stages[at], &series[at], &beside[at].sent().collect::<Vec<_>>()).check(false)?;
    }
    drop(bridges);
    bench.stage.end(&nothing);
    (0..2).for_each(|at| stages[at].end(&series[at]));
    Ok(slices)
}
