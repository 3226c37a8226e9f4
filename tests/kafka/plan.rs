//! `topics plan --format commands`: what it prints is run by a shell, with Kafka's own tools behind the names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::bridge::run;
use support::kafka::Kafka;
use support::tools;

/// A script of that name for one of Kafka's own commands.
fn script(folder: &std::path::Path, name: &str, class: &str) {
    let java = tools::java();
    let words: Vec<String> =
        std::iter::once(java.get_program()).chain(java.get_args()).map(|word| word.display().to_string()).collect();
    let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\nexec {line} {class} \"$@\"\n")).expect("a script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it can be made to run");
}

#[test]
fn the_commands_of_a_plan_make_what_is_missing_and_leave_nothing_to_do() {
    let kafka = Kafka::shared();
    kafka.create_topic("planned.call_ended", 2, &[("max.message.bytes", "100000")]);
    let brokers = format!("kafka.brokers={}", kafka.brokers());
    let settings =
        ["topics.prefix=planned.", "topics.types=call_ended,call_started", "topics.partitions=2", brokers.as_str()];
    let plan = |more: &[&str]| {
        let sets = settings.iter().flat_map(|setting| ["--set", setting]);
        let words: Vec<&str> = ["topics", "plan"].into_iter().chain(sets).chain(more.iter().copied()).collect();
        let output = run(&words, "", b"");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a plan is text")
    };
    let commands = plan(&["--format", "commands"]);
    assert_eq!(commands.lines().filter(|line| !line.starts_with('#')).count(), 4, "{commands}");
    let folder = tools::folder("plan");
    script(&folder, "kafka-topics.sh", "org.apache.kafka.tools.TopicCommand");
    script(&folder, "kafka-configs.sh", "kafka.admin.ConfigCommand");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("there is a PATH"));
    let ran = Command::new("sh").args(["-ec", &commands]).env("PATH", path).output().expect("a shell can be run");
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let left = plan(&[]);
    assert!(left.ends_with("nothing for `topics apply`\n"), "{left}");
    fs::remove_dir_all(folder).expect("the test's own folder");
}
