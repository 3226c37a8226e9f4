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

use super::fate::{Fate, Fates};
use super::found::{Found, LaneFate};
use crate::cli::choice::{Choice, Chosen};
use crate::cli::opened::Opened;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::journal::browse::{Browse, Seen};
use crate::journal::loss;
use crate::journal::storage::Disk;
use crate::journal::{OpenError, Position, Quarantined, Record};
use crate::letters;
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
    let unreadable = |error| super::unreadable(dir, &error);
    // Dead letters first: one that is sent again meanwhile is then seen rather than missed.
    let fates = Fates::new(&config.topics, &disk).map_err(|source| {
        let path = "dead".to_owned();
        unreadable(OpenError::Io { doing: "read", path, source })
    })?;
    let browse = Browse::open(&disk).map_err(unreadable)?;
    let fates = fates.with_checkpoint(browse.checkpoint());
    let browse = &browse;
    let mut search = Search { args, browse, chosen, fates, found: 0, oldest_ms: None, lost: Vec::new(), failed: None };
    search.fates.damaged.iter().for_each(|name| {
        output::complain(&letters::damage(name));
    });
    let held = browse.read(&search.chosen.wanted(), &mut |seen| search.see(seen)).map_err(unreadable)?;
    search.see_letters_alone(&held);
    if let Some(failed) = search.failed {
        return Err(failed.into());
    }
    let quarantined = search.quarantined();
    if !quarantined.is_empty() {
        output::complain(&told_earlier(&quarantined));
    }
    if search.found > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let lost = loss::union(search.lost.iter().cloned().chain(quarantined.iter().map(|copy| copy.positions.clone())));
    output::complain(&not_found(&held, search.oldest_ms, &search.chosen.wanted().positions, &lost));
    Ok(ExitCode::FAILURE)
}

struct Search<'a> {
    args: &'a Args,
    browse: &'a Browse,
    chosen: Chosen,
    fates: Fates,
    found: u64,
    /// Of all that was read.
    oldest_ms: Option<u64>,
    /// Positions that were told as lost.
    lost: Vec<Range<u64>>,
    /// Nobody reads any more.
    failed: Option<io::Error>,
}

impl Search<'_> {
    fn see(&mut self, seen: Seen) -> ControlFlow<()> {
        if let Seen::Record(record) = &seen {
            self.oldest_ms = Some(self.oldest_ms.map_or(record.received_at_ms, |ms| ms.min(record.received_at_ms)));
        }
        match seen {
            Seen::Record(record) if self.chosen.takes_place(record.position, record.received_at_ms) => {
                self.take(&record, None)
            }
            Seen::Record(_) => ControlFlow::Continue(()),
            Seen::Damage { segment, positions, what } => {
                output::complain_of_damage(segment, &positions, what, self.browse.standing(&positions));
                self.lost.push(positions);
                ControlFlow::Continue(())
            }
        }
    }

    /// What earlier damage has cost that may be meant, and was not told yet.
    fn quarantined(&self) -> Vec<&Quarantined> {
        let wanted = self.chosen.wanted();
        let may_be_meant = |copy: &&Quarantined| {
            let Range { start, end } = copy.positions;
            let is_told = self.lost.iter().any(|lost| lost.start <= start && end <= lost.end);
            let is_wanted = start < wanted.positions.end.0 && end > wanted.positions.start.0;
            // What came later than the damage was found is not in it.
            start < end && is_wanted && copy.kept_at_ms >= wanted.received_ms.start && !is_told
        };
        self.browse.quarantined().iter().filter(may_be_meant).collect()
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
        let opened = Opened::new(record);
        if !opened.is_meant(&self.chosen) {
            return ControlFlow::Continue(());
        }
        let lanes = alone.map_or_else(|| self.fates.of(record, opened.event.as_ref()), |alone| vec![alone]);
        let found = Found { opened, lanes };
        self.found += 1;
        let shown = if self.args.body {
            output::raw_line(found.opened.body())
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

fn told_earlier(copies: &[&Quarantined]) -> String {
    let first = copies.iter().map(|copy| copy.positions.start).min().unwrap_or_default();
    let last = copies.iter().map(|copy| copy.positions.end).max().unwrap_or_default().saturating_sub(1);
    let (events, bytes) = copies.iter().fold((0, 0), |(events, bytes), copy| {
        (events + (copy.positions.end - copy.positions.start), bytes + copy.bytes)
    });
    format!(
        "quarantine: damage of earlier days has cost {events} event(s), positions {first} to {last} ({bytes} bytes \
         kept); what is meant may have been among them"
    )
}

/// Where was looked, and where the event may be; `lost`: what damage has cost, as was told before.
fn not_found(held: &Range<Position>, oldest_ms: Option<u64>, wanted: &Range<Position>, lost: &[Range<u64>]) -> String {
    let oldest = oldest_ms.and_then(output::rfc3339);
    let oldest = oldest.map_or_else(String::new, |oldest| format!(", the oldest looked at received {oldest}"));
    let place = match held.is_empty() {
        true => "the journal is empty".to_owned(),
        false => format!("not found among positions {} to {}{oldest}", held.start.0, held.end.0 - 1),
    };
    if loss::covers(lost, &(wanted.start.0..wanted.end.0)) {
        return format!("{place}; damage has taken what stood there");
    }
    let damage = if lost.is_empty() { "" } else { "damage may have taken it; or else: " };
    format!(
        "{place}; {damage}what was published leaves the journal after journal.retention and stays on its topics as long \
         as they keep it: `tail --since`"
    )
}
