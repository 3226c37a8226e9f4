//! The envelope: what is kept of one authenticated request, as bytes in a journal record and back.
//!
//! In: [`Authenticated`] (or, in `dev` only, an unsigned body), the source's name and received-at. Out: the record's
//! bytes and tag; later, from those bytes, the same [`Event`] again.
//!
//! Format, version 1, little-endian:
//!
//! ```text
//! version u8 = 1 │ origin u8 │ received_at_ms u64 │ source: u16 length + UTF-8 │ signature header: u16 length + UTF-8 │ body
//! ```
//!
//! Type, key and identity are not stored: they are derived from the body ([`Peek`]) and so can be derived better later.
//!
//! Never happens: an event without a named origin; a body that differs from the bytes that were signed; an event that is
//! refused because its body cannot be read.

mod identity;
mod kind;
mod peek;

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

pub use identity::Identity;
pub use kind::Kind;
pub use peek::{KEY_MAX_BYTES, Peek};

use crate::signature::{self, Authenticated};

/// Target of the log lines of which there is one for each event, which `log.events` lets through.
pub const LOG_TARGET: &str = "retell_bridge::events";

const VERSION: u8 = 1;
/// Version, origin, received-at and the two lengths.
const FIXED_BYTES: usize = 1 + 1 + 8 + 2 + 2;
/// Longest name of a source, bytes; far below what the envelope's u16 holds.
pub const SOURCE_MAX_BYTES: usize = 128;

/// How an event came to the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Signed, over HTTP.
    Live,
    /// Taken without a signature; only `dev --allow-unsigned` makes these.
    Unsigned,
}

/// One webhook, kept as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    origin: Origin,
    received_at_ms: u64,
    /// UTF-8, checked at every construction.
    source: Bytes,
    /// UTF-8, checked at every construction; empty for [`Origin::Unsigned`].
    signature: Bytes,
    body: Bytes,
}

/// Why a record's bytes are not an event. The record becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a release that knows a later envelope, or not an envelope at all.
    #[error("envelope version {0} is not known to this release")]
    Version(u8),
    /// Shorter than its own lengths say, an origin that is not known, or text that is not UTF-8.
    #[error("the envelope's fields do not hold together")]
    Fields,
}

impl Event {
    /// The event of an authenticated request.
    pub fn live(source: &str, received_at_ms: u64, authenticated: Authenticated) -> Event {
        let signature = Bytes::copy_from_slice(authenticated.header().as_bytes());
        Event::new(Origin::Live, source, received_at_ms, signature, authenticated.body().clone())
    }

    /// An event nobody signed (`dev --allow-unsigned`).
    pub fn unsigned(source: &str, received_at_ms: u64, body: Bytes) -> Event {
        Event::new(Origin::Unsigned, source, received_at_ms, Bytes::new(), body)
    }

    fn new(origin: Origin, source: &str, received_at_ms: u64, signature: Bytes, body: Bytes) -> Event {
        Event { origin, received_at_ms, source: Bytes::copy_from_slice(source.as_bytes()), signature, body }
    }

    /// How it came.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// When the request's head arrived, Unix milliseconds by this machine's clock.
    pub fn received_at_ms(&self) -> u64 {
        self.received_at_ms
    }

    /// Name of the source that took it; that source may no longer be configured.
    pub fn source(&self) -> &str {
        text(&self.source)
    }

    /// The signature header as received; empty where there was none.
    pub fn signature(&self) -> &str {
        text(&self.signature)
    }

    /// The request body, byte for byte.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The sender's signed clock `v` in Unix milliseconds; received-at where nothing was signed.
    pub fn clock_ms(&self) -> u64 {
        signature::clock_ms(self.signature()).unwrap_or(self.received_at_ms)
    }

    /// Reads type and key from the body; stops as soon as it has both.
    pub fn peek(&self) -> Peek {
        Peek::at(&self.body)
    }

    /// Who this event is, for duplicates and `ce_id`; `peek` is this event's own.
    pub fn identity(&self, peek: &Peek) -> Identity {
        let signed_clock_ms = (!peek.kind().is_identified_by_bytes()).then(|| self.clock_ms());
        Identity::of(self.source(), &self.body, signed_clock_ms)
    }

