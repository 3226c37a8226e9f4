//! Reads type and key from a body, and stops as soon as it has both: Retell sends `event` first and the id early, so a
//! body of any size costs under a microsecond. It does not prove that the rest is JSON; the body is signed and is passed
//! on as it is.
//!
//! In: body bytes. Out: [`Peek`]. Never happens: an error (what cannot be read is told as such), a result that depends
//! on anything but the bytes, work that grows with what stands behind type and key.
//!
//! Where the key is looked for: `call.call_id`, or `data.call_id` where `call` is absent or no object, or
//! `chat.chat_id` (the chat types look there first); the two inbound types in their own object only. Where a name stands
//! twice in one object, the first counts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Kind;

/// Longest usable key, bytes.
pub const KEY_MAX_BYTES: usize = 256;
/// Longest text that is kept while looking; nothing longer can be a known type or a usable key.
const TEXT_MAX_BYTES: usize = KEY_MAX_BYTES;

/// What a body says of itself, as far as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Peek {
    kind: Kind,
    key: Option<String>,
    readable: bool,
}

impl Peek {
    /// Reads `body`.
    pub fn at(body: &[u8]) -> Peek {
        let mut found = Found::default();
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        // An error after both were found is the early stop itself.
        let outcome = deserializer.deserialize_map(Top { found: &mut found });
        let readable = outcome.is_ok() || found.is_enough();
        let kind = found.kind.unwrap_or(Kind::Other);
        Peek { kind, key: found.key(kind), readable }
    }

    /// The event's type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The call's or chat's id: not empty, at most [`KEY_MAX_BYTES`].
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether the body was a JSON object as far as it was read.
    pub fn is_readable(&self) -> bool {
        self.readable
    }
}

/// The key is a call's id: it stays out of debug output.
impl fmt::Debug for Peek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_key = self.key.is_some();
        f.debug_struct("Peek").field("kind", &self.kind).field("has_key", &has_key).finish_non_exhaustive()
    }
}

/// One place where a key may stand.
#[derive(Default, Clone, PartialEq)]
enum Place {
    /// The object was not there, or was no object.
    #[default]
    Absent,
    /// The object was there without a usable id.
    NoKey,
    Key(String),
}

/// The objects that may hold the key; the discriminant is the index into [`Found::places`].
#[derive(Clone, Copy)]
enum Holder {
    Call,
    Data,
    Chat,
    CallInbound,
    ChatInbound,
}

impl Holder {
    fn id_name(self) -> &'static str {
        match self {
            Holder::Call | Holder::Data | Holder::CallInbound => "call_id",
            Holder::Chat | Holder::ChatInbound => "chat_id",
        }
    }
}

#[derive(Default)]
struct Found {
    kind: Option<Kind>,
    places: [Place; 5],
}

impl Found {
    fn key(self, kind: Kind) -> Option<String> {
        let [call, data, chat, call_inbound, chat_inbound] = self.places;
        let call = if call == Place::Absent { data } else { call };
        let places = match kind {
            Kind::CallInbound => [call_inbound, Place::Absent],
            Kind::ChatInbound => [chat_inbound, Place::Absent],
            kind if kind.is_of_chat() => [chat, call],
            _ => [call, chat],
        };
        places.into_iter().find_map(|place| match place {
            Place::Key(key) => Some(key),
            Place::Absent | Place::NoKey => None,
        })
    }

    /// Type and key are known and nothing that may follow could change them.
    fn is_enough(&self) -> bool {
        let Some(kind) = self.kind else { return false };
        let first = match kind {
            Kind::CallInbound => Holder::CallInbound,
            Kind::ChatInbound => Holder::ChatInbound,
            kind if kind.is_of_chat() => Holder::Chat,
            _ => Holder::Call,
        };
        matches!(self.places[first as usize], Place::Key(_))
    }

    /// Ends the walk with an error where enough is known; serde has no other way to stop early.
    fn stop_if_enough<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.is_enough() { Err(E::custom("enough")) } else { Ok(()) }
    }
}

/// The top-level object.
struct Top<'f> {
    found: &'f mut Found,
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let found = self.found;
        while let Some(name) = map.next_key_seed(Text)? {
            let holder = match name.as_deref() {
                Some("event") => {
                    let value = map.next_value_seed(Text)?;
                    found.kind.get_or_insert(value.map_or(Kind::Other, |name| Kind::named(&name)));
                    found.stop_if_enough()?;
                    continue;
                }
                Some("call") => Holder::Call,
                Some("data") => Holder::Data,
                Some("chat") => Holder::Chat,
                Some("call_inbound") => Holder::CallInbound,
                Some("chat_inbound") => Holder::ChatInbound,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Inner { found, holder })?;
        }
        Ok(())
    }
}

