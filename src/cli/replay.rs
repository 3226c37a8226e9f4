//! `retell-bridge replay`: retained events on their topics again, beside a running bridge.
//!
//! In: a folder, a choice of events, the settings of Kafka and topics. Out: records with the same value, key, `ce_id` and
//! `ce_time`, the origin `replay:<run id>` and the time of now; or the position to go on from. Never happens: a lock, a
//! write in the folder; an event sent that is not synced, or, on its own topics, one that the bridge has still to send
//! itself; an event sent behind the failure of another.

mod pass;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::choice::{self, Choice, Chosen};
use super::settings::Settings;
use super::{Usage, ending, journal, output};
use crate::journal::Position;
use crate::journal::browse::Browse;
use crate::journal::storage::Disk;
use crate::kafka::KafkaProducer;
use crate::letters::PATIENCE;
use crate::publisher::{Again, Renewed, Router};
use pass::{Ended, Pass, Road};
use tally::Tally;

/// Records that one replay passes over as too large before it gives up.
const TOO_LARGE_MAX: usize = 1_000;
/// Clients that may give up one after the other at the same position.
const IN_VAIN_MAX: u32 = 3;

/// Put retained events on their topics again, beside a running bridge.
///
/// The records have the ce_id, ce_time, key and value of the first ones; their timestamp is now, and their header
/// retell_origin is `replay:` and the id of this run. Events that a topic does not have yet are left to the bridge, and so
/// are those of the last second: the checkpoint, by which this goes, is behind by that much. One that is too large for its
/// topic is told and passed over; any other refusal ends the replay with the position to go on from.
#[derive(clap::Args)]
#[command(after_help = "\
Exit code 0: all that was chosen is on Kafka again. 1: not all, and it says which were too large for their
topic, or from which position to go on; or nothing was meant by the choice.

Examples:
  retell-bridge replay --config config.yaml --type call_analyzed --since 2h --dry-run
  retell-bridge replay --config config.yaml --key call_0123456789abcdef
  retell-bridge replay /var/lib/retell-bridge --position 1200..1300 --to-topic repair.calls")]
pub struct Args {
    /// The folder of the journal; without it, what `journal.dir` says.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// All that the journal still holds.
    #[arg(long, conflicts_with_all = choice::OPTIONS)]
    all: bool,
    /// All of them to this topic, also those that their own topics do not have yet.
    #[arg(long, value_name = "TOPIC", value_parser = choice::parse_topic)]
    to_topic: Option<String>,
    /// Only count, by topic; asks no Kafka.
    #[arg(long)]
    dry_run: bool,
    /// Records per second, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// One line of JSON at the end, also where Kafka refuses.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.all && args.choice.is_everything() {
        let cure = "choose events (--key, --type, --since, --position …), or say --all";
        return Err(Usage(format!("nothing is chosen: {cure}")).into());
    }
    let chosen = args.choice.check()?;
    let config = args.settings.load_without_keys()?.config;
    let dir = args.dir.as_ref().unwrap_or(&config.journal_dir);
    let browse = Browse::open(&Disk::read_only(dir)).map_err(|error| journal::unreadable(dir, &error))?;
    let checkpoint = browse.checkpoint().ok_or_else(|| {
        let cure = "start a bridge there, or `drain` it";
        anyhow!("{} has no sound checkpoint, which says what is synced: {cure}", dir.display())
    })?;
    let router = Router::new(&config.topics);
    let pass = Pass { browse: &browse, checkpoint: &checkpoint, chosen: &chosen, to_topic: args.to_topic.as_deref() };
    if args.dry_run {
        let mut tally = Tally::default();
        pass.run(Position(0), &mut Road::Dry(&router), &mut tally, &mut |_| true)?;
        if args.json {
            output::line(tally.plan_json())?
        } else {
            output::text(&tally.plan())?
        }
        return if args.all || tally.has_met_any() { Ok(code(&tally)) } else { Err(nothing_meant()) };
    }
    let producer = KafkaProducer::new(config.kafka, Vec::new())?;
    let again = Again::new(Box::new(producer), router, PATIENCE);
    send(args, &chosen, &pass, again)
}

