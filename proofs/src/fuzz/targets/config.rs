//! The settings: a file that anybody may have written, variables and flags beside it.
//!
//! In: text, and where a secret stands in it. Out: nothing. What must hold: settings, or errors with a path and one line
//! each, and never a panic; the secret, which stands only where keys and passwords stand, is in no error, in no `Debug` and
//! in nothing that is shown; settings that are taken hold together, and what is shown of them is taken again and shown the
//! same.
//!
//! The parsers read paths, so the text has to be in a file: one for each process, in the folder for such files.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;

use memchr::memmem;
use retell_bridge::config::{Config, ConfigErrors, Inputs, Loaded};

use super::input::{Input, piece};

/// Stands in the text at keys and passwords alone.
const SECRET: &str = "Zq7SECRETplantedXw9";
/// A key that is none of ours to hide.
const KEY: &str = "key_made_up_for_tests";

/// See the module.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let is_toml = flags & 1 != 0;
    let text = without_secret;
    let mut environment = Vec::new();
    let mut given = Vec::new();
    if flags & 0x08 != 0 {
        environment.push(("RETELL_API_KEY".to_owned(), SECRET.to_owned()));
    }
    if flags & 0x10 != 0 {
        environment.push(("RETELL_BRIDGE_KAFKA_PROPERTY_SASL_PASSWORD".to_owned(), SECRET.to_owned()));
    }
    if flags & 0x20 != 0 {
        given.push(format!("kafka.properties.sasl.password={SECRET}"));
    }
    if flags & 0x40 != 0 {
        environment.push((format!("RETELL_BRIDGE_{}", text(input.piece())), text(input.piece())));
    }
    if flags & 0x80 != 0 {
        given.push(text(input.piece()));
    }
    let file = match flags >> 1 & 3 {
        0 => rest(&mut input),
        1 => [planted(is_toml).into_bytes(), rest(&mut input)].concat(),
        2 => beside(&text(input.piece()), &text(input.piece()), is_toml, &rest(&mut input)),
        _ => [&rest(&mut input)[..], b"\nsources: {default: {keys: [", SECRET.as_bytes(), b"]}}\n"].concat(),
    };
    judge(&file, is_toml, environment, given);
}

/// The fuzzer sees the secret in what it compares, and would put it where it is none.
fn without_secret(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    while text.contains(SECRET) {
        text = text.replace(SECRET, "");
    }
    text
}

/// The rest of the input, which need be no text.
fn rest(input: &mut Input<'_>) -> Vec<u8> {
    let bytes = input.rest();
    let has_secret = memmem::find(bytes, SECRET.as_bytes()).is_some();
    if has_secret { without_secret(bytes).into_bytes() } else { bytes.to_vec() }
}

/// Settings with secrets in their places, and something behind them.
fn planted(is_toml: bool) -> String {
    if is_toml {
        format!("[sources.default]\nkeys = [\"{SECRET}\"]\n[kafka.properties]\n\"sasl.password\" = \"{SECRET}\"\n")
    } else {
        format!("kafka:\n  properties:\n    sasl.password: {SECRET}\nsources:\n  default:\n    keys: [\"{SECRET}\"]\n")
    }
}

/// Something before and behind a key, on its line.
fn beside(before: &str, after: &str, is_toml: bool, rest: &[u8]) -> Vec<u8> {
    // What ends the value would put the key elsewhere, where it is no secret.
    let inside = |text: &str| text.chars().filter(|each| !"\n\r[]{},:#\"'=\\&*|>".contains(*each)).collect::<String>();
    let (before, after) = (inside(before), inside(after));
    let line = if is_toml {
        format!("[sources.default]\nkeys = [\"{before}{SECRET}\" {after}]\n")
    } else {
        format!("sources:\n  default:\n    keys: {before}{SECRET}{after}\n")
    };
    [line.as_bytes(), rest].concat()
}

fn judge(text: &[u8], is_toml: bool, environment: Vec<(String, String)>, flags: Vec<String>) {
    let path = file(is_toml);
    std::fs::write(&path, text).expect("the folder for such files takes one");
    let environment =
        environment.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let inputs = Inputs { files: vec![path], environment, flags };
    // One of the three for each input: every one builds the whole tree of settings anew.
    match text.len() % 4 {
        0 | 1 => judge_load(Config::load(&inputs)),
        2 => judge_load(Config::load_without_keys(&inputs)),
        _ => {
            let told = retell_bridge::config::admin_listen(&inputs).err().map(|errors| errors.to_string());
            hides(&told.unwrap_or_default());
        }
    }
}

fn judge_load(loaded: Result<Loaded, ConfigErrors>) {
    match loaded {
        Ok(loaded) => holds(&loaded),
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused without a word");
            let told = errors.to_string();
            hides(&told);
            hides(&format!("{errors:?}"));
            assert_eq!(told.lines().count(), errors.0.len(), "an error of several lines: {told:?}");
            assert!(errors.0.iter().all(|error| !error.path.is_empty() && !error.problem.is_empty()), "{told:?}");
        }
    }
}

fn hides(told: &str) {
    assert!(!told.contains(SECRET), "a secret is told: {told}");
}

