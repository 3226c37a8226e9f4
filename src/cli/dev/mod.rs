//! `retell-bridge dev` (slot).

use std::process::ExitCode;

/// Run everything in this process on loopback: broker, bridge, journal, signed samples.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  retell-bridge dev")]
pub struct Args {}

/// Runs it.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`dev` is not in this build")
}
