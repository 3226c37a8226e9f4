//! Whether a recovery has kept what it owes: the checkpoint's lanes, every record at its place, none lost, tags that match.
//!
//! In: what was recovered, and the rot that struck before. Out: what rot took, or what is wrong. Never happens:
//! a record that rot has not hit excused.

use std::collections::{BTreeMap, BTreeSet};

use retell_bridge::journal::Tag;

use super::{Answer, Found, Ledger, Met, Rot, Taken, Wrong, lowest, sorted};

impl Ledger {
    /// Judges a recovery, then takes what it found as the truth to keep from now on. Returns what rot took: the journal
    /// must have told of it.
    pub fn recovered(&mut self, found: &Found, rot: &Rot) -> Result<Taken, Wrong> {
        let has_lost_lanes = self.check_lanes(found, rot)?;
        let there = self.check_records(found)?;
        let records = self.check_obligations(found, &there, rot)?;
        self.check_tags(found, &there, rot)?;
        if found.synced <= self.high_water && !rot.may_free_positions() {
            return Err(format!("the next position is {}, but {} was reached", found.synced, self.high_water));
        }
        let gone = rot.records().filter(|id| !there.values().any(|there| there == id));
        self.rotten.extend(gone.map(|id| (self.known[id].tag, self.known[id].received_at_ms)));
        self.adopt(found, there);
        Ok(Taken { records, has_lost_lanes })
    }

    /// Whether all lanes are gone, by rot. One slot that is broken is a warning alone: it cannot be told from one torn by a
    /// cut, and the other one counts. It was handed over earlier, so no lane is ahead.
    fn check_lanes(&self, found: &Found, rot: &Rot) -> Result<bool, Wrong> {
        let lanes = sorted(&found.lanes);
        let may_go_back = found.is_squeezed || rot.has_checkpoint();
        if self.candidates.contains(&lanes) || (may_go_back && lanes == self.elder) {
            return Ok(false);
        }
        if rot.has_checkpoint() && lanes.is_empty() {
            return Ok(true);
        }
        let elder = may_go_back.then_some(&self.elder);
        Err(format!("the checkpoint is {lanes:?}, but only these could be: {:?}, elder {elder:?}", self.candidates))
    }

    /// Every record there is one that was handed in, at one place, in order.
    fn check_records(&self, found: &Found) -> Result<BTreeMap<u64, usize>, Wrong> {
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
                    self.check_place(id, seen.position)?;
                    there.insert(seen.position, id);
                }
            }
        }
        if next > found.synced {
            return Err(format!("records up to {next} are readable, but only up to {} is synced", found.synced));
        }
        Ok(there)
    }

    fn check_place(&self, id: usize, position: u64) -> Result<(), Wrong> {
        if self.known[id].answer == Answer::Refused {
            return Err(format!("record {id} at {position} was refused as not written"));
        }
        match self.at.get(&position) {
            Some(known) if *known == id => Ok(()),
            Some(known) => Err(format!("position {position} was record {known} and is now record {id}")),
            None if self.lingering.get(&position) == Some(&id) => Ok(()),
            None if position < self.freed_below => Err(format!("position {position} was freed and is back")),
            None if position <= self.high_water => {
                Err(format!("record {id} appears at {position}, below {}", self.high_water))
            }
            None => Ok(()),
        }
    }

    /// Everything from the lanes on is there, and behind them everything from the oldest position on: what is retained
    /// is retained whole. Returns what rot took.
    fn check_obligations(
        &self,
        found: &Found,
        there: &BTreeMap<u64, usize>,
        rot: &Rot,
    ) -> Result<Vec<(u64, usize)>, Wrong> {
        let lanes = match lowest(&found.lanes) {
            // Segments went for what the lost checkpoint said.
            None if rot.has_checkpoint() => self.passed,
            lanes => lanes.unwrap_or(0),
        };
        // Where rot hit a segment's header, the oldest position may be told too low.
        let oldest = if rot.is_none() { found.oldest } else { there.keys().next().copied().unwrap_or(found.synced) };
        let floor = if found.may_have_gaps { lanes } else { lanes.min(oldest) };
        let mut taken = Vec::new();
        // What is retained behind the lanes is missed by nobody but a replay: it is told of all the same.
        let first = if found.may_have_gaps { floor } else { floor.min(found.oldest) };
        for (position, id) in self.at.range(first..) {
            if there.contains_key(position) {
                continue;
            }
            if rot.records().any(|hit| hit == *id) {
                taken.push((*position, *id));
                continue;
            }
            if *position < floor {
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
        let tag = |id: usize| (self.known[id].tag, self.known[id].received_at_ms);
        let expected: Vec<_> = there.values().rev().map(|id| tag(*id)).collect();
        if found.tags == expected {
            return Ok(());
        }
        // A closed segment's list is read at a start, its bodies are not, so rot may leave a tag too many.
        let hit: BTreeSet<_> = rot.records().map(tag).collect();
        let may_stay = |tag: &(Tag, u64)| hit.contains(tag) || self.rotten.contains(tag);
        let without = |tags: &[(Tag, u64)]| tags.iter().copied().filter(|tag| !may_stay(tag)).collect::<Vec<_>>();
        let (read, expected) = (without(&found.tags), without(&expected));
        // A list that cannot be read costs repeats that are kept twice, no event.
        if read == expected || (found.may_miss_tags && is_part(&read, &expected)) {
            return Ok(());
        }
        Err(format!("{} tags are recovered, {} records are there", found.tags.len(), there.len()))
    }
}

/// Whether all of `part` are in `whole`, in the same order.
fn is_part(part: &[(Tag, u64)], whole: &[(Tag, u64)]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|one| rest.any(|other| other == one))
}
