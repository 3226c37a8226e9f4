//! From an outcome to the answer: status, headers, body. Counts and tells it on the way.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::handler::{Desk, now_ms};
use super::refused::Refused;
use super::routes::Source;
use super::voice::{Seen, Whose};
use crate::event::{self, Identity, Kind};

const EVENT_ID: &str = "x-event-id";
/// Seconds after which a refused sender may try again.
const RETRY_AFTER: &str = "1";

/// An event that is kept, by this request or by an earlier one.
pub(super) struct Kept {
    pub id: Identity,
    pub kind: Kind,
    /// Of a duplicate: when the first copy was received.
    pub first_received_at_ms: Option<u64>,
}

/// A refusal, with the body where a cure can be shown for it.
pub(super) struct No {
    pub refused: Refused,
    pub body: Option<Bytes>,
}

impl From<Refused> for No {
    fn from(refused: Refused) -> No {
        No { refused, body: None }
    }
}

impl Desk {
    pub(super) fn answer(&self, source: &Source, address: IpAddr, outcome: Result<Kept, No>) -> HttpResponse {
        let kept = match outcome {
            Ok(kept) => kept,
            Err(No { refused, body }) => {
                return self.refuse(&Whose { source: Some(&source.name), address, body: body.as_ref() }, refused);
            }
        };
        let Kept { id, kind, first_received_at_ms } = kept;
        let source_name = source.name.as_str();
        if let Some(first_received_at_ms) = first_received_at_ms {
            self.metrics.event_duplicate(source_name);
            let ago_ms = now_ms().saturating_sub(first_received_at_ms);
            let (first_seen_ago, name) = (Duration::from_millis(ago_ms), kind.name());
            tracing::info!(target: event::LOG_TARGET, source = source_name, "type" = name, %id, ago_ms, "event repeated");
            self.voice.see(&Seen::Duplicate { source: source_name, kind, id, first_seen_ago });
        } else {
            self.voice.see(&Seen::Kept { source: source_name, kind, id });
        }
        match source.answer_body(kind) {
            Some(json) => {
                let mut answer = HttpResponse::Ok();
                answer.insert_header((EVENT_ID, id.to_string()));
                answer.insert_header((header::CONTENT_TYPE, "application/json")).body(json)
            }
            None => HttpResponse::NoContent().insert_header((EVENT_ID, id.to_string())).finish(),
        }
    }

    pub(super) fn answer_health(&self, http: &HttpRequest, address: IpAddr) -> HttpResponse {
        if http.method() != Method::GET && http.method() != Method::HEAD {
            let refused = Refused::Method { allowed: "GET, HEAD" };
            return self.refuse(&Whose { source: None, address, body: None }, refused);
        }
        let is_ready = self.health.readiness().is_ready();
        HttpResponse::new(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
    }

    pub(super) fn refuse(&self, whose: &Whose<'_>, refused: Refused) -> HttpResponse {
        self.voice.refused(whose, refused);
        let mut answer = HttpResponseBuilder::new(refused.status());
        if refused.closes() {
            answer.force_close();
        }
        if let Refused::Method { allowed } = refused {
            answer.insert_header((header::ALLOW, allowed));
        }
        if refused.status() == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        answer.finish()
    }
}
