//! `retell-bridge dead-letters list | show | retry`: what no topic took, which lies in `<dir>/dead/`.
//!
//! In: a folder, a choice of letters, for `retry` the settings of Kafka. Out: letters, without their bodies unless asked;
//! letters on their topics. Never happens: a letter that leaves the folder before Kafka has confirmed it; a letter sent
//! that was not named.

mod on_topic;
mod outcome;
mod retry;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::choice::{self, Choice, Chosen};
use super::opened::Opened;
use super::settings::Settings;
use super::{Usage, output};
use crate::config::Config;
use crate::journal::storage::Disk;
use crate::letters::{self, Kept};
use retry::Wanted;

/// List, show or send again what was set aside: too large for its topic, or invalid.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  retell-bridge dead-letters list --config config.yaml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Two lines for each letter that lies in the folder: what, how large, why; its topic and key.
    ///
    /// Letters that the dead-letter topic took are not here but there: --topic lists those. Damage: exit code 1.
    #[command(after_help = "\
Examples:
  retell-bridge dead-letters list --dir /var/lib/retell-bridge
  retell-bridge dead-letters list --topic --config config.yaml
  retell-bridge dead-letters list --config config.yaml --type call_analyzed --since 1d --json")]
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        choice: Choice,
        /// What lies on the dead-letter topic instead, all of it; needs Read on it.
        #[arg(long, conflicts_with_all = ["dir", "keys", "event_ids", "kinds", "sources", "since", "until", "positions"])]
        topic: bool,
        /// One line of JSON for each letter.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one letter; its body only where that is asked for.
    #[command(after_help = "\
Examples:
  retell-bridge dead-letters show 1234 --dir /var/lib/retell-bridge
  retell-bridge dead-letters show 1234-9f3a01bc --body > body.json")]
    Show {
        /// As `list` names it, or the position alone.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        place: Place,
        /// Print the body alone, as it came.
        #[arg(long, conflicts_with = "json")]
        body: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Send letters where they should have gone; those that Kafka confirms leave the folder.
    ///
    /// Also beside a running bridge: what one of them is sending, the other passes over. What Kafka refuses again stays, and
    /// the exit code is 1. The records have the ce_id, the headers and the timestamp that they would have had.
    #[command(after_help = "\
Examples:
  retell-bridge dead-letters retry 1234 --config config.yaml
  retell-bridge dead-letters retry --all --dry-run
  retell-bridge dead-letters retry --type call_analyzed --to-topic retell.large")]
    Retry {
        /// As `list` names them, or positions alone.
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// All that lie in the folder.
        #[arg(long, conflicts_with = "ids", conflicts_with_all = choice::OPTIONS)]
        all: bool,
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        place: Place,
        /// To this topic instead.
        #[arg(long, value_name = "TOPIC", value_parser = choice::parse_topic)]
        to_topic: Option<String>,
        /// Only say what would be sent.
        #[arg(long)]
        dry_run: bool,
        /// One line of JSON for each letter.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Place {
    /// The folder of the journal; without it, what `journal.dir` says.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The folder, looked at.
struct Folder {
    dir: PathBuf,
    names: Vec<String>,
    config: Config,
}

impl Place {
    fn open(&self) -> anyhow::Result<Folder> {
        let config = self.settings.load_without_keys()?.config;
        let dir = self.dir.clone().unwrap_or_else(|| config.journal_dir.clone());
        let shown = dir.display();
        match std::fs::metadata(dir.join("journal")) {
            Ok(journal) if journal.is_dir() => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(anyhow!("{shown} cannot be looked into: {error}; run this as the bridge's user"));
            }
            _ => return Err(anyhow!("{shown} holds no journal; name the folder of `journal.dir`")),
        }
        let names = letters::names(&Disk::read_only(&dir));
        let names = names.with_context(|| format!("{}/dead cannot be listed", dir.display()))?;
        Ok(Folder { dir, names, config })
    }
}

impl Folder {
    /// One letter after the other, so that memory holds one.
    fn each(&self, meant: impl Fn(&str) -> bool) -> impl Iterator<Item = anyhow::Result<Kept>> {
        let disk = Disk::read_only(&self.dir);
        let names: Vec<String> = self.names.iter().filter(|name| meant(name)).cloned().collect();
        names.into_iter().filter_map(move |name| {
            let read = letters::read(&disk, &name).with_context(|| format!("dead/{name}.dead cannot be read"));
            read.transpose()
        })
    }

    /// Bodies of two events in a row would be nobody's bytes.
    fn only_one_event(&self, id: &str) -> anyhow::Result<()> {
        let meant: Vec<&String> = self.names.iter().filter(|name| letters::is_meant(id, name)).collect();
        match meant.iter().find(|name| !letters::is_same_event(name, meant[0])) {
            Some(other) => Err(anyhow!("{id} is of several events: say which, {} or {other}", meant[0])),
            None => Ok(()),
        }
    }

    fn nothing_meant(&self, id: &str) -> anyhow::Error {
        let dir = self.dir.display();
        anyhow!("no dead letter {id} in {dir}/dead, which holds {}; see `dead-letters list`", self.names.len())
    }
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { place, topic: true, json, .. } => {
            on_topic::list(&place.settings.load_without_keys()?.config, *json)
        }
        Command::List { place, choice, json, .. } => list(&place.open()?, &choice.check()?, *json),
        Command::Show { id, place, body, json } => show(&place.open()?, id, *body, *json),
        Command::Retry { ids, all, choice, place, to_topic, dry_run, json } => {
            if ids.is_empty() && !all && choice.is_everything() {
                let cure = "name letters, choose some (--key, --type, --since …), or say --all";
                return Err(Usage(format!("nothing is chosen: {cure}")).into());
            }
            let (chosen, to_topic) = (choice.check()?, to_topic.as_deref());
            let wanted = Wanted { ids, all: *all, chosen, to_topic, dry_run: *dry_run, json: *json };
            retry::retry(&place.open()?, &wanted)
        }
    }
}

