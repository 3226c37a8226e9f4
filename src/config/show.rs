//! The effective settings, each with where it came from. Keys are named by their fingerprints, secret properties hidden.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Loaded;
use super::shape::joined;
use crate::intake;

/// Parts of librdkafka property names whose values are nobody's business.
const SECRET_PARTS: [&str; 8] =
    ["password", "passphrase", "secret", "token", "pem", "credential", "oauthbearer.config", "jaas"];
/// Shown in place of a secret.
const HIDDEN: &str = "(hidden)";
/// Taken as it is, not as keys below a key.
const JSON_LEAVES: [&str; 2] = ["inbound_answer.call_inbound", "inbound_answer.chat_inbound"];
/// Where the comments stand, as far as the values let them.
const COMMENT_COLUMN: usize = 48;

/// Whether a property's value is secret.
pub fn is_secret_property(name: &str) -> bool {
    SECRET_PARTS.iter().any(|part| name.to_ascii_lowercase().contains(part))
}

/// One key, as it counts.
struct Leaf {
    path: String,
    name: String,
    depth: usize,
    /// `None` for a key that only has keys below it.
    value: Option<Value>,
}

impl Loaded {
    /// As YAML, which can be given back with `--config` once the secrets are filled in.
    pub fn show_yaml(&self) -> String {
        let mut text = String::new();
        for leaf in self.leaves() {
            let mut line = format!("{}{}:", "  ".repeat(leaf.depth), yaml_key(&leaf.name));
            if let Some(value) = &leaf.value {
                if !value.is_null() {
                    let _ = write!(line, " {}", yaml_value(value));
                }
                let origin = self.origin(&leaf.path);
                let _ = write!(text, "{line:COMMENT_COLUMN$} # {origin}");
                if let Some(keys) = key_file_fingerprints(&leaf) {
                    let _ = write!(text, ": {keys}");
                }
                text.push('\n');
            } else {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    /// As JSON: `{"kafka.brokers": {"value": …, "from": …}, …}`.
    pub fn show_json(&self) -> Value {
        let leaves = self.leaves().into_iter();
        let keys = leaves.filter_map(|leaf| {
            let from = self.origin(&leaf.path);
            leaf.value.map(|value| (leaf.path, json!({"value": value, "from": from})))
        });
        Value::Object(keys.collect())
    }

    fn origin(&self, path: &str) -> &str {
        self.origins.get(path).map_or("default", String::as_str)
    }

    fn leaves(&self) -> Vec<Leaf> {
        // Serializing plain structs with text keys does not fail.
        let tree = serde_json::to_value(&self.effective).unwrap_or_default();
        let mut leaves = Vec::new();
        if let Value::Object(keys) = &tree {
            walk(keys, "", 0, &mut leaves);
        }
        leaves
    }
}

fn walk(keys: &Map<String, Value>, path: &str, depth: usize, leaves: &mut Vec<Leaf>) {
    for (name, value) in keys {
        let path = joined(path, name);
        let is_json = JSON_LEAVES.iter().any(|leaf| path.ends_with(leaf));
        match value {
            Value::Object(below) if !below.is_empty() && !is_json => {
                leaves.push(Leaf { path: path.clone(), name: name.clone(), depth, value: None });
                walk(below, &path, depth + 1, leaves);
            }
            _ => {
                let hidden = path.strip_prefix("kafka.properties.").is_some_and(is_secret_property);
                let value = if hidden { Value::from(HIDDEN) } else { value.clone() };
                leaves.push(Leaf { path, name: name.clone(), depth, value: Some(value) });
            }
        }
    }
}

fn key_file_fingerprints(leaf: &Leaf) -> Option<String> {
    let file = leaf.value.as_ref()?.as_str().filter(|_| leaf.name == "keys_file")?;
    let keys = intake::keys_of_file(Path::new(file)).ok()?;
    Some(keys.iter().map(|key| format!("(key {})", key.fingerprint())).collect::<Vec<_>>().join(", "))
}

fn yaml_key(name: &str) -> String {
    yaml_text(name)
}

fn yaml_value(value: &Value) -> String {
    match value {
        Value::String(text) => yaml_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(yaml_value).collect::<Vec<_>>().join(", ")),
        // JSON is YAML.
        other => other.to_string(),
    }
}

/// Without quotes where YAML reads the same text back.
fn yaml_text(text: &str) -> String {
    let plain = |each: char| each.is_ascii_alphanumeric() || "._-/".contains(each);
    let has_unit = text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_alphabetic())
        && !text.starts_with("0x");
    let starts = has_unit || text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if starts && !word && text.chars().all(plain) { text.to_owned() } else { Value::from(text).to_string() }
}
