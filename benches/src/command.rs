//! The command `bench`: which rows, how much of each, one line for each figure, then the page.
//!
//! Exit codes: 0 every row was measured, whatever its verdicts; 1 a row could not be measured, or a run lost something;
//! 2 wrong usage. A goal that is not met is no failure of the command: it stands in the table.

use std::cell::RefCell;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use support::tools;

use crate::bodies::Size;
use crate::figures::Figure;
use crate::flame;
use crate::floors::{http, journal, kafka};
use crate::load::{Pace, Until};
use crate::peers::{Mode, Peer};
use crate::receiver::{self, Kind};
use crate::report::{self, FILES, Machine, Results};
use crate::round;
use crate::rows::{Bench, Effort, ROWS, Row};
use crate::stage::Stage;

/// Measures what an event costs and how fast it is answered, beside floors and peers in the same rounds.
#[derive(Parser)]
#[command(name = "bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Name the rows and what each measures.
    List,
    /// Measure rows in some twenty minutes on two quiet cores; all but the long run's own where none is named.
    Run {
        #[command(flatten)]
        given: Given,
        /// One short round each, to see that it works; nothing is published.
        #[arg(long)]
        quick: bool,
        /// Every peer, as the long run has them, and not the one in Rust alone.
        #[arg(long)]
        all_peers: bool,
    },
    /// More of each: ten gigabytes of backlog, every peer, longer bursts. Hours, and 40 GB of disk.
    Long {
        #[command(flatten)]
        given: Given,
    },
    /// Write page and plots anew from the results that are there.
    Page {
        /// The folder of the results.
        #[arg(long, default_value_os_t = docs())]
        out: PathBuf,
    },
    /// Draw a flame graph of a bridge that was built with symbols and frame pointers (`make flamegraph` does both).
    Flame {
        #[arg(long, value_name = "BINARY")]
        bridge: PathBuf,
        #[arg(long, value_name = "FILE", default_value_os_t = docs().join("flamegraph.svg"))]
        out: PathBuf,
        /// Seconds.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Bodies: small, middle, large, or mix.
        #[arg(long, default_value = "mix", value_parser = size)]
        size: Size,
        #[arg(long, default_value_t = 64)]
        connections: usize,
    },
    /// A floor in a process of its own; the rounds run these.
    #[command(hide = true, subcommand)]
    Floor(Floor),
}

#[derive(clap::Args)]
struct Given {
    /// Names, as `list` tells them.
    #[arg(value_parser = row_names())]
    names: Vec<String>,
    /// The bridge to measure, instead of the one built with this program.
    #[arg(long, value_name = "BINARY")]
    bridge: Option<PathBuf>,
    /// Where results, page and plots go; docs/performance, or target/bench-quick for --quick.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Floor {
    Http,
    Hmac,
    Journal { folder: PathBuf, size: String, count: u64, at_once: usize },
    Kafka { brokers: String, prefix: String, size: String, count: u64 },
}

fn row_names() -> clap::builder::PossibleValuesParser {
    ROWS.iter().map(|row| row.name).into()
}