fn list(folder: &Folder, chosen: &Chosen, json: bool) -> anyhow::Result<ExitCode> {
    let (mut count, mut bytes, mut damaged) = (0_u64, 0_u64, false);
    for kept in folder.each(|_| true) {
        let kept = kept?;
        damaged |= kept.letter.is_none();
        if !is_chosen(chosen, &kept) {
            continue;
        }
        count += 1;
        bytes += kept.letter.as_ref().map_or(0, |letter| Opened::new(&letter.record).body().len() as u64);
        if json { output::line(told::json(&kept))? } else { output::text(&told::row(&kept))? }
    }
    if !json {
        output::line(told::total(count, bytes))?;
    }
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(folder: &Folder, id: &str, body: bool, json: bool) -> anyhow::Result<ExitCode> {
    let mut seen = 0;
    for kept in folder.each(|name| letters::is_meant(id, name)) {
        let kept = kept?;
        seen += 1;
        let Some(letter) = &kept.letter else {
            return Err(anyhow!(letters::damage(&kept.name)));
        };
        if body {
            // A second letter at the same place is the same event, for another topic.
            folder.only_one_event(id)?;
            output::bytes(Opened::new(&letter.record).body())?;
            break;
        }
        if json { output::line(told::json(&kept))? } else { output::text(&told::everything(&kept))? }
    }
    if seen == 0 { Err(folder.nothing_meant(id)) } else { Ok(ExitCode::SUCCESS) }
}

/// What cannot be read is listed and tried where nothing is asked of its contents.
fn is_chosen(chosen: &Chosen, kept: &Kept) -> bool {
    let Some(letter) = &kept.letter else { return chosen.takes_unreadable() };
    let record = &letter.record;
    chosen.takes_place(record.position, record.received_at_ms) && Opened::new(record).is_meant(chosen)
}
