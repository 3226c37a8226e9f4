//! `retell-bridge journal inspect | verify`: what lies in a journal, for people and for machines. Both only read, also
//! beside a running bridge; no event's contents are shown.

mod told;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;

use super::{later, output};
use crate::journal::inspect::{Depth, Inspection, inspect};
use crate::journal::storage::Disk;

/// Look into a journal, also beside a running bridge; never writes.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show segments, lanes, what waits, and damage.
    #[command(after_help = "Example:\n  retell-bridge journal inspect /var/lib/retell-bridge")]
    Inspect(Look),
    /// Check every record's checksum; exit code 1 when something is damaged.
    #[command(after_help = "Example:\n  retell-bridge journal verify /var/lib/retell-bridge --json")]
    Verify(Look),
    /// Say what became of an event. Not in this release.
    #[command(after_help = "Example:\n  retell-bridge journal find /var/lib/retell-bridge --key call_…")]
    Find {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
}

#[derive(clap::Args)]
struct Look {
    /// The folder that `journal.dir` names.
    #[arg(value_name = "DIR", default_value = "/var/lib/retell-bridge")]
    dir: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Look {
    fn at(&self, depth: Depth) -> anyhow::Result<Inspection> {
        let dir = self.dir.display();
        // The error says its own cause: as a context it would be said twice.
        inspect(&Disk::read_only(&self.dir), depth).map_err(|error| {
            anyhow!("there is no journal that can be read in {dir}: {error}; name the folder of `journal.dir`")
        })
    }
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Find { .. } => later::journal_find(),
        Command::Inspect(look) => {
            let inspection = look.at(Depth::Summary)?;
            let text = || told::overview(&inspection);
            if look.json {
                output::line(format_args!("{:#}", told::json(&inspection)))?
            } else {
                output::text(&text())?
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(look) => {
            let inspection = look.at(Depth::Records)?;
            let text = || told::verdict(&inspection);
            if look.json {
                output::line(format_args!("{:#}", told::json(&inspection)))?
            } else {
                output::text(&text())?
            }
            Ok(if inspection.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
