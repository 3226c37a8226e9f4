//! `retell-bridge journal inspect | verify | find`: what lies in a journal, for people and for machines. They only read,
//! also beside a running bridge; no event's contents are shown unless `find` is asked for bodies.

mod fate;
mod find;
mod found;
mod told;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;

use super::output;
use super::settings::Settings;
use crate::journal::OpenError;
use crate::journal::inspect::{Depth, Inspection, inspect};
use crate::journal::storage::Disk;

/// Look into a journal, also beside a running bridge; never writes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  retell-bridge journal find --config config.yaml --key call_0123456789abcdef")]
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
    /// Say what became of events: received when, how large, and for each topic whether it has it.
    ///
    /// settled: Kafka has confirmed it there or, set aside, on the topic of dead letters (`dead-letters list --topic`).
    /// waiting: not yet, or within the last second, as the checkpoint is behind by that much. set aside: it lies in the
    /// folder of dead letters. unknown: neither checkpoint nor folder can tell, and why. Exit code 1 where nothing is found.
    #[command(after_help = "\
Examples:
  retell-bridge journal find /var/lib/retell-bridge --key call_0123456789abcdef
  retell-bridge journal find --config config.yaml --type call_analyzed --since 2h --json
  retell-bridge journal find /var/lib/retell-bridge --position 1234 --body")]
    Find(find::Args),
}

#[derive(clap::Args)]
struct Look {
    /// The folder of the journal; without it, what `journal.dir` says.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Look {
    fn at(&self, depth: Depth) -> anyhow::Result<Inspection> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => self.settings.load_without_keys()?.config.journal_dir,
        };
        inspect(&Disk::read_only(&dir), depth).map_err(|error| unreadable(&dir, &error))
    }
}

/// Why nothing can be looked at in `dir`. The error says its own cause: as a context it would be said twice.
pub(super) fn unreadable(dir: &Path, error: &OpenError) -> anyhow::Error {
    let dir = dir.display();
    match error {
        OpenError::Io { doing, path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
            anyhow!("cannot {doing} {path} in {dir}: {source}; run this as the bridge's user")
        }
        OpenError::Version { .. } => anyhow!("the journal in {dir} cannot be read: {error}"),
        _ => anyhow!("there is no journal that can be read in {dir}: {error}; name the folder of `journal.dir`"),
    }
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Find(args) => find::run(args),
        Command::Inspect(look) => {
            let inspection = look.at(Depth::Summary)?;
            let text = || told::overview(&inspection);
            if look.json {
                output::line(told::json(&inspection))?
            } else {
                output::text(&text())?
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(look) => {
            let inspection = look.at(Depth::Records)?;
            let text = || told::verdict(&inspection);
            if look.json {
                output::line(told::json(&inspection))?
            } else {
                output::text(&text())?
            }
            Ok(if inspection.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hinders_a_look_is_told_with_the_cure_for_it() {
        let io =
            |kind: io::ErrorKind| OpenError::Io { doing: "read", path: "journal/lock".into(), source: kind.into() };
        for (error, cure) in [
            (io(io::ErrorKind::PermissionDenied), "run this as the bridge's user"),
            (io(io::ErrorKind::NotFound), "name the folder of `journal.dir`"),
            (OpenError::Version { path: "x".into(), version: 9 }, "start the release that wrote it"),
        ] {
            let told = unreadable(Path::new("/srv/j"), &error).to_string();
            assert!(told.contains("/srv/j") && told.ends_with(cure), "{told}");
        }
    }
}
