//! What must hold for any conversation, judged by a second, plain reading of the documents.
//!
//! In: the answers, what the journal holds and what a Kafka was handed. Out: the events that were kept, or a panic with what
//! is wrong.

use bytes::Bytes;
use retell_bridge::event::{Event, Kind, Origin};

use super::super::json;
use super::super::signature::signed;
use super::{KEYS, Outcome, Sent};

/// What must hold for any conversation; the events that were kept.
pub(super) fn judge(outcome: &Outcome) -> Vec<Event> {
    let (statuses, ids) = (outcome.statuses(), outcome.event_ids());
    let documented = [200, 204, 400, 401, 403, 404, 405, 408, 413, 431, 503];
    assert!(statuses.iter().all(|status| documented.contains(status)), "{statuses:?}");
    let kept = statuses.iter().filter(|status| matches!(status, 200 | 204)).count();
    assert!(ids.len() <= kept, "an event's id in an answer that does not say it is kept: {statuses:?} {ids:?}");
    let mut first_ids = ids.clone();
    first_ids.sort();
    first_ids.dedup();
    assert!(
        first_ids.len() <= outcome.records.len(),
        "{ids:?} are answered, {} records are kept",
        outcome.records.len()
    );
    let decode = |record: &Bytes| Event::decode(record.clone()).expect("the intake wrote it");
    let events: Vec<Event> = outcome.records.iter().map(decode).collect();
    for event in &events {
        is_authentic(event);
        delivered(event, &outcome.sent);
        let id = event.identity(&event.peek()).to_string();
        assert!(
            ids.contains(&id) || statuses.len() < outcome.records.len() + 1,
            "{id} is kept and not answered: {ids:?}"
        );
    }
    assert_eq!(outcome.sent.len(), 2 * events.len(), "two deliveries for each event: its own topic, the one for all");
    events
}

/// Signed by a key of its source, or of the source that needs no signature.
fn is_authentic(event: &Event) {
    let source =
        ["default", "team", "dev"].iter().position(|name| *name == event.source()).expect("a configured source");
    if event.origin() == Origin::Unsigned {
        assert_eq!(source, 2, "an unsigned event of {}", event.source());
        return;
    }
    let expected = signed(KEYS[source & 1].as_bytes(), event.body(), event.clock_ms());
    let digest = |header: &str| header.rsplit_once("d=").map(|(_, digest)| digest.to_owned());
    assert_eq!(digest(event.signature()), digest(&expected), "kept with a signature that nobody made");
}

fn delivered(event: &Event, sent: &[Sent]) {
    let peek = event.peek();
    let id = event.identity(&peek).to_string();
    let header =
        |one: &Sent, name: &str| one.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let of_this: Vec<&Sent> = sent.iter().filter(|one| header(one, "ce_id") == Some(id.clone().into_bytes())).collect();
    let topics: Vec<&str> = of_this.iter().map(|one| one.topic.as_str()).collect();
    let (own, reason) = route(event);
    assert!(topics == [&own, "every"] || topics == ["every", &own], "{topics:?} for {own}, {reason:?}");
    for one in of_this {
        assert!(one.value[..] == event.body()[..], "another value than the body");
        assert!(one.timestamp_ms == event.received_at_ms() as i64);
        assert_eq!(one.key.as_deref(), peek.key().map(str::as_bytes));
        let names: Vec<&str> = one.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, header_names(event, if one.topic == own { reason } else { None }));
        let text = |name: &str| header(one, name).map(|value| String::from_utf8(value).expect("headers are text"));
        assert_eq!(text("ce_source"), Some(format!("/retell/{}", event.source())));
        assert_eq!(text("ce_subject").as_deref(), peek.key());
        assert_eq!(text("retell_reason").as_deref(), if one.topic == own { reason } else { None });
        let kind = Kind::KNOWN.into_iter().find(|kind| *kind == peek.kind() && (reason.is_none() || one.topic != own));
        assert_eq!(text("ce_type"), Some(format!("com.retellai.{}", kind.map_or("unrecognized", Kind::name))));
    }
}

/// Topic and reason by the sentences of the topics chapter, from the whole tree where that can be read.
fn route(event: &Event) -> (String, Option<&'static str>) {
    let peek = event.peek();
    let said = json::said(event.body());
    let (kind, key) = said.as_ref().map_or((peek.kind(), peek.key()), |said| (said.kind, said.key.as_deref()));
    let prefix = if event.source() == "team" { "team." } else { "r." };
    let reason = match kind {
        Kind::Test => "test",
        _ if said.is_none() && !peek.is_readable() => "unreadable",
        Kind::Other => "unknown_type",
        Kind::ChatStarted => "not_listed",
        _ if key.is_none() && !kind.is_inbound() => "no_key",
        Kind::CallEnded => return ("ends".into(), None),
        _ => return (format!("{prefix}{}", kind.name()), None),
    };
    (format!("{prefix}unrecognized"), Some(reason))
}

fn header_names(event: &Event, reason: Option<&str>) -> Vec<&'static str> {
    let is_live = event.origin() == Origin::Live;
    [
        ("ce_specversion", true),
        ("ce_id", true),
        ("ce_source", true),
        ("ce_type", true),
        ("ce_subject", event.peek().key().is_some()),
        ("ce_time", true),
        ("content-type", true),
        ("retell_signature", is_live),
        ("retell_journal", true),
        ("retell_position", true),
        ("retell_origin", !is_live),
        ("retell_reason", reason.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_there)| is_there.then_some(name))
    .collect()
}
