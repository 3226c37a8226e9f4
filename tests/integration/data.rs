//! `docs/data-protection.md` against what a run leaves on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::sender::Sender;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

#[test]
fn every_file_that_a_run_leaves_is_on_the_page_and_holds_call_data_only_where_the_page_says_so() {
    let source = Source::new("default", "/webhook", "data.");
    let mut bridge = Bridge::start(Settings::new(NOWHERE, &[&source]));
    let mut maker = Maker::new(61);
    let id = maker.id();
    let event = maker.event(&source, "call_ended", &id, false);
    assert!(Sender::to(&bridge).send(&event));
    bridge.kill();
    // What is broken goes to the quarantine, be it damage or a torn tail.
    rot_first_frame(&bridge.journal_dir());
    assert!(fs::write(bridge.journal_dir().join("dead/kept.dead"), &event.body).is_ok(), "as a dead letter holds it");
    bridge.start_again();
    bridge.kill();

    let page = page();
    let mut seen = Vec::new();
    for (name, bytes) in files(&bridge.journal_dir()) {
        let row = row(&name);
        let holds = page.get(&row).unwrap_or_else(|| panic!("docs/data-protection.md has no row for {row} ({name})"));
        let has_body = bytes.windows(64).any(|window| event.body.starts_with(window)) || has(&bytes, id.as_bytes());
        assert!(!has_body || *holds, "{name} holds a body, and the page says that {row} holds none");
        seen.push(row);
    }
    for row in ["journal/<number>.segment", "journal/checkpoint", "journal/lock", "quarantine/<place>.bytes"] {
        assert!(seen.iter().any(|seen| seen == row), "the run left no {row}: {seen:?}");
    }
}

#[test]
fn a_running_bridge_may_write_no_core() {
    let source = Source::new("default", "/webhook", "core.");
    let mut bridge = Bridge::start(Settings::new(NOWHERE, &[&source]));
    let pid = bridge.pid().expect("it is running");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a running process has limits");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the kernel has this limit");
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    bridge.kill();
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// One bit in the middle of the record.
fn rot_first_frame(journal_dir: &Path) {
    let segment = journal_dir.join(format!("journal/{:020}.segment", 1));
    let mut bytes = fs::read(&segment).expect("the first segment is there");
    bytes[4096 + 200] ^= 1;
    fs::write(&segment, bytes).expect("the test's folder can be written");
}

fn files(journal_dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(journal_dir).expect("the folder is there").map(|entry| entry.expect("it can be read")) {
        let folder_name = folder.file_name().into_string().expect("the bridge's names are ASCII");
        for file in fs::read_dir(folder.path()).expect("the bridge makes nothing but folders there") {
            let file = file.expect("it can be read");
            let name = file.file_name().into_string().expect("the bridge's names are ASCII");
            found.push((format!("{folder_name}/{name}"), fs::read(file.path()).expect("it can be read")));
        }
    }
    found
}

/// The page's name for a file: what varies in angle brackets.
fn row(name: &str) -> String {
    let (folder, file) = name.split_once('/').expect("a folder and a file");
    match (folder, file.rsplit_once('.')) {
        ("journal", Some((stem, ending))) if stem.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("journal/<number>.{ending}")
        }
        ("quarantine", Some((_, ending))) => format!("quarantine/<place>.{ending}"),
        ("dead", Some((_, ending))) => format!("dead/<name>.{ending}"),
        _ => name.to_owned(),
    }
}

/// By file: whether it may hold call data.
fn page() -> BTreeMap<String, bool> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/data-protection.md");
    let text = fs::read_to_string(path).expect("the page is there");
    let table = text.split_once("<!-- files -->").and_then(|(_, rest)| rest.split_once("<!-- /files -->"));
    let (table, _) = table.expect("the page has the table between its marks");
    let cells = |line: &str| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let file = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((file, cells.next()?.starts_with("yes")))
    };
    table.lines().filter_map(cells).collect()
}
