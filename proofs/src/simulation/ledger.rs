//! The judge: what was promised, and whether a recovered journal keeps it.
//!
//! In: every record handed in and how it was answered, every record a reader saw, every checkpoint handed over and
//! every sync of one that was reported, every rotten bit; after a recovery, all that is there. Out: nothing, or the one
//! sentence that says what is wrong. Never happens: it asks the journal what it thinks it has.
//!
//! An **obligation** is a record that was answered `Ok`, or that a reader saw, at its position. It ends when every lane
//! has passed it in the recovered checkpoint, or when rot that the driver made hit it and the journal said so.

mod dead_letters;
mod rot;
mod verdict;

pub use dead_letters::DeadLetters;
pub use rot::{Hit, Rot};

use std::collections::{BTreeMap, BTreeSet};

use retell_bridge::journal::{AppendError, LaneMark, Tag};

use crate::random::Random;

/// First bytes of every payload, so that the driver finds records in raw files.
pub const PAYLOAD_MAGIC: [u8; 8] = *b"SIMULATE";

/// What is wrong, in a sentence.
pub type Wrong = String;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// None yet, or none before the process died: may be there, may not.
    Open,
    Kept,
    /// Nothing was written: must never be there.
    Refused,
    /// Poisoned: may be there, may not.
    Doubtful,
}

#[derive(Debug, Clone)]
pub struct Known {
    pub tag: Tag,
    pub received_at_ms: u64,
    pub payload: Vec<u8>,
    pub answer: Answer,
    /// The write that took it, so that rot in the last batch can be judged.
    pub batch: u64,
}

impl Known {
    /// One for a test that needs no ledger.
    #[cfg(test)]
    pub fn sample(fill: u8, payload_bytes: usize, received_at_ms: u64) -> Known {
        Known { tag: [fill; 16], received_at_ms, payload: vec![fill; payload_bytes], answer: Answer::Open, batch: 0 }
    }
}

/// A record as some reader returned it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub position: u64,
    pub tag: Tag,
    pub received_at_ms: u64,
    pub payload: Vec<u8>,
}

/// What a reader met, from the oldest position to the end.
#[derive(Debug, Clone)]
pub enum Met {
    Record(Seen),
    Damaged { from: u64, until: u64 },
}

/// What one recovery found.
#[derive(Debug)]
pub struct Found {
    pub lanes: Vec<LaneMark>,
    pub oldest: u64,
    pub synced: u64,
    pub tags: Vec<(Tag, u64)>,
    pub met: Vec<Met>,
    /// The disk may have failed the sync of a removal, so that the next one alone survived a power cut: a gap, but only
    /// among what all lanes have passed.
    pub may_have_gaps: bool,
    /// There may have been no room for a new checkpoint file.
    pub is_squeezed: bool,
    /// A read has failed, perhaps that of a segment's list.
    pub may_miss_tags: bool,
    /// A segment that was to go may be there again at the next start.
    pub has_failed_removal: bool,
}

/// What rot took, which the journal must have told of.
#[derive(Debug, Default)]
pub struct Taken {
    /// Positions and records.
    pub records: Vec<(u64, usize)>,
    /// Both slots of the checkpoint are broken: each lane starts from the oldest segment.
    pub has_lost_lanes: bool,
}

#[derive(Debug, Default, Clone)]
pub struct Ledger {
    known: Vec<Known>,
    /// Obligations and what became of older ones: which record is at a position.
    at: BTreeMap<u64, usize>,
    /// The largest position ever answered or read.
    high_water: u64,
    /// Obligations below are over.
    freed_below: u64,
    /// Freed, but the disk has refused to let them go: they may be back, each at its place.
    lingering: BTreeMap<u64, usize>,
    /// Checkpoints handed over: the last one whose sync was reported comes first.
    candidates: Vec<Vec<LaneMark>>,
    /// The one before: where there is no room for a new checkpoint file, a power cut in a recovery may go back to it; and
    /// where rot breaks the slot of the newest.
    elder: Vec<LaneMark>,
    /// The largest lowest lane ever handed over.
    passed: u64,
    /// Records that rot took, with their tags.
    rotten: BTreeSet<(Tag, u64)>,
}

impl Ledger {
    pub fn new() -> Ledger {
        Ledger { candidates: vec![Vec::new()], ..Ledger::default() }
    }

    /// Makes a record that differs from all others.
    pub fn make(&mut self, payload_bytes: u64, received_at_ms: u64, batch: u64, random: &mut Random) -> usize {
        let id = self.known.len();
        let mut payload = PAYLOAD_MAGIC.to_vec();
        payload.extend((id as u64).to_le_bytes());
        payload.resize(payload.len().max(payload_bytes as usize), 0);
        random.fill(&mut payload[16..]);
        let mut tag = [0; 16];
        random.fill(&mut tag);
        self.known.push(Known { tag, received_at_ms, payload, answer: Answer::Open, batch });
        id
    }