fn send(args: &Args, chosen: &Chosen, pass: &Pass<'_>, mut again: Again) -> anyhow::Result<ExitCode> {
    let run_id = run_id()?;
    if !args.json {
        output::line(format_args!("run {run_id}"))?;
    }
    let is_ending = ending::at_signal()?;
    let bar = bar(pass, chosen);
    let (mut tally, mut from, mut confirmed, mut in_vain) = (Tally::default(), Position(0), 0, 0);
    let ended = loop {
        let mut road = Road::Kafka { again: &mut again, run_id: &run_id, rate: args.rate };
        let ended = pass.run(from, &mut road, &mut tally, &mut |position| {
            bar.set_position(position.0);
            !is_ending.load(std::sync::atomic::Ordering::Acquire)
        })?;
        let Ended::Refused { at, refused } = ended else { break ended };
        if !refused.is_passed_over() {
            break Ended::Refused { at, refused };
        }
        // A verdict on a batch says nothing about a record: from here on each travels alone.
        let renewed = again.renew(true);
        let Renewed { refused: more, too_large } =
            renewed.map_err(|error| anyhow!("Kafka settings do not hold any more: {}", error.reason))?;
        let refused = more.unwrap_or(refused);
        // Whatever was confirmed stays so: the pass that goes back leaves it out.
        let has_got_on = again.confirmed() > confirmed || !too_large.is_empty();
        in_vain = if has_got_on { 0 } else { in_vain + 1 };
        too_large.iter().for_each(|(position, topic)| tally.pass_over(*position, topic));
        if !refused.is_passed_over() || in_vain >= IN_VAIN_MAX || tally.passed_over() >= TOO_LARGE_MAX {
            break Ended::Refused { at, refused };
        }
        (from, confirmed) = (at, again.confirmed());
    };
    bar.finish_and_clear();
    let confirmed = again.confirmed();
    if args.json {
        let mut end = tally.json(&run_id, confirmed);
        end["go_on_from"] = ended.at().map(|at| at.0).into();
        output::line(end)?;
    } else {
        output::line(format_args!("{confirmed} records confirmed as replay:{run_id}{}", tally.left_alone()))?;
    }
    match ended {
        Ended::Done if !args.all && confirmed == 0 && !tally.has_met_any() => Err(nothing_meant()),
        Ended::Done => Ok(code(&tally)),
        Ended::Interrupted { at } => Err(anyhow!("ended by a signal; go on with {}", go_on(at, chosen))),
        Ended::Refused { at, refused } => Err(anyhow!("{refused}; go on with {}", go_on(at, chosen))),
    }
}

/// The options that go on, for the same choice.
fn go_on(at: Position, chosen: &Chosen) -> String {
    let last = chosen.wanted().positions.end.0.saturating_sub(1);
    let last = if last >= u64::MAX - 1 { String::new() } else { last.to_string() };
    format!("--position {}..{last} and the other options as before", at.0)
}

/// A name that was mistyped is no success.
fn nothing_meant() -> anyhow::Error {
    anyhow!("no event of the journal is meant by this choice; see `journal find` with the same options")
}

fn code(tally: &Tally) -> ExitCode {
    if tally.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Draws on a terminal alone.
fn bar(pass: &Pass<'_>, chosen: &Chosen) -> ProgressBar {
    let end = pass.checkpoint.synced_up_to.min(chosen.wanted().positions.end);
    let bar = ProgressBar::new(end.0);
    let style = ProgressStyle::with_template("{wide_bar} position {pos} of {len}, {eta} left");
    bar.with_style(style.expect("the template is well-formed"))
}

/// Sorts by time, and is used once.
fn run_id() -> anyhow::Result<String> {
    let mut bytes = [0u8; 4];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // The system fills up to 256 bytes whole.
    filled.context("the system gives no random numbers")?;
    let time = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let time: String = time.chars().filter(char::is_ascii_alphanumeric).collect();
    Ok(format!("{time}-{:08x}", u32::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_tells_its_second_and_is_another_each_time() {
        let (one, two) = (run_id().unwrap(), run_id().unwrap());
        assert!(one != two && one.len() == "20260131T115959Z-00000000".len(), "{one} {two}");
    }
}
