//! The judge: what was promised, and whether a recovered journal keeps it.
//!
//! In: every record handed in and how it was answered, every record that a reader saw, every mark, every checkpoint that
//! was seen on disk; after a recovery, all that is there. Out: nothing, or the one sentence that says what is wrong. Never
//! happens: it asks the journal what it thinks it has.
//!
//! Which checkpoints are synced, no call tells. But generation N + 1 is written only after the sync of N has returned: a
//! look at the file that finds N + 1 tells that N was synced.

use std::collections::{BTreeMap, BTreeSet};

use retell_bridge::journal::{AppendError, LaneMark, Tag};

use crate::random::Random;

/// What is wrong, in a sentence.
pub type Wrong = String;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// None, or poisoned: may be there, may not.
    Open,
    Kept,
    /// Nothing was written: must never be there.
    Refused,
}

struct Known {
    tag: Tag,
    received_at_ms: u64,
    payload_bytes: u64,
    answer: Answer,
    is_after_cut: bool,
}

/// A record as a reader returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub position: u64,
    pub tag: Tag,
    pub received_at_ms: u64,
    pub payload: Vec<u8>,
}

/// What one recovery found.
#[derive(Debug, Clone)]
pub struct Found {
    pub lanes: Vec<LaneMark>,
    pub oldest: u64,
    pub next: u64,
    pub tags: Vec<(Tag, u64)>,
    pub records: Vec<Seen>,
    /// The keeper has freed settled segments since `oldest` was told.
    pub is_freed: bool,
}

pub struct Ledger {
    seed: u64,
    known: Vec<Known>,
    /// Obligations: which record is at a position, as answered `Ok` or as some reader returned it.
    at: BTreeMap<u64, usize>,
    /// The next position as the last recovery told it: every later one is at or behind it.
    next: u64,
    freed_below: u64,
    /// Marks handed over in this life; the first one is synced for sure.
    candidates: Vec<Vec<LaneMark>>,
    /// Those of the life before: where there is no room for a new checkpoint file, a cut in a recovery may go back.
    elders: Vec<Vec<LaneMark>>,
    /// The newest checkpoint seen on disk in this life.
    looked_at: Option<(u64, Vec<LaneMark>)>,
    is_cut: bool,
    pub acknowledged: u64,
    pub refused: u64,
    /// The first thing that was wrong while threads ran.
    pub wrong: Option<Wrong>,
}

impl Ledger {
    pub fn new(seed: u64) -> Ledger {
        Ledger {
            seed,
            known: Vec::new(),
            at: BTreeMap::new(),
            next: 1,
            freed_below: 0,
            candidates: vec![Vec::new()],
            elders: Vec::new(),
            looked_at: None,
            is_cut: false,
            acknowledged: 0,
            refused: 0,
            wrong: None,
        }
    }

    /// Makes a record that differs from all others.
    pub fn make(&mut self, payload_bytes: u64, received_at_ms: u64) -> (usize, Tag, Vec<u8>) {
        let id = self.known.len();
        let payload = payload(self.seed, id, payload_bytes);
        let mut tag = [0; 16];
        Random::new(self.seed ^ !(id as u64)).fill(&mut tag);
        let payload_bytes = payload.len() as u64;
        self.known.push(Known { tag, received_at_ms, payload_bytes, answer: Answer::Open, is_after_cut: self.is_cut });
        (id, tag, payload)
    }

    pub fn answered(&mut self, id: usize, answer: Result<u64, AppendError>) {
        let outcome = match answer {
            Ok(position) => self.kept(id, position),
            Err(AppendError::Poisoned) => Ok(()),
            Err(error) => {
                self.known[id].answer = Answer::Refused;
                self.refused += u64::from(error == AppendError::NoRoom);
                Ok(())
            }
        };
        self.note(outcome);
    }

    fn kept(&mut self, id: usize, position: u64) -> Result<(), Wrong> {
        self.acknowledged += 1;
        self.known[id].answer = Answer::Kept;
        if self.known[id].is_after_cut {
            return Err(format!("record {id} was handed in when the power was off, and answered Ok"));
        }
        self.take(id, position)
    }

