//! What a person writes, and the line that answers it.

use std::ffi::OsString;
use std::io::Write;

use tempfile::NamedTempFile;

use super::{Config, Inputs, Loaded};

const KEY: (&str, &str) = ("RETELL_API_KEY", "key_made_up_for_tests");

fn file(ending: &str, text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn inputs(files: &[&NamedTempFile], environment: &[(&str, &str)]) -> Inputs {
    Inputs {
        files: files.iter().map(|file| file.path().to_owned()).collect(),
        environment: environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect(),
        flags: Vec::new(),
    }
}

fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<Loaded, String> {
    let file = file(".yaml", yaml);
    let path = file.path().display().to_string();
    Config::load(&inputs(&[&file], environment)).map_err(|errors| errors.to_string().replace(&path, "FILE"))
}

fn lines(yaml: &str) -> String {
    load(yaml, &[KEY]).err().unwrap_or_default()
}

#[test]
fn with_nothing_but_a_key_everything_has_its_default() {
    let loaded = load("", &[KEY]).unwrap();
    let config = loaded.config;
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.admin_listen.to_string(), "0.0.0.0:9464");
    assert_eq!(config.intake.sources.len(), 1);
    assert_eq!(
        (config.intake.sources[0].name.as_str(), config.intake.sources[0].path.as_str()),
        ("default", "/webhook")
    );
    assert_eq!(config.intake.sources[0].keys.len(), 1);
    assert_eq!(config.intake.body_max_bytes, 8 << 20);
    assert_eq!(config.journal.size_max_bytes, 10 << 30);
    assert_eq!(config.topics.types.len(), 13);
    assert_eq!(config.topics_shape.partitions, 6);
    assert_eq!(config.kafka.brokers, "localhost:9092");
    assert_eq!(config.shutdown.deadline.as_secs(), 25);
}

