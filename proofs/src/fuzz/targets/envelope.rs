//! The envelope and what it holds: type, key and identity of any body, and any bytes as an envelope.
//!
//! In: a body, or a record's bytes. Out: nothing. What must hold: where serde_json reads the body whole, type and key are
//! those that a look-up in the whole tree finds; an event comes back from its bytes as it was; bytes that are an envelope
//! are the bytes that it is written as; the identity is the documented hash.
//!
//! Where the bridge and the tree differ on purpose: the bridge stops reading where it knows type and key, passes over what
//! it does not look at (deep nesting, numbers beyond any range, broken text in a value), and of equal names takes the first;
//! where the first `call` is no object, the next one that is.

use bytes::Bytes;
use retell_bridge::event::{Event, KEY_MAX_BYTES, Origin, Peek, Unreadable};
use retell_bridge::signature::clock_ms;

use super::input::{Input, piece};
use super::json;

/// See the module.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() & 3 {
        0 => record(input.rest()),
        1 => {
            let (source, received_at_ms) = (input.piece(), input.u64());
            let source = &String::from_utf8_lossy(source)[..];
            event(source, received_at_ms, input.rest());
        }
        _ => {
            body(input.rest());
        }
    }
}

/// Type and key of a body.
fn body(body: &[u8]) -> Peek {
    let peek = Peek::at(body);
    assert!(peek == Peek::at(body), "the same bytes say something else");
    assert!(peek.key().is_none_or(|key| (1..=KEY_MAX_BYTES).contains(&key.len())), "a key of another length");
    if let Some(said) = json::said(body) {
        assert!(peek.is_readable(), "a JSON object is called unreadable");
        assert_eq!((peek.kind(), peek.key()), (said.kind, said.key.as_deref()), "the tree says otherwise");
    } else if serde_json::from_slice::<serde_json::Value>(body).is_ok() {
        assert!(!peek.is_readable(), "JSON that is no object is called readable");
    }
    peek
}

fn event(source: &str, received_at_ms: u64, content: &[u8]) {
    let written = Event::unsigned(source, received_at_ms, Bytes::copy_from_slice(content));
    let bytes = Bytes::from(written.encode().concat());
    let read = Event::decode(bytes).expect("it was written just now");
    assert!(read == written, "an event comes back as another");
    assert!(read.body() == content && read.source() == source && read.origin() == Origin::Unsigned);
    let peek = body(content);
    identity(&read, &peek);
}

fn record(bytes: &[u8]) {
    match Event::decode(Bytes::copy_from_slice(bytes)) {
        Ok(event) => {
            assert!(event.encode().concat() == bytes, "an envelope that is written otherwise than it was read");
            let peek = body(event.body());
            identity(&event, &peek);
        }
        Err(Unreadable::Version(version)) => assert!(version != 1 && bytes.first() == Some(&version)),
        Err(Unreadable::Fields) => assert!(!holds_together(bytes), "a sound envelope is refused"),
    }
}

/// A second reading of the envelope.
fn holds_together(bytes: &[u8]) -> bool {
    let text = |at: usize| {
        let length = usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let end = at + 2 + length;
        std::str::from_utf8(bytes.get(at + 2..end)?).ok().map(|_| end)
    };
    bytes.first() == Some(&1) && bytes.get(1).is_some_and(|origin| *origin < 2) && text(10).and_then(text).is_some()
}

fn identity(event: &Event, peek: &Peek) {
    let source = event.source().as_bytes();
    let mut hashed = [&(source.len() as u32).to_le_bytes()[..], source, event.body()].concat();
    let name = peek.kind().name();
    let is_told_by_bytes =
        ["call_started", "call_ended", "call_analyzed", "chat_started", "chat_ended", "chat_analyzed"];
    if !is_told_by_bytes.contains(&name) && name != "transcript_updated" {
        hashed.extend(clock_ms(event.signature()).unwrap_or(event.received_at_ms()).to_le_bytes());
    }
    assert_eq!(event.identity(peek).0, blake3::hash(&hashed).as_bytes()[..16], "another identity than documented");
}

/// Bodies of every kind, and envelopes.
pub fn seeds() -> Vec<Vec<u8>> {
    let bodies: [&[u8]; 12] = [
        br#"{"event":"call_ended","call":{"call_id":"c1","transcript":"hello"}}"#,
        br#"{"event":"chat_analyzed","chat":{"chat_id":"h1"},"call":{"call_id":"c1"}}"#,
        br#"{"call":{"x":[1,{"y":2.5e3}],"call_id":"c1"},"event":"transcript_updated"}"#,
        br#"{"event":"call_started","call":null,"data":{"call_id":"d1"}}"#,
        br#"{"event":"call_inbound","call_inbound":{"from_number":"+1","call_id":"i"}}"#,
        br#"{"event":"chat_inbound","chat_inbound":{}}"#,
        br#"{"event":"transfer_bridged","call":{"call_id":"a","call_id":"b"},"call":{"call_id":"c"}}"#,
        br#"{"event":"retell_bridge_test"}"#,
        br#"{"event":"brand_new","call":{"call_id":"\u0063\ud83d\ude00"}}"#,
        br#"{"event":7,"call":[],"call":{"call_id":""},"chat":{"chat_id":"z"}}"#,
        br#"[{"event":"call_ended"}]"#,
        b"not json",
    ];
    let bare = bodies.iter().map(|body| [&[2], *body].concat());
    let event = Event::unsigned("default", 5, Bytes::from_static(bodies[0])).encode().concat();
    let made = [&[1][..], &piece(b"default"), &5_u64.to_le_bytes(), bodies[1]].concat();
    bare.chain([[&[0][..], &event].concat(), made]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use retell_bridge::event::Kind;

    #[test]
    fn the_look_up_in_the_tree_finds_what_the_documents_say() {
        let said = |text: &str| json::said(text.as_bytes()).map(|said| (said.kind, said.key));
        let ended = |key: &str| Some((Kind::CallEnded, Some(key.to_owned())));
        assert_eq!(said(r#"{"event":"call_ended","data":{"call_id":"d"},"call":{"call_id":"c"}}"#), ended("c"));
        assert_eq!(said(r#"{"event":"call_ended","data":{"call_id":"d"},"call":7}"#), ended("d"));
        assert_eq!(said(r#"{"event":"call_ended","data":{"call_id":"d"},"call":{}}"#), Some((Kind::CallEnded, None)));
        assert_eq!(said(r#"{"event":"call_ended","call":{"call_id":"1","call_id":"2"}}"#), ended("1"));
        assert_eq!(said("[]"), None);
    }
}
