//! Why a request was refused, in words, with what to do, and for an unsigned call from this machine the same call signed.
//!
//! The signed call is made with `dev`'s own key and shown only for a body that nobody signed, that came from this machine
//! without a proxy's traces, and that is small and printable. Never happens: a real body (a signed or a tunnelled one) or
//! the user's key on the screen.

use bytes::Bytes;

use crate::cli::send::SIX_CAUSES;
use crate::cli::sign::now_ms;
use crate::signature::{self, ApiKey};

/// Largest body that is printed inside a command line.
const BODY_SHOWN_BYTES_MAX: usize = 4_096;

/// A refused request, as far as the console may know it.
pub struct Refused {
    pub status: u16,
    /// As in the metric: `missing`, `wrong`, `too_large` …
    pub reason: &'static str,
    /// The same as a sentence.
    pub cause: &'static str,
    /// The body, where it was unsigned, arrived whole and came from this machine itself.
    pub local_unsigned_body: Option<Bytes>,
}

/// Knows where the bridge listens and how to sign for it.
#[derive(Clone)]
pub struct Explainer {
    url: String,
    dev_key: ApiKey,
    /// Whether `--allow-unsigned` is on.
    allow_unsigned: bool,
}

impl Explainer {
    /// `dev_key` is the key that `dev` made for itself, never the user's.
    pub fn new(url: String, dev_key: ApiKey, allow_unsigned: bool) -> Explainer {
        Explainer { url, dev_key, allow_unsigned }
    }

    /// First what happened, then what to do.
    pub fn lines(&self, refused: &Refused) -> Vec<String> {
        let Refused { status, reason, cause, .. } = refused;
        let mut lines = vec![format!("refused {status} ({reason}): {cause}")];
        match (*status, *reason) {
            (401, "missing") => self.add_signed_call(&mut lines, refused.local_unsigned_body.as_deref()),
            (401, _) => {
                lines.extend(causes(reason).map(|cause| format!("- {cause}")));
                lines.push(format!("to see one that holds: {} send --url {}", super::program(), self.url));
            }
            (404, _) => lines.push(format!("the webhook is {}", self.url)),
            _ => {}
        }
        lines
    }

    fn add_signed_call(&self, lines: &mut Vec<String>, body: Option<&[u8]>) {
        match body.and_then(|body| self.curl(body)) {
            Some(curl) => {
                lines.push("the same call signed (holds for five minutes):".to_owned());
                lines.push(curl);
            }
            None => {
                lines.push(format!("a call of yours, signed: {} send --file BODY --url {}", super::program(), self.url))
            }
        }
        if !self.allow_unsigned {
            lines.push("or start dev with --allow-unsigned, which takes unsigned calls from this machine".to_owned());
        }
    }

    /// A command for a POSIX shell that posts exactly `body`; `None` where it is too long or not printable.
    fn curl(&self, body: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= BODY_SHOWN_BYTES_MAX)?;
        let is_printable = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
        if !text.chars().all(is_printable) {
            return None;
        }
        let signature = signature::sign(&self.dev_key, body, now_ms());
        let quoted = text.replace('\'', r"'\''");
        Some(format!(
            "curl -i '{}' -H 'Content-Type: application/json' -H 'X-Retell-Signature: {signature}' --data-raw '{quoted}'",
            self.url
        ))
    }
}

/// Those of the six causes of a 401 that can be meant.
fn causes(reason: &str) -> impl Iterator<Item = &'static str> {
    let places: &[usize] = match reason {
        "wrong" => &[0, 1, 5],
        "malformed" => &[3, 5],
        "stale" => &[4],
        _ => &[],
    };
    places.iter().map(|place| SIX_CAUSES[*place])
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn explainer() -> Explainer {
        Explainer::new("http://127.0.0.1:8080/webhook".into(), ApiKey::new("key_dev"), false)
    }

    fn missing(body: Option<&'static [u8]>) -> String {
        let local_unsigned_body = body.map(Bytes::from_static);
        shown("missing", local_unsigned_body)
    }

    fn shown(reason: &'static str, local_unsigned_body: Option<Bytes>) -> String {
        explainer().lines(&Refused { status: 401, reason, cause: "why", local_unsigned_body }).join("\n")
    }

    /// The words that a shell makes of a command.
    fn words(command: &str) -> Vec<Vec<u8>> {
        let script = format!("set -- {command}; printf '%s\\0' \"$@\"");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
        output.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn the_call_that_is_shown_carries_the_very_body_with_a_signature_that_holds() {
        let body = "{\n  \"event\": \"call_ended\", \"note\": \"it's $HOME `x` \\\\ \u{1f642}\"\n}".as_bytes();
        let words = words(&explainer().curl(body).unwrap());
        let after = |flag: &str| {
            let at = words.iter().rposition(|word| word == flag.as_bytes()).unwrap();
            words[at + 1].clone()
        };
        assert_eq!(after("--data-raw"), body);
        let header = String::from_utf8(after("-H")).unwrap();
        let value = header.strip_prefix("X-Retell-Signature: ").unwrap();
        let keys = [ApiKey::new("key_dev")];
        let body = Bytes::from_static(body);
        assert!(signature::verify([value.as_bytes()].into_iter(), body, &keys, now_ms(), 60_000).is_ok());
    }

    #[test]
    fn a_body_that_is_large_or_not_printable_or_not_ours_to_show_is_not_shown() {
        let large: &'static [u8] = Box::leak(vec![b'x'; BODY_SHOWN_BYTES_MAX + 1].into_boxed_slice());
        for body in [None, Some(large), Some(&b"\x1b[2J"[..]), Some(b"\xff")] {
            let shown = missing(body);
            assert!(!shown.contains("curl") && shown.contains("send --file"), "{shown}");
        }
        assert!(missing(Some(b"{}")).contains("curl"));
    }

    #[test]
    fn a_signature_that_does_not_hold_is_told_with_what_can_be_meant_and_no_body() {
        for (reason, cause) in [("wrong", "webhook badge"), ("stale", "five minutes"), ("malformed", "once")] {
            let shown = shown(reason, Some(Bytes::from_static(b"{\"secret\":1}")));
            assert!(shown.contains(cause) && !shown.contains("secret"), "{shown}");
        }
    }
}
