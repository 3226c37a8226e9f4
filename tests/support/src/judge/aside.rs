//! What a journal's folder holds beside the journal, read from the description of its bytes: the quarantine, the dead
//! letters in files, and how far each lane is marked in the checkpoint.
//!
//! In: the folder of a bridge that does not run. Out: [`Aside`], [`marks`]. Never happens: a file that is left out
//! because it cannot be read; it is in [`Aside::unread`], or its letter has a [`Letter::damage`].

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use crate::sign::{hex, sha256};

const FRAME_HEADER_BYTES: usize = 64;
const RECORD_HEADER_BYTES: usize = 32;
const SLOT_BYTES: usize = 20 << 10;

/// Everything that was set aside.
#[derive(Debug, Clone, Default)]
pub struct Aside {
    pub quarantined: Vec<Quarantined>,
    pub letters: Vec<Letter>,
    /// Files and folders that are there and cannot be read, with the reason.
    pub unread: Vec<String>,
}

/// One file of the quarantine.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// The positions that its name says are lost; empty for a torn tail.
    pub positions: Range<u64>,
    pub bytes: Vec<u8>,
}

/// One file of `dead/`.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    pub name: String,
    pub reason: String,
    /// Where it should have gone; empty where the record could not be read.
    pub topic: String,
    pub ce_id: String,
    pub position: u64,
    pub length: usize,
    pub sha256: String,
    /// Why the file cannot be believed.
    pub damage: Option<&'static str>,
}

impl Aside {
    /// Reads the folders `quarantine` and `dead` of a journal.
    pub fn read(journal_dir: &Path) -> Aside {
        let mut unread = Vec::new();
        let quarantined = files(&journal_dir.join("quarantine"), ".bytes", &mut unread);
        let letters = files(&journal_dir.join("dead"), ".dead", &mut unread);
        Aside {
            unread,
            quarantined: quarantined
                .into_iter()
                .map(|(name, bytes)| Quarantined { positions: positions(&name), bytes })
                .collect(),
            letters: letters.into_iter().map(|(name, bytes)| letter(name, &bytes)).collect(),
        }
    }

    /// Whether the quarantine holds the event: its id stands in a file, or its position in a file's name.
    pub fn holds(&self, ce_id: &str, position: Option<u64>) -> bool {
        let tag = crate::sign::unhex(ce_id);
        self.quarantined.iter().any(|file| {
            position.is_some_and(|position| file.positions.contains(&position))
                || file.bytes.windows(tag.len()).any(|window| window == tag)
        })
    }
}

/// A folder that is not there has no files; whatever else goes wrong is written down.
fn files(folder: &Path, suffix: &str, unread: &mut Vec<String>) -> Vec<(String, Vec<u8>)> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            unread.push(format!("{}: {error}", folder.display()));
            return Vec::new();
        }
        Ok(entries) => entries,
    };
    let mut found = Vec::new();
    for entry in entries {
        let read = entry.and_then(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = if name.ends_with(suffix) { Some(fs::read(entry.path())?) } else { None };
            Ok(bytes.map(|bytes| (name, bytes)))
        });
        match read {
            Ok(file) => found.extend(file),
            Err(error) => unread.push(format!("a file in {}: {error}", folder.display())),
        }
    }
    found.sort();
    found
}

/// `<segment>-<offset>-<from>-<until>-<kept at>.bytes`.
fn positions(name: &str) -> Range<u64> {
    let number = |index| name.split('-').nth(index).and_then(|text| text.parse().ok());
    match (number(2), number(3)) {
        (Some(from), Some(until)) => from..until,
        _ => 0..0,
    }
}

fn letter(name: String, bytes: &[u8]) -> Letter {
    match decode(bytes) {
        Ok(letter) => Letter { name, ..letter },
        Err(damage) => Letter { name, damage: Some(damage), ..Letter::default() },
    }
}

