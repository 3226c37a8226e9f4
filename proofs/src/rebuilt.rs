//! This program once more, built with a feature: bugs planted, or locks under a checker.
//!
//! In: the name of a binary of this crate and its feature. Out: what it printed, and how it ended. Never happens: a build
//! that is taken for the one with the feature; a run without an end.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A binary of this crate that needs a feature.
#[derive(Debug, Clone, Copy)]
pub struct Rebuilt {
    pub bin: &'static str,
    pub feature: &'static str,
}

const ARGUMENTS: [&str; 5] = ["--profile", "proof", "-p", "proofs", "--no-default-features"];

/// What a run came to.
pub struct Ended {
    pub status: ExitStatus,
    /// Everything on standard output and standard error.
    pub text: String,
}

impl Rebuilt {
    /// What builds it, typed by hand.
    pub fn command(self) -> String {
        let Rebuilt { bin, feature } = self;
        format!("cargo build {} --features {feature} --bin {bin}", ARGUMENTS.join(" "))
    }

    /// Builds it, in the profile of the proofs; where it lies.
    pub fn build(self) -> Result<PathBuf, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet"])
            .args(ARGUMENTS)
            .args(["--features", self.feature, "--bin", self.bin])
            .current_dir(support::tools::root())
            .output()
            .map_err(|error| format!("cargo cannot be run: {error}; it comes with Rust"))?;
        if !output.status.success() {
            return Err(format!("{} was not built:\n{}", self.bin, String::from_utf8_lossy(&output.stderr)));
        }
        Ok(support::tools::binary(self.bin))
    }
}

/// Runs such a program with `arguments` and `variables`; after `within` it is ended, which is an error.
pub fn run(
    program: &Path,
    arguments: &[String],
    variables: &[(&str, &str)],
    within: Duration,
) -> Result<Ended, String> {
    // Into a file: a pipe that nobody reads would hold up what prints a long story.
    let folder = support::tools::folder("rebuilt");
    let path = folder.join("out");
    let out = std::fs::File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(out.try_clone().map_err(|error| format!("{}: {error}", path.display()))?)
        .stderr(out)
        .spawn()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < within => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{} {} did not end within {within:?}", program.display(), arguments.join(" ")));
            }
        }
    };
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let _ = std::fs::remove_dir_all(&folder);
    Ok(Ended { status, text: String::from_utf8_lossy(&text).into_owned() })
}
