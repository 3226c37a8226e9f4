//! `retell-bridge completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, output};

/// Print the completion script of a shell.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  retell-bridge completions bash > /etc/bash_completion.d/retell-bridge")]
pub struct Args {
    shell: Shell,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "retell-bridge", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