/// A frame's header, a record's header, what a dead letter says of itself, and the envelope with the body.
fn decode(bytes: &[u8]) -> Result<Letter, &'static str> {
    let mut rest = Reader(bytes);
    let frame = rest.take(FRAME_HEADER_BYTES)?;
    if frame[..4] != *b"RBfr" || crc32c(&[&frame[..60]]) != number(&frame[60..]) as u32 {
        return Err("no frame");
    }
    let record = rest.take(RECORD_HEADER_BYTES)?;
    let payload = rest.take(number(&record[..4]) as usize)?;
    let position_in_frame = 1_u64.to_le_bytes();
    if crc32c(&[&record[8..], &record[..4], payload, &position_in_frame]) != number(&record[4..8]) as u32 {
        return Err("the record's checksum is wrong");
    }
    let mut rest = Reader(payload);
    if rest.take(1)? != [1] {
        return Err("another version");
    }
    let (reason, topic) = (rest.text()?, rest.text()?);
    rest.take(16)?;
    let position = number(rest.take(8)?);
    let ce_id = hex(rest.take(16)?);
    rest.take(8)?;
    // The envelope: version, origin, received-at, source, signature; the rest is the body.
    rest.take(10)?;
    rest.text()?;
    rest.text()?;
    let body = rest.0;
    let (length, sha256) = (body.len(), sha256(body));
    Ok(Letter { name: String::new(), reason, topic, ce_id, position, length, sha256, damage: None })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<String, &'static str> {
        let length = number(self.take(2)?) as usize;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| "not UTF-8")
    }
}

/// The first position that each lane still needs, by topic, from the newest sound slot of the checkpoint; empty where no
/// lane was marked yet, and an error where no slot is sound.
pub fn marks(journal_dir: &Path) -> Result<BTreeMap<String, u64>, String> {
    let bytes = fs::read(journal_dir.join("journal/checkpoint")).map_err(|error| format!("checkpoint: {error}"))?;
    let slots = bytes.chunks(SLOT_BYTES).filter_map(|slot| slot_marks(slot).ok());
    let newest = slots.max_by_key(|(generation, _)| *generation);
    newest.map(|(_, marks)| marks).ok_or_else(|| format!("checkpoint: no sound slot in {} bytes", bytes.len()))
}

fn slot_marks(slot: &[u8]) -> Result<(u64, BTreeMap<String, u64>), &'static str> {
    let mut rest = Reader(slot);
    let head = rest.take(56)?;
    let length = number(&head[12..16]) as usize;
    let covered = slot.get(..length).ok_or("too short")?;
    let crc = slot.get(length..length + 4).ok_or("too short")?;
    if head[..8] != *b"RBchkpnt" || crc32c(&[covered]) != number(crc) as u32 {
        return Err("no slot");
    }
    let mut marks = BTreeMap::new();
    for _ in 0..number(&head[10..12]) {
        let position = number(rest.take(8)?);
        rest.take(8)?;
        marks.insert(rest.text()?, position);
    }
    Ok((number(&head[32..40]), marks))
}

/// Little-endian, up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// CRC-32C of the parts, one after the other.
fn crc32c(parts: &[&[u8]]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !parts.iter().flat_map(|part| part.iter()).fold(!0, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one_and_a_file_that_is_no_letter_is_damage() {
        assert_eq!(crc32c(&[b"12345", b"6789"]), 0xe306_9283);
        assert_eq!(letter("x.dead".into(), b"short").damage, Some("too short"));
        assert_eq!(positions("1-2-00010-00012-5.bytes"), 10..12);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_and_not_left_out() {
        let folder = crate::tools::folder("aside");
        let dir = folder.join("dead/1.dead");
        std::fs::create_dir_all(&dir).unwrap();
        let aside = Aside::read(&folder);
        assert_eq!((aside.letters.len(), aside.unread.len()), (0, 1), "{:?}", aside.unread);
        assert!(marks(&folder).unwrap_err().starts_with("checkpoint"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
