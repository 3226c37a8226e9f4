//! `drain`, typed wrongly: nothing is made, nothing is changed.

use std::fs;
use std::process::Command;

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
        (&[dir][..], 1, "name the folder that holds `journal`"),
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
