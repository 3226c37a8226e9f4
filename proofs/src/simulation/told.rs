//! Whether what rot took was told: with a copy of the bytes, the positions, and a word.
//!
//! In: what is gone, what was hit, what this process and the quarantine say. Out: nothing, or what was kept quiet. Never
//! happens: a copy of something else that excuses silence; a word of an earlier process, where none was cut off.

use super::copies::{self, Copy};
use super::disk::SimDisk;
use super::ledger::{Hit, Met, Rot, Taken, Wrong};

/// What this process said, and what may have kept an earlier one from it.
pub struct Word {
    /// Damaged bytes that this process has told of.
    pub told_bytes: u64,
    /// Bytes that it has cut as a torn tail.
    pub torn_bytes: u64,
    /// An attempt since the rot was cut off: what it has copied it has told of, and the next one knows it for told.
    pub was_cut_off: bool,
    /// A copy could not be made in such an attempt. Where the disk is full there is the word alone.
    pub could_not_copy: bool,
    /// A copy could not be made now.
    pub cannot_copy: bool,
}

/// See the module.
pub fn check(disk: &SimDisk, rot: &Rot, taken: &Taken, met: &[Met], word: &Word) -> Result<(), Wrong> {
    if taken.records.is_empty() && !taken.has_lost_lanes {
        return Ok(());
    }
    let copies = copies::all(disk);
    for (position, id) in &taken.records {
        let hits: Vec<&Hit> = rot.hits.iter().filter(|hit| hit.record == Some(*id)).collect();
        let what = format!("record {id} at {position} is gone by rot");
        word.check(&hits, &copies, &what)?;
        let is_damage = |met: &Met| matches!(met, Met::Damaged { from, until } if (*from..*until).contains(position));
        // The last segment is written again without it: what its copy is called says the positions, no reader does.
        let says_it = |copy: &Copy| copy.positions.contains(position) && !copy.is_in_place(disk);
        let is_copied = copies.iter().any(|copy| hits.iter().any(|hit| copy.holds(hit)) && says_it(copy));
        let is_tail = hits.iter().any(|hit| hit.is_tail);
        if !is_copied && !is_tail && !word.has_no_copy() && !met.iter().any(is_damage) {
            return Err(format!("{what}, and no damage is told at its position"));
        }
    }
    if taken.has_lost_lanes {
        let hits: Vec<&Hit> = rot.hits.iter().filter(|hit| hit.segment == Some(0)).collect();
        word.check(&hits, &copies, "the lanes are gone by rot")?;
    }
    Ok(())
}

impl Word {
    fn has_no_copy(&self) -> bool {
        self.could_not_copy || self.cannot_copy
    }

    /// One loss by these hits.
    fn check(&self, hits: &[&Hit], copies: &[Copy], what: &str) -> Result<(), Wrong> {
        let has_copy = hits.iter().any(|hit| copies.iter().any(|copy| copy.holds(hit)));
        if !has_copy && !self.has_no_copy() {
            return Err(format!("{what}, and no copy holds the byte that turned over"));
        }
        // In a last batch that no checkpoint covers the copy and the warning are all there is.
        let is_cut = self.torn_bytes > 0 && hits.iter().any(|hit| hit.is_tail);
        let was_told = self.was_cut_off && (has_copy || self.could_not_copy);
        if self.told_bytes == 0 && !is_cut && !was_told {
            return Err(format!("{what}, and nothing was said"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use retell_bridge::journal::storage::{Storage as _, write_all_at};

    use super::*;
    use crate::random::Random;

    const SAID: Word =
        Word { told_bytes: 9, torn_bytes: 0, was_cut_off: false, could_not_copy: false, cannot_copy: false };
    /// Of segment 1, from byte 100 on, for position 5.
    const COPY: &str = "00000000000000000001-000000000100-00000000000000000005-00000000000000000006-1.bytes";

    fn disk(copied: &[u8]) -> SimDisk {
        let disk = SimDisk::new(Random::new(1), 1 << 20);
        disk.create_folder(Path::new("quarantine")).unwrap();
        let file = disk.create(&Path::new("quarantine").join(COPY)).unwrap();
        write_all_at(file.as_ref(), copied, 0).unwrap();
        disk
    }

    /// Record 3, at position 5, lost its byte 102.
    fn judge(copied: &[u8], met: &[Met], is_tail: bool, word: &Word) -> Result<(), Wrong> {
        let rot = Rot { hits: vec![Hit { segment: Some(1), at: 102, byte: 7, record: Some(3), is_tail }] };
        check(&disk(copied), &rot, &Taken { records: vec![(5, 3)], has_lost_lanes: false }, met, word)
    }

    #[test]
    fn a_loss_that_is_copied_named_and_told_is_let_pass() {
        judge(&[0, 0, 7], &[], false, &SAID).unwrap();
        judge(&[0, 0, 7], &[], true, &Word { told_bytes: 0, torn_bytes: 9, ..SAID }).unwrap();
        judge(&[0, 0, 7], &[], false, &Word { told_bytes: 0, was_cut_off: true, ..SAID }).unwrap();
        judge(&[], &[Met::Damaged { from: 5, until: 6 }], false, &Word { cannot_copy: true, ..SAID }).unwrap();
    }

    #[test]
    fn a_copy_that_is_empty_cut_short_or_of_something_else_is_none() {
        for copied in [&[][..], &[0, 0], &[0, 0, 6], &[7, 7]] {
            let wrong = judge(copied, &[Met::Damaged { from: 5, until: 6 }], false, &SAID).unwrap_err();
            assert!(wrong.contains("no copy holds"), "{wrong}");
        }
    }

    #[test]
    fn a_copy_excuses_no_silence_where_no_attempt_was_cut_off() {
        let silent = Word { told_bytes: 0, ..SAID };
        for word in [silent, Word { told_bytes: 0, torn_bytes: 9, ..SAID }] {
            assert!(judge(&[0, 0, 7], &[], false, &word).unwrap_err().contains("nothing was said"));
        }
    }

    #[test]
    fn damage_that_a_reader_passes_over_is_not_told() {
        let rot = Rot { hits: vec![Hit { segment: Some(1), at: 102, byte: 7, record: Some(3), is_tail: false }] };
        let disk = disk(&[0, 0, 7]);
        disk.create_folder(Path::new("journal")).unwrap();
        let segment = disk.create(Path::new("journal/00000000000000000001.segment")).unwrap();
        write_all_at(segment.as_ref(), &[0, 0, 7], 100).unwrap();
        let taken = Taken { records: vec![(5, 3)], has_lost_lanes: false };
        let elsewhere = [Met::Damaged { from: 6, until: 9 }];
        assert!(check(&disk, &rot, &taken, &elsewhere, &SAID).unwrap_err().contains("no damage is told"));
    }
}
