//! What was sent with a signature that holds, what of it was answered 2xx, and whether the journal agrees.
//!
//! In: each signed request before it is sent, each 2xx after it came; at the end the journal's records. Out: how many
//! records there are, or the first things that are wrong. Never happens: a record that is not in here found good.
//!
//! The signature names a request: it covers body and millisecond. Bodies are compared by length and SHA-256, so that
//! the ledger of a thousand large bodies stays small.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use support::sign::sha256;

#[derive(Default)]
pub(super) struct Ledger {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    sent: HashMap<String, Sent>,
    /// Signed, but hidden inside another request or over a limit: not an event.
    never: HashSet<String>,
    complaints: Vec<String>,
}

struct Sent {
    what: &'static str,
    body_bytes: usize,
    body_digest: String,
    is_kept: bool,
}

/// Complaints that are told; more say nothing new.
const TOLD_MAX: usize = 12;

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no holder panics")
    }

    /// A signed request goes out: the journal may hold it from now on.
    pub(super) fn may_keep(&self, what: &'static str, signature: &str, body: &[u8]) {
        let sent = Sent { what, body_bytes: body.len(), body_digest: sha256(body), is_kept: false };
        // The same body in the same millisecond is the same event; what was promised of it stays promised.
        self.book().sent.entry(signature.to_string()).or_insert(sent);
    }

    /// It was answered 2xx: the journal must hold it.
    pub(super) fn must_keep(&self, signature: &str) {
        let mut book = self.book();
        book.sent.get_mut(signature).expect("what is answered was sent").is_kept = true;
    }

    /// Signed, and yet no event.
    pub(super) fn never_keep(&self, signature: &str) {
        self.book().never.insert(signature.to_string());
    }

    /// Something that must not be.
    pub(super) fn complain(&self, what: String) {
        self.book().complaints.push(what);
    }

    /// Compares with the journal's records, each a signature and a body.
    pub(super) fn judge<'a>(&self, records: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<String> {
        let mut book = self.book();
        let mut found: HashSet<String> = HashSet::new();
        for (signature, body) in records {
            if let Some(wrong) = book.wrong_with(signature, body) {
                book.complaints.push(wrong);
            } else if !found.insert(signature.to_string()) {
                book.complaints.push(format!("a request lies in the journal twice ({} bytes)", body.len()));
            }
        }
        let lost = book.sent.iter().filter(|(signature, sent)| sent.is_kept && !found.contains(*signature));
        let lost: Vec<String> =
            lost.map(|(_, sent)| format!("LOST: {} of {} bytes", sent.what, sent.body_bytes)).collect();
        book.complaints.extend(lost);
        let count = book.complaints.len();
        book.complaints.truncate(TOLD_MAX);
        if count > TOLD_MAX {
            book.complaints.push(format!("and {} more", count - TOLD_MAX));
        }
        std::mem::take(&mut book.complaints)
    }

    /// How many were answered 2xx.
    pub(super) fn kept(&self) -> u64 {
        self.book().sent.values().filter(|sent| sent.is_kept).count() as u64
    }
}

impl Book {
    fn wrong_with(&self, signature: &str, body: &[u8]) -> Option<String> {
        if self.never.contains(signature) {
            return Some(format!("a hidden or oversized request of {} bytes became an event", body.len()));
        }
        let Some(sent) = self.sent.get(signature) else {
            return Some(format!("nobody signed a record of {} bytes", body.len()));
        };
        let is_equal = sent.body_bytes == body.len() && sent.body_digest == sha256(body);
        (!is_equal).then(|| format!("CHANGED: {} of {} bytes, kept as {}", sent.what, sent.body_bytes, body.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(records: &[(&str, &[u8])]) -> String {
        let ledger = Ledger::default();
        ledger.may_keep("an honest event", "a", b"body a");
        ledger.may_keep("an odd event", "b", b"body b");
        ledger.must_keep("a");
        ledger.never_keep("hidden");
        ledger.judge(records.iter().copied()).join("; ")
    }

    #[test]
    fn what_was_answered_must_be_there_and_what_was_sent_may() {
        assert_eq!(judged(&[("a", b"body a")]), "");
        assert_eq!(judged(&[("a", b"body a"), ("b", b"body b")]), "");
    }

    #[test]
    fn each_kind_of_lie_is_seen() {
        assert_eq!(judged(&[("b", b"body b")]), "LOST: an honest event of 6 bytes");
        assert!(judged(&[("a", b"body A")]).contains("CHANGED"));
        assert!(judged(&[("a", b"body a"), ("a", b"body a")]).contains("twice"));
        assert!(judged(&[("a", b"body a"), ("c", b"body c")]).contains("nobody signed"));
        assert!(judged(&[("a", b"body a"), ("hidden", b"h")]).contains("hidden"));
    }

    #[test]
    fn a_complaint_of_a_sender_is_told() {
        let ledger = Ledger::default();
        ledger.complain("an unsigned request was answered 204".into());
        assert_eq!(ledger.judge(std::iter::empty()), ["an unsigned request was answered 204"]);
    }
}
