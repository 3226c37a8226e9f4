//! `retell-bridge journal inspect | verify`.
use std::process::ExitCode;
/// Look into a journal, also beside a running bridge; never writes.
#[derive(clap::Args)]
pub struct Args {}
/// Runs it.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`journal` is not in this build")
}
