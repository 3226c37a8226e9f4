//! `dead-letters retry`: chosen letters, one after the other.
//!
//! In: the folder, a choice, for sending the settings of Kafka. Out: a line for each letter and one with the sum. Never
//! happens: a letter that is begun after a signal.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow};

use super::outcome::Outcome;
use super::{Folder, is_chosen};
use crate::cli::choice::Chosen;
use crate::cli::{ending, output};
use crate::config::Config;
use crate::journal::storage::Disk;
use crate::kafka::KafkaProducer;
use crate::letters::{self, Kept, StaysError};
use crate::publisher::{Again, Router};

/// What was typed.
pub struct Wanted<'a> {
    pub ids: &'a [String],
    pub all: bool,
    pub chosen: Chosen,
    pub to_topic: Option<&'a str>,
    pub dry_run: bool,
    pub json: bool,
}

/// Sends them.
pub fn retry(folder: &Folder, wanted: &Wanted<'_>) -> anyhow::Result<ExitCode> {
    for id in wanted.ids {
        if !folder.names.iter().any(|name| letters::is_meant(id, name)) {
            return Err(folder.nothing_meant(id));
        }
    }
    let mut again = if wanted.dry_run { None } else { Some(again(&folder.config)?) };
    let disk = Disk::new(&folder.dir).with_context(|| format!("{} cannot be used", folder.dir.display()))?;
    let told = || output::complain("a signal: ending after the letter at hand; a second one ends at once");
    let is_ending = ending::at_signal_told(told)?;
    let (mut counts, mut met) = (Counts::default(), false);
    let is_named = |name: &str| wanted.ids.is_empty() || wanted.ids.iter().any(|id| letters::is_meant(id, name));
    for kept in folder.each(is_named) {
        let kept = kept?;
        if !is_chosen(&wanted.chosen, &kept) {
            continue;
        }
        met = true;
        if is_ending.load(Ordering::Acquire) {
            return Err(anyhow!("ended by a signal: {}; run it again for the others", counts.told()));
        }
        let outcome = match &mut again {
            None if kept.letter.is_some() => Outcome::WouldSend(wanted.to_topic),
            None => Outcome::Stays(kept.unreadable()),
            Some(_) if counts.is_away => Outcome::Stays(StaysError::NotTried),
            Some(again) => match letters::send(again, &disk, &kept, wanted.to_topic) {
                Ok(Some(topics)) => Outcome::Sent(topics),
                Ok(None) => {
                    let id = letters::short(&kept.name);
                    output::complain(&format!("{id} is gone: another command, or the bridge, has sent it"));
                    continue;
                }
                Err(error) => Outcome::Stays(error),
            },
        };
        counts.add(&outcome);
        tell(&outcome, &kept, wanted.json)?;
    }
    if again.is_some() && !wanted.json {
        output::line(counts.told())?;
    }
    if !met && !wanted.all {
        return Err(anyhow!("no dead letter is meant by this choice; see `dead-letters list`"));
    }
    Ok(if counts.stayed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn again(config: &Config) -> anyhow::Result<Again> {
    let producer = KafkaProducer::new(config.kafka.clone(), Vec::new())?;
    Ok(Again::new(Box::new(producer), Router::new(&config.topics), letters::PATIENCE))
}

fn tell(outcome: &Outcome<'_>, kept: &Kept, json: bool) -> std::io::Result<()> {
    if json {
        return output::line(outcome.json(kept));
    }
    match outcome {
        Outcome::Stays(_) => output::complain(&outcome.row(kept)),
        _ => output::line(outcome.row(kept))?,
    }
    Ok(())
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

    fn told(&self) -> String {
        format!("{} sent, {} stayed", self.sent, self.stayed)
    }
}
