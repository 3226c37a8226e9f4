//! The real binary, run as its user runs it, with a folder of its own for settings and journal.
//!
//! A bridge can be started again after a kill or a stop: same settings, same journal, new ports. Whoever sends to it
//! holds [`Bridge::intake`], which names the port of the day.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{self, Answer};
use super::process::{Lines, Process, spawn_apart, wait_until};
use super::settings::Settings;
use super::{sweep, tools};

/// Generous: two cores shared with a broker and the tests' own load.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The intake's address, which changes with each start.
pub type Intake = Arc<Mutex<SocketAddr>>;

/// Makes the command that starts a bridge with this settings file, where it is not the plain binary.
pub type Launch = Arc<dyn Fn(&Path) -> Command + Send + Sync>;

pub struct Bridge {
    pub folder: PathBuf,
    launch: Launch,
    process: Option<Process>,
    lines: Arc<Lines>,
    intake: Intake,
    admin: SocketAddr,
    /// All that was said to the outside and may give nothing away: metrics, answers that refuse.
    said: Arc<Mutex<Vec<String>>>,
    /// From the command to the listening intake.
    pub started_in: Duration,
}

impl Bridge {
    /// Starts a bridge and waits until it listens.
    pub fn start(settings: Settings) -> Bridge {
        let mut bridge = Bridge::prepare(settings, Arc::new(serve));
        bridge.start_again();
        bridge
    }

    /// A bridge that does not run yet, with the command that will start it.
    pub fn prepare(settings: Settings, launch: Launch) -> Bridge {
        let folder = tools::folder("bridge");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let bridge = Bridge {
            folder,
            launch,
            process: None,
            lines: Arc::default(),
            intake: Arc::new(Mutex::new(nowhere)),
            admin: nowhere,
            said: Arc::default(),
            started_in: Duration::ZERO,
        };
        bridge.configure(&settings);
        bridge
    }

    /// How it is started from now on.
    pub fn launch_with(&mut self, launch: Launch) {
        self.launch = launch;
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Other settings, from the next start on.
    pub fn configure(&self, settings: &Settings) {
        settings.write(&self.settings_file(), &self.journal_dir());
    }

    /// Ends it, and leaves its log, settings and journal in `folder` for whoever wants to understand them.
    pub fn leave(mut self, folder: &Path) {
        drop(self.process.take());
        let (log, bridge) = (self.log().join("\n"), folder.join("bridge"));
        let left = std::fs::rename(&self.folder, &bridge).and_then(|()| std::fs::write(bridge.join("log"), log));
        left.unwrap_or_else(|error| eprintln!("the bridge could not be left in {}: {error}", bridge.display()));
    }

    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the bridge is running already");
        let mut command = (self.launch)(&self.settings_file());
        command.current_dir(&self.folder).env_remove("RETELL_API_KEY").env("RUST_BACKTRACE", "1");
        let (from, began) = (self.lines.count(), Instant::now());
        self.process = Some(Process::start(command, Arc::clone(&self.lines)).expect("the binary can be run"));
        self.admin = self.listening(from, "admin listening");
        *self.intake.lock().expect("no holder panics") = self.listening(from, "intake listening");
        self.wait_line(from, "bridge started", |line| line.contains("bridge started").then_some(()));
        self.started_in = began.elapsed();
    }

    fn listening(&mut self, from: usize, message: &str) -> SocketAddr {
        self.wait_line(from, message, |line| address_of(line, message))
    }