    pub fn known(&self, id: usize) -> &Known {
        &self.known[id]
    }

    pub fn get(&self, id: usize) -> Option<&Known> {
        self.known.get(id)
    }

    /// The newest record that must be there.
    pub fn last_obligation(&self) -> Option<usize> {
        self.at.last_key_value().map(|(_, id)| *id)
    }

    pub fn answered(&mut self, id: usize, answer: Result<u64, AppendError>) -> Result<(), Wrong> {
        if self.known[id].answer != Answer::Open {
            return Err(format!("record {id} was answered twice"));
        }
        self.known[id].answer = match answer {
            Ok(position) => return self.kept(id, position),
            Err(AppendError::Poisoned) => Answer::Doubtful,
            Err(_) => Answer::Refused,
        };
        Ok(())
    }

    fn kept(&mut self, id: usize, position: u64) -> Result<(), Wrong> {
        self.known[id].answer = Answer::Kept;
        if position <= self.high_water {
            return Err(format!("record {id} got position {position}, but {} was reached before", self.high_water));
        }
        self.high_water = position;
        self.at.insert(position, id);
        Ok(())
    }

    /// A checkpoint is handed to the keeper.
    pub fn handed_over(&mut self, lanes: &[LaneMark]) {
        let lanes = sorted(lanes);
        self.passed = self.passed.max(lowest(&lanes).unwrap_or(0));
        self.candidates.push(lanes);
    }

    /// The keeper says that the newest checkpoint handed over is synced.
    pub fn checkpoint_synced(&mut self) {
        let before = self.candidates.remove(0);
        let newest = self.candidates.pop().unwrap_or_else(|| before.clone());
        self.go_on_with(before, newest);
    }

    fn go_on_with(&mut self, before: Vec<LaneMark>, newest: Vec<LaneMark>) {
        if before != newest {
            self.elder = before;
        }
        self.candidates = vec![newest];
    }

    /// A reader of the running journal returned this.
    pub fn read(&mut self, seen: &Seen) -> Result<(), Wrong> {
        let id = self.identify(seen)?;
        match self.at.get(&seen.position) {
            Some(known) if *known == id => Ok(()),
            _ => Err(format!("record {id} was read at {} before its sync returned", seen.position)),
        }
    }

    /// A reader went from one position to another and returned these records: nothing that must be there was passed over.
    pub fn passed_over(&self, from: u64, until: u64, seen: &[Seen]) -> Result<(), Wrong> {
        let missed =
            self.at.range(from..until.max(from)).find(|(at, _)| !seen.iter().any(|seen| seen.position == **at));
        match missed {
            Some((position, id)) => Err(format!("LOST: a reader passed over record {id} at {position}")),
            None => Ok(()),
        }
    }

    fn adopt(&mut self, found: &Found, there: BTreeMap<u64, usize>) {
        self.high_water = there.last_key_value().map_or(0, |(last, _)| *last).max(match found.synced {
            0 => 0,
            synced => synced - 1,
        });
        if found.has_failed_removal {
            self.lingering.extend(self.at.range(..found.oldest));
        } else {
            self.lingering.clear();
            self.freed_below = self.freed_below.max(found.oldest);
        }
        // A recovery that returns has synced what it goes on with.
        let before = self.candidates.remove(0);
        self.go_on_with(before, sorted(&found.lanes));
        self.at = there;
    }

    fn identify(&self, seen: &Seen) -> Result<usize, Wrong> {
        let position = seen.position;
        let unknown = || format!("the record at {position} was never appended");
        let id = seen.payload.get(8..16).ok_or_else(unknown)?;
        let id = u64::from_le_bytes(id.try_into().map_err(|_| unknown())?) as usize;
        let known = self.known.get(id).ok_or_else(unknown)?;
        if known.payload != seen.payload || known.tag != seen.tag || known.received_at_ms != seen.received_at_ms {
            return Err(format!("record {id} at {position} is not byte-equal"));
        }
        Ok(id)
    }
}

fn lowest(lanes: &[LaneMark]) -> Option<u64> {
    lanes.iter().map(|lane| lane.position.0).min()
}

fn sorted(lanes: &[LaneMark]) -> Vec<LaneMark> {
    let mut lanes = lanes.to_vec();
    lanes.sort_by(|a, b| a.topic.cmp(&b.topic));
    lanes
}
