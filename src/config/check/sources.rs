//! The sources: names, paths, keys, addresses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::Value;

use super::Keys;
use crate::config::errors::{Findings, quoted};
use crate::config::given::{DEFAULT_PATH, DEFAULT_SOURCE, Given, Source};
use crate::event::SOURCE_MAX_BYTES;
use crate::intake::{self, SourceOptions};

/// Paths are compared for every request and stand in logs.
const PATH_BYTES_MAX: usize = 256;
/// An answer to a caller who hears ringing; Retell's own samples have a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Checks every source, and the sources against each other.
pub fn checked(given: &Given, keys: Keys, findings: &mut Findings) -> Vec<SourceOptions> {
    if given.sources.is_empty() {
        findings.add("sources", "names no source", "leave it out for one named `default` at /webhook, or name one");
    }
    let mut taken = BTreeMap::from([(given.intake.health_path.trim_end_matches('/'), "intake.health_path".to_owned())]);
    let mut sources = Vec::new();
    for (name, source) in &given.sources {
        let at = format!("sources.{name}");
        name_is_plain(name, &at, findings);
        let default = (name == DEFAULT_SOURCE).then_some(DEFAULT_PATH);
        let path = source.path.as_deref().filter(|path| !path.is_empty()).or(default).map(crate::intake::without_slash);
        let at_path = format!("{at}.path");
        match path {
            None => {
                let cure = format!("every source but `default` has its own, such as /webhook/{name}");
                findings.add(&at_path, "is missing", cure);
            }
            Some(path) => {
                path_is_plain(path, &at_path, findings);
                if let Some(other) = taken.insert(path, at_path.clone()) {
                    let cure = "give each a path of its own: the path tells the sources apart";
                    findings.add(&at_path, format!("{} is the path of {other} as well", quoted(path)), cure);
                }
            }
        }
        keys_are_plain(source, &at, findings);
        if keys == Keys::Needed {
            keys_are_there(name, source, &at, findings);
        }
        window_is_right(source, &at, findings);
        sources.push(SourceOptions {
            name: name.clone(),
            path: path.unwrap_or_default().to_owned(),
            keys: source.keys.iter().map(|key| key.api_key()).collect(),
            keys_file: keys_file(source).map(PathBuf::from),
            allow: networks(&source.allow, &format!("{at}.allow"), findings),
            signature_window: source.signature_window.duration(),
            call_inbound_answer: answer(&source.inbound_answer.call_inbound, &at, "call_inbound", findings),
            chat_inbound_answer: answer(&source.inbound_answer.chat_inbound, &at, "chat_inbound", findings),
            allow_unsigned: false,
        });
    }
    sources
}

fn keys_file(source: &Source) -> Option<&str> {
    source.keys_file.as_deref().filter(|file| !file.is_empty())
}

/// Names stand in metrics, record headers and variables (`RETELL_BRIDGE_SOURCES__<NAME>__KEYS`).
fn name_is_plain(name: &str, at: &str, findings: &mut Findings) {
    let plain = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit() || matches!(each, '-' | '_');
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    if !starts || !name.chars().all(plain) || name.contains("__") || name.len() > SOURCE_MAX_BYTES {
        let problem = format!("{} cannot name a source", quoted(name));
        let cure = format!(
            "write lower-case letters, digits, `-` and single `_`, a letter or digit first, at most {SOURCE_MAX_BYTES}"
        );
        findings.add(at, problem, cure);
    }
}

/// What is wrong with an HTTP path, if something is.
pub fn path_is_plain(path: &str, at: &str, findings: &mut Findings) {
    let plain = |each: char| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.' | '~' | '/');
    let problem = if path.is_empty() {
        "is only a slash"
    } else if !path.starts_with('/') {
        "does not begin with /"
    } else if path.contains('?') {
        "has a query; it is ignored in requests, whatever it says"
    } else if path.split('/').any(|part| matches!(part, "." | "..")) || path.contains("//") {
        "has an empty part or one of dots"
    } else if !path.chars().all(plain) {
        "has a character other than letters, digits, - _ . ~ and /"
    } else if path.len() > PATH_BYTES_MAX {
        "is longer than 256 bytes"
    } else {
        return;
    };
    // The slash at the end is no part of `path`.
    let shown = if path.is_empty() { "/" } else { path };
    findings.add(at, format!("{} {problem}", quoted(shown)), "write a path such as /webhook");
}

/// A key that nobody could have been given, whether or not keys are needed: with it every real event would get 401.
fn keys_are_plain(source: &Source, at: &str, findings: &mut Findings) {
    for (index, key) in source.keys.iter().enumerate() {
        if let Some(trouble) = key.key_trouble() {
            let problem = format!("key {} {trouble}", index + 1);
            findings.add(&format!("{at}.keys"), problem, "write the key as Retell's dashboard shows it");
        }
    }
}

fn keys_are_there(name: &str, source: &Source, at: &str, findings: &mut Findings) {
    let path = format!("{at}.keys");
    match keys_file(source) {
        Some(file) => file_has_keys(Path::new(file), &format!("{at}.keys_file"), findings),
        None if source.keys.is_empty() => {
            let variable = if name == DEFAULT_SOURCE {
                "RETELL_API_KEY".to_owned()
            } else {
                crate::config::environment::variable(&path)
            };
            let cure = format!("set {variable} or {at}.keys_file to the key with the webhook badge");
            findings.add(&path, "no key: nothing could be verified", cure);
        }
        None => {}
    }
}

fn file_has_keys(file: &Path, at: &str, findings: &mut Findings) {
    if let Err(error) = intake::keys_of_file(file) {
        let cure = "name a file that this user may read, with one key a line";
        findings.add(at, format!("{} {error}", quoted(&file.display().to_string())), cure);
    }
}

fn window_is_right(source: &Source, at: &str, findings: &mut Findings) {
    if source.signature_window.duration().is_zero() {
        let cure = "write a time such as 5m, which is what Retell's own SDKs take";
        findings.add(&format!("{at}.signature_window"), "is zero: every request would be stale", cure);
    }
}

/// Addresses and networks; a single address is a network of one.
pub fn networks(given: &[String], at: &str, findings: &mut Findings) -> Vec<IpNet> {
    let read =
        |text: &String| text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()));
    given
        .iter()
        .filter_map(|text| {
            let network: Option<IpNet> = read(text);
            if network.is_none() {
                let problem = format!("{} is neither an address nor a network", quoted(text));
                findings.add(at, problem, "write them as 100.20.5.228, 100.20.5.228/32 or 2001:db8::/32");
            }
            network
        })
        .collect()
}

fn answer(given: &serde_json::Map<String, Value>, at: &str, event: &str, findings: &mut Findings) -> Value {
    let answer = Value::Object(given.clone());
    if answer.to_string().len() > ANSWER_BYTES_MAX {
        findings.add(&format!("{at}.inbound_answer.{event}"), "is longer than 64KiB", "write a shorter answer");
    }
    answer
}
