//! A body's type and key once more: the whole of it parsed into a tree, then looked up by the sentences of the documents.

use std::fmt;

use retell_bridge::event::{KEY_MAX_BYTES, Kind};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON as far as it matters here: names may stand twice, and stay in order.
pub enum Json {
    Object(Vec<(String, Json)>),
    Text(String),
    Other,
}

/// What a body says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub kind: Kind,
    pub key: Option<String>,
}

/// `None` where it is no JSON object, or one that serde_json's own tree does not take.
pub fn said(body: &[u8]) -> Option<Said> {
    // Its limits on nesting and numbers are those of the tree; the bridge may read on where the tree gives up.
    serde_json::from_slice::<serde_json::Value>(body).ok()?;
    let Json::Object(top) = serde_json::from_slice(body).ok()? else { return None };
    let first = |name: &str| top.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let kind = match first("event") {
        Some(Json::Text(name)) => Kind::named(name),
        _ => Kind::Other,
    };
    Some(Said { kind, key: key(&top, kind) })
}

fn key(top: &[(String, Json)], kind: Kind) -> Option<String> {
    let call = || match object(top, "call") {
        Some(call) => id(call, "call_id"),
        None => id(object(top, "data")?, "call_id"),
    };
    let chat = || id(object(top, "chat")?, "chat_id");
    match kind {
        Kind::CallInbound => id(object(top, "call_inbound")?, "call_id"),
        Kind::ChatInbound => id(object(top, "chat_inbound")?, "chat_id"),
        Kind::ChatStarted | Kind::ChatEnded | Kind::ChatAnalyzed => chat().or_else(call),
        _ => call().or_else(chat),
    }
}

/// The first value of that name that is an object.
fn object<'j>(top: &'j [(String, Json)], name: &str) -> Option<&'j [(String, Json)]> {
    top.iter().filter(|(known, _)| known == name).find_map(|(_, value)| match value {
        Json::Object(inner) => Some(inner.as_slice()),
        _ => None,
    })
}

fn id(object: &[(String, Json)], name: &str) -> Option<String> {
    match object.iter().find(|(known, _)| known == name) {
        Some((_, Json::Text(id))) if (1..=KEY_MAX_BYTES).contains(&id.len()) => Some(id.clone()),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = map.next_entry()? {
            object.push(entry);
        }
        Ok(Json::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        while seq.next_element::<Json>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}
