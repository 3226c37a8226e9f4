//! `drain`, typed wrongly: nothing is made, nothing is changed.

use std::fs;
use std::process::Command;

#[test]
fn a_journal_that_is_empty_but_for_its_quarantine_is_kept() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in ["journal", "quarantine"] {
        fs::create_dir(folder.path().join(name)).expect("a folder can be made");
    }
    let dir = folder.path().to_str().expect("a plain name");
    let drain = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
        command.args(["drain", dir, "--json"]).output().expect("the binary runs")
    };
    assert_eq!(drain().status.code(), Some(0));
    let name = format!("quarantine/{:020}-{:012}-{:020}-{:020}-{}.bytes", 1, 0, 1, 72, 1_580_000_000_000_u64);
    fs::write(folder.path().join(name), b"").expect("the test's folder can be written");
    let output = drain();
    assert_eq!(output.status.code(), Some(1));
    let end: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert_eq!((&end["drained"], &end["lost_positions"]), (&false.into(), &serde_json::json!([[1, 71]])), "{end}");
}

#[test]
fn a_journal_that_may_not_be_read_is_told_with_one_cure() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (closed, program) = (folder.path().join("journal"), folder.path().join("program"));
    fs::create_dir(&closed).expect("a folder can be made");
    // Root may read all, so root's run of it is somebody else's, who must find the program.
    fs::copy(env!("CARGO_BIN_EXE_retell-bridge"), &program).expect("the program can be copied");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    let mut command = Command::new(&program);
    if fs::metadata(folder.path()).expect("it is there").uid() == 0 {
        command.uid(65_534);
    }
    let output = command.arg("drain").arg(folder.path()).output().expect("the program runs");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let said = String::from_utf8(output.stderr).expect("what it says is text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.trim_end().ends_with("; run this as the bridge's user"), "{said}");
    assert!(!said.contains("let the bridge's user"), "{said}");
}

#[test]
fn a_folder_without_a_journal_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retell-bridge"));
        let output = command.arg("drain").args(words).output().expect("the binary runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("what it says is text"))
    };
    let dir = folder.path().to_str().expect("a plain name");
    for (words, code, told) in [
        (&[dir][..], 1, "name the folder of `journal.dir`"),
        (&["/nowhere"], 1, "there is no journal that can be read in /nowhere"),
        (&[dir, "--within", "soon"], 2, "invalid value 'soon' for '--within <TIME>'"),
        (&[dir, "--set", "kafka.brokerz=x"], 78, "kafka.brokers"),
    ] {
        let (ended, said) = run(words);
        assert_eq!((ended, said.lines().count()), (Some(code), 1), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
}
