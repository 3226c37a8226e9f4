//! Dead letters that lie in `<dir>/dead/`: found, and sent again.
//!
//! In: the folder; for sending an [`Again`] of the caller's own. Out: letters in order of position; a letter that Kafka has
//! confirmed on its topic leaves the folder. Never happens: a letter removed before that; one that cannot be read removed
//! at all.
//!
//! A running bridge and commands may be at it at once: each claims a letter, by a lock on its file, before it sends it, and
//! passes over those that another one has. The lock goes with its process.

mod due;
mod retrying;
#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant};

pub use retrying::{Post, Retrying};

use crate::event::Event;
use crate::journal::storage::{Claim, Disk};
use crate::journal::{DeadLetterError, Record, dead};
use crate::kafka::{KafkaProducer, Options, SettingsError};
use crate::publisher::{Again, DeliveryError, Letter, Refused, Router, TOO_LARGE, Target, Topics};

/// How long Kafka may be silent before a command gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One file of the folder.
pub struct Kept {
    pub name: String,
    /// `None`: damaged, or of a newer release.
    pub letter: Option<Letter>,
    /// Its checksum does not hold.
    pub is_damaged: bool,
}

impl Kept {
    /// The refusal for which it was set aside, where that was for its size.
    fn size_verdict(&self) -> Option<Refused> {
        let Letter { reason, topic, record } = self.letter.as_ref()?;
        let topic = topic.clone().filter(|_| reason == TOO_LARGE)?;
        Some(Refused::TooLarge { topic, position: record.position })
    }
}

