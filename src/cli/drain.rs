//! `retell-bridge drain`: publishes all that a journal holds, without an intake.
//!
//! In: a folder, the settings of Kafka and topics; no key is needed. Out: 0 where everything is on Kafka and nothing lies
//! aside, else 1 and what is left. Never happens: a journal made where there was none; "drained" while a dead letter lies
//! in the folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::settings::Settings;
use super::{logging, output};
use crate::config::Config;
use crate::journal::inspect::{Depth, Inspection, inspect};
use crate::journal::storage::Disk;
use crate::letters::{self, StaysError};
use crate::service::drain::{self, Drained};

/// Publish all that a journal holds, without an intake: for volumes whose bridge is gone, and for moves.
///
/// Takes the journal's lock: stop a bridge that has it. Waits for a Kafka that does not answer until it does, or until
/// --within is over; what is left then stays in the journal. Letters in its folder of dead letters are tried again, too.
#[derive(clap::Args)]
#[command(after_help = "\
Exit code 0: every event is on Kafka, the folder may be removed. 1: something is left, and what.

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
    let inspection = look(&dir)?;
    if inspection.records() == 0 && inspection.dead_letters.count == 0 && inspection.checkpoint.is_none() {
        let nothing = End { left: 0, stayed: &[], inspection: &inspection };
        if args.json {
            output::line(nothing.json(&dir))?
        } else {
            output::line(format_args!("{} holds no event", dir.display()))?
        }
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(&config.log);
    let (kafka, topics) = (config.kafka.clone(), config.topics.clone());
    let end = args.within.map(|within| Instant::now() + within);
    let disk = Disk::new(&dir)?;
    let earlier = letters::names(&disk)?;
    let drained = publish(config, args.within)?;
    if drained.was_ended {
        let left = drained.left;
        if args.json {
            output::line(End { left, stayed: &[], inspection: &inspection }.json(&dir))?;
        }
        return Err(anyhow!(
            "ended with {left} deliveries left in {}; nothing is lost: run it again, or start a bridge there",
            dir.display()
        ));
    }
    let stayed = letters::send_all(&disk, &earlier, kafka, &topics, end)?;
    if args.json {
        output::line(End { left: 0, stayed: &stayed, inspection: &inspection }.json(&dir))?;
    }
    finish(&dir, drained, &stayed, &inspection, args.json)
}

/// What is left behind.
struct End<'a> {
    left: u64,
    stayed: &'a [(String, StaysError)],
    inspection: &'a Inspection,
}

impl End<'_> {
    fn is_whole(&self) -> bool {
        let is_lost = !self.inspection.lost().is_empty() || self.inspection.is_end_lost();
        self.left == 0 && self.stayed.is_empty() && !is_lost
    }

    /// One line; names and meanings are stable.
    fn json(&self, dir: &Path) -> Value {
        let stayed =
            self.stayed.iter().map(|(name, why)| json!({"id": letters::short(name), "reason": why.to_string()}));
        let lost = self.inspection.lost().into_iter().map(|positions| json!([positions.start, positions.end - 1]));
        json!({
            "dir": dir.display().to_string(),
            "drained": self.is_whole(),
            "left": self.left,
            "dead_letters": stayed.collect::<Vec<_>>(),
            "lost_positions": lost.collect::<Vec<_>>(),
            "is_end_lost": self.inspection.is_end_lost(),
            "quarantine_files": self.inspection.quarantine.count,
        })
    }
}

/// A folder that is no journal is left as it is.
fn look(dir: &Path) -> anyhow::Result<Inspection> {
    inspect(&Disk::read_only(dir), Depth::Records).map_err(|error| {
        let dir = dir.display();
        anyhow!("there is no journal that can be read in {dir}: {error}; name the folder that holds `journal`")
    })
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

fn finish(
    dir: &Path,
    drained: Drained,
    stayed: &[(String, StaysError)],
    inspection: &Inspection,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let is_whole = End { left: drained.left, stayed, inspection }.is_whole();
    let dir = dir.display();
    for (name, why) in stayed {
        output::complain(&format!("dead letter {} stays: {why}", letters::short(name)));
    }
    let lost = inspection.lost();
    let is_lost = !lost.is_empty() || inspection.is_end_lost();
    for positions in &lost {
        let (first, last) = (positions.start, positions.end - 1);
        output::complain(&format!("damage has cost positions {first} to {last}, which are not on Kafka; see the log"));
    }
    if inspection.is_end_lost() {
        output::complain("the newest segments are gone, and what they held may not be on Kafka; see the log");
    }
    if drained.corrupt_bytes > 0 && !is_lost {
        output::complain("damage was found that has cost nothing: at worst, events went out again; see the log");
    }
    if inspection.quarantine.count > 0 {
        let count = inspection.quarantine.count;
        output::complain(&format!("{count} file(s) of earlier damage lie in {dir}/quarantine"));
    }
    if !is_whole {
        output::complain(&format!("everything else of {dir} is on Kafka; keep the folder"));
        return Ok(ExitCode::FAILURE);
    }
    if !json {
        output::line(format_args!("drained: every event of {dir} is on Kafka, the folder may be removed"))?;
    }
    Ok(ExitCode::SUCCESS)
}
