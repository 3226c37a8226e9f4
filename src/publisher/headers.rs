//! A delivery's key, value and headers from a record: CloudEvents 1.0 in Kafka binary mode, and the bridge's own.
//!
//! In: a record as it [`Arrived`]. Out: [`Delivery`], lent to a closure so that nothing of it is copied here. Never
//! happens: a value that differs from the body.

use std::fmt::Write;

use crate::event::{Event, Kind, Origin};
use crate::journal::{JournalId, Record};

use super::Delivery;
use super::cursor::{Arrived, Content};

/// Longest list of headers below.
const HEADERS_MAX: usize = 13;
/// The last millisecond of the year 9999, the last that RFC 3339 can write.
const TIME_MAX_MS: u64 = 253_402_300_799_999;

/// What a dead letter says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aside<'a> {
    pub reason: &'static str,
    /// Where it should have gone; `None` where the record cannot be read.
    pub topic: Option<&'a str>,
}

/// Which delivery of an event this is.
pub(super) struct Address<'a> {
    pub topic: &'a str,
    pub token: u64,
    /// Why it goes to `unrecognized`; `None` on its type's topic and on the topic for all.
    pub reason: Option<&'static str>,
    pub aside: Option<Aside<'a>>,
    pub replay: Option<Replay<'a>>,
}

/// What a record that is put on its topics again says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay<'a> {
    /// Value of `retell_origin`: `replay:<run id>`.
    pub origin: &'a str,
    /// The record's timestamp, Unix milliseconds.
    pub now_ms: u64,
}

/// Texts that are the same for most records, built once.
pub(super) struct Stamps {
    types: Vec<(Kind, String)>,
    journal: Option<(JournalId, String)>,
}

impl Stamps {
    pub fn new() -> Stamps {
        let types = Kind::KNOWN.into_iter().map(|kind| (kind, format!("com.retellai.{}", kind.name()))).collect();
        Stamps { types, journal: None }
    }

    /// Hands the delivery of `arrived` to `use_it`.
    pub fn lend<T>(&mut self, arrived: &Arrived, address: &Address<'_>, use_it: impl FnOnce(&Delivery<'_>) -> T) -> T {
        self.learn_journal(arrived.record.journal);
        let journal = self.journal.as_ref().map_or("", |(_, text)| text.as_str());
        let position = arrived.record.position.0.to_string();
        let mut list = List::default();
        match &arrived.content {
            Content::Event { event, peek, .. } => {
                let id = hex(&arrived.record.tag);
                let source = format!("/retell/{}", event.source());
                let time = rfc3339(event.clock_ms());
                let kind = if address.reason.is_some() { Kind::Other } else { peek.kind() };
                list.push("ce_specversion", b"1.0");
                list.push("ce_id", id.as_bytes());
                list.push("ce_source", source.as_bytes());
                list.push("ce_type", self.type_of(kind).as_bytes());
                // An event that is unrecognized for want of a usable key has none here.
                let key = peek.key().map(str::as_bytes);
                list.push_some("ce_subject", key);
                list.push("ce_time", time.as_bytes());
                list.push("content-type", b"application/json");
                list.push_some("retell_signature", Some(event.signature().as_bytes()).filter(|text| !text.is_empty()));
                list.push("retell_journal", journal.as_bytes());
                list.push("retell_position", position.as_bytes());
                let origin = address.replay.map(|replay| replay.origin.as_bytes()).or(origin(event));
                list.push_some("retell_origin", origin);
                list.finish(address);
                use_it(&delivery(address, key, event.body(), list.as_slice(), &arrived.record))
            }
            Content::Unreadable => {
                list.push("retell_journal", journal.as_bytes());
                list.push("retell_position", position.as_bytes());
                list.finish(address);
                use_it(&delivery(address, None, &arrived.record.payload, list.as_slice(), &arrived.record))
            }
        }
    }

    fn learn_journal(&mut self, journal: JournalId) {
        if self.journal.as_ref().is_none_or(|(known, _)| *known != journal) {
            self.journal = Some((journal, hex(&journal.0)));
        }
    }

    fn type_of(&self, kind: Kind) -> &str {
        let found = self.types.iter().find(|(known, _)| *known == kind);
        found.map_or("com.retellai.unrecognized", |(_, text)| text)
    }
}

fn delivery<'a>(
    address: &'a Address<'_>,
    key: Option<&'a [u8]>,
    value: &'a [u8],
    headers: &'a [(&'static str, &'a [u8])],
    record: &Record,
) -> Delivery<'a> {
    let timestamp_ms = address.replay.map_or(record.received_at_ms, |replay| replay.now_ms);
    let timestamp_ms = i64::try_from(timestamp_ms).unwrap_or(i64::MAX);
    Delivery { topic: address.topic, key, value, headers, timestamp_ms, token: address.token }
}

fn origin(event: &Event) -> Option<&'static [u8]> {
    match event.origin() {
        Origin::Live => None,
        Origin::Unsigned => Some(b"unsigned"),
    }
}

