//! What became of an event on each of its topics.
//!
//! In: the rules of the settings, a checkpoint, the folder of dead letters. Out: a [`Fate`] for each topic. Never happens:
//! `settled` for a lane of which the checkpoint says nothing.

use std::collections::BTreeMap;
use std::io;

use super::found::LaneFate;
use crate::event::{Event, Peek};
use crate::journal::inspect::InspectedCheckpoint;
use crate::journal::storage::Disk;
use crate::journal::{Position, Record};
use crate::letters;
use crate::publisher::{Letter, Router, Topics};

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Confirmed by Kafka, or a dead letter on its topic.
    Settled,
    /// Not yet, or a moment ago: the checkpoint is behind by up to a second.
    Waiting,
    /// It lies in `<dir>/dead/`, for this reason.
    DeadLetter(String),
    /// Settled, though these settings may not have the topic's name: every lane that the journal had is past it.
    Passed,
    /// The checkpoint has no lane of this name, or one that took something else, and not every lane is past it.
    Unknown,
    /// There is no checkpoint that can be read.
    Untold,
    /// A dead letter of it lies in the folder and cannot be read.
    Damaged,
}

/// A dead letter in the folder.
struct Kept {
    name: String,
    topic: Option<String>,
    reason: String,
}

/// Whatever tells what became of events.
pub struct Fates {
    router: Router,
    checkpoint: Option<InspectedCheckpoint>,
    /// By journal and position; without the bodies, which may be large.
    letters: BTreeMap<(Position, [u8; 16]), Vec<Kept>>,
    disk: Disk,
    /// Names of dead letters that cannot be read.
    pub damaged: Vec<String>,
}

impl Fates {
    /// Reads all dead letters, one after the other; a folder that is not there holds none, and one that is sent again
    /// meanwhile is none any more.
    pub fn new(topics: &Topics, disk: &Disk) -> io::Result<Fates> {
        let mut fates = Fates {
            router: Router::new(topics),
            checkpoint: None,
            letters: BTreeMap::new(),
            disk: disk.clone(),
            damaged: Vec::new(),
        };
        for name in letters::names(disk)? {
            match letters::read(disk, &name)? {
                None => {}
                Some(letters::Kept { letter: None, .. }) => fates.damaged.push(name),
                Some(letters::Kept { letter: Some(Letter { reason, topic, record }), .. }) => {
                    let place = (record.position, record.journal.0);
                    fates.letters.entry(place).or_default().push(Kept { name, topic, reason });
                }
            }
        }
        Ok(fates)
    }

    /// The same with what the checkpoint knows.
    pub fn with_checkpoint(self, checkpoint: Option<InspectedCheckpoint>) -> Fates {
        Fates { checkpoint, ..self }
    }

    /// Of each topic that a record belongs to.
    pub fn of(&mut self, record: &Record, event: Option<&(Event, Peek)>) -> Vec<LaneFate> {
        let topics = match event {
            Some((event, peek)) => {
                let route = self.router.route(event.source(), peek);
                std::iter::once(route.own).chain(route.all).collect()
            }
            None => vec![self.router.dead_letter()],
        };
        let letters = self.letters.remove(&(record.position, record.journal.0)).unwrap_or_default();
        let mut lanes: Vec<LaneFate> = topics.into_iter().map(|topic| self.on(topic, record)).collect();
        for lane in &mut lanes {
            if self.damaged.contains(&Letter::name(Some(&lane.topic), record)) {
                lane.fate = Fate::Damaged;
            }
        }
        for Kept { topic, reason, .. } in letters {
            let told = LaneFate { topic: topic.unwrap_or_default(), fate: Fate::DeadLetter(reason) };
            let at = lanes.iter().position(|lane| lane.topic == told.topic);
            // These settings may not be the bridge's own, and name the lane otherwise.
            let may_be_its = |lane: &LaneFate| matches!(lane.fate, Fate::Passed | Fate::Unknown);
            let at = at.or_else(|| lanes.iter().position(may_be_its));
            match at {
                Some(at) => lanes[at] = told,
                None => lanes.push(told),
            }
        }
        lanes
    }

    /// Dead letters of which the journal, which begins at `begin`, holds no record; each once.
    pub fn take_letters_before(&mut self, begin: Position) -> Vec<Letter> {
        let later = self.letters.split_off(&(begin, [0; 16]));
        let before = std::mem::replace(&mut self.letters, later);
        let names = before.into_values().flatten().map(|kept| kept.name);
        names.filter_map(|name| letters::read(&self.disk, &name).ok()??.letter).collect()
    }

    fn on(&self, topic: usize, record: &Record) -> LaneFate {
        let name = self.router.topics()[topic].to_string();
        // Positions go on from one identity of a journal to the next, so that the checkpoint speaks of both.
        let Some(InspectedCheckpoint { lanes, .. }) = &self.checkpoint else {
            return LaneFate { topic: name, fate: Fate::Untold };
        };
        let lane = lanes.iter().find(|lane| lane.topic == name);
        let is_passed = lanes.iter().all(|lane| record.position < lane.position);
        let fate = match lane.filter(|lane| lane.takes == self.router.takes(topic)) {
            Some(lane) if record.position < lane.position => Fate::Settled,
            Some(_) => Fate::Waiting,
            // Nothing of this journal has ever been settled.
            None if lanes.is_empty() => Fate::Waiting,
            None if is_passed => Fate::Passed,
            None => Fate::Unknown,
        };
        LaneFate { topic: name, fate }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::JournalId;

    const BODY: &[u8] = br#"{"event":"call_ended","call":{"call_id":"c"}}"#;
    const TOPIC: &str = "retell.call_ended";

    fn topics() -> Topics {
        let types = crate::event::Kind::KNOWN.to_vec();
        Topics { prefix: "retell.".into(), source_prefixes: [].into(), types, all: None, overrides: [].into() }
    }

    fn record() -> Record {
        let event = Event::unsigned("default", 5, Bytes::from_static(BODY));
        let payload = Bytes::from(event.encode().concat());
        Record { position: Position(3), journal: JournalId([1; 16]), tag: [0; 16], received_at_ms: 5, payload }
    }

    fn fates(letter: Option<&str>, has_checkpoint: bool) -> Vec<Fate> {
        let (folder, record) = (tempfile::tempdir().unwrap(), record());
        std::fs::create_dir(folder.path().join("dead")).unwrap();
        if let Some(letter) = letter {
            let name = format!("dead/{}.dead", Letter::name(Some(TOPIC), &record));
            std::fs::write(folder.path().join(name), letter).unwrap();
        }
        let checkpoint = has_checkpoint.then(|| InspectedCheckpoint {
            identity: record.journal,
            generation: 1,
            synced_up_to: Position(9),
            lanes: Vec::new(),
        });
        let fates = Fates::new(&topics(), &Disk::read_only(folder.path())).unwrap();
        let event = Event::decode(record.payload.clone()).unwrap();
        let peek = event.peek();
        let lanes = fates.with_checkpoint(checkpoint).of(&record, Some(&(event, peek)));
        lanes.into_iter().filter(|lane| lane.topic == TOPIC).map(|lane| lane.fate).collect()
    }

    #[test]
    fn what_a_damaged_letter_or_a_missing_checkpoint_hides_is_unknown_and_never_settled() {
        assert_eq!(fates(None, true), [Fate::Waiting]);
        assert_eq!(fates(None, false), [Fate::Untold]);
        for letter in ["garbage", ""] {
            assert_eq!(fates(Some(letter), true), [Fate::Damaged]);
        }
    }
}
