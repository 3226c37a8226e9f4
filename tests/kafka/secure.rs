//! Kafka over TLS: SCRAM, client certificates, users who may only write; what is wrong, and what changes while the bridge
//! runs. Needs a build with TLS, which is the default one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::proof::{prove, prove_plainly};
use support::bridge::{Bridge, run};
use support::certificates::{Authority, Until};
use support::events::{Event, Maker, Source};
use support::judge::Circumstances;
use support::ledger::Ledger;
use support::process::wait_until;
use support::secure::{Secure, password};
use support::sender::{Sender, send_all};
use support::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(60);

/// A user of the test's own, whose topics are there, and who may write to them and nothing else.
struct User {
    secure: &'static Secure,
    name: String,
    source: Arc<Source>,
}

impl User {
    fn new(name: &str) -> User {
        let (secure, prefix) = (Secure::shared(), format!("{name}."));
        let source = Source::new("default", "/webhook", &prefix);
        secure.kafka.create_all(&[&source], 3, &[]);
        secure.set_password(name, &password(name));
        secure.allow(name, "Write", &prefix);
        User { secure, name: name.to_owned(), source }
    }

    fn scram(&self) -> Value {
        self.secure.scram(&self.name, &password(&self.name))
    }

    fn settings(&self, kafka: Value) -> Settings {
        Settings::new("127.0.0.1:1", &[&self.source]).with(kafka)
    }

    fn stories(&self, count: usize) -> Vec<Vec<Event>> {
        let mut maker = Maker::new(count as u64);
        (0..count).map(|_| maker.story(&self.source)).collect()
    }
}

fn log_lines(bridge: &Bridge, message: &str) -> Vec<String> {
    bridge.log().into_iter().filter(|line| line.contains(message)).collect()
}

/// `config check --online` with the settings that the bridge has; its code, and its lines that are not ok.
fn check(settings: &Path) -> (Option<i32>, Vec<String>) {
    let config = settings.to_str().expect("a plain name");
    let output = run(&["config", "check", "--online", "--config", config], "key_made_up", b"");
    let text = String::from_utf8(output.stdout).expect("it is text");
    // A finding that is longer than a line goes on behind an indent.
    let text = text.replace("\n        ", " ");
    let bad = text.lines().filter(|line| !line.starts_with("ok ")).map(str::to_owned).collect();
    (output.status.code(), bad)
}

#[test]
fn over_tls_with_a_password_and_with_the_right_to_write_alone_everything_arrives() {
    let user = User::new("scram");
    let mut bridge = Bridge::start(user.settings(user.scram()));
    let ledger = send_all(&bridge, user.stories(60), 6, Duration::ZERO);
    assert_eq!(prove_plainly(&user.secure.kafka, &mut bridge, "scram.", &ledger).len(), ledger.kept());
    let (code, bad) = check(&bridge.settings_file());
    assert_eq!(code, Some(0), "{bad:?}");
    assert!(bad.iter().all(|line| !line.starts_with("FAIL")), "{bad:?}");
}

#[test]
fn over_tls_with_a_client_certificate_everything_arrives() {
    let user = User::new("mutual");
    let mut bridge = Bridge::start(user.settings(user.secure.mutual("mutual", Until::Future)));
    let ledger = send_all(&bridge, user.stories(60), 6, Duration::ZERO);
    assert_eq!(prove_plainly(&user.secure.kafka, &mut bridge, "mutual.", &ledger).len(), ledger.kept());
}

