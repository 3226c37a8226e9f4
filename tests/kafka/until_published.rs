//! `send --until-published`: what `helm test` runs. It ends well only when what it sent is on Kafka.

use std::process::Output;

use support::bridge::{Bridge, run};
use support::events::Source;
use support::kafka::Kafka;
use support::settings::Settings;

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what it says is text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn send_waits_for_kafka_and_says_what_waits_where_it_takes_too_long() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "until.");
    kafka.create_topics(&["until.call_started", "until.dead_letter"], 1, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let (url, admin) =
        (format!("http://{}/webhook", bridge.intake_address()), format!("http://{}", bridge.admin_address()));
    let send = |words: &[&str]| {
        told(&run(&[&["send", "--url", &url, "--until-published", &admin], words].concat(), &source.api_key, b""))
    };

    let (code, said, complaint) = send(&["call_started", "--count", "20", "--quiet"]);
    assert!(code == Some(0) && said.ends_with("\npublished\n"), "{said}{complaint}");
    assert_eq!(kafka.counts(&["until.call_started".into()])["until.call_started"], 20);

    // The topic of what nobody else takes is missing: kept, and not published.
    let (code, said, complaint) = send(&["retell_bridge_test", "--within", "2s"]);
    assert_eq!((code, complaint.lines().count()), (Some(1), 1), "{said}{complaint}");
    assert!(said.contains("  204  ") && !said.contains("\npublished"), "{said}");
    assert!(complaint.contains("not published within 2 s: 1 waiting, Kafka answers"), "{complaint}");

    kafka.create_topics(&["until.unrecognized"], 1, &[]);
    let (code, said, complaint) = send(&["retell_bridge_test"]);
    assert!(code == Some(0) && said.ends_with("\npublished\n"), "{said}{complaint}");
    assert_eq!(kafka.counts(&["until.unrecognized".into()])["until.unrecognized"], 2, "it and the one before it");

    let (code, said, complaint) = told(&run(
        &["send", "retell_bridge_test", "--url", &url, "--until-published", "http://127.0.0.1:1"],
        &source.api_key,
        b"",
    ));
    assert_eq!(
        (code, said.as_str()),
        (Some(1), ""),
        "nothing was sent before the admin listener was found: {complaint}"
    );
    assert!(complaint.contains("is it the admin listener of a running bridge?"), "{complaint}");
    bridge.stop_cleanly();
}
