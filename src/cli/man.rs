//! `retell-bridge man`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Cli, Usage, output};

/// Print the manual page, or that of a command, for man.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  retell-bridge man > retell-bridge.1
  retell-bridge man topics apply | man -l -")]
pub struct Args {
    /// Command, such as `topics apply`.
    command: Vec<String>,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    for name in &args.command {
        let below = command.find_subcommand(name).cloned();
        command = below.ok_or_else(|| Usage(format!("`{name}` is no command; see `retell-bridge help`")))?;
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    output::text(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}
