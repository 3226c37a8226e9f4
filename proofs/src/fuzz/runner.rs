//! Builds the targets, runs what once failed, then lets the fuzzer loose on each for its time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::stats;
use super::targets::{TARGETS, Target};
use crate::figure::grouped;
use crate::{Effort, Figure, Order};

/// For each target with each commit.
const TIME_PER_COMMIT: Duration = Duration::from_secs(60);
/// A target that runs fewer inputs in its time does nothing worth the name.
const EXECUTIONS_LEAST: u64 = 1_000;
/// Targets that run at the same time.
const AT_ONCE: usize = 2;
/// The first seed where none is given; 0 would be libFuzzer's own choice.
const FIRST_SEED: u64 = 1;
/// An input that takes longer hangs.
const INPUT_SECONDS_MAX: u32 = 10;
/// Address space of one target. libFuzzer's own limit reads the largest memory that the process ever had, into which Linux
/// counts what started it: a program of proofs that has grown.
const ADDRESS_KIB_MAX: u32 = 4 << 20;
/// Beyond its time: the last input, and the end.
const SLACK: Duration = Duration::from_secs(60);
/// How the targets are built. The bridge is safe Rust but for one file that speaks to librdkafka, so no sanitizer is worth
/// its price: panics, overflows and hangs show without one. Comparisons are not traced: checksums cannot be guessed by it,
/// and it halves the speed.
const BUILT: [&str; 3] = ["--sanitizer", "none", "--no-trace-compares"];
const INSTALL: &str = "cargo install --locked cargo-fuzz, and rustup toolchain install nightly --profile minimal";

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    build()?;
    let regressions = run_regressions()?;
    let time = match order.effort {
        Effort::Commit => TIME_PER_COMMIT,
        // Shared out evenly: so many rounds of targets side by side.
        Effort::For(time) => time / TARGETS.len().div_ceil(AT_ONCE) as u32,
    };
    let seed = order.seed.unwrap_or(FIRST_SEED);
    let counts = run_all(time.max(Duration::from_secs(1)), seed)?;
    let of_each: Vec<String> =
        TARGETS.iter().zip(&counts).map(|(target, count)| format!("{} {}", target.name, grouped(*count))).collect();
    let more = format!("{}; {regressions} inputs that once failed, first", of_each.join(", "));
    Ok(Figure { count: counts.iter().sum(), unit: "executions", none: "crashes", more })
}

fn project() -> PathBuf {
    support::tools::root().join("proofs/fuzz")
}

/// cargo-fuzz on nightly.
fn fuzz(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    // What this program was started by may have chosen a toolchain for its children.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.args(["+nightly", "fuzz"]).args(arguments).current_dir(project()).stdin(Stdio::null());
    command
}