#[test]
fn one_wrong_setting_is_one_line_that_says_what_is_right() {
    for (yaml, line) in [
        (
            "intake: {body_max: 8388608}",
            "intake.body_max: `8388608` has no unit; write a number and a unit, such as 512KiB, 8MiB or 10GiB (from FILE)",
        ),
        (
            "journal: {retention: 86400}",
            "journal.retention: `86400` has no unit; write a number and a unit, such as 500ms, 8s, 5m, 24h or 30d (from FILE)",
        ),
        (
            "journal: {retention: soon}",
            "journal.retention: `soon` is not a time; write a number and a unit, such as 500ms, 8s, 5m, 24h or 30d (from FILE)",
        ),
        ("kafka: {broker: a:1}", "kafka.broker: no such setting; did you mean kafka.brokers? (from FILE)"),
        (
            "kafka: a:1",
            "kafka: is a single value; write keys below it: brokers, properties, properties_files (from FILE)",
        ),
        (
            "sources: {default: {key: [a]}}",
            "sources.default.key: no such setting; did you mean sources.default.keys? (from FILE)",
        ),
        ("listen: 8080", "listen: `8080` is not a text; put it in quotes (from FILE)"),
        (
            "listen: localhost:8080",
            "listen: `localhost:8080` is no address to listen on; write an IP address and a port, such as 0.0.0.0:8080 or \
             [::]:8080 (from FILE)",
        ),
        (
            "admin: {listen: 127.0.0.1:8080}",
            "admin.listen: has the port of `listen`, 8080; give it one of its own: probes and metrics are not for the \
             Internet (from FILE)",
        ),
        (
            "sources: {default: {path: webhook}}",
            "sources.default.path: `webhook` does not begin with /; write a path such as /webhook (from FILE)",
        ),
        (
            "sources: {default: {path: '/webhook?a={{b}}'}}",
            "sources.default.path: `/webhook?a={{b}}` has a query; it is ignored in requests, whatever it says; write a \
             path such as /webhook (from FILE)",
        ),
        (
            "sources: {default: {allow: [retellai.com]}}",
            "sources.default.allow: `retellai.com` is neither an address nor a network; write them as 100.20.5.228, \
             100.20.5.228/32 or 2001:db8::/32 (from FILE)",
        ),
        (
            "sources: {default: {inbound_answer: {call_inbound: [1]}}}",
            "sources.default.inbound_answer.call_inbound: is not a JSON object; write an object, such as {} or \
             {\"metadata\": {}} (from FILE)",
        ),
        (
            "sources: {default: {}, Sales: {path: /sales, keys: [k]}}",
            "sources.Sales: `Sales` cannot name a source; write lower-case letters, digits, `-` and single `_`, a letter or \
             digit first, at most 128 (from FILE)",
        ),
        (
            "sources: {default: {}, sales: {keys: [k]}}",
            "sources.sales.path: is missing; every source but `default` has its own, such as /webhook/sales",
        ),
        (
            "sources: {default: {}, sales: {path: /webhook, keys: [k]}}",
            "sources.sales.path: `/webhook` is the path of sources.default.path as well; give each a path of its own: the \
             path tells the sources apart (from FILE)",
        ),
        (
            "sources: {default: {}, sales: {path: /sales}}",
            "sources.sales.keys: no key: nothing could be verified; set RETELL_BRIDGE_SOURCES__SALES__KEYS or \
             sources.sales.keys_file to the key with the webhook badge",
        ),
        (
            "sources: {default: {keys_file: /nowhere}}",
            "sources.default.keys_file: `/nowhere` cannot be read: there is no such file; name a file that this user may \
             read, with one key a line (from FILE)",
        ),
        (
            "sources: {default: {path: /readyz}}",
            "sources.default.path: `/readyz` is the path of intake.health_path as well; give each a path of its own: the \
             path tells the sources apart (from FILE)",
        ),
        (
            "topics: {types: [call_end]}",
            "topics.types: `call_end` is no event type that Retell documents; did you mean call_ended? (or `all`) (from FILE)",
        ),
        (
            "topics: {prefix: 'retell/'}",
            "topics.prefix: `retell/` has a character that Kafka takes in no topic name; write letters, digits, `.`, `_` and \
             `-`, such as retell. (from FILE)",
        ),
        (
            "topics: {overrides: {call_ended: a, call_started: a}}",
            "topics.overrides.call_ended: `a` is the name of topics.overrides.call_started as well; give each a name of its \
             own; for one stream of every event there is topics.all (from FILE)",
        ),
        (
            "topics: {all: retell.unrecognized}",
            "topics.all: `retell.unrecognized` is the name of the topic of unrecognized as well; give each a name of its \
             own; for one stream of every event there is topics.all (from FILE)",
        ),
        (
            "topics: {all: retell_call_ended}",
            "topics.all: `retell_call_ended` and `retell.call_ended` differ in `.` and `_` alone, and Kafka refuses that; \
             rename one of them (from FILE)",
        ),
        (
            "topics: {overrides: {call_end: a}}",
            "topics.overrides.call_end: no such type; did you mean call_ended? (from FILE)",
        ),
        (
            "topics: {types: [call_ended], overrides: {call_started: a}}",
            "topics.overrides.call_started: the type is not in topics.types; list it there as well, or leave this out: its \
             events go to unrecognized (from FILE)",
        ),
        (
            "topics: {partitions: -1}",
            "topics.partitions: `-1` is not a whole number in range; write a number from 0 to 65535 (from FILE)",
        ),
        (
            "journal: {retention: 30m}",
            "journal.retention: 30m is less than duplicates.window, 1h; a duplicate is recognised by what is retained: write \
             at least the window (from FILE)",
        ),
        (
            "journal: {size_max: 256MiB}",
            "journal.size_max: 256MiB is less than 260MiB, four segments and room beside them; write at least that; 10GiB ride \
             out hours without Kafka (from FILE)",
        ),
        (
            "shutdown: {deadline: 500000000000y}",
            "shutdown.deadline: 500000000000y is longer than a day; write a time such as 25s; what is left goes out at the \
             next start (from FILE)",
        ),
        (
            "shutdown: {deadline: 0s}",
            "shutdown.deadline: 0s is not after shutdown.delay, 5s; both count from the signal: write a delay below the \
             deadline (from FILE)",
        ),
        (
            "sources: {default: {path: /}}",
            "sources.default.path: `/` is only a slash; write a path such as /webhook (from FILE)",
        ),
        (
            "kafka: {properties: {socket.timeout.ms: 1}}",
            "kafka.properties.socket.timeout.ms: librdkafka refuses the value: Configuration property \
             \"socket.timeout.ms\" value *** is outside allowed range ***0..300000 (from FILE)",
        ),
        (
            "intake: {in_flight_max: 4MiB}",
            "intake.in_flight_max: 4MiB is less than intake.body_max, 8MiB; write at least that, and room for several (from FILE)",
        ),
        (
            "intake: {body_max: 64MiB}",
            "intake.body_max: 64MiB is not between 16KiB and 32MiB; write a size such as 8MiB: a record must fit a journal \
             segment (64MiB) (from FILE)",
        ),
        (
            "intake: {answer_within: 10s}",
            "intake.answer_within: 10s is not below 10s, when Retell gives up; write a time below it that leaves room for \
             the network: 8s (from FILE)",
        ),
        (
            "shutdown: {delay: 30s}",
            "shutdown.delay: 30s is not before shutdown.deadline, 25s; both count from the signal: write a delay below the \
             deadline (from FILE)",
        ),
        (
            "tls: {cert_file: a.pem}",
            "tls.cert_file: is set, and tls.key_file is not; name the file of its key as well, or leave out both (from FILE)",
        ),
        (
            "tls: {cert_file: /no/such.pem, key_file: /no/such.key}",
            "tls.cert_file: cannot be read: there is no such file; name the chain in PEM, the intake's own certificate first \
             (from FILE)",
        ),
        (
            "log: {format: jsn}",
            "log.format: `jsn` is none of the choices; did you mean json? (auto, text, json) (from FILE)",
        ),
        ("log: {events: maybe}", "log.events: `maybe` is neither true nor false; write true or false (from FILE)"),
        (
            "log: {level: verbose}",
            "log.level: `verbose` is no level; write error, warn, info, debug or trace, or by module: \
             info,retell_bridge::journal=debug (from FILE)",
        ),
        (
            "kafka: {brokers: 'http://kafka:9092'}",
            "kafka.brokers: `http://kafka:9092` is no broker's address; write host:port, several with commas: \
             kafka-0:9092,kafka-1:9092 (from FILE)",
        ),
        (
            "kafka: {properties: {acks: 1}}",
            "kafka.properties.acks: must be all or left out: an event counts as published when all in-sync replicas have it \
             (from FILE)",
        ),
        (
            "kafka: {properties: {comression.type: lz4}}",
            "kafka.properties.comression.type: librdkafka has no such property; its list is CONFIGURATION.md of librdkafka \
             2.12 (from FILE)",
        ),
        (
            "kafka: {properties: {sasl.password: hunter2}, properties_files: {sasl.password: /etc/hostname}}",
            "kafka.properties_files.sasl.password: stands in kafka.properties as well; leave one of them out (from FILE)",
        ),
        (
            "kafka: {properties_files: {sasl.password: /dev/null}}",
            "kafka.properties_files.sasl.password: /dev/null is empty; put the value into it (from FILE)",
        ),
        (
            "kafka: {properties_files: {sasl.password: /etc/passwd}}",
            "kafka.properties_files.sasl.password: /etc/passwd holds several lines; keep the value's own line alone (from FILE)",
        ),
        (
            "kafka: {properties: {security.protocol: SSL, ssl.ca.location: /no/such.pem}}",
            "kafka.properties.ssl.ca.location: `/no/such.pem` cannot be read: No such file or directory (os error 2); name a \
             file that this user may read (from FILE)",
        ),
    ] {
        assert_eq!(lines(yaml), line, "for {yaml}");
    }
}

