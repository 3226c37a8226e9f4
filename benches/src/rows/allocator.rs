//! Row `allocator`: memory in and after a burst of bodies of 8 MiB, and processor time of the mix, with glibc's allocator, as
//! the bridge is built, and with jemalloc and mimalloc loaded before it.
//!
//! Each round, for each allocator in turn: 64 bodies over 16 connections, and five seconds of rest, on a bridge whose Kafka is
//! away: no topic takes a record of this size as it comes, and what is compared is what the intake and the journal leave
//! behind. `intake.in_flight_max` has room for all of them, or others would be turned away with each allocator. Then a burst
//! of the mix on a bridge as it comes.
//!
//! Never happens: an allocator that is not there and is left out in silence; a figure of a bridge that has not loaded it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::bridge::Launch;

use super::Bench;
use crate::bodies::{Library, Size};
use crate::figures::{Figure, Goal};
use crate::load::{self, Order, Pace, Until};
use crate::receiver::{self, Kind, NOBODY, Receiver};
use crate::round;
use crate::usage;

/// A little less than `intake.body_max` as it comes.
const BODY_BYTES: usize = 8_380_000;
const BODIES: u64 = 64;
const BODY_CONNECTIONS: usize = 16;
/// Twice what all connections can hold.
const IN_FLIGHT_MAX: &str = "256MiB";
const REST: Duration = Duration::from_secs(5);
const MIX: Pace = Pace::Closed { connections: 64 };

/// Name, how its library's name begins, and what brings it.
const LOADED: [(&str, &str, &str); 2] = [
    ("jemalloc", "libjemalloc.so", "apt-get install libjemalloc2"),
    ("mimalloc", "libmimalloc.so", "apt-get install libmimalloc2.0 (libmimalloc3 from Debian 13 on)"),
];

struct Allocator {
    name: &'static str,
    /// Loaded before all others; none for the one that the bridge is built with.
    library: Option<PathBuf>,
}

