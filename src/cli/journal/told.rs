//! An inspection in words (at most 100 columns) and as JSON. Pure.

use std::fmt::Write;
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cli::output;
use crate::journal::inspect::{Files, InspectedSegment, Inspection, SegmentState};

/// Everything, for people.
pub fn overview(inspection: &Inspection) -> String {
    let mut text = headline(inspection);
    text.push_str("\nsegment  state    records  positions                  newest received            size\n");
    for segment in &inspection.segments {
        line(&mut text, segment_row(segment));
    }
    match &inspection.checkpoint {
        None => text.push_str("\nno sound checkpoint: every lane would start at the oldest segment\n"),
        Some(checkpoint) => {
            let (generation, synced) = (checkpoint.generation, checkpoint.synced_up_to.0);
            line(&mut text, format!("\ncheckpoint {generation}, synced up to position {synced}"));
            line(&mut text, format!("{:<48}  {:>18}  {:>18}", "lane", "first unsettled", "still to go through"));
            for lane in &checkpoint.lanes {
                let waiting = inspection.waiting(lane);
                line(&mut text, format!("{:<48}  {:>18}  {waiting:>18}", lane.topic, lane.position.0));
            }
        }
    }
    let aside = |what: &str, files: &Files| format!("{} file(s) of {what}, {}", files.count, output::size(files.bytes));
    let (quarantine, dead) = (&inspection.quarantine, &inspection.dead_letters);
    line(&mut text, format!("\n{}; {}", aside("quarantine", quarantine), aside("dead letters", dead)));
    told_earlier(inspection).into_iter().chain(damage(inspection)).for_each(|each| line(&mut text, each));
    text
}

/// What was checked and found, for people.
pub fn verdict(inspection: &Inspection) -> String {
    let mut text = headline(inspection);
    let tails: u64 = inspection.segments.iter().map(|segment| segment.tail_bytes).sum();
    if tails > 0 {
        let more = "a batch being written, or what a crash left; the next start cuts it";
        line(&mut text, format!("{tails} bytes at the end are no whole batch: {more}"));
    }
    told_earlier(inspection).into_iter().chain(damage(inspection)).for_each(|each| line(&mut text, each));
    text
}

/// What an earlier start has found: the segments may be sound again since.
fn told_earlier(inspection: &Inspection) -> Vec<String> {
    let Files { count, bytes } = inspection.quarantine;
    let lost = inspection.lost_earlier();
    let mut lines = Vec::new();
    if count > 0 {
        lines.push(format!("damage of earlier days: {count} file(s) in quarantine, {}", output::size(bytes)));
    }
    if !lost.is_empty() {
        let text = format!("it has cost {}, which may not be on Kafka", output::spans(&lost));
        lines.push(output::wrapped(&text, "  "));
    }
    lines
}

fn headline(inspection: &Inspection) -> String {
    let identity = inspection.identity.map_or_else(|| "without identity".to_owned(), |identity| identity.to_string());
    let (records, used) = (inspection.records(), output::size(inspection.used_bytes));
    let used_segments = inspection.segments.iter().filter(|segment| segment.state != SegmentState::Spare).count();
    let state = if inspection.is_sound() { "sound" } else { "DAMAGED" };
    format!("journal {identity}: {records} records in {used_segments} segment(s), {used}, {state}\n")
}

fn segment_row(segment: &InspectedSegment) -> String {
    let positions = format!("{} to {}", segment.begin.0, segment.end.0.saturating_sub(1));
    let positions = if segment.records == 0 { "-".to_owned() } else { positions };
    let newest = if segment.newest_ms == 0 { "-".to_owned() } else { time(segment.newest_ms) };
    let (number, state, records, size) =
        (segment.number, word(segment.state), segment.records, output::size(segment.file_bytes));
    format!("{number:>7}  {state:<6}  {records:>8}  {positions:<25}  {newest:<20}  {size:>10}")
}

