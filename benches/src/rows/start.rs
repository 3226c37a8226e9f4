//! Row `start`: the binary's size, and from the command to ready, with Kafka and without.
//!
//! Never happens: a start with a journal that is there already.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use support::bridge::Bridge;

use super::Bench;
use crate::figures::{Figure, Goal};
use crate::receiver::{self, NOBODY, bridge_binary, serve};
use crate::stage::Series;

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let bytes = std::fs::metadata(bridge_binary()).map_err(|error| error.to_string())?.len();
    let mut seconds = [Vec::new(), Vec::new()];
    let series = bench.stage.series();
    for number in 0..bench.effort.pick(2, 5, 9) {
        for (at, brokers) in [bench.stage.kafka.brokers().as_str(), NOBODY].into_iter().enumerate() {
            seconds[at].push(start(brokers, &series));
        }
        bench.keep(
            "start",
            number,
            json!({ "seconds_with_and_without_kafka": [seconds[0][number], seconds[1][number]] }),
        );
    }
    bench.stage.end(&series);
    Ok(vec![
        Figure::plain("start", "the binary, stripped", Goal::AtMost(25.0), "MB", &[bytes as f64 / 1e6]),
        Figure::bound("start", "to ready, with Kafka", Goal::AtMost(1.0), "s", &seconds[0]),
        Figure::bound("start", "to ready, without Kafka", Goal::AtMost(1.0), "s", &seconds[1]),
    ])
}

/// Seconds from the command to a first "ready".
fn start(brokers: &str, series: &Series) -> f64 {
    let mut bridge = Bridge::prepare(receiver::settings(brokers, series), Arc::new(serve));
    let began = Instant::now();
    bridge.start_again();
    while !bridge.is_ready() {
        std::thread::yield_now();
    }
    began.elapsed().as_secs_f64()
}