    fn wait_line<T>(&mut self, from: usize, message: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.lines.find(from, Duration::from_millis(200), &find) {
                return found;
            }
            let alive = self.process.as_mut().is_some_and(Process::running);
            assert!(alive && Instant::now() < end, "the bridge did not say {message:?} (running: {alive})");
        }
    }

    pub fn intake(&self) -> Intake {
        Arc::clone(&self.intake)
    }

    pub fn intake_address(&self) -> SocketAddr {
        *self.intake.lock().expect("no holder panics")
    }

    /// The settings that it was started with.
    pub fn settings_file(&self) -> PathBuf {
        self.folder.join("bridge.yaml")
    }

    pub fn journal_dir(&self) -> PathBuf {
        self.folder.join("journal-dir")
    }

    /// What a test was answered and did not expect to carry anything private.
    pub fn keep_for_sweep(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.said)
    }

    pub fn log(&self) -> Vec<String> {
        self.lines.since(0)
    }

    pub fn is_ready(&self) -> bool {
        self.ask("/readyz").is_ok_and(|answer| answer.status == 200)
    }

    pub fn wait_ready(&self) {
        wait_until(PATIENCE, || self.is_ready().then_some(())).expect("the bridge becomes ready");
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// One GET at the admin listener.
    pub fn ask(&self, path: &str) -> std::io::Result<Answer> {
        let answer = http::get(self.admin, path)?;
        self.said.lock().expect("no holder panics").push(answer.text());
        Ok(answer)
    }

    pub fn metrics(&self) -> Metrics {
        Metrics(self.ask("/metrics").expect("/metrics answers").text())
    }

    /// Waits until `holds` is true of the metrics; fails with `what` was waited for.
    pub fn wait_metrics(&self, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        let end = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics();
            if holds(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < end, "waited in vain for {what}; metrics:\n{}", metrics.0);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.take().expect("the bridge is running").kill();
    }

    /// SIGTERM; the exit status and how long it took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let _ = self.ask("/metrics");
        let mut process = self.process.take().expect("the bridge is running");
        let began = Instant::now();
        process.terminate();
        let status = process.wait(PATIENCE).expect("the bridge ends after SIGTERM");
        (status, began.elapsed())
    }

    /// SIGTERM, and another one after `pause`.
    pub fn stop_hurried(&mut self, pause: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("the bridge is running");
        process.terminate();
        assert!(process.wait(pause).is_none(), "the bridge has ended at the first signal");
        process.terminate();
        process.wait(PATIENCE).expect("the bridge ends after two signals")
    }

    /// SIGTERM, and it must end with 0.
    pub fn stop_cleanly(&mut self) {
        let (status, _) = self.stop();
        assert_eq!(status.code(), Some(0), "exit code after SIGTERM");
    }

    /// Everything this bridge has said that gives something away.
    pub fn betrayals(&self) -> Vec<String> {
        let log = self.log();
        let said = self.said.lock().expect("no holder panics");
        sweep::betrayals(log.iter().chain(said.iter()).map(String::as_str))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.ask("/metrics");
        }
        drop(self.process.take());
        if thread::panicking() {
            let log = self.log();
            let last = &log[log.len().saturating_sub(60)..];
            eprintln!("--- the bridge in {}, last of {} lines ---", self.folder.display(), log.len());
            eprintln!("{}\n---", last.join("\n"));
            return;
        }
        let betrayals = self.betrayals();
        assert!(betrayals.is_empty(), "the bridge said what it may not:\n{}", betrayals.join("\n"));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The plain binary.
pub fn serve(settings: &Path) -> Command {
    let mut command = Command::new(tools::binary("retell-bridge"));
    command.arg("serve").arg("--config").arg(settings);
    command
}

/// The address that a `"<part> listening"` line of the JSON log names.
fn address_of(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str().map(str::to_string);
    (field("message")? == message).then(|| field("address")?.parse().ok()).flatten()
}

/// A scrape, to be asked by name and labels.
#[derive(Default)]
pub struct Metrics(pub String);

impl Metrics {
    /// Sum over all series of `name` whose labels contain each of `labels` (`topic="…"`). None when there is no such series.
    pub fn sum(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let mut found = None;
        for line in self.0.lines() {
            let Some(rest) = line.strip_prefix(name) else {
                continue;
            };
            let (series_labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ").unwrap_or((rest, "NaN")),
                None if rest.starts_with(' ') => ("", rest),
                None => continue,
            };
            if labels.iter().all(|label| series_labels.contains(label)) {
                *found.get_or_insert(0.0) += value.trim().parse().unwrap_or(f64::NAN);
            }
        }
        found
    }

    /// As [`Metrics::sum`] of `retell_bridge_<name>`, which must be there: every label pair is, from the start.
    pub fn get(&self, name: &str, labels: &[&str]) -> f64 {
        let name = format!("retell_bridge_{name}");
        self.sum(&name, labels).unwrap_or_else(|| panic!("no series {name} with {labels:?} in\n{}", self.0))
    }
}

/// Runs one of the short commands: `arguments`, the key in `RETELL_API_KEY`, `input` on stdin.
pub fn run(arguments: &[&str], api_key: &str, input: &[u8]) -> Output {
    let mut command = Command::new(tools::binary("retell-bridge"));
    command.args(arguments).env("RETELL_API_KEY", api_key);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn_apart(&mut command).expect("the binary can be run");
    let mut stdin = child.stdin.take().expect("stdin was piped above");
    // A command that leaves early does not read it all, and says why itself.
    let _ = std::io::Write::write_all(&mut stdin, input);
    drop(stdin);
    child.wait_with_output().expect("a child can be waited for")
}
