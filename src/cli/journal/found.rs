//! An event that was found, in words (at most 100 columns) and as JSON. Pure.

use std::fmt::Write;

use serde_json::{Value, json};

use super::fate::Fate;
use crate::cli::opened::Opened;
use crate::cli::output::printable;
use crate::event::Identity;

/// Longest part of a key that is shown in a block; JSON has all of it.
const KEY_SHOWN_CHARS: usize = 80;

/// A delivery's topic and what became of it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneFate {
    /// Empty where the record cannot be read.
    pub topic: String,
    pub fate: Fate,
}

/// One record of the journal, and what became of it.
pub struct Found<'a> {
    pub opened: Opened<'a>,
    pub lanes: Vec<LaneFate>,
}

impl Found<'_> {
    /// A block: what it is, then a line for each topic.
    pub fn text(&self) -> String {
        let opened = &self.opened;
        let (position, received) = (opened.record.position.0, opened.received());
        let mut text = format!("position {position}  {received}  {}  {}\n", opened.kind(), opened.size());
        let mut row = |name: &str, value: &str| {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "  {name:<9} {value}");
        };
        row("source", &printable(opened.source().unwrap_or("-"), KEY_SHOWN_CHARS));
        row("key", &printable(opened.key().unwrap_or("-"), KEY_SHOWN_CHARS));
        row("id", &Identity(opened.record.tag).to_string());
        for LaneFate { topic, fate } in &self.lanes {
            let topic = if topic.is_empty() { "no topic: it cannot be read" } else { topic };
            row(fate.word(), &format!("{topic}{}", fate.more()));
        }
        text
    }

    /// One line; names and meanings are stable.
    pub fn json(&self) -> Value {
        let lanes = self.lanes.iter().map(|LaneFate { topic, fate }| {
            let reason = match fate {
                Fate::DeadLetter(reason) => Some(reason),
                _ => None,
            };
            let topic = Some(topic).filter(|topic| !topic.is_empty() && *fate != Fate::Passed);
            json!({"topic": topic, "state": fate.name(), "reason": reason})
        });
        let opened = &self.opened;
        json!({
            "position": opened.record.position.0,
            "journal": opened.record.journal.to_string(),
            "received": opened.received(),
            "received_at_ms": opened.record.received_at_ms,
            "type": opened.kind(),
            "source": opened.source(),
            "key": opened.key(),
            "id": Identity(opened.record.tag).to_string(),
            "body_bytes": opened.body().len(),
            "lanes": lanes.collect::<Vec<_>>(),
        })
    }
}

impl Fate {
    fn word(&self) -> &'static str {
        match self {
            Fate::Settled | Fate::Passed => "settled",
            Fate::Waiting => "waiting",
            Fate::DeadLetter(_) => "set aside",
            Fate::Unknown | Fate::Untold | Fate::Damaged => "unknown",
        }
    }

    /// In JSON.
    fn name(&self) -> &'static str {
        match self {
            Fate::DeadLetter(_) => "dead_letter",
            other => other.word(),
        }
    }

    fn more(&self) -> String {
        match self {
            Fate::Settled | Fate::Waiting => String::new(),
            Fate::DeadLetter(reason) => format!("  ({reason}; see dead-letters)"),
            Fate::Passed => "  (or by another name: every lane of the journal is past it)".to_owned(),
            Fate::Unknown => "  (no such lane; give the bridge's own --config)".to_owned(),
            Fate::Untold => "  (no checkpoint that can be read; the next start sends it again)".to_owned(),
            Fate::Damaged => "  (set aside, and its dead letter is damaged)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::Event;
    use crate::journal::{JournalId, Position, Record};

    fn record(body: &'static str) -> Record {
        let event = Event::unsigned("default", 1_769_860_799_123, Bytes::from_static(body.as_bytes()));
        let payload = Bytes::from(event.encode().concat());
        let tag = event.identity(&event.peek()).0;
        Record { position: Position(17), journal: JournalId([7; 16]), tag, received_at_ms: 1_769_860_799_123, payload }
    }

    fn found(record: &Record) -> Found<'_> {
        Found { opened: Opened::new(record), lanes: Vec::new() }
    }

    fn lane(fate: Fate) -> LaneFate {
        LaneFate { topic: "retell.call_ended".into(), fate }
    }

    const ENDED: &str = r#"{"event":"call_ended","call":{"call_id":"call_1","transcript":"hello"}}"#;

    #[test]
    fn the_block_says_what_it_is_and_what_became_of_it_and_not_its_contents() {
        let record = record(ENDED);
        let mut found = found(&record);
        found.lanes = vec![lane(Fate::Settled), lane(Fate::DeadLetter("too_large".into())), lane(Fate::Unknown)];
        let text = found.text();
        let first = format!("position 17  2026-01-31T11:59:59.123Z  call_ended  {} B\n", ENDED.len());
        assert!(text.starts_with(&first), "{text}");
        for line in [
            "  key       call_1\n",
            "  settled   retell.call_ended\n",
            "  set aside retell.call_ended  (too_large; see dead-letters)\n",
            "  unknown   retell.call_ended  (no such lane; give the bridge's own --config)\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("hello") && text.lines().all(|line| line.len() <= 100), "{text}");
        assert_eq!(found.opened.body(), ENDED.as_bytes());
    }

    #[test]
    fn as_json_it_is_one_line_with_stable_names() {
        let record = record(ENDED);
        let mut found = found(&record);
        found.lanes = vec![lane(Fate::Waiting), lane(Fate::DeadLetter("too_large".into()))];
        found.lanes.push(lane(Fate::Passed));
        let json = found.json();
        assert_eq!(json["lanes"][2], json!({"topic": null, "state": "settled", "reason": null}));
        assert_eq!(json["lanes"][0], json!({"topic": "retell.call_ended", "state": "waiting", "reason": null}));
        assert_eq!(json["lanes"][1]["state"], "dead_letter");
        assert_eq!(
            (&json["position"], &json["key"], &json["body_bytes"]),
            (&json!(17), &json!("call_1"), &json!(ENDED.len()))
        );
        assert_eq!(json.to_string().lines().count(), 1);
        assert!(!json.to_string().contains("hello"));
    }

    #[test]
    fn a_record_that_is_no_event_is_told_as_such() {
        let payload = Bytes::from_static(b"\x63 of a newer release");
        let found = Record { payload, ..record(ENDED) };
        let found = self::found(&found);
        assert!(found.text().contains("  unreadable  "), "{}", found.text());
        assert_eq!((found.json()["key"].clone(), found.opened.body().len()), (Value::Null, 20));
    }
}