/// What is told, in which unit, and what it is of a round.
type Case = (String, &'static str, fn(&Used) -> f64);

/// What one round gave.
struct Used {
    peak_mib: f64,
    /// After the rest.
    left_mib: f64,
    /// Microseconds for an event of the mix.
    cost: f64,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut allocators = vec![Allocator { name: "glibc", library: None }];
    let mut missing = Vec::new();
    for (name, begins, cure) in LOADED {
        match found(begins) {
            Some(library) => allocators.push(Allocator { name, library: Some(library) }),
            None => missing.push(Figure::failed("allocator", name, &format!("no {begins}* in {}: {cure}", folder()))),
        }
    }
    let bodies = Library::of_one(&bench.stage.bare().source.api_key, BODY_BYTES);
    let mut used: Vec<Vec<Used>> = allocators.iter().map(|_| Vec::new()).collect();
    for number in 0..bench.effort.few_rounds() {
        for (at, allocator) in bench.in_turns(number, allocators.iter().enumerate()) {
            let one = round(bench, allocator, &bodies).map_err(|story| format!("{}: {story}", allocator.name))?;
            let told = json!({
                "allocator": allocator.name,
                "library": allocator.library,
                "peak_mib": one.peak_mib,
                "left_mib": one.left_mib,
                "mix_cpu_us_per_event": one.cost,
            });
            bench.keep("allocator", number, told);
            used[at].push(one);
        }
    }
    let own = &used[0];
    let figures = allocators.iter().zip(&used).flat_map(|(allocator, used)| figures(allocator, used, own));
    Ok(figures.chain(missing).collect())
}

/// The one that the bridge is built with by itself, any other beside it.
fn figures(allocator: &Allocator, used: &[Used], own: &[Used]) -> Vec<Figure> {
    let burst = format!("{BODIES} bodies of 8 MiB over {BODY_CONNECTIONS} connections");
    let cases: [Case; 3] = [
        (format!("most memory, {burst}"), "MiB", |used| used.peak_mib),
        (format!("memory {} s after them", REST.as_secs()), "MiB", |used| used.left_mib),
        ("CPU per event of the mix, 64 connections".to_owned(), "µs", |used| used.cost),
    ];
    let figure = |(case, unit, of): Case| {
        let case = format!("{}: {case}", allocator.name);
        if allocator.library.is_none() {
            return Figure::plain("allocator", &case, Goal::Told, unit, &used.iter().map(of).collect::<Vec<_>>());
        }
        let pairs: Vec<_> = used.iter().map(of).zip(own.iter().map(of)).collect();
        Figure::ratio("allocator", &case, Goal::Told, unit, &pairs, "glibc's")
    };
    cases.map(figure).into()
}

fn round(bench: &Bench, allocator: &Allocator, bodies: &Library) -> Result<Used, String> {
    let (peak_mib, left_mib) = huge(bench, allocator, bodies)?;
    Ok(Used { peak_mib, left_mib, cost: mix(bench, allocator)? })
}

/// The most memory in a burst of huge bodies, and what is left of it, MiB.
fn huge(bench: &Bench, allocator: &Allocator, bodies: &Library) -> Result<(f64, f64), String> {
    let series = bench.stage.bare();
    let settings = receiver::settings(NOBODY, &series).with(json!({ "intake": { "in_flight_max": IN_FLIGHT_MAX } }));
    let receiver = Receiver::launched(settings, launch(allocator));
    has_loaded(&receiver, allocator)?;
    usage::reset_peak(receiver.pid());
    let outcome = load::run(&Order {
        to: receiver.address(),
        paths: &series.paths,
        library: bodies,
        size: Size::Large,
        first: series.first,
        pace: Pace::Closed { connections: BODY_CONNECTIONS },
        until: Until::events(BODIES),
    });
    let peak_bytes = usage::peak_bytes(receiver.pid());
    if outcome.kept() != BODIES {
        return Err(format!("{} of {BODIES} were answered 2xx: {:?}", outcome.kept(), outcome.first_refusal));
    }
    std::thread::sleep(REST);
    Ok((mib(peak_bytes), mib(usage::resident_bytes(receiver.pid()))))
}

/// Microseconds for an event of the mix.
fn mix(bench: &Bench, allocator: &Allocator) -> Result<f64, String> {
    let stage = &bench.stage;
    let series = stage.series();
    let settings = receiver::settings(&stage.kafka.brokers(), &series);
    let receiver = Receiver::launched(settings, launch(allocator));
    has_loaded(&receiver, allocator)?;
    let load = (Size::Mix, MIX, Until::time(bench.effort.seconds(1.0, 3.0, 3.0)));
    let measured = round::warmed(stage, &receiver, &series, Kind::Bridge, load);
    drop(receiver);
    stage.end(&series);
    Ok(measured?.cpu_us())
}

fn launch(allocator: &Allocator) -> Launch {
    let library = allocator.library.clone();
    Arc::new(move |settings: &Path| {
        let mut command = receiver::serve(settings);
        match &library {
            Some(library) => command.env("LD_PRELOAD", library),
            None => command.env_remove("LD_PRELOAD"),
        };
        command
    })
}

/// A library that cannot be loaded is a warning of the loader's, and a static binary has no loader.
fn has_loaded(receiver: &Receiver, allocator: &Allocator) -> Result<(), String> {
    let Some(library) = &allocator.library else { return Ok(()) };
    let maps = fs::read_to_string(format!("/proc/{}/maps", receiver.pid())).map_err(|error| error.to_string())?;
    let name = library.to_string_lossy();
    if maps.contains(&*name) { Ok(()) } else { Err(format!("the bridge has not loaded {name}")) }
}

/// Where Debian has its libraries.
fn folder() -> String {
    format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH)
}

/// The file that a library's name leads to; of several the last.
fn found(begins: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begins));
    named.filter_map(|entry| entry.path().canonicalize().ok()).max()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
