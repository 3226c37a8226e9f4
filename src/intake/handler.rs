//! What happens to one request, from its head to its answer. This file holds the decisions; how each is carried out is
//! with its neighbours.
//!
//! Never happens: a 2xx before the journal's word; a 4xx for an authenticated event that has arrived whole from an
//! allowed address; a step that waits longer than the one deadline.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{Kept, No};
use super::clerk::{Clerk, NotKept};
use super::connection::{Connection, Standing};
use super::refused::Refused;
use super::registry::Registry;
use super::request::{Held, Request};
use super::routes::{Route, Routes, Source};
use super::voice::{Voice, Whose};
use super::{address, body, unsigned};
use crate::event::Event;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::signature;

/// What every request needs.
pub(super) struct Desk {
    pub routes: Routes,
    pub body_max_bytes: usize,
    pub registry: Arc<Registry>,
    pub clerk: Clerk,
    pub voice: Arc<Voice>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}

/// Answers one request.
///
/// Dropped early (the client left), it gives back its place and its bytes; an event that is queued stays queued, and its
/// retry is a duplicate.
pub(super) async fn handle(desk: Arc<Desk>, http: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(connection) = http.conn_data::<Arc<Connection>>() else {
        // Every stream is wrapped when it is accepted; without a wrapper there is no deadline, so nothing is taken.
        return HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let request = Request::begin(connection, &desk.registry, has_body(&http));
    let client = address::client(connection.peer(), http.headers(), desk.routes.trusted_proxies());
    let told_address = client.unwrap_or(connection.peer());
    let mut answer = match desk.routes.find(http.path()) {
        Some(Route::Health) => desk.answer_health(&http, told_address),
        Some(Route::Source(source)) => {
            let outcome = desk.take(source, client, &http, payload, &request).await;
            let answer = desk.answer(source, told_address, outcome);
            desk.metrics.answered(&source.name, request.elapsed());
            answer
        }
        None => {
            let refused = if connection.standing() == Standing::Unwelcome { Refused::Address } else { Refused::Path };
            desk.refuse(&Whose { source: None, address: told_address, body: None }, refused)
        }
    };
    if connection.is_evicted() || desk.health.is_stopping() || desk.registry.is_closing() {
        answer.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    }
    answer
}

impl Desk {
    /// Takes one event: the head's checks, the body, the signature, the journal.
    async fn take(
        &self,
        source: &Arc<Source>,
        client: Option<IpAddr>,
        http: &HttpRequest,
        payload: Payload,
        request: &Request<'_>,
    ) -> Result<Kept, No> {
        self.check_head(source, client, http, request)?;
        let promised_bytes = content_length(http);
        if promised_bytes.is_some_and(|promised_bytes| promised_bytes > self.body_max_bytes) {
            return Err(Refused::TooLarge.into());
        }
        let (body, held) = body::read(request, payload, promised_bytes, self.body_max_bytes).await?;
        let event = self.authenticate(source, http, body, request)?;
        request.connection().prove();
        self.keep(event, held, request).await.map_err(No::from)
    }

    fn check_head(
        &self,
        source: &Source,
        client: Option<IpAddr>,
        http: &HttpRequest,
        request: &Request<'_>,
    ) -> Result<(), Refused> {
        if !address::is_allowed(&source.allow, client) {
            return Err(Refused::Address);
        }
        if request.connection().standing() == Standing::NoRoom {
            return Err(Refused::NoRoom);
        }
        if http.method() != Method::POST {
            return Err(Refused::Method { allowed: "POST" });
        }
        if http.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        {
            return Err(Refused::Upgrade);
        }
        Ok(())
    }

    /// The event of a body whose signature holds, or that `dev` takes without one.
    fn authenticate(
        &self,
        source: &Source,
        http: &HttpRequest,
        body: Bytes,
        request: &Request<'_>,
    ) -> Result<Event, No> {
        let now_ms = now_ms();
        let received_at_ms = now_ms.saturating_sub(ms(request.elapsed()));
        let is_of_this_machine = || unsigned::may_be_taken(request.connection().peer(), http.headers());
        if source.allow_unsigned && is_of_this_machine() {
            return Ok(Event::unsigned(&source.name, received_at_ms, body));
        }
        let shown = (self.voice.wants_bodies() && is_of_this_machine()).then(|| body.clone());
        let headers = http.headers().get_all(signature::HEADER).map(|value| value.as_bytes());
        let keys = source.keys.in_force();
        let proof = signature::verify(headers, body, &keys, now_ms, source.signature_window_ms)
            .map_err(|refusal| No { refused: Refused::Signature(refusal), body: shown })?;
        self.metrics.key_verified(&source.name, proof.key_fingerprint(), now_ms, proof.clock_ms());
        Ok(Event::live(&source.name, received_at_ms, proof))
    }

    /// Keeps an event, or waits for its first copy.
    ///
    /// Dropped early, it leaves a queued event to the journal: whether it is kept is then known to the index alone.
    async fn keep(&self, event: Event, held: Held, request: &Request<'_>) -> Result<Kept, Refused> {
        let mut taken = self.clerk.take(event, held).map_err(Refused::Journal)?;
        let written = request.until_verdict(&mut taken).await.map_err(|_verdict| Refused::Late)?;
        written.map_err(|not_kept| match not_kept {
            NotKept::Journal(error) => Refused::Journal(error),
            NotKept::Gone => Refused::JournalGone,
        })?;
        Ok(Kept { id: taken.id, kind: taken.kind, first_received_at_ms: taken.first_received_at_ms })
    }
}

fn has_body(http: &HttpRequest) -> bool {
    http.headers().contains_key(header::TRANSFER_ENCODING) || content_length(http).is_some_and(|length| length > 0)
}

/// The promised length; one header of digits at most has come this far.
fn content_length(http: &HttpRequest) -> Option<usize> {
    http.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

pub(super) fn now_ms() -> u64 {
    // A clock before 1970 is no clock; every signature is stale then.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
