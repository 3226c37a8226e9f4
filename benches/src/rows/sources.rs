//! Row `sources`: the same load on 1, 8 and 64 sources, and on topics of a hundred partitions each.
//!
//! The sources share one prefix, so that topics do not grow with them. Never happens: a figure of a load that was not warm.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::events::Source;
use support::settings::Settings;

use super::Bench;
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::load::{self, Order, Pace, Until};
use crate::receiver::Receiver;
use crate::round::wait_published;
use crate::stage::{PARTITIONS, Series};
use crate::usage;

/// Three topics of these: 300.
const MANY_PARTITIONS: i32 = 100;

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut rounds: Vec<[f64; 4]> = Vec::new();
    let cases = [(1, PARTITIONS), (8, PARTITIONS), (64, PARTITIONS), (1, MANY_PARTITIONS)];
    for number in 0..bench.effort.few_rounds() {
        let mut costs = [0.0; 4];
        for (at, (sources, partitions)) in bench.in_turns(number, cases.into_iter().enumerate()) {
            costs[at] = round(bench, sources, partitions)?;
        }
        bench.keep("sources", number, json!({ "cpu_us_of_1_8_64_sources_and_300_partitions": costs }));
        rounds.push(costs);
    }
    let pairs = |at: usize| rounds.iter().map(|costs| (costs[at], costs[0])).collect::<Vec<_>>();
    Ok(vec![
        Figure::ratio("scale", "8 sources, one prefix", Goal::AtMost(1.1), "µs", &pairs(1), "1 source"),
        Figure::ratio("scale", "64 sources, one prefix", Goal::AtMost(1.1), "µs", &pairs(2), "1 source"),
        Figure::ratio(
            "scale",
            "300 partitions in the topics that events go to",
            Goal::Told,
            "µs",
            &pairs(3),
            "18 partitions",
        ),
    ])
}

/// Microseconds for an event.
fn round(bench: &Bench, sources: usize, partitions: i32) -> Result<f64, String> {
    let stage = &bench.stage;
    let series = stage.series_of(partitions);
    let sources = named(&series, sources);
    let receiver = Receiver::bridge(settings(&stage.kafka.brokers(), &sources));
    let paths: Vec<String> = sources.iter().map(|source| source.path.clone()).collect();
    let send = |first: u64, time: Duration| {
        load::run(&Order {
            to: receiver.address(),
            paths: &paths,
            library: &stage.library,
            size: Size::Middle,
            first,
            pace: Pace::Closed { connections: 64 },
            until: Until::time(time),
        })
    };
    let warm = send(series.first, bench.effort.seconds(0.2, 0.5, 1.0));
    wait_published(stage, &receiver, &series, warm.kept())?;
    let cpu = usage::cpu(receiver.pid());
    let outcome = send(series.first + warm.statuses.len() as u64, bench.effort.seconds(1.0, 3.0, 6.0));
    wait_published(stage, &receiver, &series, warm.kept() + outcome.kept())?;
    let cpu = usage::cpu(receiver.pid()) - cpu;
    arrived::judge(stage, &series, &[(Size::Middle, &warm), (Size::Middle, &outcome)]).check(false)?;
    drop(receiver);
    stage.end(&series);
    Ok(cpu.as_secs_f64() * 1e6 / outcome.kept().max(1) as f64)
}

/// Sources with paths of their own, one key, one prefix.
fn named(series: &Series, count: usize) -> Vec<Arc<Source>> {
    let one = |number: usize| {
        Arc::new(Source {
            name: format!("workspace{number}"),
            path: format!("/retell/{number}"),
            api_key: series.source.api_key.clone(),
            prefix: series.source.prefix.clone(),
        })
    };
    (0..count).map(one).collect()
}

fn settings(brokers: &str, sources: &[Arc<Source>]) -> Settings {
    let sources: Vec<&Arc<Source>> = sources.iter().collect();
    Settings::new(brokers, &sources).with(json!({
        "journal": { "allow_ephemeral": false, "size_max": "8GiB" },
    }))
}