fn holds(loaded: &Loaded) {
    let config = &loaded.config;
    let (yaml, json) = (loaded.show_yaml(), loaded.show_json().to_string());
    [yaml.as_str(), json.as_str(), &format!("{:?}", config.intake)].into_iter().for_each(hides);
    assert!(config.journal.size_max_bytes >= config.journal.size_least_bytes(), "a journal that would not open");
    assert!(config.intake.in_flight_max_bytes >= config.intake.body_max_bytes, "a body that never fits");
    assert!(config.topics.lanes().len() <= retell_bridge::journal::LANES_MAX, "more lanes than a checkpoint holds");
    assert!(config.topics.lanes().iter().all(|topic| is_topic(topic)), "{:?}", config.topics.lanes());
    assert!(config.shutdown.delay < config.shutdown.deadline);
    // Keys and passwords are shown as what they are not.
    if !yaml.contains("(key ") && !yaml.contains("(hidden)") {
        shown_again(&yaml, loaded);
    }
}

fn is_topic(name: &str) -> bool {
    let is_legal = |each: char| each.is_ascii_alphanumeric() || "._-".contains(each);
    (1..=249).contains(&name.len()) && name.chars().all(is_legal)
}

fn shown_again(yaml: &str, loaded: &Loaded) {
    let path = file(false).with_extension("again.yaml");
    std::fs::write(&path, yaml).expect("the folder for such files takes one");
    let inputs = Inputs { files: vec![path], ..Inputs::default() };
    let again = Config::load_without_keys(&inputs)
        .unwrap_or_else(|errors| panic!("what is shown is refused: {errors}\n{yaml}"));
    assert_eq!(values(&again), values(loaded), "what is shown is read as something else");
}

fn values(loaded: &Loaded) -> Vec<(String, serde_json::Value)> {
    let shown = loaded.show_json();
    let shown = shown.as_object().expect("keys and values");
    // `all` and a list of that one word are one setting.
    let value = |told: &serde_json::Value| match &told["value"] {
        serde_json::Value::String(word) if word == "all" => serde_json::json!(["all"]),
        value => value.clone(),
    };
    shown.iter().map(|(path, told)| (path.clone(), value(told))).collect()
}

/// This thread's file of that kind.
fn file(is_toml: bool) -> PathBuf {
    thread_local! {
        static FILE: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    }
    let stem = FILE.with(|file| {
        file.borrow_mut()
            .get_or_insert_with(|| {
                let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
                std::env::temp_dir().join(format!("retell-bridge-fuzz-{}-{thread}", std::process::id()))
            })
            .clone()
    });
    stem.with_extension(if is_toml { "toml" } else { "yaml" })
}

/// Settings as people write them.
pub fn seeds() -> Vec<Vec<u8>> {
    let full = format!(
        "listen: 127.0.0.1:8080\nsources:\n  default: {{keys: [{KEY}], signature_window: 5m, allow: [100.20.5.228/32]}}\n  team:\n    path: /webhook/team\n    keys_file: /nowhere\n    topic_prefix: team.\n    inbound_answer: {{call_inbound: {{a: [1, 2.5, null]}}}}\nintake: {{body_max: 8MiB, in_flight_max: 64MiB, answer_within: 8s, trusted_proxies: 10.0.0.0/8, health_path: /health}}\njournal: {{dir: /tmp/j, size_max: 10GiB, retention: 24h}}\n"
    );
    let kafka = "kafka:\n  brokers: a:9092,b:9092\n  properties: {linger.ms: 5, security.protocol: plaintext, sasl.password: hidden}\ntopics: {prefix: r., types: [call_ended, chat_ended], all: every, overrides: {call_ended: ends}, partitions: 3, config: {retention.ms: 1}}\nadmin: {listen: '[::1]:9464'}\nlog: {format: json, level: 'info,retell_bridge::journal=debug'}\nshutdown: {delay: 1s, deadline: 25s}\n";
    let toml = format!(
        "listen = \"0.0.0.0:1\"\n[sources.default]\nkeys = [\"{KEY}\"]\n[topics]\ntypes = \"all\"\n[duplicates]\nwindow = \"24h\"\n"
    );
    vec![
        [b"\0", full.as_bytes()].concat(),
        [b"\x08", kafka.as_bytes()].concat(),
        [b"\x01", toml.as_bytes()].concat(),
        b"\x02journal:\n  retention: 30d\n".to_vec(),
        b"\x03[log]\nlevel = \"debug\"\n".to_vec(),
        [&b"\x04"[..], &piece(b"!!str "), &piece(b" tail"), b"listen: x\n"].concat(),
        [&b"\x05"[..], &piece(b"a"), &piece(b" b"), b"[log\n"].concat(),
        b"\x06? {a: b}\n: c\n".to_vec(),
        [&b"\x58"[..], &piece(b"SOURCES__TEAM__PATH"), &piece(b"/team"), b"{}"].concat(),
        [&b"\xa0"[..], &piece(b"sources.default.path=/x"), b"log: {level: info}"].concat(),
        b"\0kafka: {brokers: 'k:9092'}\n".to_vec(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a secret is told")]
    fn a_secret_in_an_error_is_seen() {
        // Of a length that has the whole tree read.
        judge(format!("listen: {SECRET}\n").as_bytes(), false, Vec::new(), Vec::new());
    }
}
