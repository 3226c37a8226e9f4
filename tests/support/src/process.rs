//! Child processes that never outlive the tests, and what they print.
//!
//! The kernel kills a child when the *thread* that started it ends (`PR_SET_PDEATHSIG`), and each test has a thread of
//! its own; so one keeper thread, which lives as long as the test process, starts them all. A broker shared by all
//! tests, which nobody drops, therefore dies with the process, however that one dies.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// From fork to exec a child holds a copy of every descriptor here: a port that its owner closes just then stays taken.
static SPAWNING: RwLock<()> = RwLock::new(());

static KEEPER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();

/// A running child, with every line it has printed on stdout and stderr.
pub struct Process {
    child: Child,
    pub lines: Arc<Lines>,
}

impl Process {
    /// Starts `command`; its lines are added to `lines` (which may hold those of an earlier run).
    pub fn start(mut command: Command, lines: Arc<Lines>) -> io::Result<Process> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        lines.follow(out.expect("stdout was piped above"));
        lines.follow(err.expect("stderr was piped above"));
        Ok(Process { child, lines })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`; returns when the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, not waited for.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }

    /// The exit status, if it comes within `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        wait_until(timeout, || self.child.try_wait().expect("a child can be waited for"))
    }

    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lines printed by a process, growing while it runs.
#[derive(Default)]
pub struct Lines {
    all: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Lines {
    fn follow(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let lines = Arc::clone(self);
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                lines.push(String::from_utf8_lossy(&line).trim_end().to_string());
                line.clear();
            }
        });
    }

    pub fn push(&self, line: String) {
        self.all.lock().expect("no holder panics").push(line);
        self.grown.notify_all();
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.lock().expect("no holder panics").len()
    }

    /// A copy of all lines from number `from` on.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.all.lock().expect("no holder panics")[from..].to_vec()
    }

    /// The first answer of `find` on a line from number `from` on, waiting for lines to come.
    pub fn find<T>(&self, from: usize, timeout: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + timeout;
        let mut seen = from;
        let mut all = self.all.lock().expect("no holder panics");
        loop {
            if let Some(found) = all[seen..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            seen = all.len();
            let left = end.checked_duration_since(Instant::now())?;
            all = self.grown.wait_timeout(all, left).expect("no holder panics").0;
        }
    }
}

/// Asks `question` every 20 ms until it has an answer or `timeout` has passed.
pub fn wait_until<T>(timeout: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A size that the kernel tells of a running process (`VmRSS:`, `VmHWM:`), bytes; `None` where it is gone.
pub fn status_bytes(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn spawn(command: Command) -> io::Result<Child> {
    let keeper = KEEPER.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (command, reply) in taken {
                let _ = reply.send(spawn_here(command));
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = mpsc::channel();
    keeper.lock().expect("no holder panics").send((command, reply)).expect("the keeper never ends");
    answer.recv().expect("the keeper answers every order")
}

fn spawn_here(mut command: Command) -> io::Result<Child> {
    let die_with_us = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(die_with_us) };
    spawn_apart(&mut command)
}

/// Starts `command`, not while somebody is in [`between_spawns`].
pub fn spawn_apart(command: &mut Command) -> io::Result<Child> {
    let _held = SPAWNING.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Runs `command` to its end, started by [`spawn_apart`].
pub fn output_apart(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn_apart(command)?.wait_with_output()
}

/// Does what must not meet a half-made child: closing a port to take it again.
pub fn between_spawns<T>(work: impl FnOnce() -> T) -> T {
    let _held = SPAWNING.write().unwrap_or_else(PoisonError::into_inner);
    work()
}
