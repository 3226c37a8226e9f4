//! One body against the shape of its type: names that the schema does not have, and values of another JSON type.
//!
//! In: a body, a [`Shape`]. Out: [`Finding`]s, each field once however often it stands in the body. The body is walked as it
//! is read: no copy of it is made. Where it is no JSON, or is nested deeper than 127 levels, that is one finding ([`BODY`]),
//! beside what was found until there.
//!
//! Never happens: a value in a finding; a name in a finding that is not plain (see [`plain`]); a look into what is free in
//! form; a stack that grows with the body; more than [`FINDINGS_MAX`] findings.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::shape::{Shape, Types};

/// The field of a finding about the body as a whole.
pub const BODY: &str = "body";
/// The field of what has no plain name, or no room.
pub const OTHER: &str = "other";
/// Findings of one body; what is beyond counts as [`OTHER`].
const FINDINGS_MAX: usize = 32;
/// Longest plain name; Retell's longest has 49 characters.
const NAME_MAX_BYTES: usize = 64;
/// Digits in a plain name; a telephone number has more.
const NAME_DIGITS_MAX: usize = 4;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The schema does not have the field.
    Unknown,
    /// The field has another JSON type.
    Mismatch,
}

impl Problem {
    /// All of them, for the zeros at the start.
    pub const ALL: [Problem; 2] = [Problem::Unknown, Problem::Mismatch];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Problem::Unknown => "unknown",
            Problem::Mismatch => "mismatch",
        }
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub problem: Problem,
    /// Names from the top, joined by dots, lists passed over: `call.transcript_object.words`. All but the last are the
    /// schema's own.
    pub field: String,
}

/// Compares `body` with `shape`.
pub fn check(body: &[u8], shape: &Shape) -> Vec<Finding> {
    let mut walk = Walk { path: Vec::new(), findings: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Place { shape, walk: &mut walk }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if read.is_err() {
        walk.add(Problem::Mismatch, BODY.to_owned());
    }
    walk.findings
}

/// Whether a name of a sender's can be shown: it begins with a letter, has letters, digits and underscores alone, and is
/// neither long nor a number with a letter before it.
pub fn plain(name: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= NAME_MAX_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(part)
        && name.bytes().filter(u8::is_ascii_digit).count() <= NAME_DIGITS_MAX
}

struct Walk<'s> {
    path: Vec<&'s str>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn add(&mut self, problem: Problem, field: String) {
        // Room is left for OTHER, once for each problem.
        let has_room = self.findings.len() < FINDINGS_MAX - Problem::ALL.len();
        let finding = Finding { problem, field: if has_room { field } else { OTHER.to_owned() } };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn mismatch(&mut self) {
        let field = if self.path.is_empty() { BODY.to_owned() } else { self.path.join(".") };
        self.add(Problem::Mismatch, field);
    }

    fn unknown(&mut self, name: Option<String>) {
        let field =
            name.map(|name| if self.path.is_empty() { name } else { format!("{}.{name}", self.path.join(".")) });
        self.add(Problem::Unknown, field.unwrap_or_else(|| OTHER.to_owned()));
    }
}

/// A value that has a place in the schema.
struct Place<'s, 'w> {
    shape: &'s Shape,
    walk: &'w mut Walk<'s>,
}

impl Place<'_, '_> {
    fn is(self, types: Types) {
        if !self.shape.types.have(types) {
            self.walk.mismatch();
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.is(Types::NULL);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.is(Types::BOOLEAN);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.is(Types::INTEGER);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.is(Types::INTEGER);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        // To JSON Schema 1.0 is an integer.
        self.is(if number.fract() == 0.0 { Types::INTEGER } else { Types::NUMBER });
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.is(Types::STRING);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match &self.shape.items {
            Some(items) if self.shape.types.have(Types::ARRAY) => {
                while seq.next_element_seed(Place { shape: items, walk: &mut *self.walk })?.is_some() {}
            }
            _ => {
                self.is(Types::ARRAY);
                while seq.next_element_seed(Free)?.is_some() {}
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(fields) = self.shape.fields.as_ref().filter(|_| self.shape.types.have(Types::OBJECT)) else {
            self.is(Types::OBJECT);
            while map.next_key_seed(Free)?.is_some() {
                map.next_value_seed(Free)?;
            }
            return Ok(());
        };
        while let Some(name) = map.next_key_seed(Name(fields))? {
            match name {
                Named::Known(name, shape) => {
                    self.walk.path.push(name);
                    let read = map.next_value_seed(Place { shape, walk: &mut *self.walk });
                    self.walk.path.pop();
                    read?;
                }
                Named::Unknown(name) => {
                    self.walk.unknown(name);
                    map.next_value_seed(Free)?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a field: the schema's own, or a sender's, where it is plain.
enum Named<'s> {
    Known(&'s str, &'s Shape),
    Unknown(Option<String>),
}

struct Name<'s>(&'s HashMap<String, Arc<Shape>>);

impl<'de, 's> DeserializeSeed<'de> for Name<'s> {
    type Value = Named<'s>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Named<'s>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for Name<'s> {
    type Value = Named<'s>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Named<'s>, E> {
        Ok(match self.0.get_key_value(name) {
            Some((name, shape)) => Named::Known(name, shape),
            None => Named::Unknown(plain(name).then(|| name.to_owned())),
        })
    }
}

/// A value of which nothing is known: read to its end. By recursion, which serde_json ends at 128 levels.
struct Free;

impl<'de> DeserializeSeed<'de> for Free {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Free {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Free)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Free)?.is_some() {
            map.next_value_seed(Free)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
