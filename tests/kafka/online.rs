//! `config check --online`, against a Kafka that has everything, one that lacks something, and none.

use serde_json::Value;
use support::bridge::run;
use support::events::Source;
use support::kafka::Kafka;
use support::tools;

struct Checked {
    code: Option<i32>,
    lines: Vec<Value>,
}

impl Checked {
    fn standing(&self, about: &str) -> Vec<&str> {
        let of = self.lines.iter().filter(|line| line["about"] == about);
        of.map(|line| line["standing"].as_str().expect("every check stands somehow")).collect()
    }
}

fn check(sets: &[&str]) -> Checked {
    let folder = tools::folder("online");
    let dir = format!("journal.dir={}/journal-dir", folder.display());
    let sets = sets.iter().copied().chain([dir.as_str()]).flat_map(|setting| ["--set", setting]);
    let words: Vec<&str> = ["config", "check", "--online", "--json"].into_iter().chain(sets).collect();
    let output = run(&words, "key_made_up_for_tests", b"");
    let text = String::from_utf8(output.stdout).expect("it is text");
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0, "nothing is made");
    std::fs::remove_dir_all(folder).expect("the test's own folder");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    Checked { code: output.status.code(), lines }
}

#[test]
fn a_kafka_that_has_all_topics_passes_and_what_one_lacks_is_named() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "online.");
    kafka.create_all(&[&source], 6, &["call_ended"]);
    let brokers = format!("kafka.brokers={}", kafka.brokers());
    let sets = [brokers.as_str(), "topics.prefix=online.", "intake.body_max=2MiB"];
    let lacks = check(&sets);
    assert_eq!((lacks.code, lacks.standing("online.call_ended")), (Some(1), vec!["fail"]), "{:?}", lacks.lines);
    assert_eq!(lacks.standing("disk sync").len(), 1, "{:?}", lacks.lines);

    kafka.create_topic(
        "online.call_ended",
        6,
        &[("max.message.bytes", "100000"), ("retention.ms", "3600000"), ("cleanup.policy", "compact,delete")],
    );
    let narrow = check(&sets);
    assert_eq!(narrow.code, Some(0), "a warning is no failure: {:?}", narrow.lines);
    let told = narrow.standing("online.call_ended");
    assert_eq!(told, ["warn", "warn", "warn"], "limit, compaction, retention: {:?}", narrow.lines);
    assert_eq!(narrow.standing("kafka.properties.batch.size"), ["warn"]);
    assert_eq!(narrow.standing("kafka"), ["ok"]);
    assert_eq!(kafka.topics("online.").len(), 15, "asking makes none");
}

#[test]
fn without_a_kafka_the_other_checks_are_made_all_the_same() {
    let away = check(&["kafka.brokers=127.0.0.1:1,no-such-host.invalid:9092"]);
    assert_eq!(away.code, Some(1));
    for about in ["kafka.brokers 127.0.0.1:1", "kafka.brokers no-such-host.invalid:9092", "kafka"] {
        assert_eq!(away.standing(about), ["fail"], "{:?}", away.lines);
    }
    assert_eq!(away.standing("clock").len(), 1);
    let wrong = run(&["config", "check", "--online", "--set", "kafka.brokerz=x"], "key_made_up_for_tests", b"");
    assert_eq!(wrong.status.code(), Some(78));
}