/// One line for each damaged place, with what follows from it.
fn damage(inspection: &Inspection) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in &inspection.segments {
        for damage in &segment.damages {
            let lost = match &damage.positions {
                none if none.is_empty() => String::new(),
                lost => format!(", lost positions {}", range(lost)),
            };
            let (from, until) = (damage.bytes.start, damage.bytes.end);
            lines.push(format!("damage: segment {}, bytes {from} to {until}: {}{lost}", segment.number, damage.what));
            lines.extend(on_kafka(inspection, &damage.positions));
        }
    }
    for gap in &inspection.gaps {
        lines.push(format!("damage: no segment holds positions {}", range(gap)));
        lines.extend(on_kafka(inspection, gap));
    }
    if inspection.checkpoint.is_none() && !inspection.segments.is_empty() {
        let what = match inspection.broken_slots {
            0 => "the checkpoint is missing",
            1 => "one slot of the checkpoint is broken, and the other one empty",
            _ => "both slots of the checkpoint are broken",
        };
        lines.push(format!("damage: {what}; nothing is lost, all that is retained would go out again"));
    }
    if let Some(checkpoint) = inspection.checkpoint.as_ref().filter(|_| inspection.is_end_lost()) {
        let synced = checkpoint.synced_up_to.0.saturating_sub(1);
        lines.push(format!("damage: the checkpoint knows positions up to {synced}, and the segments end before"));
        lines.extend(inspection.lost_end().and_then(|lost| on_kafka(inspection, &lost)));
    }
    lines
}

/// What follows for the events there.
fn on_kafka(inspection: &Inspection, positions: &Range<u64>) -> Option<String> {
    let told = || format!("  {}: {}", output::span(positions), output::on_kafka(inspection.standing(positions)));
    (!positions.is_empty()).then(told)
}

/// Everything, for machines.
pub fn json(inspection: &Inspection) -> Value {
    let files = |files: &Files| json!({"files": files.count, "bytes": files.bytes});
    let checkpoint = inspection.checkpoint.as_ref().map(|checkpoint| {
        let lanes = checkpoint
            .lanes
            .iter()
            .map(|lane| json!({"topic": lane.topic, "position": lane.position.0, "waiting": inspection.waiting(lane)}));
        json!({
            "identity": checkpoint.identity.to_string(),
            "generation": checkpoint.generation,
            "synced_up_to": checkpoint.synced_up_to.0,
            "lanes": lanes.collect::<Vec<_>>(),
        })
    });
    json!({
        "identity": inspection.identity.map(|identity| identity.to_string()),
        "sound": inspection.is_sound(),
        "records": inspection.records(),
        "end": inspection.end().0,
        "used_bytes": inspection.used_bytes,
        "segments": inspection.segments.iter().map(segment_json).collect::<Vec<_>>(),
        "checkpoint": checkpoint,
        "broken_slots": inspection.broken_slots,
        "gaps": inspection.gaps.iter().map(range_json).collect::<Vec<_>>(),
        "unfinished_files": inspection.unfinished_files,
        "quarantine": files(&inspection.quarantine),
        "quarantined_positions": inspection.lost_earlier().iter().map(range_json).collect::<Vec<_>>(),
        "dead_letters": files(&inspection.dead_letters),
    })
}

fn segment_json(segment: &InspectedSegment) -> Value {
    let damages = segment.damages.iter().map(|damage| {
        json!({
            "bytes": range_json(&damage.bytes),
            "positions": range_json(&damage.positions),
            "what": damage.what,
        })
    });
    json!({
        "number": segment.number,
        "state": word(segment.state),
        "identity": segment.identity.map(|identity| identity.to_string()),
        "begin": segment.begin.0,
        "end": segment.end.0,
        "records": segment.records,
        "file_bytes": segment.file_bytes,
        "newest_received_at_ms": segment.newest_ms,
        "tail_bytes": segment.tail_bytes,
        "damages": damages.collect::<Vec<_>>(),
    })
}

/// From the first to one past the last.
fn range_json(range: &Range<u64>) -> Value {
    json!({"from": range.start, "until": range.end})
}

fn range(range: &Range<u64>) -> String {
    match range.end.saturating_sub(1) {
        last if last == range.start => last.to_string(),
        last => format!("{} to {last}", range.start),
    }
}

fn word(state: SegmentState) -> &'static str {
    match state {
        SegmentState::Closed => "closed",
        SegmentState::Open => "open",
        SegmentState::Spare => "spare",
    }
}

fn time(unix_ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string()
}