    /// A reader of the running journal returned this, perhaps a moment before its answer was told.
    pub fn read(&mut self, seen: &Seen) {
        let outcome = self.identify(seen).and_then(|id| self.take(id, seen.position));
        self.note(outcome);
    }

    fn take(&mut self, id: usize, position: u64) -> Result<(), Wrong> {
        match self.at.insert(position, id) {
            Some(known) if known == id => Ok(()),
            Some(known) => Err(format!("position {position} was given to record {known} and again to {id}")),
            None if position < self.next => {
                Err(format!("record {id} got position {position}, but the recovery said that {} is next", self.next))
            }
            None => Ok(()),
        }
    }

    /// Before the mark itself.
    pub fn handed_over(&mut self, lanes: &[LaneMark]) {
        let lanes = sorted(lanes);
        if self.candidates.last() != Some(&lanes) {
            self.candidates.push(lanes);
        }
    }

    /// The newest checkpoint that a look at the disk found.
    pub fn looked_at(&mut self, generation: u64, lanes: &[LaneMark]) {
        if let Some((before, elder)) = &self.looked_at {
            // An older one: the newest was just being written.
            if *before >= generation {
                return;
            }
            let elder = elder.clone();
            let outcome = self.is_synced(&elder);
            self.note(outcome);
        }
        self.looked_at = Some((generation, sorted(lanes)));
    }

    fn is_synced(&mut self, lanes: &[LaneMark]) -> Result<(), Wrong> {
        let at = self.candidates.iter().position(|candidate| candidate == lanes);
        let at = at.ok_or_else(|| format!("the checkpoint was {lanes:?}, not one of {:?}", self.candidates))?;
        self.candidates.drain(..at);
        Ok(())
    }

    /// From now on, nothing that is handed in can be kept.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// The marks that were handed over last.
    pub fn newest(&self) -> Vec<LaneMark> {
        self.candidates.last().expect("the synced one is always there").clone()
    }

    /// A clean stop said that all is synced: these, which were the newest when it began, or later ones, as a publisher may
    /// hand over more while it ends.
    pub fn closed(&mut self, newest: &[LaneMark]) {
        let at = self.candidates.iter().position(|candidate| candidate == newest);
        self.candidates.drain(..at.unwrap_or(0));
    }

    /// A recovery returned `Ok`: what it says is synced. `may_go_back`: it may have been the second one, without room.
    pub fn reopened(&mut self, lanes: &[LaneMark], next: u64, may_go_back: bool) -> Result<(), Wrong> {
        let lanes = sorted(lanes);
        let is_elder = || may_go_back && self.elders.contains(&lanes);
        if !self.candidates.contains(&lanes) && !is_elder() {
            return Err(format!("the checkpoint is {lanes:?}, but only these could be: {:?}", self.candidates));
        }
        let used = self.at.last_key_value().map_or(0, |(last, _)| *last);
        if next <= used || next < self.next {
            return Err(format!("the next position is {next}, but {} was told and {used} used", self.next));
        }
        self.next = next;
        self.elders = std::mem::replace(&mut self.candidates, vec![lanes]);
        self.looked_at = None;
        self.is_cut = false;
        Ok(())
    }

    /// Judges a recovery, then takes what it found as the truth to keep from now on.
    pub fn recovered(&mut self, found: &Found, may_go_back: bool) -> Result<(), Wrong> {
        self.reopened(&found.lanes, found.next, may_go_back)?;
        let there = self.check_records(found)?;
        // All behind the lanes is there; and what is retained before them is retained whole.
        let lowest = found.lanes.iter().map(|lane| lane.position.0).min().unwrap_or(0);
        let floor = if found.is_freed { lowest } else { lowest.min(found.oldest) };
        for (position, id) in self.at.range(floor..) {
            if !there.contains_key(position) {
                let how = if self.known[*id].answer == Answer::Kept { "answered Ok" } else { "read once" };
                let (oldest, lanes) = (found.oldest, &found.lanes);
                return Err(format!("LOST: record {id}, {how}, at {position} (oldest {oldest}, lanes {lanes:?})"));
            }
        }
        self.check_tags(found, &there)?;
        self.freed_below = self.freed_below.max(found.oldest);
        self.at = there;
        Ok(())
    }