#[test]
fn the_drift_watch_is_off_by_the_word_and_by_what_helm_makes_of_it() {
    use crate::schema::Mode;
    for (yaml, mode) in [
        ("", Mode::Sampled),
        ("drift: {check: off}", Mode::Off),
        ("drift: {check: false}", Mode::Off),
        ("drift: {check: all}", Mode::All),
    ] {
        assert_eq!(load(yaml, &[KEY]).unwrap().config.drift, mode, "{yaml}");
    }
    assert!(lines("drift: {check: true}").contains("is none of the choices"), "{}", lines("drift: {check: true}"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told =
        lines("intake: {body_max: 8, answer_within: 12s}\nlisten: here\nkafka: {broker: x}\ntopics: {types: [x]}");
    let paths: Vec<_> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    for path in ["intake.body_max", "intake.answer_within", "listen", "kafka.broker", "topics.types"] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    assert_eq!(paths.len(), 5);
}

#[test]
fn a_name_where_no_key_was_is_not_told_twice() {
    assert_eq!(lines("intake: {body_max: 8}").lines().count(), 1);
}

#[test]
fn without_a_key_the_line_names_the_variable_that_everyone_tries_first() {
    let told = load("", &[]).err().unwrap();
    assert_eq!(
        told,
        "sources.default.keys: no key: nothing could be verified; set RETELL_API_KEY or sources.default.keys_file to the \
         key with the webhook badge"
    );
    assert!(load("", &[("RETELL_API_KEY", "")]).is_err(), "an empty variable is no key");
}

#[test]
fn later_files_win_over_earlier_ones_and_variables_over_files_and_flags_over_all() {
    let (one, two) = (
        file(".yaml", "listen: 1.1.1.1:1\nkafka: {brokers: a:1}\nlog: {level: warn}"),
        file(".toml", "[kafka]\nbrokers = 'b:2'"),
    );
    let mut inputs = inputs(&[&one, &two], &[KEY, ("RETELL_BRIDGE_LOG__LEVEL", "debug")]);
    let loaded = Config::load(&inputs).ok().unwrap();
    assert_eq!(loaded.config.listen.to_string(), "1.1.1.1:1");
    assert_eq!(loaded.config.kafka.brokers, "b:2");
    assert_eq!(loaded.config.log.level, "debug");
    inputs.flags = vec!["log.level=trace".to_owned(), "kafka.properties.linger.ms=5".to_owned()];
    let loaded = Config::load(&inputs).ok().unwrap();
    assert_eq!(loaded.config.log.level, "trace");
    assert_eq!(loaded.config.kafka.properties["linger.ms"], "5");
}

#[test]
fn variables_are_typed_by_the_key_they_mean() {
    let loaded = load(
        "sources: {default: {}, my-team: {path: /team}}",
        &[
            KEY,
            ("RETELL_BRIDGE_SOURCES__DEFAULT__ALLOW", "100.20.5.228, 10.0.0.0/8"),
            ("RETELL_BRIDGE_SOURCES__MY_TEAM__KEYS", "one,two"),
            ("RETELL_BRIDGE_SOURCES__DEFAULT__INBOUND_ANSWER__CALL_INBOUND", r#"{"agent":{"a":1}}"#),
            ("RETELL_BRIDGE_TOPICS__TYPES", "call_ended,call_analyzed"),
            ("RETELL_BRIDGE_TOPICS__REPLICATION", "3"),
            ("RETELL_BRIDGE_TOPICS__ALL", ""),
            ("RETELL_BRIDGE_JOURNAL__ALLOW_EPHEMERAL", "true"),
            ("RETELL_BRIDGE_KAFKA_PROPERTY_SASL_USERNAME", "someone"),
            ("RETELL_BRIDGE_INTAKE__HEALTH_PATH", ""),
            ("RETELL_BRIDGE_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.intake.sources[0].allow.len(), 2);
    assert_eq!(config.intake.sources[0].call_inbound_answer["agent"]["a"], 1);
    assert_eq!(config.intake.sources[1].name, "my-team");
    assert_eq!(config.intake.sources[1].keys.len(), 2);
    assert_eq!(config.topics.types.len(), 2);
    assert_eq!((config.topics_shape.replication, config.topics.all), (Some(3), None));
    assert!(config.journal.allow_ephemeral);
    assert_eq!(config.kafka.properties["sasl.username"], "someone");
    assert_eq!(config.intake.health_path, None);
}

#[test]
fn an_unknown_variable_is_named_with_the_one_that_was_meant() {
    let told = load("", &[KEY, ("RETELL_BRIDGE_KAFKA_BROKERS", "a:1")]).err().unwrap();
    assert_eq!(
        told,
        "RETELL_BRIDGE_KAFKA_BROKERS: no such setting; did you mean RETELL_BRIDGE_KAFKA__BROKERS? (levels are joined by two \
         underscores)"
    );
}

#[test]
fn a_wrong_value_names_the_variable_it_came_from() {
    let told = load("", &[KEY, ("RETELL_BRIDGE_INTAKE__BODY_MAX", "8")]).err().unwrap();
    assert!(told.ends_with("(from RETELL_BRIDGE_INTAKE__BODY_MAX)"), "{told}");
}

#[test]
fn a_source_in_the_files_stands_alone_and_the_default_one_is_not_added() {
    let config = load("sources: {sales: {path: /sales, keys: [k]}}", &[KEY]).unwrap().config;
    assert_eq!(config.intake.sources.len(), 1);
    assert_eq!(config.intake.sources[0].name, "sales");
}

#[test]
fn files_that_cannot_be_read_as_settings_say_so_without_their_text() {
    for (ending, text) in [
        (".yaml", "key_hunter2"),
        (".yaml", "listen: [key_hunter2"),
        (".toml", "keys = [\"key_hunter2"),
        (".yaml", "a: 1\na: 2"),
        (".yaml", "- key_hunter2"),
    ] {
        let file = file(ending, text);
        let told = Config::load(&inputs(&[&file], &[KEY])).err().unwrap().to_string();
        let name = file.path().display().to_string();
        assert!(
            told.starts_with(&format!("{name}: is not {} that can be read: ", ending[1..].to_uppercase())),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let missing = Inputs { files: vec!["/nowhere.yaml".into()], ..inputs(&[], &[KEY]) };
    let told = Config::load(&missing).err().unwrap().to_string();
    assert!(told.starts_with("/nowhere.yaml: cannot be read: No such file"), "{told}");
    assert!(load("# only a comment\n", &[KEY]).is_ok());
}

#[test]
fn secrets_stand_in_no_error_and_in_no_output() {
    let secret = "hunter two";
    let told = load("", &[("RETELL_BRIDGE_SOURCES__DEFAULT__KEYS", secret)]).err().unwrap();
    assert!(told.contains("has a blank") && !told.contains("hunter"), "{told}");
    let told = load("sources: {default: {keys: [1234567]}}", &[]).err().unwrap();
    assert!(!told.contains("1234567"), "{told}");
    let mut by_flag = inputs(&[], &[KEY]);
    by_flag.flags = vec!["sources.default.keys=hunter2".into(), "kafka.properties.sasl.password=hunter2".into()];
    let told = Config::load(&by_flag).err().unwrap().to_string();
    assert_eq!(told.matches("is a secret, and every user of this machine can see a command line").count(), 2, "{told}");
    assert!(!told.contains("hunter"), "{told}");
    let loaded = load("kafka: {properties: {sasl.password: hunter2, sasl.username: someone}}", &[KEY]).unwrap();
    for shown in [loaded.show_yaml(), loaded.show_json().to_string()] {
        assert!(!shown.contains("hunter") && !shown.contains(KEY.1), "{shown}");
        assert!(shown.contains("someone") && shown.contains("(hidden)") && shown.contains("(key "), "{shown}");
    }
}

#[test]
fn what_is_shown_says_where_each_value_came_from_and_is_yaml_again() {
    let loaded = load("kafka: {brokers: 'a:1'}", &[KEY, ("RETELL_BRIDGE_LOG__LEVEL", "debug")]).unwrap();
    let shown = loaded.show_yaml();
    let has = |key: &str, origin: &str| {
        shown.lines().any(|line| line.trim().starts_with(key) && line.contains(&format!("# {origin}")))
    };
    assert!(has("brokers: \"a:1\"", "/"), "{shown}");
    assert!(has("level: debug", "RETELL_BRIDGE_LOG__LEVEL"), "{shown}");
    assert!(has("body_max: 8MiB", "default"), "{shown}");
    assert!(has("keys: [\"(key ", "RETELL_API_KEY"), "{shown}");
    let again = shown.lines().filter(|line| !line.contains("keys: [")).collect::<Vec<_>>().join("\n");
    assert!(load(&again, &[KEY]).is_ok(), "{:?}\n{again}", load(&again, &[KEY]).err());
}

#[test]
fn more_topics_than_lanes_are_refused() {
    let sources: String =
        (0..5).map(|n| format!("  s{n}: {{path: /s{n}, keys: [k], topic_prefix: s{n}.}}\n")).collect();
    assert_eq!(
        lines(&format!("sources:\n{sources}")),
        "topics: the settings make 90 topics, more than 64; list fewer types in topics.types, or give several sources the \
         same topic_prefix"
    );
}

#[test]
fn commands_that_take_no_events_need_no_key() {
    assert!(Config::load_without_keys(&inputs(&[], &[])).is_ok());
}

#[test]
fn the_admin_address_can_be_had_from_settings_that_do_not_hold() {
    let file = file(".yaml", "admin: {listen: '127.0.0.1:1'}\nlisten: nonsense");
    assert_eq!(super::admin_listen(&inputs(&[&file], &[])).unwrap().to_string(), "127.0.0.1:1");
}

#[test]
fn a_flag_for_a_whole_group_says_how_one_entry_of_it_is_set() {
    let set = |flag: &str| {
        let inputs = Inputs { flags: vec![flag.to_owned()], ..inputs(&[], &[KEY]) };
        Config::load(&inputs).map(|loaded| loaded.config).map_err(|errors| errors.to_string())
    };
    for (flag, told) in [
        (
            r#"topics.config={"retention.ms":"1"}"#,
            "topics.config: has entries of any name; set one: --set topics.config.<name>=<value> (from --set)",
        ),
        ("kafka=x", "kafka: is a group of settings; set one: --set kafka.<key>=<value> (from --set)"),
        (
            "sources=x",
            "sources: is a group of groups; set one key of one of them: --set sources.<name>.<key>=<value> (from --set)",
        ),
        ("kafka.brokers.=x", "kafka.brokers.: no such setting; did you mean kafka.brokers? (from --set)"),
    ] {
        assert_eq!(set(flag).err().as_deref(), Some(told));
    }
    let config = set("topics.config.retention.ms=1").unwrap();
    assert_eq!(config.topics_shape.config["retention.ms"], "1");
}
