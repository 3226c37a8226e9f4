//! Who an event is: equal identities are the same event sent again. Also the `ce_id` of the record and the tag in the
//! journal.
//!
//! `first 16 bytes of BLAKE3(u32 length of source ‖ source ‖ body [‖ v as u64])`, numbers little-endian; `v` is there
//! for the types whose bytes alone do not tell two events apart ([`Kind::is_identified_by_bytes`](super::Kind)).

use std::fmt;

use super::SOURCE_MAX_BYTES;

/// BLAKE3 hashes many blocks of 1,024 bytes at once only where they are handed to it together: behind a prefix of its own
/// each body would begin in the middle of one. So prefix and beginning are joined, and the rest begins where a block does.
const BEGINNING_BYTES: usize = 8 * 1024;
/// Below it there is at most one whole block, and nothing to gain.
const ALIGNED_FROM_BYTES: usize = 1024;

/// 16 bytes; shown as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 16]);

impl Identity {
    pub(super) fn of(source: &str, body: &[u8], signed_clock_ms: Option<u64>) -> Identity {
        let length = u32::try_from(source.len()).expect("a source's name is at most 65,535 bytes in its envelope");
        let mut hasher = blake3::Hasher::new();
        // An envelope may bring a longer name than any source is given.
        if body.len() < ALIGNED_FROM_BYTES || source.len() > SOURCE_MAX_BYTES {
            hasher.update(&length.to_le_bytes());
            hasher.update(source.as_bytes());
            hasher.update(body);
        } else {
            let mut beginning = [0; BEGINNING_BYTES];
            let (prefix, room) = beginning.split_at_mut(4 + source.len());
            prefix[..4].copy_from_slice(&length.to_le_bytes());
            prefix[4..].copy_from_slice(source.as_bytes());
            let (joined, rest) = body.split_at(body.len().min(room.len()));
            room[..joined.len()].copy_from_slice(joined);
            let joined_bytes = prefix.len() + joined.len();
            hasher.update(&beginning[..joined_bytes]);
            hasher.update(rest);
        }
        if let Some(clock_ms) = signed_clock_ms {
            hasher.update(&clock_ms.to_le_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Identity(bytes)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let pairs = self.0.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
        // One write: this stands in every answer and every record.
        f.write_str(std::str::from_utf8(pairs.as_flattened()).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_the_documented_hash() {
        let mut bytes = vec![3, 0, 0, 0];
        bytes.extend(b"srcbody");
        bytes.extend(7u64.to_le_bytes());
        let expected = &blake3::hash(&bytes).as_bytes()[..16].to_vec();
        assert_eq!(&Identity::of("src", b"body", Some(7)).0[..], expected);
    }

    #[test]
    fn bodies_of_every_length_have_the_documented_hash() {
        let body: Vec<u8> = (0..40_000u32).map(|number| (number % 251) as u8).collect();
        let near = |edge: usize| edge - 5..edge + 5;
        let lengths =
            near(1024).chain(near(2048)).chain(8000..8200).chain(near(9216)).chain(near(16_384)).chain([40_000]);
        for length in lengths {
            let whole = [&3u32.to_le_bytes()[..], b"src", &body[..length]].concat();
            let expected = blake3::hash(&whole);
            assert_eq!(Identity::of("src", &body[..length], None).0[..], expected.as_bytes()[..16], "{length} bytes");
        }
    }

    #[test]
    fn names_of_sources_of_every_length_have_the_documented_hash() {
        let body = vec![7; 20_000];
        for length in [0, 1, SOURCE_MAX_BYTES, SOURCE_MAX_BYTES + 1, BEGINNING_BYTES, usize::from(u16::MAX)] {
            let source = "s".repeat(length);
            let whole = [&(length as u32).to_le_bytes()[..], source.as_bytes(), &body].concat();
            let expected = blake3::hash(&whole);
            assert_eq!(Identity::of(&source, &body, None).0[..], expected.as_bytes()[..16], "{length} bytes");
        }
    }

    #[test]
    fn source_and_body_cannot_be_shifted_into_each_other() {
        assert_ne!(Identity::of("ab", b"c", None), Identity::of("a", b"bc", None));
    }

    #[test]
    fn it_shows_as_32_hex_digits() {
        assert_eq!(Identity([0xab; 16]).to_string(), "ab".repeat(16));
        assert_eq!(Identity([0x07; 16]).to_string(), "07".repeat(16));
    }
}
