//! `retell-bridge journal inspect | verify`.

use std::ffi::OsString;
use std::process::ExitCode;

use super::later;

/// Look into a journal, also beside a running bridge; never writes.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what became of an event. Not in this release.
    #[command(after_help = "Example:\n  retell-bridge journal find /var/lib/retell-bridge --key call_…")]
    Find {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Find { .. } => later::journal_find(),
    }
}