fn build() -> Result<(), String> {
    let missing =
        |why: &str| format!("cargo-fuzz or the nightly toolchain is missing ({why}); install them: {INSTALL}");
    let version = fuzz(&["--version"]).output().map_err(|error| missing(&error.to_string()))?;
    if !version.status.success() {
        return Err(missing(String::from_utf8_lossy(&version.stderr).lines().next().unwrap_or_default()));
    }
    let built = fuzz(&["build", "--target", &triple()]).args(BUILT).output();
    let built = built.map_err(|error| missing(&error.to_string()))?;
    if !built.status.success() {
        return Err(format!("the fuzz targets were not built:\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    Ok(())
}

fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn binary(target: &Target) -> PathBuf {
    project().join(format!("target/{}/release/{}", triple(), target.name))
}

/// A target that gets so much memory and no more.
fn bounded(target: &Target) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(r#"ulimit -v {ADDRESS_KIB_MAX} && exec "$0" "$@""#)).arg(binary(target));
    command
}

/// Each input that once failed, once.
fn run_regressions() -> Result<usize, String> {
    let mut count = 0;
    for target in &TARGETS {
        let files = regressions(target);
        if files.is_empty() {
            continue;
        }
        let mut command = bounded(target);
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg("-rss_limit_mb=0").args(&files);
        let ran = run(target, command, SLACK * 2)?;
        if !ran.status.success() {
            return Err(format!(
                "{}: an input that once failed fails again:\n{}\nrepeat it with {}",
                target.name,
                stats::story(&ran.text),
                repeat(target, &format!("regressions/{}/*", target.name))
            ));
        }
        count += files.len();
    }
    Ok(count)
}

fn regressions(target: &Target) -> Vec<PathBuf> {
    let entries = fs::read_dir(project().join("regressions").join(target.name)).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

/// How many inputs each has run, in the order of the targets.
fn run_all(time: Duration, seed: u64) -> Result<Vec<u64>, String> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Ok(0); TARGETS.len()]);
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some((index, target)) = turn(&next) {
                    let outcome = run_one(target, time, seed);
                    outcomes.lock().expect("no thread panics")[index] = outcome;
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no thread panics");
    let failures: Vec<&str> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err().map(String::as_str)).collect();
    if failures.is_empty() { outcomes.into_iter().collect() } else { Err(failures.join("\n\n")) }
}

fn turn(next: &AtomicUsize) -> Option<(usize, &'static Target)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, TARGETS.get(index)?))
}

fn run_one(target: &Target, time: Duration, seed: u64) -> Result<u64, String> {
    let (corpus, seeds) = (project().join("corpus").join(target.name), write_seeds(target)?);
    let artifacts = project().join("artifacts").join(target.name);
    [&corpus, &artifacts].into_iter().try_for_each(|folder| made(folder))?;
    let mut command = bounded(target);
    // libFuzzer's seed has 32 bits, and 0 is "any".
    let seed = u32::try_from(seed % u64::from(u32::MAX)).expect("below").max(1);
    command
        .args([&corpus, &seeds])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", time.as_secs().max(1)))
        .arg(format!("-max_len={}", target.input_bytes_max))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg("-rss_limit_mb=0")
        .arg(format!("-seed={seed}"))
        .arg("-print_final_stats=1");
    let ran = run(target, command, time + SLACK)?;
    if !ran.status.success() {
        let command = stats::artifact(&ran.text).map(|path| repeat(target, path));
        let repeat = command.unwrap_or_else(|| format!("make proofs && target/proof/proofs run fuzz --seed {seed}"));
        return Err(format!("{}: {}\nrepeat it with {repeat}", target.name, stats::story(&ran.text)));
    }
    judge(target, &ran.text)
}

/// A fuzzer that ran nothing has found nothing.
fn judge(target: &Target, text: &str) -> Result<u64, String> {
    let name = target.name;
    let count = stats::executions(text).ok_or_else(|| format!("{name}: no final figures:\n{}", stats::story(text)))?;
    if count < EXECUTIONS_LEAST {
        return Err(format!("{name} ran {count} inputs, fewer than {EXECUTIONS_LEAST}: it proves nothing"));
    }
    Ok(count)
}

fn repeat(target: &Target, path: &str) -> String {
    format!("(cd proofs/fuzz && cargo +nightly fuzz run {} {} {path})", BUILT.join(" "), target.name)
}

/// Inputs to begin with, made anew each time.
fn write_seeds(target: &Target) -> Result<PathBuf, String> {
    let folder = project().join("target/seeds").join(target.name);
    made(&folder)?;
    for (index, seed) in (target.seeds)().iter().enumerate() {
        let path = folder.join(format!("seed-{index}"));
        fs::write(&path, seed).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(folder)
}

fn made(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

struct Ran {
    status: ExitStatus,
    /// All that it wrote.
    text: String,
}

/// Runs a target to its end, but no longer than `within`.
fn run(target: &Target, mut command: Command, within: Duration) -> Result<Ran, String> {
    // Into a file: a pipe that nobody reads would hold it up.
    let path = project().join(format!("target/{}.log", target.name));
    let log = || File::create(&path).map_err(|error| format!("{}: {error}", path.display()));
    let log = log()?;
    let and_errors = log.try_clone().map_err(|error| format!("{}: {error}", path.display()))?;
    // The settings have to be in a file.
    let scratch = project().join("target/scratch");
    made(&scratch)?;
    let mut child = command
        .current_dir(project())
        .env("TMPDIR", &scratch)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(and_errors)
        .spawn()
        .map_err(|error| format!("{} cannot be run: {error}", binary(target).display()))?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < within => std::thread::sleep(Duration::from_millis(50)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{} did not end within {within:?}; its log is {}", target.name, path.display()));
            }
        }
    };
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Ran { status, text: String::from_utf8_lossy(&text).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuzzer_that_does_nothing_does_not_pass() {
        let judged = |count: u64| judge(&TARGETS[0], &format!("stat::number_of_executed_units: {count}\n"));
        assert_eq!(judged(EXECUTIONS_LEAST), Ok(EXECUTIONS_LEAST));
        assert!(judged(EXECUTIONS_LEAST - 1).is_err());
        assert!(judge(&TARGETS[0], "error: no such file\n").is_err());
    }
}
