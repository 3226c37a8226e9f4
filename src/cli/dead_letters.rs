//! `retell-bridge dead-letters list | show | retry`: what no topic took, which lies in `<dir>/dead/`.
//!
//! In: a folder, a choice of letters, for `retry` the settings of Kafka. Out: letters, without their bodies unless asked;
//! letters on their topics. Never happens: a letter that leaves the folder before Kafka has confirmed it; a letter sent
//! that was not named.

mod on_topic;
mod outcome;
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
use crate::kafka::KafkaProducer;
use crate::letters::{self, Kept, StaysError};
use crate::publisher::{Again, Router};
use outcome::Outcome;

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
    /// Also beside a running bridge. What Kafka refuses again stays, and the exit code is 1. The records have the ce_id,
    /// the headers and the timestamp that they would have had.
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
        #[arg(long, conflicts_with = "ids")]
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
            retry(&place.open()?, &wanted)
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
            output::raw_line(Opened::new(&letter.record).body())?;
        } else if json {
            output::line(told::json(&kept))?;
        } else {
            output::text(&told::everything(&kept))?;
        }
    }
    if seen == 0 { Err(folder.nothing_meant(id)) } else { Ok(ExitCode::SUCCESS) }
}

struct Wanted<'a> {
    ids: &'a [String],
    all: bool,
    chosen: Chosen,
    to_topic: Option<&'a str>,
    dry_run: bool,
    json: bool,
}

fn retry(folder: &Folder, wanted: &Wanted<'_>) -> anyhow::Result<ExitCode> {
    for id in wanted.ids {
        if !folder.names.iter().any(|name| letters::is_meant(id, name)) {
            return Err(folder.nothing_meant(id));
        }
    }
    let Config { kafka, topics, .. } = &folder.config;
    let mut again = match wanted.dry_run {
        true => None,
        false => {
            let producer = KafkaProducer::new(kafka.clone(), Vec::new())?;
            Some(Again::new(Box::new(producer), Router::new(topics), letters::PATIENCE))
        }
    };
    let disk = Disk::new(&folder.dir).with_context(|| format!("{} cannot be used", folder.dir.display()))?;
    let (mut counts, mut met) = (Counts::default(), false);
    let is_named = |name: &str| wanted.ids.is_empty() || wanted.ids.iter().any(|id| letters::is_meant(id, name));
    for kept in folder.each(is_named) {
        let kept = kept?;
        if !is_chosen(&wanted.chosen, &kept) {
            continue;
        }
        met = true;
        let outcome = match &mut again {
            None if kept.letter.is_some() => Outcome::WouldSend(wanted.to_topic),
            None => Outcome::Stays(kept.unreadable()),
            Some(_) if counts.is_away => Outcome::Stays(StaysError::NotTried),
            Some(again) => match letters::send(again, &disk, &kept, wanted.to_topic) {
                Ok(topics) => Outcome::Sent(topics),
                Err(error) => Outcome::Stays(error),
            },
        };
        counts.add(&outcome);
        if wanted.json {
            output::line(outcome.json(&kept))?;
        } else if let Outcome::Stays(error) = &outcome {
            output::complain(&format!("{} stays: {error}", letters::short(&kept.name)));
        } else {
            output::line(outcome.row(&kept))?;
        }
    }
    if again.is_some() && !wanted.json {
        output::line(format_args!("{} sent, {} stayed", counts.sent, counts.stayed))?;
    }
    if !met && !wanted.all {
        return Err(anyhow!("no dead letter is meant by this choice; see `dead-letters list`"));
    }
    Ok(if counts.stayed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Counts {
    sent: u64,
    stayed: u64,
    /// Kafka does not answer: no further letter is tried.
    is_away: bool,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::WouldSend(_) => {}
            Outcome::Sent(_) => self.sent += 1,
            Outcome::Stays(error) => {
                self.stayed += 1;
                self.is_away |= error.ends_round();
            }
        }
    }
}

/// What cannot be read is listed and tried where nothing is asked of its contents.
fn is_chosen(chosen: &Chosen, kept: &Kept) -> bool {
    let Some(letter) = &kept.letter else { return chosen.takes_unreadable() };
    let record = &letter.record;
    chosen.takes_place(record.position, record.received_at_ms) && Opened::new(record).is_meant(chosen)
}