/// What is wrong between a bridge and Kafka: events are kept all the same, one line says what is wrong and what to do, and
/// after the cure everything arrives.
fn wrong(user: &User, kafka: Value, says: &[&str], check_says: &[&str]) {
    let mut bridge = Bridge::start(user.settings(kafka));
    let ledger = send_all(&bridge, user.stories(3), 2, Duration::ZERO);
    ledger.assert_all_kept();
    let told = |line: &String| says.iter().all(|word| line.contains(word));
    let line = wait_until(PATIENCE, || bridge.log().into_iter().find(told));
    let line = line.unwrap_or_else(|| panic!("no line says {says:?}:\n{}", bridge.log().join("\n")));
    assert!(line.contains("\"cure\""), "{line}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(bridge.log().into_iter().filter(told).count(), 1, "it is told once");
    assert_eq!(bridge.metrics().get("kafka_up", &[]), 0.0);
    let (code, bad) = check(&bridge.settings_file());
    assert_eq!(code, Some(1), "{bad:?}");
    let is_named = |line: &&String| line.starts_with("FAIL") && check_says.iter().all(|word| line.contains(word));
    assert!(bad.iter().any(|line| is_named(&line)), "no line of the check says {check_says:?}: {bad:#?}");
    for command in ["topics plan", "tail --last 1 --until-end"] {
        let config = bridge.settings_file();
        let words: Vec<&str> = command.split(' ').chain(["--config", config.to_str().expect("a plain name")]).collect();
        let refused = run(&words, "key_made_up", b"");
        let said = String::from_utf8(refused.stderr).expect("it is text");
        assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{command}: {said}");
        assert!(says.iter().all(|word| said.contains(word)), "{command} does not say {says:?}: {said}");
    }
    bridge.stop_cleanly();
    let (dir, settings) = (bridge.journal_dir(), bridge.settings_file());
    let [dir, settings] = [&dir, &settings].map(|path| path.to_str().expect("a plain name"));
    let drained = run(&["drain", dir, "--config", settings, "--within", "6s", "--json"], "", b"");
    let end: Value = serde_json::from_slice(&drained.stdout).expect("one line of JSON");
    let reason = end["reason"].as_str().unwrap_or_default();
    assert!(drained.status.code() == Some(1) && says.iter().all(|word| reason.contains(word)), "{end}");

    bridge.configure(&user.settings(user.scram()));
    bridge.start_again();
    prove_plainly(&user.secure.kafka, &mut bridge, &user.source.prefix, &ledger);
}

#[test]
fn a_password_that_is_refused_is_told_and_nothing_is_lost() {
    let user = User::new("refused");
    let kafka = user.secure.scram("refused", "not the password");
    wrong(
        &user,
        kafka,
        &["Kafka refuses the credentials", "sasl.password"],
        &["refuses the credentials", "sasl.password"],
    );
}

#[test]
fn an_authority_that_is_not_known_is_told_and_nothing_is_lost() {
    let user = User::new("stranger");
    let file = user.secure.folder.join("another-ca.pem");
    std::fs::write(&file, Authority::new("another one").certificate).expect("the test's folder can be written");
    let mut kafka = user.scram();
    kafka["kafka"]["properties"]["ssl.ca.location"] = json!(file);
    wrong(&user, kafka, &["certificate is not believed", "ssl.ca.location"], &["not believed", "ssl.ca.location"]);
}

#[test]
fn a_brokers_certificate_that_is_over_is_told_and_nothing_is_lost() {
    let user = User::new("late");
    let kafka = user.secure.expired("late", &password("late"));
    wrong(&user, kafka, &["certificate is not believed", "is over"], &["not believed", "is over"]);
}

#[test]
fn a_client_certificate_that_is_over_is_told_and_nothing_is_lost() {
    let user = User::new("outdated");
    let kafka = user.secure.mutual("outdated", Until::Past);
    wrong(
        &user,
        kafka,
        &["refuses the client certificate", "ssl.certificate.location"],
        &["client certificate", "ssl.certificate.location"],
    );
}

#[test]
fn a_topic_without_the_right_to_write_waits_alone_until_it_is_given() {
    let secure = Secure::shared();
    let source = Source::new("default", "/webhook", "rights.");
    secure.kafka.create_all(&[&source], 3, &[]);
    secure.set_password("rights", &password("rights"));
    secure.allow("rights", "Write", "rights.call_s");
    secure.allow("rights", "Describe", "rights.");
    let user = User { secure, name: "rights".to_owned(), source };
    let mut bridge = Bridge::start(user.settings(user.scram()));
    let ledger = send_all(&bridge, user.stories(20), 4, Duration::ZERO);
    let stalled = |topic: &str| format!("topic=\"rights.{topic}\"");
    bridge.wait_metrics("a lane that is stalled", |m| m.get("lane_stalled", &[&stalled("call_ended")]) == 1.0);
    assert_eq!(bridge.metrics().get("lane_stalled", &[&stalled("call_started")]), 0.0);
    let line = log_lines(&bridge, "topic_authorization_failed").into_iter().find(|line| line.contains("call_ended"));
    assert!(line.is_some_and(|line| line.contains("cure") && line.contains("Write")), "{:#?}", bridge.log());
    secure.allow("rights", "Write", "rights.");
    prove(&secure.kafka, &mut bridge, "rights.", &ledger, &Circumstances::default());
}

#[test]
fn a_password_that_changes_in_its_file_is_in_force_without_a_restart_and_a_broken_one_is_not() {
    let user = User::new("rotated");
    let file = user.secure.folder.join("rotated.password");
    let mut kafka = user.scram();
    kafka["kafka"]["properties"].as_object_mut().expect("it is a table").remove("sasl.password");
    kafka["kafka"]["properties_files"] = json!({ "sasl.password": file });
    std::fs::write(&file, format!("{}\n", password("rotated"))).expect("the test's folder can be written");
    let mut bridge = Bridge::start(user.settings(kafka));
    let mut ledger = Ledger::default();
    let mut stories = user.stories(40);
    let mut send = |bridge: &Bridge, count: usize| {
        let sent = send_all(bridge, stories.split_off(stories.len() - count), 4, Duration::ZERO);
        ledger.entries.extend(sent.entries);
    };
    send(&bridge, 10);
    std::fs::write(&file, "\n").expect("the test's folder can be written");
    bridge.wait_metrics("the alarm", |m| m.get("config_last_reload_successful", &[]) == 0.0);
    send(&bridge, 10);

    let new = password("rotated_again");
    user.secure.set_password("rotated", &new);
    std::fs::write(&file, format!("{new}\n")).expect("the test's folder can be written");
    bridge.wait_metrics("the end of the alarm", |m| m.get("config_last_reload_successful", &[]) == 1.0);
    send(&bridge, 20);
    let renewed = || (!log_lines(&bridge, "producer").is_empty()).then_some(());
    wait_until(PATIENCE, renewed).unwrap_or_else(|| panic!("no new producer:\n{}", bridge.log().join("\n")));
    let circumstances = Circumstances::default();
    prove(&user.secure.kafka, &mut bridge, "rotated.", &ledger, &circumstances);
    assert!(log_lines(&bridge, "Kafka refuses the credentials").is_empty());
}

#[test]
fn a_client_certificate_that_changes_is_in_force_without_a_restart() {
    let user = User::new("renewed");
    let kafka = user.secure.mutual("renewed", Until::Future);
    let mut bridge = Bridge::start(user.settings(kafka));
    let mut sender = Sender::to(&bridge);
    let mut stories = user.stories(20).into_iter().flatten().collect::<Vec<_>>();
    let later = stories.split_off(stories.len() / 2);
    stories.iter().for_each(|event| assert!(sender.send(event)));
    // The pair is exchanged one file after the other: in between it is none.
    let issued = user.secure.authority.issue("renewed", Until::Future);
    std::fs::write(user.secure.folder.join("renewed.pem"), &issued.certificate).expect("the folder can be written");
    bridge.wait_metrics("the alarm", |m| m.get("config_last_reload_successful", &[]) == 0.0);
    std::fs::write(user.secure.folder.join("renewed.key"), &issued.key).expect("the folder can be written");
    bridge.wait_metrics("the end of the alarm", |m| m.get("config_last_reload_successful", &[]) == 1.0);
    later.iter().for_each(|event| assert!(sender.send(event)));
    prove(&user.secure.kafka, &mut bridge, "renewed.", &sender.ledger, &Circumstances::default());
}

#[test]
fn replay_goes_over_tls_and_a_refused_password_ends_it_with_one_line_and_changes_nothing() {
    let user = User::new("again");
    let mut bridge = Bridge::start(user.settings(user.scram()));
    let ledger = send_all(&bridge, user.stories(5), 2, Duration::ZERO);
    bridge.wait_metrics("an empty backlog", |m| m.get("journal_backlog_events", &[]) == 0.0);
    user.secure.kafka.wait_count("again.", ledger.kept(), PATIENCE);
    bridge.stop_cleanly();
    let config = bridge.settings_file();
    let replay = |config: &Path| {
        let config = config.to_str().expect("a plain name");
        run(&["replay", "--since", "1h", "--config", config], "key_made_up", b"")
    };
    bridge.configure(&user.settings(user.secure.scram("again", "not the password")));
    let refused = replay(&config);
    let said = String::from_utf8(refused.stderr).expect("it is text");
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("sasl.password"), "{said}");
    assert_eq!(user.secure.kafka.counts(&["again.call_ended".to_owned()]).values().sum::<i64>(), {
        let ended = |entry: &&support::ledger::Entry| entry.event.kind == "call_ended";
        ledger.entries.iter().filter(ended).count() as i64
    });
    bridge.configure(&user.settings(user.scram()));
    let done = replay(&config);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    user.secure.kafka.wait_count("again.", 2 * ledger.kept(), PATIENCE);
}
