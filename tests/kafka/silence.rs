//! Nothing private is said: not in a log line at the most talkative level, not in a metric, not in an error answer. (Every
//! bridge of every test is swept when it ends; this one is given the most to betray.)

use std::sync::Arc;

use serde_json::json;

use support::bridge::{Bridge, run};
use support::events::{Event, Maker, Source};
use support::http::Connection;
use support::kafka::Kafka;
use support::sender::Sender;
use support::settings::Settings;
use support::sign::{now_ms, signature};
use support::sweep::betrayals;

/// A private event and everything that can be refused about it: status, method, path, signature header, body.
fn refusals(source: &Source, event: &Event) -> Vec<(u16, &'static str, String, Option<String>, Vec<u8>)> {
    let body = event.body.to_vec();
    let good = signature(&source.api_key, &body, now_ms());
    let old = signature(&source.api_key, &body, now_ms() - 600_000);
    let large = vec![b'7'; 100_000];
    let large_signed = signature(&source.api_key, &large, now_ms());
    let path = format!("{}?number=+12137771234&agent=querymk", source.path);
    vec![
        (401, "POST", path.clone(), None, body.clone()),
        (401, "POST", path.clone(), Some(signature("key_made_up_wrong", &body, now_ms())), body.clone()),
        (401, "POST", path.clone(), Some(old), body.clone()),
        (401, "POST", path.clone(), Some(source.api_key.clone()), body.clone()),
        (401, "POST", path.clone(), Some(format!("saffron lantern {good}")), body.clone()),
        (404, "POST", "/cidmk-querymk?x=saffron".to_string(), Some(good.clone()), body.clone()),
        (405, "PUT", path.clone(), Some(good), body.clone()),
        (413, "POST", path, Some(large_signed), large),
    ]
}

#[test]
fn a_bridge_that_logs_all_it_can_gives_nothing_private_away() {
    let kafka = Kafka::shared();
    let source: Arc<Source> = Source::new("default", "/webhook", "silence.");
    // Without a topic and with one: the publisher has something to complain about, and something to send.
    kafka.create_topics(&["silence.call_ended", "silence.unrecognized"], 1, &[("max.message.bytes", "50000")]);
    let settings = Settings::new(&kafka.brokers(), &[&source]).with(json!({
        "log": { "level": "debug" },
        "intake": { "body_max": "90KiB" },
        "shutdown": { "deadline": "2s" },
        "kafka": { "properties": { "debug": "broker,topic,msg" } },
    }));
    let mut bridge = Bridge::start(settings);
    let mut maker = Maker::new(21);
    let id = maker.id();
    let mut sender = Sender::to(&bridge);
    let event = maker.sized(&source, "call_ended", &id, false, 2000);
    assert!(sender.send(&event));
    assert!(sender.send(&maker.sized(&source, "call_ended", &id, false, 80_000)), "kept, and too large for its topic");
    assert!(sender.send(&maker.sized(&source, "call_started", &id, false, 2000)), "kept, and its topic is missing");
    assert!(sender.send(&Event::unrecognized(&source, "unreadable", None, "saffron lantern, +12137771234")));

    for (status, method, path, header, body) in refusals(&source, &event) {
        let headers: Vec<_> = header.iter().map(|value| ("X-Retell-Signature", value.as_str())).collect();
        let mut connection = Connection::open(bridge.intake_address()).expect("the intake listens");
        let answer = connection.request(method, &path, &headers, &body).expect("a refusal is an answer");
        assert_eq!(answer.status, status, "{method}, status");
        let said = format!("{:?} {}", answer.headers, answer.text());
        assert_eq!(betrayals([said.as_str()]), Vec::<String>::new(), "the answer {status}");
    }
    let metrics = bridge.wait_metrics("the dead letter", |m| m.get("events_dead_lettered_total", &[]) == 1.0);
    assert_eq!(metrics.get("events_refused_total", &["reason=\"wrong\""]), 1.0);
    assert_eq!(metrics.get("events_refused_total", &["reason=\"stale\""]), 1.0);
    assert!(bridge.ask("/readyz?verbose").expect("an answer").status == 200);
    bridge.stop_cleanly();

    let log = bridge.log();
    assert!(log.len() > 20, "a talkative bridge has more to say than {} lines", log.len());
    assert_eq!(bridge.betrayals(), Vec::<String>::new());
}

#[test]
fn config_show_and_the_signature_commands_hide_the_key() {
    let source = Source::new("default", "/webhook", "shown.");
    let folder = support::tools::folder("shown");
    let file = folder.join("bridge.yaml");
    Settings::new("127.0.0.1:1", &[&source]).write(&file, &folder);
    let file = file.to_string_lossy();
    let body = b"saffron lantern";
    let wrong = format!("--signature={}", signature("key_made_up_wrong", body, now_ms()));
    for (code, arguments) in [(0, vec!["config", "show", "--config", &file]), (1, vec!["verify", &wrong])] {
        let output = run(&arguments, &source.api_key, body);
        let said = [output.stdout.clone(), output.stderr.clone()].map(|b| String::from_utf8_lossy(&b).into_owned());
        assert_eq!(output.status.code(), Some(code), "{said:?}");
        assert_eq!(betrayals(said.iter().map(String::as_str)), Vec::<String>::new());
    }
}