/// Why a letter still lies in the folder.
#[derive(Debug, thiserror::Error)]
pub enum StaysError {
    /// Nothing was sent, or not all of it was confirmed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing was sent.
    #[error("another command, or the bridge, is sending it now")]
    Claimed,
    /// Nothing was sent: each further try would have added a copy.
    #[error("it was not sent, since its file could not be removed then: {0}; run this as the bridge's user")]
    NotRemovable(io::Error),
    /// Nothing was sent.
    #[error("it is no event that this release can read; try it with the release that took it, or a newer one")]
    Unreadable,
    /// Nothing was sent: its checksum does not hold.
    #[error("its file is damaged{}", elsewhere(*position))]
    Damaged { position: Option<u64> },
    /// As [`StaysError::Refused`], and no other letter can be tried.
    #[error("{refused}; and no new producer can be made ({reason}): the Kafka settings do not hold any more")]
    NoProducer { refused: Refused, reason: &'static str },
    /// Kafka does not answer, or the time is over.
    #[error("it was not tried")]
    NotTried,
    /// It is on its topic, and will be once more.
    #[error("it was sent, and its file cannot be removed: {0}")]
    NotRemoved(DeadLetterError),
}

impl StaysError {
    /// The next letter would fare no better now.
    pub fn ends_round(&self) -> bool {
        match self {
            StaysError::Refused(refused) => refused.is_away(),
            StaysError::NoProducer { .. } => true,
            _ => false,
        }
    }
}

/// What to say of a letter that cannot be read.
pub fn damage(name: &str) -> String {
    format!("dead/{name}.dead is damaged, or of a newer release{}", elsewhere(position(name)))
}

/// Where the event of a damaged letter may still be.
fn elsewhere(position: Option<u64>) -> String {
    let Some(position) = position else { return "; keep it, and ask for help".to_owned() };
    format!("; the journal may still hold the event: `journal find`, then `replay`, with --position {position}")
}

/// Names of all letters, sorted by journal and position; a folder that is not there holds none.
pub fn names(disk: &Disk) -> io::Result<Vec<String>> {
    match dead::list(disk) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// One letter; `None` where it has been removed meanwhile.
pub fn read(disk: &Disk, name: &str) -> io::Result<Option<Kept>> {
    let (letter, is_damaged) = match dead::read(disk, name) {
        Ok(payload) => (Letter::decode(payload), false),
        Err(DeadLetterError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(DeadLetterError::Io(error)) => return Err(error),
        Err(_) => (None, true),
    };
    Ok(Some(Kept { name: name.to_owned(), letter, is_damaged }))
}

impl Kept {
    /// Why it cannot be sent, where it has no letter.
    pub fn unreadable(&self) -> StaysError {
        match self.is_damaged {
            true => StaysError::Damaged { position: position(&self.name) },
            false => StaysError::Unreadable,
        }
    }
}

/// Of its event, by the name.
fn position(name: &str) -> Option<u64> {
    name.split('-').nth(1)?.parse().ok()
}

/// How a letter is named to people: position, and the start of its topic's hash where one event has two letters.
pub fn short(name: &str) -> String {
    let mut parts = name.split('-').skip(1);
    match (parts.next().map(str::parse::<u64>), parts.next()) {
        (Some(Ok(position)), Some(topic)) => format!("{position}-{topic}"),
        _ => name.to_owned(),
    }
}

/// Whether `id` means the letter of that name: its name, its short name, or its position.
pub fn is_meant(id: &str, name: &str) -> bool {
    let short = short(name);
    id == name || id == short || short.split_once('-').is_some_and(|(position, _)| position == id)
}

/// Whether two letters are of one event, which went to two topics.
pub fn is_same_event(name: &str, other: &str) -> bool {
    let event = |name: &str| name.rsplit_once('-').map(|(event, _)| event.to_owned());
    name == other || event(name).is_some_and(|own| event(other) == Some(own))
}

/// Sends a letter where it should have gone, or to `to`, and removes it once that is confirmed; the topics that have it.
/// `None`: it was gone before. After a refusal the producer is another one, so that the next letter can be tried.
pub fn send(again: &mut Again, disk: &Disk, kept: &Kept, to: Option<&str>) -> Result<Option<Vec<String>>, StaysError> {
    let letter = kept.letter.as_ref().ok_or_else(|| kept.unreadable())?;
    let topics = match to {
        Some(to) => vec![to.to_owned()],
        None => targets(again, letter)?,
    };
    let Some(_claim) = claim(disk, &kept.name)? else { return Ok(None) };
    match deliver(again, letter, &topics) {
        Err(refused) if refused.is_away() => return Err(refused.into()),
        Err(refused) => {
            let renewed = again.renew(false);
            return Err(match renewed {
                Ok(late) => late.refused.unwrap_or(refused).into(),
                Err(DeliveryError { reason, .. }) => StaysError::NoProducer { refused, reason },
            });
        }
        Ok(()) => {}
    }
    match dead::remove(disk, &kept.name) {
        Err(error) if !is_gone(&error) => Err(StaysError::NotRemoved(error)),
        _ => Ok(Some(topics)),
    }
}

fn claim(disk: &Disk, name: &str) -> Result<Option<Claim>, StaysError> {
    match dead::claim(disk, name) {
        Ok(claim) => Ok(Some(claim)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(DeadLetterError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(StaysError::Claimed),
        Err(DeadLetterError::Io(error)) => Err(StaysError::NotRemovable(error)),
        Err(error) => Err(StaysError::NotRemovable(io::Error::other(error))),
    }
}

fn is_gone(error: &DeadLetterError) -> bool {
    matches!(error, DeadLetterError::Io(error) if error.kind() == io::ErrorKind::NotFound)
}

fn deliver(again: &mut Again, letter: &Letter, topics: &[String]) -> Result<(), Refused> {
    for topic in topics {
        again.send(&letter.record, Target { topic, replay: None })?;
    }
    again.finish()
}

/// Sends all of them; those that stay, with the reason. One that is not among the `earlier` was set aside by this run: where
/// its topic has refused it for its size, that is not asked again, because each refusal ends a producer. A Kafka that does
/// not answer is asked once, and nothing is begun behind `end`.
pub fn send_all(
    disk: &Disk,
    earlier: &[String],
    kafka: Options,
    topics: &Topics,
    end: Option<Instant>,
) -> Result<Vec<(String, StaysError)>, SendAllError> {
    let mut stayed = Vec::new();
    let names = names(disk)?;
    if names.is_empty() {
        return Ok(stayed);
    }
    let left = || end.map_or(PATIENCE, |end| end.saturating_duration_since(Instant::now()).min(PATIENCE));
    let mut again = Again::new(Box::new(KafkaProducer::new(kafka, Vec::new())?), Router::new(topics), left());
    let mut ends_round = false;
    for name in names {
        let (is_new, is_late) = (earlier.binary_search(&name).is_err(), ends_round || left().is_zero());
        if is_late && !is_new {
            stayed.push((name, StaysError::NotTried));
            continue;
        }
        let Some(kept) = read(disk, &name)? else { continue };
        let refused = kept.size_verdict().filter(|_| is_new);
        if is_late || refused.is_some() {
            stayed.push((name, refused.map_or(StaysError::NotTried, StaysError::Refused)));
            continue;
        }
        if let Err(error) = send(&mut again, disk, &kept, None) {
            ends_round = error.ends_round();
            stayed.push((name, error));
        }
    }
    Ok(stayed)
}

/// Why letters cannot be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum SendAllError {
    #[error("the folder of dead letters cannot be read: {0}")]
    Folder(#[from] io::Error),
    #[error(transparent)]
    Kafka(#[from] SettingsError),
}

/// Where it should have gone; a record that an earlier release could not read goes where its event belongs.
fn targets(again: &Again, letter: &Letter) -> Result<Vec<String>, StaysError> {
    let Record { payload, .. } = &letter.record;
    let event = Event::decode(payload.clone()).map_err(|_| StaysError::Unreadable)?;
    if let Some(topic) = &letter.topic {
        return Ok(vec![topic.clone()]);
    }
    let router = again.router();
    let route = router.route(event.source(), &event.peek());
    Ok(std::iter::once(route.own).chain(route.all).map(|topic| router.topics()[topic].to_string()).collect())
}
