//! A flame graph of the bridge under a closed loop of the mix: where its processor time goes.
//!
//! In: a bridge with symbols and frame pointers (`make flamegraph` builds it), and perf. Out: one SVG. Never happens: a graph
//! of a run that lost something.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use inferno::collapse::{Collapse, perf};
use inferno::flamegraph;
use support::tools;

use crate::load::Pace;
use crate::receiver::{Kind, Receiver};
use crate::report::Machine;
use crate::round::{self, Load};
use crate::stage::Stage;

const SAMPLES_PER_SECOND: u32 = 997;
const STARTED_AFTER: Duration = Duration::from_secs(1);

/// Runs the bridge under a load and draws it into `out`.
pub fn draw(stage: &Stage, load: Load, out: &Path) -> Result<(), String> {
    let folder = tools::folder("flame");
    let samples = folder.join("perf.data");
    let series = stage.series();
    let receiver = Receiver::start(Kind::Bridge, &stage.kafka.brokers(), &series)?;
    // perf asks for each thread that it has seen, and gives up where one has ended since: those that only start others do.
    std::thread::sleep(STARTED_AFTER);
    let mut perf = record(receiver.pid(), &samples, load.2.time)?;
    round::on(stage, &receiver, &series, Kind::Bridge, load, None)?;
    let status = perf.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("perf ended with {status}: may this user sample (kernel.perf_event_paranoid)?"));
    }
    drop(receiver);
    stage.end(&series);
    let title = title(load, &Machine::here(&folder));
    let drawn = fold(&samples, &folder.join("folded"), out, &title);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    drawn
}

fn record(pid: u32, samples: &Path, time: Duration) -> Result<Child, String> {
    let mut command = Command::new("perf");
    // The processor's own counters are not there on every virtual machine; its clock is.
    command.args(["record", "--quiet", "-e", "cpu-clock", "-g", "-F", &SAMPLES_PER_SECOND.to_string()]);
    command.args(["-p", &pid.to_string(), "-o"]).arg(samples).args(["--", "sleep", &time.as_secs().to_string()]);
    command.stdout(Stdio::null());
    command.spawn().map_err(|error| format!("perf cannot be run ({error}): apt-get install linux-perf"))
}

fn title((size, pace, _): Load, machine: &Machine) -> String {
    let pace = match pace {
        Pace::Closed { connections } => format!("closed loop over {connections} connections"),
        Pace::Open { per_second, .. } => format!("{per_second} events/s"),
    };
    let Machine { commit, date, cores, processor, .. } = machine;
    format!("retell-bridge {commit}, {}, {pace}; {cores} × {processor}, {date}", size.name())
}

fn fold(samples: &Path, folded: &Path, out: &Path, title: &str) -> Result<(), String> {
    let told = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut script = Command::new("perf");
    script.args(["script", "-i"]).arg(samples).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut script = script.spawn().map_err(|error| told("perf script", error))?;
    let text = BufReader::new(script.stdout.take().expect("it was piped above"));
    let file = File::create(folded).map_err(|error| told("folded stacks", error))?;
    perf::Folder::default().collapse(text, BufWriter::new(file)).map_err(|error| told("stacks", error))?;
    script.wait().map_err(|error| told("perf script", error))?;
    let mut options = flamegraph::Options::default();
    options.title = title.to_owned();
    options.count_name = "ns".to_owned();
    options.min_width = 0.1;
    let stacks = BufReader::new(File::open(folded).map_err(|error| told("folded stacks", error))?);
    let file = File::create(out).map_err(|error| told("the graph", error))?;
    flamegraph::from_reader(&mut options, stacks, BufWriter::new(file)).map_err(|error| told("the graph", error))
}
