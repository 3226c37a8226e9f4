//! The schemas of the events (JSON Schema 2020-12), and the watch that holds a sample of what passes to them.
//!
//! In: `schemas/source.json`, compiled in: the types, and the parts that they share. Out: one self-contained document for
//! each type ([`document`]; `schemas/<type>.json` is the same, and a test holds it there), and a [`Watch`].
//!
//! ```text
//! source.json ─▶ document  ─▶ `retell-bridge schema`, schemas/*.json
//!            └─▶ shape ─▶ check ─▶ names ─▶ metrics, one log line a name
//!                           ▲
//!             publisher ─▶ watch (a queue of a few events, a thread of its own)
//! ```
//!
//! Never happens: an event that is refused, changed or held up because it differs from its schema; a value of a body in a
//! metric or a log line.

mod check;
mod names;
mod shape;
mod walk;
mod watch;

use serde_json::{Map, Value, json};

pub use check::{Finding, Problem, check};
pub use shape::Shape;
pub use watch::{Mode, Watch};

use crate::event::Kind;

/// What the documents are made from.
const SOURCE: &str = include_str!("../../schemas/source.json");
/// Topics, keys, headers and messages, as AsyncAPI 3.
pub const ASYNCAPI: &str = include_str!("../../schemas/asyncapi.yaml");
/// The dialect of the documents.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Where each document's `$id` says that it is.
const PLACE: &str = "https://github.com/retell-bridge/retell-bridge/blob/main/schemas";
/// Begins the reference to a shared part.
const PART: &str = "#/$defs/";

/// The types that have a schema: what Retell documents, and the bridge's own test.
pub const KINDS: [Kind; Kind::KNOWN.len() + 1] = {
    let mut kinds = [Kind::Test; Kind::KNOWN.len() + 1];
    let mut at = 0;
    while at < Kind::KNOWN.len() {
        kinds[at] = Kind::KNOWN[at];
        at += 1;
    }
    kinds
};

/// The schema of a type, by itself: its shared parts are in it. `None` for [`Kind::Other`].
pub fn document(kind: Kind) -> Option<Value> {
    let source = source();
    let Value::Object(own) = source["types"].get(kind.name())? else { return None };
    let name = kind.name();
    let mut document = Map::new();
    document.insert("$schema".into(), DIALECT.into());
    document.insert("$id".into(), format!("{PLACE}/{name}.json").into());
    document.insert("title".into(), own["title"].clone());
    document.insert("description".into(), own["description"].clone());
    document.insert("type".into(), "object".into());
    let mut properties = Map::new();
    properties.insert("event".into(), json!({"const": name, "description": "The type of the event."}));
    properties
        .extend(own["properties"].as_object().into_iter().flatten().map(|(name, each)| (name.clone(), each.clone())));
    document.insert("properties".into(), properties.into());
    let required = own.get("required").and_then(Value::as_array).into_iter().flatten().cloned();
    document.insert("required".into(), std::iter::once(Value::from("event")).chain(required).collect());
    if let Some(any_of) = own.get("anyOf") {
        document.insert("anyOf".into(), any_of.clone());
    }
    let parts = parts_of(&document, &source["$defs"]);
    if !parts.is_empty() {
        document.insert("$defs".into(), parts.into());
    }
    Some(document.into())
}

/// What a type is, in a sentence or two.
pub fn summary(kind: Kind) -> String {
    let source = source();
    source["types"][kind.name()]["description"].as_str().unwrap_or_default().to_owned()
}

fn source() -> Value {
    serde_json::from_str(SOURCE).expect("a test reads what is compiled in")
}

/// The shared parts that `document` needs, with those that they need, in the source's order.
fn parts_of(document: &Map<String, Value>, parts: &Value) -> Map<String, Value> {
    let mut needed: Vec<String> = Vec::new();
    document.values().for_each(|each| collect(each, &mut needed));
    let mut at = 0;
    while let Some(name) = needed.get(at).cloned() {
        collect(&parts[&name], &mut needed);
        at += 1;
    }
    let all = parts.as_object().into_iter().flatten();
    all.filter(|(name, _)| needed.contains(name)).map(|(name, part)| (name.clone(), part.clone())).collect()
}

/// Adds the names of the parts that `value` refers to.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                match below.as_str().filter(|_| name == "$ref").and_then(|text| text.strip_prefix(PART)) {
                    Some(part) if !names.iter().any(|known| known == part) => names.push(part.to_owned()),
                    Some(_) => {}
                    None => collect(below, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|each| collect(each, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
