//! `retell-bridge drain`: publishes all that a journal holds, without an intake.
//!
//! In: a folder, the settings of Kafka and topics; no key is needed. Out: 0 where everything is on Kafka and nothing lies
//! aside, else 1 and what is left. Never happens: a journal made where there was none; "drained" while a dead letter lies
//! in the folder, or anything in the quarantine: what damage has cost is told by each run, not by the first alone.

mod end;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

use super::settings::Settings;
use super::{journal, logging, output};
use crate::config::Config;
use crate::journal::inspect::{Depth, Inspection, SegmentState, inspect};
use crate::journal::storage::Disk;
use crate::letters;
use crate::service::drain::{self, Drained};
use end::End;

/// Publish all that a journal holds, without an intake: for volumes whose bridge is gone, and for moves.
///
/// Takes the journal's lock: stop a bridge that has it. Waits for a Kafka that does not answer until it does, or until
/// --within is over; what is left then stays in the journal. Letters in its folder of dead letters are tried again, too.
#[derive(clap::Args)]
#[command(after_help = "\
Exit code 0: every event is on Kafka, the folder may be removed. 1: something is left, and what.
Damage leaves files in the folder `quarantine`, whose names say which positions it has cost. While any
lies there, each run ends with 1: somebody has to look at them, and to remove them.

Examples:
  retell-bridge drain /mnt/orphan --config config.yaml
  retell-bridge drain /mnt/orphan --within 10m --set kafka.brokers=kafka:9092")]
pub struct Args {
    /// The folder of the journal; without it, what `journal.dir` says.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Give up after this long (90s, 10m).
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// One line of JSON at the end, on stdout; the log goes to stderr.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = args.settings.load_without_keys()?.config;
    if let Some(dir) = &args.dir {
        config.journal_dir.clone_from(dir);
    }
    let dir = config.journal_dir.clone();
    let before = look(&dir, Depth::Records)?;
    if holds_nothing(&before) {
        let end = End { dir: &dir, before: &before, after: &before, drained: Drained::default(), stayed: Vec::new() };
        return finish(&end, args.json, format_args!("{} holds no event", dir.display()));
    }
    logging::start(&config.log);
    let (kafka, topics) = (config.kafka.clone(), config.topics.clone());
    let deadline = args.within.map(|within| Instant::now() + within);
    let disk = Disk::new(&dir)?;
    let earlier = letters::names(&disk)?;
    let drained = publish(config, args.within)?;
    let stayed = match drained.was_ended {
        true => Vec::new(),
        false => letters::send_all(&disk, &earlier, kafka, &topics, deadline)?,
    };
    // Once more, for what this run has put in the quarantine.
    let after = look(&dir, Depth::Summary)?;
    let end = End { dir: &dir, before: &before, after: &after, drained, stayed };
    if end.drained.was_ended {
        return Err(give_up(&end, args.json)?);
    }
    let done = "is on Kafka, the folder may be removed";
    finish(&end, args.json, format_args!("drained: every event of {} {done}", dir.display()))
}

/// A folder that is no journal is left as it is.
fn look(dir: &Path, depth: Depth) -> anyhow::Result<Inspection> {
    inspect(&Disk::read_only(dir), depth).map_err(|error| journal::unreadable(dir, &error))
}

fn holds_nothing(found: &Inspection) -> bool {
    let is_spare = found.segments.iter().all(|segment| segment.state == SegmentState::Spare);
    is_spare && found.dead_letters.count == 0 && found.checkpoint.is_none() && found.broken_slots == 0
}

fn publish(config: Config, within: Option<Duration>) -> anyhow::Result<Drained> {
    // Draws on a terminal alone; elsewhere the log says what happens.
    let bar = ProgressBar::no_length();
    let style = "{spinner} {msg} deliveries wait, {elapsed}";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is well-formed"));
    let drained = drain::run(config, within, &mut |waiting| {
        bar.set_message(waiting.to_string());
        bar.tick();
    });
    bar.finish_and_clear();
    Ok(drained?)
}

fn give_up(end: &End, json: bool) -> anyhow::Result<anyhow::Error> {
    if json {
        output::line(end.json())?;
    }
    end.complaints().iter().for_each(output::complain);
    if let Some(trouble) = &end.drained.trouble {
        output::complain(trouble);
    }
    let (left, dir) = (end.drained.left, end.dir.display());
    let comfort = if end.is_damaged() { "what is left waits there" } else { "nothing is lost" };
    Ok(anyhow!("ended with {left} deliveries left in {dir}; {comfort}: run it again, or start a bridge there"))
}

fn finish(end: &End, json: bool, done: impl Display) -> anyhow::Result<ExitCode> {
    if json {
        output::line(end.json())?;
    }
    end.complaints().iter().for_each(output::complain);
    let dir = end.dir.display();
    if !end.is_whole() {
        output::complain(&format!("everything else of {dir} is on Kafka; keep the folder"));
        return Ok(ExitCode::FAILURE);
    }
    if !json {
        output::line(done)?;
    }
    Ok(ExitCode::SUCCESS)
}
