//! A dead letter as it is kept in `<dir>/dead/`, and its name there.
//!
//! In: reason, topic and record. Out: bytes, and from those the same again. Never happens: two names for one dead letter:
//! keeping it twice leaves one.
//!
//! A file holds, little-endian, in one journal frame:
//!
//! ```text
//! version u8 = 1 │ reason: u16 length + UTF-8 │ topic: u16 length + UTF-8 │ journal identity [16] │ position u64 │
//! tag [16] │ received_at_ms u64 │ the record's bytes (event.rs)
//! ```
//!
//! `topic` is where it should have gone, empty where the record cannot be read. The name is made of journal identity,
//! position and topic.

use bytes::{Buf, Bytes};

use super::headers::hex;
use crate::journal::{JournalId, Position, Record};

const VERSION: u8 = 1;
/// Journal identity, position, tag and received-at.
const FIXED_BYTES: usize = 16 + 8 + 16 + 8;

/// One dead letter.
#[derive(Debug)]
pub struct Letter {
    /// `too_large`, `invalid`.
    pub reason: String,
    /// Where it should have gone; `None` where the record is no event that this release can read.
    pub topic: Option<String>,
    pub record: Record,
}

impl Letter {
    /// The name of the file for `record` on its way to `topic`, without the ending.
    pub fn name(topic: Option<&str>, record: &Record) -> String {
        let topic = blake3::hash(topic.unwrap_or_default().as_bytes());
        format!("{}-{:020}-{}", hex(&record.journal.0), record.position.0, hex(&topic.as_bytes()[..4]))
    }

    /// The dead letter of a file's contents; `None` where they do not hold together or a newer release wrote them.
    pub fn decode(payload: Vec<u8>) -> Option<Letter> {
        let mut rest = Bytes::from(payload);
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let (reason, topic) = (take_text(&mut rest)?, take_text(&mut rest)?);
        if rest.len() < FIXED_BYTES {
            return None;
        }
        let mut journal = JournalId([0; 16]);
        rest.copy_to_slice(&mut journal.0);
        let position = Position(rest.get_u64_le());
        let mut tag = [0; 16];
        rest.copy_to_slice(&mut tag);
        let received_at_ms = rest.get_u64_le();
        let record = Record { position, journal, tag, received_at_ms, payload: rest };
        Some(Letter { reason, topic: Some(topic).filter(|topic| !topic.is_empty()), record })
    }
}

fn take_text(rest: &mut Bytes) -> Option<String> {
    let length = usize::from(rest.try_get_u16_le().ok()?);
    let text = (rest.len() >= length).then(|| rest.split_to(length))?;
    String::from_utf8(text.to_vec()).ok()
}

/// The contents of its file.
pub(super) fn encode(reason: &str, topic: Option<&str>, record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512 + record.payload.len());
    bytes.push(VERSION);
    for text in [reason, topic.unwrap_or_default()] {
        let length = u16::try_from(text.len()).expect("a topic's name has at most 249 bytes");
        bytes.extend(length.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend(record.journal.0);
    bytes.extend(record.position.0.to_le_bytes());
    bytes.extend(record.tag);
    bytes.extend(record.received_at_ms.to_le_bytes());
    bytes.extend_from_slice(&record.payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let payload = Bytes::from_static(b"the record");
        Record { position: Position(7), journal: JournalId([0xab; 16]), tag: [3; 16], received_at_ms: 42, payload }
    }

    #[test]
    fn a_letter_comes_back_from_its_bytes_as_it_was() {
        for topic in [Some("retell.call_ended"), None] {
            let letter = Letter::decode(encode("too_large", topic, &record())).unwrap();
            assert_eq!((letter.reason.as_str(), letter.topic.as_deref()), ("too_large", topic));
            let Record { position, journal, tag, received_at_ms, payload } = letter.record;
            assert_eq!((position, journal, tag, received_at_ms), (Position(7), JournalId([0xab; 16]), [3; 16], 42));
            assert_eq!(&payload[..], b"the record");
        }
    }

    #[test]
    fn bytes_that_are_cut_or_of_a_newer_release_are_refused_and_never_panic() {
        let whole = encode("invalid", Some("t"), &record());
        let head = whole.len() - record().payload.len();
        assert!((0..head).all(|length| Letter::decode(whole[..length].to_vec()).is_none()));
        assert!(Letter::decode([&[2], &whole[1..]].concat()).is_none());
    }

    #[test]
    fn the_name_tells_journal_and_position_and_differs_by_topic() {
        let names = [Some("a"), Some("b"), None].map(|topic| Letter::name(topic, &record()));
        let start = format!("{}-00000000000000000007-", "ab".repeat(16));
        assert!(names.iter().all(|name| name.starts_with(&start)), "{names:?}");
        assert!(names[0] != names[1] && names[1] != names[2]);
    }
}
