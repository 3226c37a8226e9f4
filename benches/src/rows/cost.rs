//! Row `cost`: processor time of one event, whole process, against the sum of its parts.
//!
//! Each round: bare actix-web, the parts, the journal and librdkafka alone, and the bridge, before them or behind them, all
//! with the same bodies and 64 connections. Never happens: a part that is counted twice (the journal's has the checksums,
//! HTTP's the copies of a body, bare actix-web without HMAC is what is summed); work of the load generator in the sum.

use serde_json::json;
use support::tools;

use super::Bench;
use crate::bodies::{KINDS, Size};
use crate::figures::{Figure, Goal};
use crate::floors::{self, parts::Part, parts::Subject};
use crate::load::{Pace, Until};
use crate::receiver::Kind;
use crate::round;

pub const CONNECTIONS: usize = 64;
const PACE: Pace = Pace::Closed { connections: CONNECTIONS };

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut pairs: Vec<Vec<(f64, f64)>> = vec![Vec::new(); Size::PLAIN.len()];
    let mut hmac: Vec<Vec<(f64, f64)>> = vec![Vec::new(); Size::PLAIN.len()];
    for round in 0..bench.effort.rounds() {
        for (at, size) in Size::PLAIN.into_iter().enumerate() {
            let (bridge, (sum, bare)) = if round % 2 == 0 {
                let bridge = bridge(bench, round, size)?;
                (bridge, parts(bench, round, size)?)
            } else {
                let parts = parts(bench, round, size)?;
                (bridge(bench, round, size)?, parts)
            };
            pairs[at].push((bridge, sum));
            hmac[at].push((bridge, bare));
        }
    }
    let mut figures = Vec::new();
    for (at, size) in Size::PLAIN.into_iter().enumerate() {
        let goal = Goal::AtMost(1.25);
        figures.push(Figure::ratio("cpu-parts", size.name(), goal, "µs", &pairs[at], "its parts"));
        let case = format!("{}, against a floor that keeps nothing", size.name());
        figures.push(Figure::ratio("cpu-parts", &case, Goal::Told, "µs", &hmac[at], "bare actix-web with HMAC"));
    }
    Ok(figures)
}

/// Microseconds of the bridge for an event.
fn bridge(bench: &Bench, round: usize, size: Size) -> Result<f64, String> {
    let until = Until::time(bench.effort.seconds(1.0, 4.0, 8.0));
    let measured = round::run(&bench.stage, Kind::Bridge, size, PACE, until)?;
    bench.keep("cost", round, measured.json());
    Ok(measured.cpu_us())
}

/// The sum of the parts, and bare actix-web with HMAC, microseconds.
fn parts(bench: &Bench, round: usize, size: Size) -> Result<(f64, f64), String> {
    let until = Until::time(bench.effort.seconds(0.7, 2.0, 4.0));
    let mut bare = [0.0; 2];
    for (at, kind) in [Kind::Http, Kind::Hmac].into_iter().enumerate() {
        let measured = round::run(&bench.stage, kind, size, PACE, until)?;
        bench.keep("cost", round, measured.json());
        bare[at] = measured.cpu_us();
    }
    let template = bench.stage.library.of(size, 0);
    let mut subject = Subject::new(KINDS[template.kind], template.body(0));
    let time = bench.effort.seconds(0.02, 0.1, 0.3);
    let own = Part::ALL.map(|part| (part, subject.cost_us(part, time)));
    let own_sum: f64 = own.iter().filter(|(part, _)| Part::OWN.contains(part)).map(|(_, cost)| cost).sum();
    let journal = journal(bench, size)?;
    let kafka = kafka(bench, size, bench.effort.pick(2_000, 20_000, 40_000))?;
    let sum = bare[0] + own_sum + journal.cpu_us_per_event() + kafka.cpu_us_per_event();
    bench.keep(
        "cost",
        round,
        json!({
            "parts": size.name(),
            "http_us": bare[0],
            "http_with_hmac_us": bare[1],
            "own_us": own.into_iter().map(|(part, cost)| (part.name().to_owned(), json!(cost))).collect::<serde_json::Map<_, _>>(),
            "journal_us": journal.cpu_us_per_event(),
            "librdkafka_us": kafka.cpu_us_per_event(),
            "sum_us": sum,
        }),
    );
    Ok((sum, bare[1]))
}

fn journal(bench: &Bench, size: Size) -> Result<floors::Told, String> {
    let folder = tools::folder("journal-floor");
    let count = bench.effort.pick(4_000, 20_000, 40_000).to_string();
    let told = floors::ask(&["journal", &folder.to_string_lossy(), size.word(), &count, &CONNECTIONS.to_string()]);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    told
}

/// librdkafka alone, on topics of its own.
pub fn kafka(bench: &Bench, size: Size, count: u64) -> Result<floors::Told, String> {
    let series = bench.stage.series();
    let brokers = bench.stage.kafka.brokers();
    let told = floors::ask(&["kafka", &brokers, &series.source.prefix, size.word(), &count.to_string()]);
    bench.stage.end(&series);
    told
}
