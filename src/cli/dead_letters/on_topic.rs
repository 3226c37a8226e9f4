//! Letters that the dead-letter topic took: listed from there, from its first record to the end it has now.
//!
//! In: the settings of Kafka and topics; needs Read. Out: two lines, or one of JSON, for each. Never happens: a commit, a
//! group, a wait without an end.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::output::{self, printable, rfc3339};
use crate::cli::tail::line;
use crate::config::Config;
use crate::kafka::consumer::{ReadError, Reader, Start, TopicRecord};

const LOOK: Duration = Duration::from_millis(500);
/// Looks without a record before it is given up.
const SILENT_LOOKS_MAX: u32 = 60;

/// Lists them.
pub fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let mut reader = Reader::new(&config.kafka)?;
    let mut added = 0;
    for topic in config.topics.of_short("dead_letter") {
        match reader.add(&topic, Start::Beginning) {
            Ok(()) => added += 1,
            Err(error @ (ReadError::Missing { .. } | ReadError::Forbidden { .. })) => {
                output::complain(&error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if added == 0 {
        return Err(anyhow!("no dead-letter topic can be read; letters that none took are listed without --topic"));
    }
    let (mut count, mut silent) = (0_u64, 0);
    while !reader.is_at_end() {
        match reader.next(LOOK)? {
            Some(record) => {
                silent = 0;
                count += 1;
                if json { output::line(line::json(&record))? } else { output::text(&row(&record))? }
            }
            None if silent >= SILENT_LOOKS_MAX => {
                let seconds = (LOOK * SILENT_LOOKS_MAX).as_secs();
                return Err(anyhow!("Kafka has sent nothing for {seconds} s; {count} letters were read before"));
            }
            None => {
                silent += 1;
                reader.look_for_removed();
            }
        }
    }
    if !json {
        output::line(format_args!("{count} dead letter(s) on the topic"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it stands, when it was received, what, how large, why; where it should have gone, and its key.
fn row(record: &TopicRecord) -> String {
    let header = |name: &str| printable(record.header(name).unwrap_or("-"), 100);
    let received =
        record.timestamp_ms.and_then(|ms| rfc3339(u64::try_from(ms).ok()?)).unwrap_or_else(|| "-".to_owned());
    let kind = header("ce_type").trim_start_matches("com.retellai.").to_owned();
    let place = format!("{}/{}", record.partition, record.offset);
    let key = record.key.as_deref().map_or_else(|| "-".into(), String::from_utf8_lossy);
    let (size, reason) = (output::size(record.value.len() as u64), header("retell_reason"));
    let first = format!("{} {place}  {received}  {kind}  {size}  {reason}", record.topic);
    format!("{first}\n  {}  {}\n", header("retell_topic"), printable(&key, 256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_on_the_topic_is_told_with_its_place_its_reason_and_where_it_should_have_gone() {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let record = TopicRecord {
            topic: "retell.dead_letter".into(),
            partition: 0,
            offset: 12,
            key: Some(b"call_1".to_vec()),
            headers: vec![
                header("ce_type", "com.retellai.call_analyzed"),
                header("retell_reason", "too_large"),
                header("retell_topic", "retell.call_analyzed"),
            ],
            value: b"hello".to_vec(),
            timestamp_ms: Some(1_769_860_799_123),
        };
        let expected = "retell.dead_letter 0/12  2026-01-31T11:59:59.123Z  call_analyzed  5 B  too_large\n  \
                        retell.call_analyzed  call_1\n";
        assert_eq!(row(&record), expected);
        let large = TopicRecord { value: vec![b'x'; 496_767], ..record };
        assert!(row(&large).contains("  485.1 KiB  "), "as letters of the folder are told: {}", row(&large));
    }
}
