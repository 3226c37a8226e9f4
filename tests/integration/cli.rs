//! The small commands: what they print, where, and with which exit code.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, mpsc};

use retell_bridge::admin::Admin;
use retell_bridge::health::Health;
use retell_bridge::journal::Append;
use retell_bridge::metrics::Metrics;

use crate::small_journal;

const KEY: &str = "key_made_up_for_tests";

/// The binary with a plain environment.
fn bridge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RETELL_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn run(arguments: &[&str]) -> Ran {
    bridge(arguments).output().unwrap().into()
}

fn run_with_key(arguments: &[&str]) -> Ran {
    bridge(arguments).env("RETELL_API_KEY", KEY).output().unwrap().into()
}

/// Runs with `body` on standard input.
fn feed(arguments: &[&str], body: &str) -> Ran {
    let mut command = bridge(arguments);
    command.env("RETELL_API_KEY", KEY).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// One line, as an error is.
fn is_one_line(ran: &Ran) {
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("retell-bridge: "), "{}", ran.stderr);
}

#[test]
fn help_goes_to_stdout_and_wrong_usage_to_stderr_with_2() {
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in ["serve", "dead-letters", "Examples:"] {
        assert!(help.stdout.contains(word), "{}", help.stdout);
    }
    let wrong = run(&["serv"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
    assert!(wrong.stderr.contains("serve"), "it names the nearest command: {}", wrong.stderr);
}

#[test]
fn the_version_is_short_unless_asked_for_in_full() {
    assert_eq!(run(&["--version"]).stdout, concat!("retell-bridge ", env!("CARGO_PKG_VERSION"), "\n"));
    let full: serde_json::Value = serde_json::from_str(&run(&["version", "--json"]).stdout).unwrap();
    for key in ["version", "commit", "rustc", "librdkafka"] {
        assert!(full[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {full}");
    }
    let features = full["librdkafka_features"].as_array().unwrap();
    assert!(features.iter().any(|feature| feature == "lz4"), "{full}");
}

#[test]
fn what_sign_prints_verify_believes() {
    let signed = feed(&["sign", "--now", "1714608491736"], "{\"a\":0.10}");
    assert_eq!(signed.code, Some(0));
    let value = signed.stdout.trim();
    assert!(value.starts_with("v=1714608491736,d="), "{value}");
    let holds = feed(&["verify", "--signature", value, "--now", "1714608491736"], "{\"a\":0.10}");
    assert_eq!(holds.code, Some(0), "{}", holds.stderr);
    for (body, now, reason) in [
        ("{\"a\":0.1}", "1714608491736", "no key makes this signature"),
        ("{\"a\":0.10}", "1714609491736", "outside the time window"),
    ] {
        let fails = feed(&["verify", "--signature", value, "--now", now], body);
        assert_eq!(fails.code, Some(1));
        is_one_line(&fails);
        assert!(fails.stderr.contains(reason), "{}", fails.stderr);
    }
}

#[test]
fn without_a_key_sign_says_where_to_put_it() {
    let ran = run(&["sign"]);
    assert_eq!(ran.code, Some(2));
    is_one_line(&ran);
    assert_eq!(ran.stderr, "retell-bridge: no key: set RETELL_API_KEY or name a file with --key-file\n");
    let ran = run(&["sign", "--key-file", "/nowhere"]);
    assert_eq!(ran.code, Some(1));
    is_one_line(&ran);
}

#[test]
fn a_key_file_may_hold_the_key_and_a_line_break() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{KEY}").unwrap();
    let path = file.path().to_str().unwrap();
    let by_file = bridge(&["sign", "--now", "7", "--key-file", path]).output().unwrap().stdout;
    assert_eq!(by_file, feed(&["sign", "--now", "7"], "").stdout.into_bytes());
}

#[test]
fn bad_settings_are_one_line_each_and_78() {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(b"kafka: {broker: a:1}\nintake: {body_max: 8}\n").unwrap();
    let path = file.path().to_str().unwrap();
    for command in [vec!["config", "check"], vec!["config", "show"], vec!["serve"]] {
        let ran = run_with_key(&[&command[..], &["--config", path]].concat());
        assert_eq!(ran.code, Some(78), "{command:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
        assert!(ran.stderr.lines().all(|line| line.starts_with("retell-bridge: ")), "{}", ran.stderr);
        assert!(ran.stderr.contains("kafka.broker: no such setting; did you mean kafka.brokers?"), "{}", ran.stderr);
    }
    assert_eq!(run_with_key(&["config", "check"]).code, Some(0));
}

#[test]
fn settings_are_shown_with_their_origin_and_without_the_key() {
    let shown = run_with_key(&["config", "show", "--set", "log.level=debug"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.contains("# RETELL_API_KEY") && !shown.stdout.contains(KEY), "{}", shown.stdout);
    let level = shown.stdout.lines().find(|line| line.contains("level:")).unwrap();
    assert!(level.contains("debug") && level.ends_with("# --set"), "{level}");
    let json = run_with_key(&["config", "show", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["kafka.brokers"]["value"], "localhost:9092");
    assert_eq!(json["kafka.brokers"]["from"], "default");
}

#[test]
fn schema_completions_and_manual_come_without_settings() {
    let schema: serde_json::Value = serde_json::from_str(&run(&["config", "schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["listen"]["default"], "0.0.0.0:8080");
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).stdout.contains("retell-bridge"), "{shell}");
    }
    assert!(run(&["man"]).stdout.starts_with(".ie"), "a page for man");
    assert!(run(&["man", "topics", "apply"]).stdout.contains("apply"));
    assert_eq!(run(&["man", "nothing"]).code, Some(2));
}

#[test]
fn tail_says_in_one_line_why_it_cannot_read() {
    for (command, code, told) in [
        ("tail call_end", 2, "did you mean call_ended?"),
        ("tail all", 2, "no topic for the type all"),
        ("tail --until-end", 2, "--since or --last"),
        ("tail --last 0", 2, "0 is not in 1.."),
        ("tail --since 1h --last 3", 2, "cannot be used with"),
        ("tail --since 2999-01-01", 2, "lies in the future"),
        ("tail --body --json", 2, "cannot be used with"),
        ("tail --set kafka.broker=x", 78, "kafka.brokers"),
        ("tail --set kafka.brokers=127.0.0.1:1", 1, "Kafka at 127.0.0.1:1 does not answer"),
    ] {
        let ran = run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, Some(code), "{command}: {}", ran.stderr);
        is_one_line(&ran);
        assert!(ran.stderr.contains(told) && ran.stdout.is_empty(), "{command}: {}", ran.stderr);
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut command = bridge(&["config", "schema"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn health_asks_the_admin_listener_and_repeats_its_reason() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let health = Arc::new(Health::default());
    health.set_started();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = {
        let _inside = runtime.enter();
        Admin::start(listener, Arc::new(Metrics::new()), health.clone()).unwrap()
    };
    let address = admin.address().to_string();
    let ask = || -> Ran {
        // Settings that do not hold otherwise (no key) are no reason to call a running bridge sick.
        let mut command = bridge(&["health"]);
        command.env("RETELL_BRIDGE_ADMIN__LISTEN", &address).env("http_proxy", "http://127.0.0.1:1");
        command.output().unwrap().into()
    };
    let ready = ask();
    assert_eq!((ready.code, ready.stdout.as_str()), (Some(0), "ready\n"), "{}", ready.stderr);
    health.set_journal_full(true);
    let full = ask();
    assert_eq!(full.code, Some(1));
    is_one_line(&full);
    assert!(full.stderr.starts_with("retell-bridge: not ready: journal_room: no room"), "{}", full.stderr);
    assert!(!full.stderr.contains("kafka"), "Kafka decides nothing: {}", full.stderr);
    runtime.block_on(admin.stop());
    let gone = ask();
    assert_eq!(gone.code, Some(1));
    is_one_line(&gone);
    assert!(gone.stderr.contains("does not answer"), "{}", gone.stderr);
}

/// A journal with `records` records, closed.
fn journal(dir: &Path, records: u8) {
    let journal = small_journal::open(dir);
    for number in 1..=records {
        let (sender, done) = mpsc::channel();
        let append = Append {
            tag: [number; 16],
            received_at_ms: 1_714_608_491_736,
            payload: [vec![number; 100].into(), vec![0xee; 5_000].into()],
            done: Box::new(move |outcome| sender.send(outcome.map(|_| ())).unwrap()),
        };
        journal.append(append).unwrap();
        done.recv().unwrap().unwrap();
    }
    journal.close().unwrap();
}

#[test]
fn a_journal_is_shown_and_its_damage_found() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path(), 3);
    let dir = folder.path().to_str().unwrap();
    let shown = run(&["journal", "inspect", dir]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    assert!(shown.stdout.contains("3 records") && shown.stdout.contains(", sound\n"), "{}", shown.stdout);
    assert_eq!(run(&["journal", "verify", dir]).code, Some(0));

    let json: serde_json::Value = serde_json::from_str(&run(&["journal", "inspect", dir, "--json"]).stdout).unwrap();
    assert_eq!((&json["records"], &json["sound"]), (&3.into(), &true.into()));

    // One bit of the second record's body.
    let used = |path: &Path| std::fs::read(path).unwrap().windows(100).any(|bytes| bytes == [2; 100]);
    let files = std::fs::read_dir(folder.path().join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let segment = files.into_iter().find(|path| used(path)).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(100).position(|bytes| bytes == [2; 100]).unwrap() + 200;
    bytes[at] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let found = run(&["journal", "verify", dir]);
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    assert!(found.stdout.contains("lost positions 2\n"), "{}", found.stdout);
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "verify changes nothing");
}

#[test]
fn where_no_journal_is_the_line_says_which_folder_to_name() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["journal", "inspect", folder.path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    is_one_line(&ran);
    assert!(ran.stderr.contains("name the folder of `journal.dir`"), "{}", ran.stderr);
}

#[test]
fn schema_lists_the_types_prints_one_and_lists_them_for_a_mistaken_one() {
    let list = run(&["schema"]);
    assert!(list.stdout.contains("\ncall_ended  ") && list.stdout.contains("\nchat_inbound  "), "{}", list.stdout);
    assert!(list.stdout.lines().all(|line| line.chars().count() <= 100), "{}", list.stdout);
    let one: serde_json::Value = serde_json::from_str(&run(&["schema", "call_ended"]).stdout).unwrap();
    assert_eq!(one["properties"]["event"]["const"], "call_ended");
    let all: serde_json::Value = serde_json::from_str(&run(&["schema", "--all"]).stdout).unwrap();
    assert_eq!(all["call_ended"], one);
    assert!(run(&["schema", "--asyncapi"]).stdout.contains("\nasyncapi: 3."));
    let wrong = run(&["schema", "call_end"]);
    is_one_line(&wrong);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("these are: call_started, call_ended"), "{}", wrong.stderr);
}
