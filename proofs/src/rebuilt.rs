//! A binary of this package, built anew with a feature, and run.
//!
//! In: the binary's name, features, arguments, variables. Out: what it printed. Never happens: a build with another
//! profile than this one's.

use std::process::{Command, Output};

/// Builds it.
pub fn build(bin: &str, feature: &str) -> Result<(), String> {
    let output = cargo("build", bin, feature).output().map_err(|error| no_cargo(&error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{bin} with {feature} cannot be built:\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Runs it to its end; built before it where it is stale.
pub fn run(bin: &str, feature: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output, String> {
    let mut command = cargo("run", bin, feature);
    command.arg("--").args(arguments).envs(variables.iter().copied());
    command.output().map_err(|error| no_cargo(&error))
}

fn cargo(verb: &str, bin: &str, feature: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    command.args([verb, "--quiet", "--manifest-path", manifest, "--profile", &profile()]);
    command.args(["--bin", bin, "--no-default-features", "--features", feature]);
    command
}

/// The folder of this process's binary is named after its profile, but for one.
fn profile() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let folders = path.ancestors().skip(1).filter_map(|folder| folder.file_name()?.to_str());
    let folder = folders.into_iter().find(|name| *name != "deps").unwrap_or("debug");
    if folder == "debug" { "dev".into() } else { folder.into() }
}

fn no_cargo(error: &std::io::Error) -> String {
    format!("cargo cannot be started: {error}; install Rust, or name cargo in the variable CARGO")
}
