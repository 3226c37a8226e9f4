//! `retell-bridge journal find`: what became of an event.
//!
//! In: a folder, a choice of events, the settings that name the topics. Out: one block (or one line of JSON) for each event,
//! in order of position: what it is, and of each topic whether it has it. Never happens: a body that nobody asked for; an
//! event that is told settled although the checkpoint does not say so; "not found" without saying where was looked and
//! what may have been lost.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;

use super::fate::{Fate, Fates};
use super::found::{Found, LaneFate};
use crate::cli::choice::{Choice, Chosen};
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::journal::browse::{Browse, Seen};
use crate::journal::storage::Disk;
use crate::journal::{Position, Record};
use crate::publisher::Letter;

/// Arguments of `journal find`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the journal; without it, what `journal.dir` says.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Print the bodies alone, as they came, each with a line break behind it.
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// One line of JSON for each event.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = args.choice.check()?;
    let config = args.settings.load_without_keys()?.config;
    let dir = args.dir.as_ref().unwrap_or(&config.journal_dir);
    let disk = Disk::read_only(dir);
    let unreadable = |error| {
        anyhow!("there is no journal that can be read in {}: {error}; name the folder of `journal.dir`", dir.display())
    };
    // Dead letters first: one that is sent again meanwhile is then seen rather than missed.
    let fates = Fates::new(&config.topics, &disk);
    let browse = Browse::open(&disk).map_err(unreadable)?;
    let mut search = Search { args, chosen, fates: fates.with_checkpoint(browse.checkpoint()), found: 0, failed: None };
    search.fates.damaged.iter().for_each(|name| {
        output::complain(&format!("dead/{name}.dead is damaged or of a newer release; keep it, and ask for help"));
    });
    let held = browse.read(&search.chosen.wanted(), &mut |seen| search.see(seen)).map_err(unreadable)?;
    search.see_letters_alone(&held);
    if let Some(failed) = search.failed {
        return Err(failed.into());
    }
    if search.found > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output::complain(&not_found(&held, &browse));
    Ok(ExitCode::FAILURE)
}

struct Search<'a> {
    args: &'a Args,
    chosen: Chosen,
    fates: Fates,
    found: u64,
    /// Nobody reads any more.
    failed: Option<io::Error>,
}

impl Search<'_> {
    fn see(&mut self, seen: Seen) -> ControlFlow<()> {
        match seen {
            Seen::Record(record) if self.chosen.takes_place(record.position, record.received_at_ms) => {
                self.take(&record, None)
            }
            Seen::Record(_) => ControlFlow::Continue(()),
            Seen::Damage { segment, positions, what } => {
                output::complain(&format!("damage in segment {segment}: {what}{}", lost(&positions)));
                ControlFlow::Continue(())
            }
        }
    }

    /// Dead letters whose record the journal holds no longer.
    fn see_letters_alone(&mut self, held: &Range<Position>) {
        for letter in self.fates.take_letters_before(held.start) {
            let Letter { topic, reason, record } = letter;
            let is_meant = self.chosen.takes_place(record.position, record.received_at_ms);
            let fate = LaneFate { topic: topic.unwrap_or_default(), fate: Fate::DeadLetter(reason) };
            if self.failed.is_some() || (is_meant && self.take(&record, Some(fate)).is_break()) {
                return;
            }
        }
    }

    /// Shows one record if its contents are meant; `alone`: all that is known of it.
    fn take(&mut self, record: &Record, alone: Option<LaneFate>) -> ControlFlow<()> {
        let mut found = Found::new(record);
        let is_meant = match &found.event {
            Some((event, peek)) => self.chosen.takes_event(event, peek),
            None => self.chosen.takes_unreadable(),
        };
        if !is_meant {
            return ControlFlow::Continue(());
        }
        found.lanes = alone.map_or_else(|| self.fates.of(record, found.event.as_ref()), |alone| vec![alone]);
        self.found += 1;
        let shown = if self.args.body {
            output::raw_line(found.body())
        } else if self.args.json {
            output::line(found.json())
        } else {
            output::text(&found.text())
        };
        match shown {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

fn lost(positions: &Range<u64>) -> String {
    match positions.end.saturating_sub(positions.start) {
        0 => String::new(),
        1 => format!("; the event at position {} is lost", positions.start),
        _ => format!("; the events at positions {} to {} are lost", positions.start, positions.end - 1),
    }
}

/// Where was looked, and where the event may be.
fn not_found(held: &Range<Position>, browse: &Browse) -> String {
    let place = match held.is_empty() {
        true => "the journal is empty".to_owned(),
        false => format!("not found among positions {} to {}", held.start.0, held.end.0 - 1),
    };
    let costs_positions = |copy: &&crate::journal::Quarantined| !copy.positions.is_empty();
    let quarantined: u64 = browse.quarantined().iter().filter(costs_positions).map(|copy| copy.bytes).sum();
    let quarantine = match quarantined {
        0 => String::new(),
        bytes => format!("; damage has cost positions before ({bytes} bytes in quarantine)"),
    };
    format!(
        "{place}{quarantine}; what was published leaves the journal after journal.retention and stays on its topics as \
         long as they keep it"
    )
}
