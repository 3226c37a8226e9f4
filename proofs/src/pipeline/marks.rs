//! The checkpoint and the dead letters as they lie on the disk, read without the bridge's own code.
//!
//! In: bytes. Out: marks of the newest slot, what a dead letter says of itself. Never happens: a panic at bytes that are
//! neither.

use retell_bridge::journal::{LaneMark, Position};

const SLOT_BYTES: usize = 20 << 10;
const FIXED_BYTES: usize = 56;

/// Generation and marks of the newest slot; `None` where neither is one.
pub fn newest(file: &[u8]) -> Option<(u64, Vec<LaneMark>)> {
    file.chunks(SLOT_BYTES).filter_map(slot).max_by_key(|(generation, _)| *generation)
}

fn slot(bytes: &[u8]) -> Option<(u64, Vec<LaneMark>)> {
    if bytes.get(..8)? != b"RBchkpnt" {
        return None;
    }
    let count = u16::from_le_bytes(bytes.get(10..12)?.try_into().ok()?);
    let mut at = FIXED_BYTES;
    let mut lanes = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_le_bytes(bytes.get(at + 16..at + 18)?.try_into().ok()?));
        let topic = String::from_utf8(bytes.get(at + 18..at + 18 + length)?.to_vec()).ok()?;
        lanes.push(LaneMark { topic, position: Position(u64_at(bytes, at)?), takes: u64_at(bytes, at + 8)? });
        at += 18 + length;
    }
    Some((u64_at(bytes, 32)?, lanes))
}

/// A dead letter of `<dir>/dead/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub reason: String,
    /// Where it should have gone.
    pub topic: String,
    pub position: u64,
    pub tag: [u8; 16],
    /// The record's bytes.
    pub envelope: Vec<u8>,
}

/// Reads what `journal::dead::read` gives.
pub fn dead_letter(payload: &[u8]) -> Option<DeadLetter> {
    let mut rest = payload.get(1..)?;
    let mut text = || {
        let length = usize::from(u16::from_le_bytes(rest.get(..2)?.try_into().ok()?));
        let text = String::from_utf8(rest.get(2..2 + length)?.to_vec()).ok()?;
        rest = &rest[2 + length..];
        Some(text)
    };
    let (reason, topic) = (text()?, text()?);
    let tag = rest.get(24..40)?.try_into().ok()?;
    Some(DeadLetter { reason, topic, position: u64_at(rest, 16)?, tag, envelope: rest.get(48..)?.to_vec() })
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
