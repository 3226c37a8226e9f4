//! `retell-bridge topics plan | apply`.
use std::process::ExitCode;
/// Say which topics are missing or too small for the largest body, or make and change them.
#[derive(clap::Args)]
pub struct Args {}
/// Runs it.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`topics` is not in this build")
}
