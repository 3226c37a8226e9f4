//! `dead-letters`, as an operator types it where there is no Kafka: bodies, wrong choices, full disks, Ctrl-C.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use retell_bridge::event::Event;
use retell_bridge::journal::{JournalId, Position, Record};
use retell_bridge::publisher::Letter;
use rustix::process::{Pid, Signal, kill_process};
use support::process::wait_until;

use crate::small_journal;

const BODY: &[u8] = br#"{"event":"call_analyzed","call":{"call_id":"call_1"}}"#;
/// Nobody listens there.
const NOWHERE: &str = "kafka.brokers=127.0.0.1:1";
/// Nobody has this name, which is told sooner than silence.
const UNKNOWN: &str = "kafka.brokers=nobody.invalid:1";

/// What a letter's file holds, as `publisher/letter.rs` describes it.
fn contents(topic: &str, record: &Record) -> Vec<u8> {
    let text = |text: &str| [&u16::try_from(text.len()).expect("short").to_le_bytes()[..], text.as_bytes()].concat();
    let places = [&record.journal.0[..], &record.position.0.to_le_bytes(), &record.tag].concat();
    [&[1], &text("too_large")[..], &text(topic), &places, &record.received_at_ms.to_le_bytes(), &record.payload]
        .concat()
}

/// A folder with these letters: the event at a position, on its way to a topic.
fn folder(letters: &[(u64, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room");
    let journal = small_journal::open(folder.path());
    for (position, topic) in letters {
        let payload = Bytes::from(Event::unsigned("default", 5, Bytes::from_static(BODY)).encode().concat());
        let (position, journal_id) = (Position(*position), JournalId([7; 16]));
        let record = Record { position, journal: journal_id, tag: [0; 16], received_at_ms: 5, payload };
        let name = Letter::name(Some(topic), &record);
        journal.keep_dead_letter(&name, &contents(topic, &record)).expect("it is kept");
    }
    journal.close().expect("it closes");
    folder
}

fn dead_letters(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
    command.arg("dead-letters").args(words).arg("--dir").arg(dir).stdin(Stdio::null());
    command
}

fn run(dir: &Path, words: &[&str]) -> Output {
    dead_letters(dir, words).output().expect("the binary runs")
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("what it says is text")
}

#[test]
fn the_body_of_a_letter_is_printed_byte_for_byte_so_that_its_signature_still_holds() {
    let folder = folder(&[(17, "retell.call_analyzed"), (17, "retell.all"), (18, "retell.call_analyzed")]);
    let shown = run(folder.path(), &["show", "18", "--body"]);
    assert_eq!((shown.status.code(), &shown.stdout[..]), (Some(0), BODY), "{}", said(&shown));
    let shown = run(folder.path(), &["show", "17", "--body"]);
    assert_eq!(&shown.stdout[..], BODY, "two letters of one event have one body");
}

#[test]
fn a_disk_that_is_full_behind_a_body_is_told_as_standard_output() {
    let folder = folder(&[(17, "retell.call_analyzed")]);
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let shown = dead_letters(folder.path(), &["show", "17", "--body"]).stdout(full).output().expect("the binary runs");
    let told = "retell-bridge: standard output: No space left on device (os error 28)\n";
    assert_eq!((shown.status.code(), said(&shown)), (Some(1), told));
}

#[test]
fn all_beside_a_choice_is_wrong_usage() {
    let folder = folder(&[(17, "retell.call_analyzed")]);
    for words in
        [&["retry", "--all", "--key", "nope"][..], &["retry", "--all", "--since", "1h"], &["retry", "17", "--all"]]
    {
        let refused = run(folder.path(), words);
        assert_eq!((refused.status.code(), said(&refused).lines().count()), (Some(2), 1), "{words:?}");
        assert!(said(&refused).contains("cannot be used with"), "{words:?}: {}", said(&refused));
    }
    let mut replay = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
    let refused = replay.arg("replay").arg(folder.path()).args(["--all", "--key", "nope"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
}

#[test]
fn a_letter_that_another_process_is_sending_is_told_and_left_to_it() {
    let folder = folder(&[(17, "retell.call_analyzed")]);
    let file = fs::read_dir(folder.path().join("dead")).expect("it is there").next().expect("one").expect("readable");
    let file = File::open(file.path()).expect("it can be opened");
    file.lock().expect("nobody has it");
    let began = Instant::now();
    let ran = run(folder.path(), &["retry", "--all", "--set", NOWHERE]);
    assert_eq!((ran.status.code(), &ran.stdout[..]), (Some(1), &b"0 sent, 1 stayed\n"[..]));
    assert!(said(&ran).contains(" stays: another command, or the bridge, is sending it now\n"), "{}", said(&ran));
    assert!(began.elapsed() < Duration::from_secs(10), "no broker is waited for");
}

/// A retry of two letters without a Kafka, which waits for it.
fn waiting(folder: &Path) -> (Child, Pid) {
    let mut command = dead_letters(folder, &["retry", "--all", "--set", UNKNOWN]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let status = format!("/proc/{}/status", child.id());
    // SIGINT is 2: it is caught once the second bit of this mask is set.
    let catches = || {
        let status = fs::read_to_string(&status).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        (u64::from_str_radix(mask.trim(), 16).ok()? & 2 != 0).then_some(())
    };
    wait_until(Duration::from_secs(10), catches).expect("it listens for signals");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it runs");
    (child, pid)
}

#[test]
fn a_signal_ends_a_retry_after_the_letter_at_hand_and_it_says_how_far_it_came() {
    let folder = folder(&[(17, "retell.call_analyzed"), (18, "retell.call_analyzed")]);
    let (child, _) = waiting(folder.path());
    let ended = child.wait_with_output().expect("it can be waited for");
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("ending after the letter at hand"), "{}", said(&ended));
    let last = said(&ended).lines().last().unwrap_or_default();
    assert!(last.starts_with("retell-bridge: ended by a signal: 0 sent, "), "{}", said(&ended));
}

#[test]
fn a_second_signal_ends_a_retry_where_it_stands() {
    let folder = folder(&[(17, "retell.call_analyzed")]);
    let (mut child, pid) = waiting(folder.path());
    let ended = wait_until(Duration::from_secs(10), || {
        // Two that come together are one.
        kill_process(pid, Signal::INT).ok()?;
        child.try_wait().expect("it can be waited for")
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
}
