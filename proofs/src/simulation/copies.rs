//! What lies in quarantine, against what was damaged.
//!
//! In: the disk before a recovery and after it. Out: how many new copies there are, each byte for byte what the file that
//! it names held at that place; and whether one holds a byte that turned over. Never happens: a copy that is believed for
//! its name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::disk::SimDisk;
use super::ledger::{Hit, Wrong};

/// One file in quarantine: `<segment>-<offset>-<from>-<until>-<kept at>.bytes`; segment 0 is the checkpoint.
pub struct Copy {
    segment: u64,
    offset: u64,
    /// Positions that it says are lost.
    pub positions: Range<u64>,
    bytes: Vec<u8>,
}

impl Copy {
    fn read(disk: &SimDisk, name: &str) -> Option<Copy> {
        let mut parts = name.split('-').map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
        let (segment, offset, from, until) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let bytes = disk.bytes(&format!("quarantine/{name}"))?;
        Some(Copy { segment, offset, positions: from..until, bytes })
    }

    /// Whether it holds the byte as it turned over. One that was made before cannot.
    pub fn holds(&self, hit: &Hit) -> bool {
        let inside = hit.at.checked_sub(self.offset).and_then(|at| self.bytes.get(at as usize));
        hit.segment == Some(self.segment) && inside == Some(&hit.byte)
    }

    /// Whether the segment still has these bytes there: then a reader meets them, each time.
    pub fn is_in_place(&self, disk: &SimDisk) -> bool {
        let (start, end) = (self.offset as usize, self.offset as usize + self.bytes.len());
        disk.bytes(&format!("journal/{:020}.segment", self.segment))
            .is_some_and(|segment| segment.get(start..end) == Some(&self.bytes))
    }
}

/// All of them.
pub fn all(disk: &SimDisk) -> Vec<Copy> {
    names(disk).iter().filter_map(|name| Copy::read(disk, name)).collect()
}

/// The segments as a recovery found them, and the copies that were there already.
pub struct Copies {
    segments: BTreeMap<u64, Vec<u8>>,
    known: BTreeSet<String>,
}

impl Copies {
    pub fn before(disk: &SimDisk) -> Copies {
        let number = |name: &str| name.strip_suffix(".segment")?.parse::<u64>().ok();
        let segment = |name: String| Some((number(&name)?, disk.bytes(&format!("journal/{name}"))?));
        Copies { segments: disk.names("journal").into_iter().filter_map(segment).collect(), known: names(disk) }
    }

    /// Compares those that are new.
    pub fn check(&self, disk: &SimDisk) -> Result<u64, Wrong> {
        let mut compared = 0;
        for name in names(disk).difference(&self.known) {
            // A start writes the checkpoint anew: its copy is looked at where lanes are lost by it.
            let Some(copy) = Copy::read(disk, name) else { continue };
            let Some(before) = self.segments.get(&copy.segment) else { continue };
            let offset = copy.offset as usize;
            if before.get(offset..offset + copy.bytes.len()) != Some(&copy.bytes) {
                return Err(format!("quarantine/{name} is not what segment {} held there", copy.segment));
            }
            compared += 1;
        }
        Ok(compared)
    }
}

fn names(disk: &SimDisk) -> BTreeSet<String> {
    disk.names("quarantine").into_iter().filter(|name| name.ends_with(".bytes")).collect()
}