    /// The tags were read first: they are those of the records, and of older ones where these have been freed since.
    fn check_tags(&self, found: &Found, there: &BTreeMap<u64, usize>) -> Result<(), Wrong> {
        let mut expected = there.clone();
        if found.is_freed {
            expected.extend(self.at.range(..found.next).filter(|(_, id)| self.known[**id].answer != Answer::Refused));
        }
        let tag = |id: &usize| (self.known[*id].tag, self.known[*id].received_at_ms);
        let mut expected: Vec<_> = expected.values().rev().map(tag).collect();
        if found.is_freed && found.tags.len() >= there.len() {
            expected.truncate(found.tags.len());
        }
        if found.tags == expected {
            return Ok(());
        }
        Err(format!("{} tags are recovered, {} records are there", found.tags.len(), there.len()))
    }

    /// Every record there is one that was handed in, in order, at one place.
    fn check_records(&self, found: &Found) -> Result<BTreeMap<u64, usize>, Wrong> {
        let (mut there, mut ids, mut next) = (BTreeMap::new(), BTreeSet::new(), found.oldest);
        for seen in &found.records {
            let (id, position) = (self.identify(seen)?, seen.position);
            if position < next || position >= found.next {
                return Err(format!("record {id} is at {position}, not within {next}..{}", found.next));
            }
            next = position + 1;
            if !ids.insert(id) {
                return Err(format!("record {id} is there twice, again at {position}"));
            }
            if self.known[id].answer == Answer::Refused {
                return Err(format!("record {id} at {position} was refused as not written"));
            }
            if let Some(known) = self.at.get(&position).filter(|known| **known != id) {
                return Err(format!("position {position} was record {known} and is now record {id}"));
            }
            if position < self.freed_below {
                return Err(format!("position {position} was freed and is back"));
            }
            there.insert(position, id);
        }
        if let Some((position, id)) =
            self.at.iter().find(|(position, id)| ids.contains(*id) && !there.contains_key(*position))
        {
            return Err(format!("record {id} was at {position} and is elsewhere now"));
        }
        Ok(there)
    }

    fn identify(&self, seen: &Seen) -> Result<usize, Wrong> {
        let position = seen.position;
        let unknown = || format!("the record at {position} was never appended");
        let id = seen.payload.first_chunk().ok_or_else(unknown)?;
        let id = u64::from_le_bytes(*id) as usize;
        let known = self.known.get(id).ok_or_else(unknown)?;
        let is_equal = payload(self.seed, id, known.payload_bytes) == seen.payload;
        if !is_equal || known.tag != seen.tag || known.received_at_ms != seen.received_at_ms {
            return Err(format!("record {id} at {position} is not byte-equal"));
        }
        Ok(id)
    }

    pub fn note(&mut self, outcome: Result<(), Wrong>) {
        if let Err(wrong) = outcome {
            self.wrong.get_or_insert(wrong);
        }
    }
}

/// The bytes of a record: its number, then noise. Not kept, made again to compare.
fn payload(seed: u64, id: usize, bytes: u64) -> Vec<u8> {
    let mut payload = (id as u64).to_le_bytes().to_vec();
    payload.resize((bytes as usize).max(8), 0);
    Random::new(seed.wrapping_add(id as u64)).fill(&mut payload[8..]);
    payload
}

fn sorted(lanes: &[LaneMark]) -> Vec<LaneMark> {
    let mut lanes = lanes.to_vec();
    lanes.sort_by(|a, b| a.topic.cmp(&b.topic));
    lanes
}

#[cfg(test)]
#[path = "ledger_test.rs"]
mod tests;
