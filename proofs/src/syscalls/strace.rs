//! strace, which strikes at system calls.
//!
//! In: what to strike. Out: a command, or a tracer at a running process, and what it wrote down. Never happens: a tracer
//! between us and the bridge: with `-D` the process that is started is the bridge itself, so that its end is seen, and
//! the tracer goes when it goes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use support::process::{Lines, Process, wait_until};

use super::case::{CALLS, Case, Fault};

/// Whether strace is there and may trace; if not, the sentence that says so.
pub fn check() -> Result<(), String> {
    let tried = Command::new("strace").args(["-f", "-qq", "-e", "trace=?open", "-o", "/dev/null", "true"]).output();
    let cure = "apt-get install strace";
    match tried {
        Err(error) => Err(format!("strace cannot be run ({error}): {cure}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let cure = "run as root, or with the capability SYS_PTRACE, where ptrace is allowed";
            Err(format!("strace may not trace here ({said}): {cure}"))
        }
    }
}

/// What strace is told beside the program.
pub struct Orders {
    arguments: Vec<String>,
    pub trace: PathBuf,
}

impl Orders {
    /// Writes down all calls of interest, with paths.
    pub fn watch(trace: PathBuf) -> Orders {
        let calls: Vec<String> = CALLS.iter().map(|call| format!("?{call}")).collect();
        Orders::new(trace, &["-y", "-e", &format!("trace={}", calls.join(","))])
    }

    /// Strikes as the case says.
    pub fn strike(case: &Case, dir: &Path, trace: PathBuf) -> Orders {
        let how = match case.fault {
            Fault::Kill => "signal=KILL",
            Fault::Eio => "error=EIO",
            Fault::Enospc => "error=ENOSPC",
        };
        let (call, nth) = (case.call(), case.nth);
        let (watched, inject) = (format!("trace={call}"), format!("inject={call}:{how}:when={nth}"));
        let mut orders = Orders::new(trace, &["-e", &watched, "-e", &inject]);
        if let Some(path) = case.place.path() {
            let path = dir.join(path);
            // The folder itself is opened with a slash at its end.
            let plain = path.to_string_lossy().trim_end_matches('/').to_owned();
            for spelling in [format!("{plain}/"), plain] {
                orders.arguments.extend(["-P".to_owned(), spelling]);
            }
        }
        orders
    }

    /// Holds every call of this name up for so long.
    pub fn delay(call: &str, delay: Duration, trace: PathBuf) -> Orders {
        Orders::inject(call, &format!("delay_enter={}", delay.as_micros()), trace)
    }

    /// As [`Orders::delay`], the first `count` calls of each thread alone.
    pub fn delay_first(call: &str, delay: Duration, count: u64, trace: PathBuf) -> Orders {
        Orders::inject(call, &format!("delay_enter={}:when=1..{count}", delay.as_micros()), trace)
    }

    /// Holds the call up, the `nth` of each thread alone, and then fails it.
    pub fn fail_late(call: &str, delay: Duration, nth: u64, trace: PathBuf) -> Orders {
        Orders::inject(call, &format!("error=EIO:delay_enter={}:when={nth}", delay.as_micros()), trace)
    }

    fn inject(call: &str, what: &str, trace: PathBuf) -> Orders {
        let (watched, inject) = (format!("trace={call}"), format!("inject={call}:{what}"));
        Orders::new(trace, &["--seccomp-bpf", "-e", &watched, "-e", &inject])
    }

    fn new(trace: PathBuf, more: &[&str]) -> Orders {
        let mut arguments: Vec<String> = ["-f", "-qq", "-e", "signal=none"].map(str::to_owned).to_vec();
        arguments.extend(["-o".to_owned(), trace.to_string_lossy().into_owned()]);
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        Orders { arguments, trace }
    }

    /// The command, traced from its first instruction.
    pub fn launch(&self, command: &Command) -> Command {
        let mut traced = Command::new("strace");
        traced.arg("-D").args(&self.arguments).arg("--").arg(command.get_program()).args(command.get_args());
        traced
    }

    /// A tracer at a running process; returns when it holds all threads. It ends with the process.
    pub fn attach(&self, pid: u32) -> Result<Process, String> {
        let mut command = Command::new("strace");
        command.args(&self.arguments).arg("-p").arg(pid.to_string()).stdin(Stdio::null());
        let tracer = Process::start(command, Arc::<Lines>::default()).map_err(|error| format!("strace: {error}"))?;
        let held = || is_traced(pid).then_some(());
        let what = || format!("strace does not get hold of process {pid}: {:?}", tracer.lines.since(0));
        wait_until(Duration::from_secs(20), held).ok_or_else(what)?;
        Ok(tracer)
    }

    /// What was written down.
    pub fn written(&self) -> String {
        std::fs::read(&self.trace).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How many calls were held up.
    pub fn delays(&self) -> usize {
        self.written().lines().filter(|line| line.ends_with("(DELAYED)")).count()
    }

    /// How often an error was put in.
    pub fn strikes(&self) -> usize {
        self.written().lines().filter(|line| line.ends_with("(INJECTED)")).count()
    }
}

/// Every thread has a tracer, or the process is gone.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}
