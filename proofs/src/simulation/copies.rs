//! What lies in quarantine, against what was damaged.
//!
//! In: the disk before a recovery and after it. Out: how many new copies there are, each byte for byte what the file that
//! it names held at that place. Never happens: a copy that is believed for its name.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::SimDisk;
use super::ledger::Wrong;

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
            // `<segment>-<offset>-<from>-<until>-<kept at>.bytes`; segment 0 is the checkpoint, which a start writes anew.
            let mut parts = name.split('-').map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
            let (Some(segment), Some(offset)) = (parts.next(), parts.next()) else { continue };
            let Some(before) = self.segments.get(&segment) else { continue };
            let copy = disk.bytes(&format!("quarantine/{name}")).expect("it was listed just now");
            let offset = offset as usize;
            if before.get(offset..offset + copy.len()) != Some(&copy) {
                return Err(format!("quarantine/{name} is not what segment {segment} held there"));
            }
            compared += 1;
        }
        Ok(compared)
    }
}

fn names(disk: &SimDisk) -> BTreeSet<String> {
    disk.names("quarantine").into_iter().filter(|name| name.ends_with(".bytes")).collect()
}
