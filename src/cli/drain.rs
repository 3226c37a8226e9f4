//! `retell-bridge drain`: publishes all that a journal holds, without an intake.
//!
//! In: a folder, the settings of Kafka and topics; no key is needed. Out: 0 where everything is on Kafka and nothing lies
//! aside, else 1 and what is left. Never happens: a journal made where there was none; "drained" while a dead letter lies
//! in the folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

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
        output::line(format_args!("{} holds no event", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(&config.log);
    let (kafka, topics) = (config.kafka.clone(), config.topics.clone());
    let drained = publish(config, args.within)?;
    if drained.was_ended {
        let left = drained.left;
        return Err(anyhow!(
            "ended with {left} deliveries left in {}; nothing is lost: run it again, or start a bridge there",
            dir.display()
        ));
    }
    let stayed = letters::send_all(&Disk::new(&dir)?, kafka, &topics)?;
    finish(&dir, drained, &stayed, &inspection)
}

/// A folder that is no journal is left as it is.
fn look(dir: &Path) -> anyhow::Result<Inspection> {
    inspect(&Disk::read_only(dir), Depth::Summary).map_err(|error| {
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
) -> anyhow::Result<ExitCode> {
    let dir = dir.display();
    for (name, why) in stayed {
        output::complain(&format!("dead letter {} stays: {why}", letters::short(name)));
    }
    if drained.corrupt_bytes > 0 {
        let bytes = drained.corrupt_bytes;
        let what = "damaged bytes were found and are in quarantine (see the log); what they held is not on Kafka";
        output::complain(&format!("{bytes} {what}"));
    } else if inspection.quarantine.count > 0 {
        let count = inspection.quarantine.count;
        output::complain(&format!("{count} file(s) of earlier damage lie in {dir}/quarantine"));
    }
    if !stayed.is_empty() || drained.corrupt_bytes > 0 {
        output::complain(&format!("everything else of {dir} is on Kafka; keep the folder"));
        return Ok(ExitCode::FAILURE);
    }
    output::line(format_args!("drained: every event of {dir} is on Kafka, the folder may be removed"))?;
    Ok(ExitCode::SUCCESS)
}