    /// The record's bytes, in two parts so that the body is not copied here: head, then body.
    pub fn encode(&self) -> [Bytes; 2] {
        let mut head = BytesMut::with_capacity(FIXED_BYTES + self.source.len() + self.signature.len());
        head.put_u8(VERSION);
        head.put_u8(match self.origin {
            Origin::Live => 0,
            Origin::Unsigned => 1,
        });
        head.put_u64_le(self.received_at_ms);
        for field in [&self.source, &self.signature] {
            let length = u16::try_from(field.len()).expect("source names and signatures are bounded far below 64 KiB");
            head.put_u16_le(length);
            head.put_slice(field);
        }
        [head.freeze(), self.body.clone()]
    }

    /// The event of a record's bytes, without copying them.
    pub fn decode(mut record: Bytes) -> Result<Event, Unreadable> {
        let version = *record.first().ok_or(Unreadable::Fields)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let fixed = take(&mut record, 10)?;
        let origin = match fixed[1] {
            0 => Origin::Live,
            1 => Origin::Unsigned,
            _ => return Err(Unreadable::Fields),
        };
        let received_at_ms = u64::from_le_bytes(fixed[2..10].try_into().expect("ten bytes were taken"));
        let source = take_text(&mut record)?;
        let signature = take_text(&mut record)?;
        Ok(Event { origin, received_at_ms, source, signature, body: record })
    }
}

/// Names the event's shape and never its content.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("origin", &self.origin)
            .field("received_at_ms", &self.received_at_ms)
            .field("source", &self.source())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8 was checked when the event was made")
}

fn take(record: &mut Bytes, length: usize) -> Result<Bytes, Unreadable> {
    if record.len() < length { Err(Unreadable::Fields) } else { Ok(record.split_to(length)) }
}

fn take_text(record: &mut Bytes) -> Result<Bytes, Unreadable> {
    let length = take(record, 2)?;
    let field = take(record, usize::from(u16::from_le_bytes([length[0], length[1]])))?;
    std::str::from_utf8(&field).map_err(|_| Unreadable::Fields)?;
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{ApiKey, sign, verify};

    fn live(body: &'static [u8], clock_ms: u64) -> Event {
        let key = ApiKey::new("k");
        let header = sign(&key, body, clock_ms);
        let body = Bytes::from_static(body);
        let proof = verify([header.as_bytes()].into_iter(), body, &[key], clock_ms, 0).ok().unwrap();
        Event::live("default", 42, proof)
    }

    fn record(event: &Event) -> Bytes {
        Bytes::from(event.encode().concat())
    }

    #[test]
    fn an_event_comes_back_from_its_bytes_as_it_was() {
        for event in [live(b"{\"event\":\"call_ended\"}", 7), Event::unsigned("dev", 1, Bytes::from_static(b"\xff\0"))]
        {
            assert!(Event::decode(record(&event)).unwrap() == event);
        }
    }

    #[test]
    fn the_envelope_has_the_documented_bytes() {
        let bytes = record(&Event::unsigned("ab", 0x0102, Bytes::from_static(b"body")));
        assert_eq!(&bytes[..], b"\x01\x01\x02\x01\0\0\0\0\0\0\x02\0ab\0\0body");
    }

    #[test]
    fn bytes_cut_anywhere_before_the_body_are_refused_and_never_panic() {
        let event = live(b"", 7);
        let whole = record(&event);
        for length in 0..whole.len() {
            assert!(Event::decode(whole.slice(..length)).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_later_version_is_refused_by_its_number() {
        assert_eq!(Event::decode(Bytes::from_static(b"\x02rest")), Err(Unreadable::Version(2)));
    }

    #[test]
    fn equal_bytes_at_two_clocks_are_one_call_ended_and_two_transfers() {
        for (body, same) in [
            (&b"{\"event\":\"call_ended\",\"call\":{\"call_id\":\"c\"}}"[..], true),
            (b"{\"event\":\"transfer_started\",\"call\":{\"call_id\":\"c\"}}", false),
            (b"{\"event\":\"brand_new\",\"call\":{\"call_id\":\"c\"}}", false),
            (b"not json", false),
        ] {
            let (one, two) = (live(body, 1), live(body, 2));
            assert_eq!(one.identity(&one.peek()) == two.identity(&two.peek()), same);
        }
    }

    #[test]
    fn debug_output_tells_the_shape_and_not_the_body() {
        let shown = format!("{:?}", live(b"{\"transcript\":\"hello\"}", 1));
        assert!(shown.contains("body_bytes: 22") && !shown.contains("hello") && !shown.contains("d="), "{shown}");
    }
}