fn line(text: &mut String, line: String) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{}", line.trim_end_matches(' '));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::inspect::{InspectedCheckpoint, InspectedDamage};
    use crate::journal::{JournalId, LaneMark, Position, Quarantined};

    fn inspection() -> Inspection {
        let segment = |number, state, begin, end| InspectedSegment {
            number,
            state,
            identity: Some(JournalId([7; 16])),
            begin: Position(begin),
            end: Position(end),
            records: end - begin,
            file_bytes: 64 << 20,
            newest_ms: if begin == end { 0 } else { 1_714_608_491_736 },
            damages: Vec::new(),
            tail_bytes: 0,
        };
        let lane = LaneMark { topic: "retell.call_ended".into(), position: Position(150), takes: 0 };
        Inspection {
            identity: Some(JournalId([7; 16])),
            segments: vec![
                segment(1, SegmentState::Closed, 1, 101),
                segment(2, SegmentState::Open, 101, 201),
                segment(3, SegmentState::Spare, 201, 201),
            ],
            checkpoint: Some(InspectedCheckpoint {
                identity: JournalId([7; 16]),
                generation: 9,
                synced_up_to: Position(201),
                lanes: vec![lane],
            }),
            broken_slots: 0,
            gaps: Vec::new(),
            unfinished_files: 0,
            quarantine: Files { count: 0, bytes: 0 },
            quarantined: Vec::new(),
            dead_letters: Files { count: 2, bytes: 8_192 },
            used_bytes: 192 << 20,
        }
    }

    #[test]
    fn the_overview_fits_a_hundred_columns_and_has_every_part() {
        let text = overview(&inspection());
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        let identity = "07".repeat(16);
        for part in [
            format!("journal {identity}: 200 records in 2 segment(s), 192.0 MiB, sound").as_str(),
            "      1  closed       100  1 to 100                   2024-05-02T00:08:11Z    64.0 MiB",
            "      3  spare          0  -",
            "checkpoint 9, synced up to position 201",
            "150                  51",
            "0 file(s) of quarantine, 0 B; 2 file(s) of dead letters, 8.0 KiB",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn damage_is_named_with_its_positions_in_text_and_json() {
        let mut inspection = inspection();
        let what = "its checksum does not hold";
        inspection.segments[0].damages = vec![InspectedDamage { bytes: 4096..8192, positions: 9..12, what }];
        inspection.gaps = vec![20..30, 40..41, 140..160, 180..190];
        let text = verdict(&inspection);
        assert!(text.contains("DAMAGED"), "{text}");
        assert!(
            text.contains(
                "damage: segment 1, bytes 4096 to 8192: its checksum does not hold, lost positions 9 to 11\n"
            )
        );
        assert!(text.contains("damage: no segment holds positions 20 to 29\n"), "{text}");
        for says in [
            "  positions 9 to 11: settled before, so on Kafka\n",
            "  position 40: settled before, so on Kafka\n",
            "  positions 140 to 159: may not be on Kafka\n",
            "  positions 180 to 189: not on Kafka\n",
        ] {
            assert!(text.contains(says), "{says} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        let json = json(&inspection);
        assert_eq!(json["sound"], false);
        assert_eq!(json["segments"][0]["damages"][0]["positions"]["until"], 12);
    }

    #[test]
    fn what_earlier_damage_has_cost_is_told_of_a_journal_that_is_sound_again() {
        let mut inspection = inspection();
        let copy = |positions| Quarantined { segment: 1, positions, kept_at_ms: 5, bytes: 0 };
        inspection.quarantined = vec![copy(1..72), copy(90..90), copy(72..73)];
        inspection.quarantine = Files { count: 3, bytes: 4_096 };
        for text in [overview(&inspection), verdict(&inspection)] {
            assert!(text.contains("damage of earlier days: 3 file(s) in quarantine, 4.0 KiB\n"), "{text}");
            assert!(text.contains("it has cost positions 1 to 72, which may not be on Kafka\n"), "{text}");
        }
        inspection.segments[0].damages = vec![InspectedDamage { bytes: 0..9, positions: 5..6, what: "x" }];
        assert!(verdict(&inspection).contains("position 5: may not be on Kafka"), "lanes went past it damaged");
        assert_eq!(json(&inspection)["quarantined_positions"][0]["until"], 73);
    }
}
