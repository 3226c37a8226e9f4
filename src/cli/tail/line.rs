//! A record of a topic as one line of text (on a terminal at most 100 columns) or of JSON. Pure.

use serde_json::{Value, json};

use crate::cli::output::{self, printable, rfc3339};
use crate::kafka::consumer::TopicRecord;

/// Of the `ce_id`; JSON has all of it.
const ID_SHOWN_CHARS: usize = 6;
/// The bridge's own reasons are half as long.
const REASON_CHARS_MAX: usize = 40;
/// The bridge's own keys are shorter.
const KEY_CHARS_MAX: usize = 256;

/// The topic takes `width` columns. `columns_max`: the key is cut there, and the begin of a topic that leaves the reason no
/// room; without it both are whole, for whoever reads a pipe.
pub fn text(record: &TopicRecord, width: usize, columns_max: Option<usize>) -> String {
    let columns = columns_max.unwrap_or(usize::MAX);
    let time = time(record).map_or_else(|| format!("{:<15}", "-"), |time| short(&time));
    let place = format!("{}/{}", record.partition, record.offset);
    let size = output::size(record.value.len() as u64);
    let id = printable(record.header("ce_id").unwrap_or("-"), ID_SHOWN_CHARS);
    let reason = record.header("retell_reason").map(|reason| format!(" {}", printable(reason, REASON_CHARS_MAX)));
    let facts = format!("{place:>7} {size:>8} {id:<7}{}", reason.unwrap_or_default());
    // Two blanks between them, and a blank and … for the key.
    let room = columns.saturating_sub(time.chars().count() + facts.chars().count() + 4);
    let topic = ending(&printable(&record.topic, 249), room);
    let width = width.min(room);
    let head = format!("{time} {topic:<width$} {facts}");
    let key = record.key.as_deref().map_or_else(|| "no key".into(), String::from_utf8_lossy);
    let line = format!("{head} {}", printable(&key, KEY_CHARS_MAX));
    if line.chars().count() <= columns {
        return line;
    }
    line.chars().take(columns - 1).collect::<String>() + "…"
}

/// The end of a name that is longer: there it differs from others.
fn ending(name: &str, chars_max: usize) -> String {
    match name.chars().count() {
        long if long > chars_max => {
            let end: String = name.chars().skip(long + 1 - chars_max.max(1)).collect();
            format!("…{end}")
        }
        _ => name.to_owned(),
    }
}

/// Names and meanings are stable.
pub fn json(record: &TopicRecord) -> Value {
    let header = |name: &str| record.header(name);
    let kind = header("ce_type").map(|kind| kind.strip_prefix("com.retellai.").unwrap_or(kind));
    let position = header("retell_position").and_then(|position| position.parse::<u64>().ok());
    json!({
        "time": time(record),
        "timestamp_ms": record.timestamp_ms,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "type": kind,
        "source": header("ce_source").map(|source| source.strip_prefix("/retell/").unwrap_or(source)),
        "id": header("ce_id"),
        "sent": header("ce_time"),
        "journal": header("retell_journal"),
        "position": position,
        "origin": header("retell_origin"),
        "reason": header("retell_reason"),
        "meant_for": header("retell_topic"),
        "body_bytes": record.value.len(),
    })
}

/// RFC 3339 in UTC.
fn time(record: &TopicRecord) -> Option<String> {
    rfc3339(u64::try_from(record.timestamp_ms?).ok()?)
}

/// Of `2026-01-31T11:59:59.123Z` what tells two records apart: `01-31 11:59:59Z`.
fn short(time: &str) -> String {
    let (day, clock) = (time.get(5..10).unwrap_or_default(), time.get(11..19).unwrap_or_default());
    format!("{day} {clock}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::COLUMNS;

    fn record() -> TopicRecord {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        TopicRecord {
            topic: "retell.transfer_cancelled".into(),
            partition: 5,
            offset: 12_345,
            key: Some(b"Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6".to_vec()),
            headers: vec![
                header("ce_id", "0123456789abcdef0123456789abcdef"),
                header("ce_type", "com.retellai.transfer_cancelled"),
                header("ce_source", "/retell/default"),
                header("retell_position", "17"),
            ],
            value: br#"{"transcript":"hello"}"#.to_vec(),
            timestamp_ms: Some(1_769_860_799_123),
        }
    }

    #[test]
    fn a_record_is_one_line_of_100_columns_with_everything_that_finds_it_and_not_its_body() {
        let line = text(&record(), 25, Some(COLUMNS));
        let wanted =
            "01-31 11:59:59Z retell.transfer_cancelled 5/12345     22 B 012345… Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6";
        assert_eq!(line, wanted);
        assert!(line.chars().count() <= COLUMNS, "{}", line.chars().count());
    }

    #[test]
    fn what_is_long_or_would_steer_a_terminal_is_cut_and_escaped() {
        let hostile = TopicRecord { key: Some([b"\x1b[2J\n".to_vec(), vec![b'k'; 300]].concat()), ..record() };
        let line = text(&hostile, 25, Some(COLUMNS));
        assert!(line.chars().count() <= COLUMNS && !line.contains(['\x1b', '\n']), "{line}");
        let bare = TopicRecord { key: None, headers: Vec::new(), timestamp_ms: Some(i64::MAX), ..record() };
        assert!(text(&bare, 25, Some(COLUMNS)).ends_with("no key"), "{}", text(&bare, 25, Some(COLUMNS)));
        assert_eq!(json(&bare)["time"], Value::Null);
    }

    #[test]
    fn why_it_is_unrecognized_stands_before_the_key_and_is_never_cut() {
        let mut record = record();
        record.topic = "retell.unrecognized".into();
        record.key = Some(format!("call_{}", "9dbb07".repeat(6)).into());
        record.headers.push(("retell_reason".into(), b"unknown_type".to_vec()));
        let shown = text(&record, 25, Some(COLUMNS));
        assert!(shown.contains(" 012345… unknown_type call_9dbb"), "{shown}");
        assert!(shown.ends_with('…') && shown.chars().count() == COLUMNS, "{shown}");
        let piped = text(&record, 25, None);
        assert!(piped.ends_with(&format!(" unknown_type call_{}", "9dbb07".repeat(6))), "{piped}");
        record.topic = format!("{}.unrecognized", "prefix".repeat(30));
        let shown = text(&record, 193, Some(COLUMNS));
        assert!(shown.contains("refix.unrecognized 5/12345 ") && shown.contains(" unknown_type"), "{shown}");
        assert_eq!(shown.chars().count(), COLUMNS, "{shown}");
    }

    #[test]
    fn as_json_it_has_the_headers_by_name_and_not_the_body() {
        let json = json(&record());
        assert_eq!(json["time"], "2026-01-31T11:59:59.123Z");
        assert_eq!(
            (&json["type"], &json["source"], &json["position"]),
            (&"transfer_cancelled".into(), &"default".into(), &17.into())
        );
        assert_eq!((&json["body_bytes"], &json["reason"]), (&22.into(), &Value::Null));
        assert!(!json.to_string().contains("hello"));
    }
}
