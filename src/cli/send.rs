//! `retell-bridge send` (slot).

use std::process::ExitCode;

/// Post signed events as Retell does, and say how each was answered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  retell-bridge send --url http://127.0.0.1:8080/webhook")]
pub struct Args {}

/// Runs it.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`send` is not in this build")
}
