//! One body against the shape of its type: names that the schema does not have, and values of another JSON type.
//!
//! In: a body, a [`Shape`]. Out: [`Finding`]s, each field once however often it stands in the body. The body is walked as it
//! is read: no copy of it is made. Where it is no JSON, or is nested deeper than 127 levels, that is one finding ([`BODY`]),
//! beside what was found until there.
//!
//! Never happens: a value in a finding; a name in a finding that is not plain (see [`plain`]); a look into what is free in
//! form; a stack that grows with the body; more than [`FINDINGS_MAX`] findings.

use serde::de::DeserializeSeed;

use super::shape::Shape;
use super::walk::Place;

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

/// Where the walk is, and what it has found.
pub(super) struct Walk<'s> {
    pub path: Vec<&'s str>,
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

    /// The value at the path has another JSON type.
    pub fn mismatch(&mut self) {
        let field = if self.path.is_empty() { BODY.to_owned() } else { self.path.join(".") };
        self.add(Problem::Mismatch, field);
    }

    /// A field below the path is not in the schema; without a name where it is not plain.
    pub fn unknown(&mut self, name: Option<String>) {
        let field =
            name.map(|name| if self.path.is_empty() { name } else { format!("{}.{name}", self.path.join(".")) });
        self.add(Problem::Unknown, field.unwrap_or_else(|| OTHER.to_owned()));
    }
}

#[cfg(test)]
mod tests;