/// The headers of one delivery, without an allocation.
#[derive(Default)]
struct List<'a> {
    headers: [(&'static str, &'a [u8]); HEADERS_MAX],
    length: usize,
}

impl<'a> List<'a> {
    fn push(&mut self, name: &'static str, value: &'a [u8]) {
        self.headers[self.length] = (name, value);
        self.length += 1;
    }

    fn push_some(&mut self, name: &'static str, value: Option<&'a [u8]>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// Reason and topic of what did not go where it should.
    fn finish(&mut self, address: &Address<'a>) {
        let reason = address.aside.map(|aside| aside.reason).or(address.reason);
        self.push_some("retell_reason", reason.map(str::as_bytes));
        self.push_some("retell_topic", address.aside.and_then(|aside| aside.topic).map(str::as_bytes));
    }

    fn as_slice(&self) -> &[(&'static str, &'a [u8])] {
        &self.headers[..self.length]
    }
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `2026-01-31T23:59:59.999Z`.
fn rfc3339(unix_ms: u64) -> String {
    let unix_ms = unix_ms.min(TIME_MAX_MS);
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// Year, month and day of a day since 1970-01-01 (Gregorian). Counts in eras of 400 years that begin on 1 March, so that
/// the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::Position;
    use crate::publisher::routing::{Router, tests::topics};
    use crate::signature::{ApiKey, sign, verify};

    const CLOCK_MS: u64 = 1_767_225_599_007;

    fn arrived(event: &Event) -> Arrived {
        let record = Record {
            position: Position(7),
            journal: JournalId([0xab; 16]),
            tag: event.identity(&event.peek()).0,
            received_at_ms: event.received_at_ms(),
            payload: Bytes::from(event.encode().concat()),
        };
        Arrived::new(record, &Router::new(&topics()))
    }

    fn live(body: &'static str) -> Event {
        let key = ApiKey::new("k");
        let body = Bytes::from_static(body.as_bytes());
        let header = sign(&key, &body, CLOCK_MS);
        let proof = verify([header.as_bytes()].into_iter(), body, &[key], CLOCK_MS, 0).ok().unwrap();
        Event::live("default", 42, proof)
    }

    type Shown = (Vec<(String, String)>, Option<String>, Vec<u8>, i64);

    fn shown(arrived: &Arrived, reason: Option<&'static str>, aside: Option<Aside<'_>>) -> Shown {
        let address = Address { topic: "t", token: 0, reason, aside, replay: None };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Stamps::new().lend(arrived, &address, |delivery| {
            let headers = delivery.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            (headers, delivery.key.map(text), delivery.value.to_vec(), delivery.timestamp_ms)
        })
    }

    #[test]
    fn a_live_event_has_exactly_the_documented_headers() {
        let event = live(r#"{"event":"call_ended","call":{"call_id":"c1"}}"#);
        let (headers, key, value, timestamp_ms) = shown(&arrived(&event), None, None);
        let expected = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", event.identity(&event.peek()).to_string()),
            ("ce_source", "/retell/default".into()),
            ("ce_type", "com.retellai.call_ended".into()),
            ("ce_subject", "c1".into()),
            ("ce_time", "2025-12-31T23:59:59.007Z".into()),
            ("content-type", "application/json".into()),
            ("retell_signature", event.signature().to_owned()),
            ("retell_journal", "ab".repeat(16)),
            ("retell_position", "7".into()),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!((key.as_deref(), &value[..], timestamp_ms), (Some("c1"), &event.body()[..], 42));
    }

    #[test]
    fn an_unrecognized_event_says_why_and_names_no_type_of_the_sender() {
        let event = Event::unsigned("dev", 5, Bytes::from_static(br#"{"event":"evil\n","call":{"call_id":"c1"}}"#));
        let (headers, key, ..) = shown(&arrived(&event), Some("unknown_type"), None);
        let has = |name: &str, value: &str| headers.contains(&(name.to_owned(), value.to_owned()));
        assert!(has("ce_type", "com.retellai.unrecognized") && has("retell_reason", "unknown_type"), "{headers:?}");
        assert!(has("retell_origin", "unsigned") && has("ce_time", "1970-01-01T00:00:00.005Z"), "{headers:?}");
        assert!(headers.iter().all(|(name, _)| name != "retell_signature"));
        assert_eq!(key.as_deref(), Some("c1"), "an unknown type keeps a usable key");
    }

    #[test]
    fn a_dead_letter_says_why_and_where_it_should_have_gone_and_keeps_the_rest() {
        let event = live(r#"{"event":"call_ended","call":{"call_id":"c1"}}"#);
        let aside = Aside { reason: "too_large", topic: Some("retell.call_ended") };
        let (headers, key, value, _) = shown(&arrived(&event), None, Some(aside));
        assert_eq!(headers.len(), 12);
        assert_eq!(headers[10], ("retell_reason".into(), "too_large".into()));
        assert_eq!(headers[11], ("retell_topic".into(), "retell.call_ended".into()));
        assert_eq!((key.as_deref(), &value[..]), (Some("c1"), &event.body()[..]));
    }

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
    }
}