fn docs() -> PathBuf {
    tools::root().join("docs/performance")
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let outcome = match cli.what {
        What::List => {
            ROWS.iter().for_each(|row| say(&format!("{:<10} {}", row.name, row.what)));
            Ok(())
        }
        What::Run { given, quick, all_peers } => {
            run(given, if quick { Effort::Quick } else { Effort::Usual }, all_peers)
        }
        What::Long { given } => run(given, Effort::Long, true),
        What::Page { out } => report::write(&out),
        What::Flame { bridge, out, seconds, size, connections } => {
            let until = Until::time(Duration::from_secs(seconds));
            flame(bridge, &out, (size, Pace::Closed { connections }, until))
        }
        What::Floor(floor) => run_floor(floor),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(given: Given, effort: Effort, all_peers: bool) -> Result<(), String> {
    raise_descriptors();
    receiver::measure_bridge(given.bridge)?;
    if all_peers {
        // What is not fetched is told now, and not hours later by a table with holes.
        Peer::ALL.into_iter().try_for_each(|peer| peer.command().map(drop))?;
    }
    let quick = tools::root().join("target/bench-quick");
    let out = given.out.unwrap_or_else(|| effort.pick(quick, docs(), docs()));
    let machine = Machine::here(&tools::folder("machine"));
    if machine.load_before > 0.5 && effort != Effort::Quick {
        say(&format!(
            "the load average is {:.1}: somebody else is at work, and figures will wander",
            machine.load_before
        ));
    }
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.is_in(effort, &given.names)).collect();
    let bench = Bench { effort, all_peers, stage: Stage::start(), rounds: RefCell::default() };
    warm(&bench)?;
    let (began, mut figures, mut failed) = (Instant::now(), Vec::new(), Vec::new());
    for row in &rows {
        let (mut measured, is_measured) = measure(row, &bench);
        if !is_measured {
            failed.push(row.name);
        }
        for figure in &mut measured {
            figure.row = row.name.to_owned();
            figure.date.clone_from(&machine.date);
            figure.commit.clone_from(&machine.commit);
        }
        figures.extend(measured);
    }
    say(&format!("{:<10} {:.0} s", "in all", began.elapsed().as_secs_f64()));
    let usual = if all_peers { "make bench-peers" } else { "make bench" };
    let command = effort.pick("bench run --quick", usual, "make bench-long").to_owned();
    let mut rounds = bench.rounds.take();
    // A row that lost something has no rounds either: nobody is to read a speed out of them.
    rounds.retain(|round| !failed.iter().any(|name| round["row"] == *name));
    if !figures.is_empty() {
        let file = effort.pick(FILES[0], FILES[0], FILES[1]);
        let how = format!("{} In all {:.0} minutes.", effort.told(), began.elapsed().as_secs_f64() / 60.0);
        report::add(&out, file, Results { machine, command, how, figures, rounds })?;
        say(&format!("written to {}", out.display()));
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", "))) }
}

/// The figures of a row; of one that fails, a line for each of its goals that says so.
fn measure(row: &Row, bench: &Bench) -> (Vec<Figure>, bool) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (row.run)(bench)));
    match outcome.unwrap_or_else(|_| Err("it panicked: what it ran on was not as it had to be".into())) {
        Ok(measured) => {
            measured.iter().for_each(tell);
            say(&format!("{:<10} measured in {:.0} s", row.name, began.elapsed().as_secs_f64()));
            (measured, true)
        }
        Err(story) => {
            say(&format!("{:<10} FAILED: {story}", row.name));
            let case = format!("row `{}`", row.name);
            (row.goals.iter().map(|goal| Figure::failed(goal, &case, &story)).collect(), false)
        }
    }
}

fn flame(bridge: PathBuf, out: &Path, load: (Size, Pace, Until)) -> Result<(), String> {
    receiver::measure_bridge(Some(bridge))?;
    flame::draw(&Stage::start(), load, out)?;
    say(&format!("written to {}", out.display()));
    Ok(())
}

/// A cold broker is several times slower in its first seconds.
fn warm(bench: &Bench) -> Result<(), String> {
    let (pace, until) = (Pace::Closed { connections: 64 }, Until::time(bench.effort.seconds(1.0, 5.0, 5.0)));
    for kind in [Kind::Peer(Peer::Rust(Mode::Waits)), Kind::Bridge] {
        round::run(&bench.stage, kind, Size::Mix, pace, until)?;
    }
    Ok(())
}

fn tell(figure: &Figure) {
    let ratio = figure.ratio_text();
    let failure = figure.failure.clone().unwrap_or_default();
    let parts = [&figure.goal_name, &figure.case, &figure.measured, &figure.beside, &ratio, &figure.note, &failure];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    say(&format!("  {}: {}", parts.join(" | "), figure.verdict().trim_matches('*')));
}

fn size(word: &str) -> Result<Size, String> {
    Size::of_word(word).ok_or_else(|| format!("no size is called {word}"))
}

fn run_floor(floor: Floor) -> Result<(), String> {
    let told = match floor {
        Floor::Http => return http::serve(false).map_err(|error| error.to_string()),
        Floor::Hmac => return http::serve(true).map_err(|error| error.to_string()),
        Floor::Journal { folder, size: word, count, at_once } => {
            journal::append(&folder, size(&word)?, count, at_once)?
        }
        Floor::Kafka { brokers, prefix, size: word, count } => {
            kafka::produce(&brokers, &prefix, size(&word)?, count).map_err(|error| error.to_string())?
        }
    };
    say(&serde_json::to_string(&told).map_err(|error| error.to_string())?);
    Ok(())
}

/// Hundreds of connections on both ends of several receivers.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("a soft limit may be raised to the hard one");
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may have left; the exit code still says it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
