//! What the bridge may never say: no transcript, number, API key, signature, call id or query string in a log line, a
//! metric or an error answer. Every bridge that a test runs is swept when it ends.

use super::events::{CALL_MARKER, KEY_MARKER, NUMBER_MARKER, QUERY_MARKER, TRANSCRIPT_MARKER};

/// Digits of a signature. Ids and fingerprints in logs are at most 32.
const SIGNATURE_DIGITS: usize = 64;

/// Every piece of text that gives something away, with what it gives away.
pub fn betrayals<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    texts.into_iter().filter_map(|text| betrayal(text).map(|what| format!("{what}: {}", shorten(text)))).collect()
}

fn betrayal(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let marks = [
        (TRANSCRIPT_MARKER, "a transcript"),
        ("saffron", "a part of a transcript"),
        (NUMBER_MARKER, "a phone number"),
        (KEY_MARKER, "an API key"),
        (CALL_MARKER, "a call id"),
        (QUERY_MARKER, "a query string"),
        ("andr\\u00e9", "a name"),
    ];
    let mark = marks.iter().find(|(mark, _)| lower.contains(mark)).map(|(_, what)| *what);
    mark.or_else(|| has_signature(&lower).then_some("a signature"))
        .or_else(|| lower.contains("panicked at").then_some("a panic"))
}

fn has_signature(text: &str) -> bool {
    let mut run = 0;
    text.bytes().any(|byte| {
        run = if byte.is_ascii_hexdigit() { run + 1 } else { 0 };
        run >= SIGNATURE_DIGITS
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(600).collect()
}
