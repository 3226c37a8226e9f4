//! A program on a stage: started in a pseudo-terminal or with pipes, its words collected, the whole scene printed when
//! something does not come.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Generous: for two busy cores, never a measure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program.
pub struct Scene {
    child: Child,
    words: Arc<Mutex<Vec<u8>>>,
    /// The terminal's other side, where there is a terminal.
    terminal: Option<File>,
}

/// The program itself, without a key or a setting of whoever runs the tests; temporary files go to `tmp`.
pub fn bridge(tmp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
    let ours = |name: &str| name.starts_with("RETELL_") || name == "NO_COLOR";
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command.env("TMPDIR", tmp).env("TERM", "xterm");
    command
}

impl Scene {
    /// In a pseudo-terminal that is the program's own, so that Ctrl-C reaches it as it would a user's.
    pub fn on_a_terminal(mut command: Command) -> Scene {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        for stdio in [Command::stdin, Command::stdout, Command::stderr] {
            stdio(&mut command, Stdio::from(theirs.try_clone().unwrap()));
        }
        // Two system calls that are safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let terminal = File::from(ours.as_fd().try_clone_to_owned().unwrap());
        Scene::listen(child, vec![ours], Some(terminal))
    }

    /// With pipes, as in a script.
    pub fn in_a_pipe(mut command: Command) -> Scene {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Scene::listen(child, vec![OwnedFd::from(out), OwnedFd::from(err)], None)
    }

    fn listen(child: Child, from: Vec<OwnedFd>, terminal: Option<File>) -> Scene {
        let words = Arc::new(Mutex::new(Vec::new()));
        for from in from {
            let (mut from, words) = (File::from(from), Arc::clone(&words));
            std::thread::spawn(move || {
                let mut buffer = [0; 4_096];
                // A terminal whose program has ended gives an error, a pipe its end.
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    words.lock().unwrap().extend_from_slice(&buffer[..count]);
                }
            });
        }
        Scene { child, words, terminal }
    }

    /// All that was said so far, with a terminal's line ends made plain ones.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.words.lock().unwrap()).replace("\r\n", "\n")
    }

    /// Waits until all of `parts` were said; the line of the last one.
    pub fn wait_for(&self, parts: &[&str]) -> String {
        let line = |said: &str| {
            let all = parts.iter().all(|part| said.contains(part));
            let last = said.lines().find(|line| line.contains(parts[parts.len() - 1]));
            last.filter(|_| all).map(str::to_owned)
        };
        self.wait(&format!("{parts:?}"), |scene| line(&scene.said()))
    }

    fn wait<T>(&self, what: &str, found: impl Fn(&Scene) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(Instant::now() < until, "{what} did not come within {PATIENCE:?}; the scene:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ctrl-C: the key on a terminal, the signal elsewhere.
    pub fn interrupt(&mut self) {
        match &mut self.terminal {
            Some(terminal) => terminal.write_all(b"\x03").unwrap(),
            None => {
                let pid = rustix::process::Pid::from_child(&self.child);
                rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            }
        }
    }

    /// Waits for the program's end.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end; the scene:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
