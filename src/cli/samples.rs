//! Made-up events in Retell's shape: what `send` and `dev` post.
//!
//! In: a type, a [`Talk`] (who, when, how long) and nothing else. Out: a body as Retell writes it: `event` first, the id
//! early, the transcript three times where a call has one. Equal talks give equal bytes, so that a call's
//! `call_analyzed` holds the transcript of its `call_ended`. Size by length of the call: about 17 kB a minute, 1 MiB an
//! hour.
//!
//! Never happens: a real person, number or key in a body (numbers are of the 555-01xx range that is kept free for
//! this).

mod call;
mod chat;
mod dice;
mod transcript;

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Kind;
use dice::Dice;

/// One made-up conversation; all its events are made from it.
#[derive(Clone)]
pub struct Talk {
    id: String,
    /// Whether the id was given; then it stands in calls and chats as it is.
    id_given: bool,
    start_ms: u64,
    length: Duration,
    seed: u64,
}

impl Talk {
    /// A conversation nobody had before: fresh id, ended at `now_ms`.
    pub fn fresh(now_ms: u64, length: Duration) -> Talk {
        let seed = dice::random();
        Talk::new(hex_id(seed), false, seed, now_ms, length)
    }

    /// A conversation under a given id: the same id, time and length give the same bytes.
    pub fn named(id: &str, now_ms: u64, length: Duration) -> Talk {
        Talk::new(id.to_owned(), true, Dice::of_text(id).next(), now_ms, length)
    }

    fn new(id: String, id_given: bool, seed: u64, now_ms: u64, length: Duration) -> Talk {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Talk { id, id_given, start_ms: now_ms.saturating_sub(length_ms), length, seed }
    }

    /// The `call_id` of the call's events.
    pub fn call_id(&self) -> String {
        if self.id_given { self.id.clone() } else { format!("call_{}", self.id) }
    }

    /// The `chat_id` of the chat's events.
    pub fn chat_id(&self) -> String {
        if self.id_given { self.id.clone() } else { format!("chat_{}", self.id) }
    }

    /// The body of one event of this conversation. `Kind::Other` gives a type that nobody knows.
    pub fn body(&self, kind: Kind) -> Vec<u8> {
        let event = kind.name();
        let value = match kind {
            Kind::CallStarted | Kind::TransferEnded => json!({"event": event, "call": call::started(self)}),
            Kind::CallEnded => json!({"event": event, "call": call::ended(self)}),
            Kind::CallAnalyzed => json!({"event": event, "call": call::analyzed(self)}),
            Kind::TranscriptUpdated => json!({"event": event, "call": call::updated(self)}),
            Kind::TransferStarted | Kind::TransferBridged | Kind::TransferCancelled => self.transfer(event),
            Kind::ChatStarted => json!({"event": event, "chat": chat::started(self)}),
            Kind::ChatEnded => json!({"event": event, "chat": chat::ended(self)}),
            Kind::ChatAnalyzed => json!({"event": event, "chat": chat::analyzed(self)}),
            Kind::CallInbound => json!({"event": event, "call_inbound": call::inbound(self)}),
            Kind::ChatInbound => json!({"event": event, "chat_inbound": chat::inbound(self)}),
            Kind::Test | Kind::Other => json!({"event": event, "call": {"call_id": self.call_id()}}),
        };
        value.to_string().into_bytes()
    }

    fn transfer(&self, event: &str) -> Value {
        json!({
            "event": event,
            "call": call::started(self),
            "transfer_destination": {"type": "predefined", "number": self.dice().number()},
            "transfer_option": {"type": "cold_transfer", "show_transferee_as_caller": false},
        })
    }

    fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }

    fn end_ms(&self) -> u64 {
        self.start_ms + self.length_ms()
    }

    fn length_ms(&self) -> u64 {
        u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX)
    }
}

