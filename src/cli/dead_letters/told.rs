//! Dead letters in words (at most 100 columns, but for long keys and topics) and as JSON. Pure.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::opened::Opened;
use crate::cli::output::{self, printable};
use crate::event::{Identity, KEY_MAX_BYTES, SOURCE_MAX_BYTES};
use crate::letters::{Kept, short};
use crate::publisher::Letter;

/// Two lines of a list.
pub fn row(kept: &Kept) -> String {
    let name = short(&kept.name);
    let Some(letter) = &kept.letter else {
        return format!("{name}  damaged, or of a newer release\n");
    };
    let opened = Opened::new(&letter.record);
    let (received, kind, size) = (opened.received(), opened.kind(), opened.size());
    let (topic, key) = (letter.topic.as_deref().unwrap_or("-"), printable(opened.key().unwrap_or("-"), KEY_MAX_BYTES));
    format!("{name}  {received}  {kind}  {size}  {}\n  {topic}  {key}\n", letter.reason)
}

/// All that is known of one but its body.
pub fn everything(kept: &Kept) -> String {
    let Some(letter) = &kept.letter else { return row(kept) };
    let opened = Opened::new(&letter.record);
    let mut text = String::new();
    let (topic, source) = (letter.topic.as_deref().unwrap_or("-"), opened.source().unwrap_or("-"));
    for (name, value) in [
        ("id", short(&kept.name)),
        ("reason", letter.reason.clone()),
        ("topic", topic.to_owned()),
        ("received", opened.received()),
        ("type", opened.kind().to_owned()),
        ("key", printable(opened.key().unwrap_or("-"), KEY_MAX_BYTES)),
        ("source", printable(source, SOURCE_MAX_BYTES)),
        ("size", format!("{} ({} bytes)", opened.size(), opened.body().len())),
        ("ce_id", Identity(letter.record.tag).to_string()),
        ("journal", letter.record.journal.to_string()),
        ("position", letter.record.position.0.to_string()),
        ("file", format!("dead/{}.dead", kept.name)),
    ] {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:<9} {value}");
    }
    text
}

/// One line; names and meanings are stable.
pub fn json(kept: &Kept) -> Value {
    let Some(Letter { reason, topic, record }) = &kept.letter else {
        return json!({"id": short(&kept.name), "file": format!("dead/{}.dead", kept.name), "readable": false});
    };
    let opened = Opened::new(record);
    json!({
        "id": short(&kept.name),
        "file": format!("dead/{}.dead", kept.name),
        "readable": opened.event.is_some(),
        "reason": reason,
        "topic": topic,
        "received": opened.received(),
        "received_at_ms": record.received_at_ms,
        "type": opened.kind(),
        "key": opened.key(),
        "source": opened.source(),
        "body_bytes": opened.body().len(),
        "ce_id": Identity(record.tag).to_string(),
        "journal": record.journal.to_string(),
        "position": record.position.0,
    })
}

/// The last line of a list.
pub fn total(count: u64, bytes: u64) -> String {
    format!("{count} dead letter(s), {}", output::size(bytes))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::Event;
    use crate::journal::{JournalId, Position, Record};

    const BODY: &str = r#"{"event":"call_ended","call":{"call_id":"call_1","transcript":"hello"}}"#;

    fn kept() -> Kept {
        let event = Event::unsigned("default", 1_769_860_799_123, Bytes::from_static(BODY.as_bytes()));
        let record = Record {
            position: Position(17),
            journal: JournalId([0xab; 16]),
            tag: [7; 16],
            received_at_ms: 1_769_860_799_123,
            payload: Bytes::from(event.encode().concat()),
        };
        let letter = Letter { reason: "too_large".into(), topic: Some("retell.call_ended".into()), record };
        Kept {
            name: format!("{}-00000000000000000017-9f3a01bc", "ab".repeat(16)),
            letter: Some(letter),
            is_damaged: false,
        }
    }

    #[test]
    fn a_letter_is_told_in_two_lines_without_its_contents() {
        let row = row(&kept());
        let first = format!("17-9f3a01bc  2026-01-31T11:59:59.123Z  call_ended  {} B  too_large\n", BODY.len());
        assert_eq!(row, format!("{first}  retell.call_ended  call_1\n"));
        let all = everything(&kept());
        assert!(all.contains("reason    too_large\n") && all.contains("source    default\n"), "{all}");
        assert!(all.lines().all(|line| line.len() <= 100) && !all.contains("hello"), "{all}");
        let kept = kept();
        let letter = kept.letter.as_ref().unwrap();
        assert_eq!(Opened::new(&letter.record).body(), BODY.as_bytes());
    }

    #[test]
    fn as_json_it_is_one_line_with_stable_names_and_says_whether_it_can_be_read() {
        let json = json(&kept());
        assert_eq!(json["id"], "17-9f3a01bc");
        assert_eq!((&json["topic"], &json["key"]), (&json!("retell.call_ended"), &json!("call_1")));
        assert!(!json.to_string().contains("hello"));
        let damaged = Kept { letter: None, is_damaged: true, ..kept() };
        assert_eq!(super::json(&damaged)["readable"], false);
        assert!(super::row(&damaged).contains("damaged"));
    }
}
