//! An intake with a certificate, and `send` as its client.

use std::process::Output;

use serde_json::json;

use support::bridge::{Bridge, run};
use support::certificates::{Authority, Until};
use support::events::Source;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).expect("what it says is text"))
}

#[test]
fn send_believes_the_authority_that_it_is_told_and_whoever_it_is_told_to_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("the test's folder can be written");
        file.to_str().expect("a plain name").to_owned()
    };
    let (our_file, other_file) = (file("ours.pem", &ours.certificate), file("other.pem", &other.certificate));
    let (cert, key) = ours.issue("the intake", Until::Future).write(folder.path(), "intake");
    let source = Source::new("default", "/webhook", "https.");
    let mut bridge =
        Bridge::start(Settings::new(NOWHERE, &[&source]).with(json!({"tls": {"cert_file": cert, "key_file": key}})));
    let url = format!("https://{}/webhook", bridge.intake_address());
    let send = |flags: &[&str]| {
        let words = [&["send", "call_ended", "--retries", "0", "--url", &url], flags].concat();
        said(&run(&words, &source.api_key, b""))
    };

    assert_eq!(send(&["--cacert", &our_file]), (Some(0), String::new()));
    assert_eq!(send(&["--insecure"]), (Some(0), String::new()));
    for flags in [&[][..], &["--cacert", &other_file]] {
        let (code, told) = send(flags);
        assert_eq!((code, told.lines().count()), (Some(1), 1), "{told}");
        assert!(told.contains("TLS: ") && told.contains("--cacert"), "{told}");
    }
    let empty = file("empty.pem", "nothing\n");
    for (flags, wanted) in [
        (&["--cacert", "/nowhere.pem"][..], "--cacert /nowhere.pem: it cannot be read"),
        (&["--cacert", &empty], "it holds no certificate in PEM form"),
        (&["--cacert", &our_file, "--insecure"], "cannot be used with"),
    ] {
        let (code, told) = send(flags);
        assert!(code == Some(2) && told.contains(wanted), "{flags:?}: {code:?} {told}");
    }
    let kept = bridge.wait_metrics("both", |metrics| metrics.get("journal_backlog_events", &[]) == 2.0);
    assert_eq!(kept.get("tls_handshakes_failed_total", &[]), 2.0);
    bridge.kill();
}