/// 27 hex digits, as Retell's newer ids have them.
fn hex_id(seed: u64) -> String {
    let mut id = format!("{:016x}{:016x}", seed, Dice::new(seed).next());
    id.truncate(27);
    id
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::event::Peek;

    const NOW: u64 = 1_795_276_800_000;

    fn body_bytes(kind: Kind, seconds: u64) -> usize {
        Talk::named("an-id-of-32-characters-like-theirs", NOW, Duration::from_secs(seconds)).body(kind).len()
    }

    #[test]
    fn every_type_is_json_and_carries_its_own_type_and_key() {
        for kind in Kind::KNOWN.into_iter().chain([Kind::Test]) {
            let talk = Talk::fresh(NOW, Duration::from_secs(30));
            let body = talk.body(kind);
            serde_json::from_slice::<Value>(&body).unwrap();
            let peek = Peek::at(&body);
            assert_eq!(peek.kind(), kind);
            let is_chat = kind.name().starts_with("chat_");
            let id = if is_chat { talk.chat_id() } else { talk.call_id() };
            assert_eq!(peek.key(), Some(id.as_str()), "{kind:?}");
        }
    }

    #[test]
    fn event_comes_first_and_the_id_within_the_first_300_bytes() {
        for kind in Kind::KNOWN {
            let talk = Talk::named("the-id", NOW, Duration::from_secs(30));
            let body = String::from_utf8(talk.body(kind)).unwrap();
            assert!(body.starts_with(r#"{"event":""#), "{body}");
            assert!(body.find("\"the-id\"").is_some_and(|at| at < 300), "{kind:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_real_calls() {
        for (kind, seconds, bounds) in [
            (Kind::CallStarted, 30, 500..750),
            (Kind::CallEnded, 30, 7_500..10_500),
            (Kind::CallAnalyzed, 180, 45_000..60_000),
            (Kind::CallEnded, 600, 150_000..190_000),
            (Kind::CallEnded, 3_600, 950_000..1_150_000),
            (Kind::CallEnded, 0, 500..2_500),
            (Kind::ChatEnded, 30, 1_000..20_000),
        ] {
            let bytes = body_bytes(kind, seconds);
            assert!(bounds.contains(&bytes), "{kind:?} of {seconds} s: {bytes} B, not in {bounds:?}");
        }
    }

    #[test]
    fn no_two_fresh_talks_share_an_id() {
        let ids: HashSet<String> = (0..1_000).map(|_| Talk::fresh(NOW, Duration::ZERO).call_id()).collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn the_events_of_one_call_agree_with_each_other_and_come_out_the_same_again() {
        let talk = Talk::named("c1", NOW, Duration::from_secs(60));
        let read = |kind| serde_json::from_slice::<Value>(&talk.body(kind)).unwrap();
        let (ended, analyzed) = (read(Kind::CallEnded), read(Kind::CallAnalyzed));
        assert_eq!(ended["call"]["transcript"], analyzed["call"]["transcript"]);
        assert_eq!(ended["call"]["start_timestamp"], read(Kind::CallStarted)["call"]["start_timestamp"]);
        assert!(ended["call"].get("call_analysis").is_none());
        assert!(analyzed["call"]["call_analysis"]["call_summary"].is_string());
        assert_eq!(talk.body(Kind::CallEnded), talk.body(Kind::CallEnded));
    }

    #[test]
    fn the_transcript_is_there_three_times_with_word_timings_and_tool_calls() {
        let talk = Talk::named("c1", NOW, Duration::from_secs(60));
        let body: Value = serde_json::from_slice(&talk.body(Kind::CallEnded)).unwrap();
        let call = &body["call"];
        let first = &call["transcript_object"][0];
        assert!(call["transcript"].as_str().unwrap().contains(first["content"].as_str().unwrap()));
        assert!(first["words"][0]["start"].is_number());
        let with_tools = call["transcript_with_tool_calls"].as_array().unwrap();
        assert!(with_tools.iter().any(|turn| turn["role"] == "tool_call_invocation"));
        assert!(with_tools.len() > call["transcript_object"].as_array().unwrap().len());
    }
}
