//! Whether a recovery has kept what it owes: the checkpoint's lanes, every record at its place, none lost, tags that match.
//!
//! In: what was recovered, and the rot that struck before. Out: how many records rot took, or what is wrong. Never happens:
//! a record that rot has not hit excused.

use std::collections::{BTreeMap, BTreeSet};

use retell_bridge::journal::Tag;

use super::{Answer, Found, Ledger, Met, Rot, Wrong, lowest, sorted};

impl Ledger {
    /// Judges a recovery, then takes what it found as the truth to keep from now on. Returns how many records rot
    /// took: the journal must have told of them.
    pub fn recovered(&mut self, found: &Found, rot: &Rot) -> Result<usize, Wrong> {
        self.check_lanes(found, rot)?;
        let there = self.check_records(found, rot)?;
        let taken = self.check_obligations(found, &there, rot)?;
        self.check_tags(found, &there, rot)?;
        if found.synced <= self.high_water && rot.tail.is_empty() {
            return Err(format!("the next position is {}, but {} was reached", found.synced, self.high_water));
        }
        let gone = rot.records.iter().chain(&rot.tail).filter(|id| !there.values().any(|there| there == *id));
        self.rotten.extend(gone.map(|id| (self.known[*id].tag, self.known[*id].received_at_ms)));
        self.adopt(found, there);
        // Lanes that are gone with one rotten slot are a warning: it cannot be told from one torn by a cut, and costs no
        // record. Both slots rotten is loud, which the journal's own tests hold.
        Ok(taken)
    }

    fn check_lanes(&self, found: &Found, rot: &Rot) -> Result<(), Wrong> {
        let lanes = sorted(&found.lanes);
        if self.candidates.contains(&lanes) || rot.checkpoint || (found.is_squeezed && lanes == self.elder) {
            return Ok(());
        }
        Err(format!("the checkpoint is {lanes:?}, but only these could be: {:?}", self.candidates))
    }

    /// Every record there is one that was handed in, at one place, in order.
    fn check_records(&self, found: &Found, rot: &Rot) -> Result<BTreeMap<u64, usize>, Wrong> {
        let mut there: BTreeMap<u64, usize> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let mut next = found.oldest;
        for met in &found.met {
            match met {
                Met::Damaged { from, until } => {
                    if *from < next || until <= from {
                        return Err(format!("damage {from}..{until} is out of order behind {next}"));
                    }
                    next = *until;
                }
                Met::Record(seen) => {
                    if seen.position < next {
                        return Err(format!("position {} comes after {next}", seen.position));
                    }
                    next = seen.position + 1;
                    let id = self.identify(seen)?;
                    if !ids.insert(id) {
                        return Err(format!("record {id} is there twice, again at {}", seen.position));
                    }
                    self.check_place(id, seen.position, rot)?;
                    there.insert(seen.position, id);
                }
            }
        }
        if next > found.synced {
            return Err(format!("records up to {next} are readable, but only up to {} is synced", found.synced));
        }
        Ok(there)
    }

    fn check_place(&self, id: usize, position: u64, rot: &Rot) -> Result<(), Wrong> {
        if self.known[id].answer == Answer::Refused {
            return Err(format!("record {id} at {position} was refused as not written"));
        }
        match self.at.get(&position) {
            Some(known) if *known == id => Ok(()),
            Some(known) if rot.tail.contains(known) => Ok(()),
            Some(known) => Err(format!("position {position} was record {known} and is now record {id}")),
            None if position < self.freed_below => Err(format!("position {position} was freed and is back")),
            None if position <= self.high_water && rot.tail.is_empty() => {
                Err(format!("record {id} appears at {position}, below {}", self.high_water))
            }
            None => Ok(()),
        }
    }

    /// Everything from the lanes on is there, and behind them everything from the oldest position on: what is retained
    /// is retained whole. Returns how many rot took.
    fn check_obligations(&self, found: &Found, there: &BTreeMap<u64, usize>, rot: &Rot) -> Result<usize, Wrong> {
        let lanes = if rot.checkpoint { Some(self.passed) } else { lowest(&found.lanes) };
        let oldest = if rot.is_none() { found.oldest } else { there.keys().next().copied().unwrap_or(found.synced) };
        let lanes = lanes.unwrap_or(0);
        let floor = if found.may_have_gaps { lanes } else { lanes.min(oldest) };
        let mut taken = 0;
        for (position, id) in self.at.range(floor..) {
            if there.contains_key(position) {
                continue;
            }
            if rot.records.contains(id) || rot.tail.contains(id) {
                taken += 1;
                continue;
            }
            let how = if self.known[*id].answer == Answer::Kept { "answered Ok" } else { "recovered once" };
            let (lanes, oldest) = (&found.lanes, found.oldest);
            return Err(format!("LOST: record {id}, {how}, at {position}, is gone (oldest {oldest}, lanes {lanes:?})"));
        }
        Ok(taken)
    }

    /// The duplicate index is built from the tags: one of a record that is not there would answer "duplicate" for an
    /// event that is lost.
    fn check_tags(&self, found: &Found, there: &BTreeMap<u64, usize>, rot: &Rot) -> Result<(), Wrong> {
        let tag = |id: &usize| (self.known[*id].tag, self.known[*id].received_at_ms);
        let expected: Vec<_> = there.values().rev().map(tag).collect();
        if found.tags == expected {
            return Ok(());
        }
        // A closed segment's list is read at a start, its bodies are not, so rot may leave a tag too many.
        let hit: BTreeSet<_> = rot.records.iter().chain(&rot.tail).map(tag).collect();
        let may_stay = |tag: &(Tag, u64)| hit.contains(tag) || self.rotten.contains(tag);
        let without = |tags: &[(Tag, u64)]| tags.iter().copied().filter(|tag| !may_stay(tag)).collect::<Vec<_>>();
        if without(&found.tags) == without(&expected) {
            return Ok(());
        }
        Err(format!("{} tags are recovered, {} records are there", found.tags.len(), there.len()))
    }
}
