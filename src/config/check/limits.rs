//! Sizes, times and counts of intake and journal, and how they must lie to each other.

use std::time::Duration;

use super::sources::{networks, path_is_plain};
use crate::config::errors::Findings;
use crate::config::given::Given;
use crate::config::units::Size;
use crate::intake::{self, SourceOptions, TlsFiles};
use crate::journal;

/// One segment file.
const SEGMENT_BYTES: u64 = 64 << 20;
/// A body is one record of one segment, with room for the frame and the list at the segment's end.
const BODY_BYTES_MAX: u64 = SEGMENT_BYTES / 2;
/// Below this a `call_ended` of a minute does not pass.
const BODY_BYTES_MIN: u64 = 16 << 10;
const CHECKPOINT_EVERY: Duration = Duration::from_millis(200);
/// Retell gives up.
const SENDER_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than a slow disk's sync: everything would be late.
const ANSWER_WITHIN_MIN: Duration = Duration::from_millis(100);
/// 16-byte tags and their places: some 100 bytes each.
const DUPLICATE_EVENTS_MAX: u32 = 20_000_000;

/// The intake's options; duplicates are its part.
pub fn intake(
    given: &Given,
    sources: Vec<SourceOptions>,
    tls: Option<TlsFiles>,
    findings: &mut Findings,
) -> intake::Options {
    let (body, in_flight) = (given.intake.body_max.bytes(), given.intake.in_flight_max.bytes());
    if !(BODY_BYTES_MIN..=BODY_BYTES_MAX).contains(&body) {
        let problem = format!("{} is not between 16KiB and 32MiB", given.intake.body_max);
        findings.add(
            "intake.body_max",
            problem,
            "write a size such as 8MiB: a record must fit a journal segment (64MiB)",
        );
    } else if in_flight < body {
        let problem = format!("{} is less than intake.body_max, {}", given.intake.in_flight_max, given.intake.body_max);
        findings.add("intake.in_flight_max", problem, "write at least that, and room for several");
    }
    if given.intake.connections_max == 0 {
        findings.add("intake.connections_max", "is 0: nobody could post", "write a number such as 1024");
    }
    answer_is_in_time(given, findings);
    if given.duplicates.events_max > DUPLICATE_EVENTS_MAX {
        let problem = format!("{} events would take gigabytes of memory", given.duplicates.events_max);
        findings.add("duplicates.events_max", problem, format!("write at most {DUPLICATE_EVENTS_MAX}"));
    }
    let health_path = intake::without_slash(given.intake.health_path.trim());
    if !health_path.is_empty() {
        path_is_plain(health_path, "intake.health_path", findings);
    }
    intake::Options {
        sources,
        body_max_bytes: as_usize(&given.intake.body_max),
        in_flight_max_bytes: as_usize(&given.intake.in_flight_max),
        connections_max: given.intake.connections_max as usize,
        answer_within: given.intake.answer_within.duration(),
        tls,
        trusted_proxies: networks(&given.intake.trusted_proxies, "intake.trusted_proxies", findings),
        health_path: (!health_path.is_empty()).then(|| health_path.to_owned()),
        duplicates_window: given.duplicates.window.duration(),
        duplicates_events_max: given.duplicates.events_max as usize,
        observer: None,
    }
}

fn answer_is_in_time(given: &Given, findings: &mut Findings) {
    let within = &given.intake.answer_within;
    if within.duration() >= SENDER_TIMEOUT {
        let problem = format!("{within} is not below 10s, when Retell gives up");
        findings.add("intake.answer_within", problem, "write a time below it that leaves room for the network: 8s");
    } else if within.duration() < ANSWER_WITHIN_MIN {
        let problem = format!("{within} is shorter than a slow disk's sync");
        findings.add("intake.answer_within", problem, "write at least 100ms; the default is 8s");
    }
}

/// The journal's options.
pub fn journal(given: &Given, findings: &mut Findings) -> journal::Options {
    if given.journal.dir.trim().is_empty() {
        findings.add("journal.dir", "is empty", "name a folder on a disk of its own, such as /var/lib/retell-bridge");
    }
    if given.journal.retention.duration() < given.duplicates.window.duration() {
        let problem =
            format!("{} is less than duplicates.window, {}", given.journal.retention, given.duplicates.window);
        let cure = "a duplicate is recognised by what is retained: write at least the window";
        findings.add("journal.retention", problem, cure);
    }
    let options = journal::Options {
        segment_bytes: SEGMENT_BYTES,
        size_max_bytes: given.journal.size_max.bytes(),
        retention: given.journal.retention.duration(),
        quarantine_retention: given.journal.quarantine_retention.duration(),
        checkpoint_every: CHECKPOINT_EVERY,
        allow_ephemeral: given.journal.allow_ephemeral,
    };
    let least_mib = options.size_least_bytes().div_ceil(1 << 20);
    if options.size_max_bytes < options.size_least_bytes() {
        let problem =
            format!("{} is less than {least_mib}MiB, four segments and room beside them", given.journal.size_max);
        findings.add("journal.size_max", problem, "write at least that; 10GiB ride out hours without Kafka");
    }
    options
}

fn as_usize(size: &Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}