/// The visits to values that say nothing of type or key: each ends in `$nothing`.
macro_rules! pass_over_the_rest {
    ($nothing:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

/// The value of one of the holders; only an object counts.
struct Inner<'f> {
    found: &'f mut Found,
    holder: Holder,
}

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let at = self.holder as usize;
        let is_first = self.found.places[at] == Place::Absent;
        if is_first {
            self.found.places[at] = Place::NoKey;
        }
        let mut id_seen = false;
        while let Some(name) = map.next_key_seed(Text)? {
            if !is_first || id_seen || name.as_deref() != Some(self.holder.id_name()) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            id_seen = true;
            if let Some(id) = map.next_value_seed(Text)?.filter(|id| !id.is_empty()) {
                self.found.places[at] = Place::Key(id);
                self.found.stop_if_enough()?;
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    pass_over_the_rest!(());
}

/// A string of at most [`TEXT_MAX_BYTES`]; `None` for any other value.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok((text.len() <= TEXT_MAX_BYTES).then(|| text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    pass_over_the_rest!(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str) -> (Kind, Option<String>, bool) {
        let peek = Peek::at(body.as_bytes());
        (peek.kind(), peek.key().map(str::to_owned), peek.is_readable())
    }

    fn ended(key: &str) -> (Kind, Option<String>, bool) {
        (Kind::CallEnded, Some(key.to_owned()), true)
    }

    #[test]
    fn type_and_key_are_found_wherever_they_stand() {
        for body in [
            r#"{"event":"call_ended","call":{"call_id":"c1"}}"#,
            r#"{"call":{"x":[1,{"y":2.5}],"call_id":"c1","z":null},"w":true,"event":"call_ended"}"#,
            r#" { "data" : {"call_id":"old"}, "event":"call_ended", "call":{"call_id":"c1"}}"#,
            r#"{"event":"call_ended","call":{"call_id":"\u00631"}}"#,
        ] {
            assert_eq!(at(body), ended("c1"), "{body}");
        }
    }

    #[test]
    fn data_serves_where_call_is_absent_or_no_object() {
        for call in ["", r#""call":null,"#, r#""call":"text","#, r#""call":[],"#, r#""call":-1,"#] {
            let body = format!(r#"{{"event":"call_ended",{call}"data":{{"call_id":"d"}}}}"#);
            assert_eq!(at(&body), ended("d"), "{body}");
        }
        let without_id = r#"{"event":"call_ended","call":{},"data":{"call_id":"d"}}"#;
        assert_eq!(at(without_id), (Kind::CallEnded, None, true));
    }

    #[test]
    fn the_chat_types_look_in_chat_first_and_the_inbound_types_only_in_their_own() {
        let rest = r#""call":{"call_id":"c"},"chat":{"chat_id":"h"}"#;
        for (kind, key) in [("chat_ended", Some("h")), ("call_ended", Some("c")), ("chat_inbound", None)] {
            let body = format!(r#"{{"event":"{kind}",{rest}}}"#);
            assert_eq!(at(&body).1.as_deref(), key, "{body}");
        }
        let inbound = r#"{"event":"call_inbound","call_inbound":{"from_number":"1","call_id":"i"}}"#;
        assert_eq!(at(inbound), (Kind::CallInbound, Some("i".into()), true));
        let updated = r#"{"event":"transcript_updated","chat":{"chat_id":"h"}}"#;
        assert_eq!(at(updated), (Kind::TranscriptUpdated, Some("h".into()), true));
    }

    #[test]
    fn a_key_is_a_string_of_1_to_256_bytes() {
        let long = "x".repeat(KEY_MAX_BYTES);
        for (id, usable) in [
            (r#""""#.to_owned(), false),
            ("7".to_owned(), false),
            (r#"{"a":1}"#.to_owned(), false),
            (format!("\"{long}\""), true),
            (format!("\"{long}x\""), false),
            (r#""a\u0000b""#.to_owned(), true),
        ] {
            let body = format!(r#"{{"event":"call_ended","call":{{"call_id":{id}}}}}"#);
            assert_eq!(at(&body).1.is_some(), usable, "{body}");
        }
    }

    #[test]
    fn an_unknown_type_keeps_its_key() {
        let body = r#"{"event":"brand_new","call":{"call_id":"c"}}"#;
        assert_eq!(at(body), (Kind::Other, Some("c".into()), true));
    }

    #[test]
    fn what_is_not_an_object_is_unreadable_and_what_follows_both_is_not_read() {
        for body in ["", "null", "[1]", "{", r#"{"event":"call_ended","call":{"x":"#, "\u{feff}{}"] {
            assert!(!at(body).2, "{body}");
        }
        assert_eq!(at(r#"{"event":"call_ended","call":{"call_id":"c","broken"#), ended("c"));
    }

    #[test]
    fn nesting_without_end_is_unreadable_and_does_not_exhaust_the_stack() {
        let body = format!(r#"{{"a":{}"#, "[".repeat(1_000_000));
        assert!(!at(&body).2);
    }

    #[test]
    fn the_first_of_two_equal_names_counts() {
        let body = r#"{"call":{"call_id":"1","call_id":"2"},"call":{"call_id":"3"},"event":"call_ended"}"#;
        assert_eq!(at(body), ended("1"));
    }
}
