//! Reads a record, and checks who signed it.

use hmac::{Hmac, KeyInit, Mac};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::{env, time::UNIX_EPOCH};

/// An object's fields, unread: no new field, type or printing of what is not used must stop a consumer.
pub type Fields<'a> = HashMap<String, &'a RawValue>;

pub struct Event<'a> {
    pub ce_id: &'a str,
    pub time: &'a str,
    pub position: &'a str,
    /// The run id of the announced replay that has brought it.
    pub replay: Option<String>,
    pub name: String,
    pub call_id: String,
    pub call: Fields<'a>,
    pub summary: Option<String>,
}

impl<'a> Event<'a> {
    /// The event, or why no second try can help this record.
    pub fn read(record: &'a BorrowedMessage<'_>, keys: &[String]) -> Result<Self, &'static str> {
        let value = record.payload().unwrap_or_default();
        let (ce_id, time) = (header(record, "ce_id"), header(record, "ce_time"));
        if ce_id.is_empty() {
            return Err("no_ce_id");
        }
        if !keys.is_empty() && verify(value, header(record, "retell_signature"), time, keys).is_none() {
            return Err("signature");
        }
        let body: Fields<'a> = serde_json::from_slice(value).map_err(|_| "unreadable")?;
        let call = object(&body, "call").or_else(|| object(&body, "data")); // `data`: its older name
        let call = call.ok_or("unreadable")?;
        let named = |fields: &Fields<'a>, field: &str| {
            text(fields, field).filter(|text| !text.is_empty()).ok_or("unreadable")
        };
        let origin = header(record, "retell_origin");
        Ok(Self {
            ce_id,
            time,
            position: header(record, "retell_position"),
            replay: env::var("REPLAY").ok().filter(|run| origin == format!("replay:{run}")),
            name: named(&body, "event")?,
            call_id: named(&call, "call_id")?,
            summary: object(&call, "call_analysis").and_then(|analysis| text(&analysis, "call_summary")),
            call,
        })
    }
}

/// The topic with everything has other types too. Without the header it is the body that tells.
pub fn is_of_call(record: &BorrowedMessage<'_>) -> bool {
    let name = header(record, "ce_type").trim_start_matches("com.retellai.");
    matches!(name, "" | "call_started" | "call_ended" | "call_analyzed")
}

fn header<'a>(record: &'a BorrowedMessage<'_>, name: &str) -> &'a str {
    let found = record.headers().and_then(|all| all.iter().find(|header| header.key == name));
    found.and_then(|header| std::str::from_utf8(header.value?).ok()).unwrap_or_default()
}

/// Did Retell sign this? With the event's time as the clock: the SDKs' own check refuses what is five minutes
/// old. Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: few consumers should.
fn verify(value: &[u8], signature: &str, ce_time: &str, keys: &[String]) -> Option<()> {
    let (stamp, digest) = signature.strip_prefix("v=")?.split_once(",d=")?;
    let ms: u64 = stamp.parse().ok().filter(|_| !stamp.starts_with('+'))?;
    let clock = humantime::parse_rfc3339(ce_time).ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let digest = hex::decode(digest).ok().filter(|_| clock.abs_diff(ms.into()) <= 300_000)?;
    keys.iter().find_map(|key| {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).ok()?;
        mac.chain_update(value).chain_update(ms.to_string()).verify_slice(&digest).ok()
    })
}

fn object<'a>(of: &Fields<'a>, field: &str) -> Option<Fields<'a>> {
    serde_json::from_str(of.get(field)?.get()).ok()
}

/// As bytes, because JSON can have half a character: a text that was cut inside an emoji. It becomes `�`.
pub fn text(of: &Fields<'_>, field: &str) -> Option<String> {
    let raw = of.get(field)?.get();
    let bytes: ByteBuf = raw.starts_with('"').then(|| serde_json::from_str(raw).ok())??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A whole number, which may be printed as 1714608475945.0 too.
pub fn number(of: &Fields<'_>, field: &str) -> Option<i64> {
    let raw = of.get(field)?.get();
    let whole = |float: &f64| float.fract() == 0.0 && float.abs() < 9e15;
    raw.parse().ok().or_else(|| raw.parse().ok().filter(whole).map(|float| float as i64))
}
