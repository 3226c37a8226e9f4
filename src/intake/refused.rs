//! Every way in which a request is refused: what the sender is told, what the log and the metric say.
//!
//! The sender is told a status and nothing else. Whatever is about the event itself, once it has arrived whole and is
//! authenticated, is a 503: the sender tries again.

use actix_web::http::StatusCode;

use crate::journal::AppendError;
use crate::metrics::RefusedReason;
use crate::signature;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// No source has the path.
    Path,
    /// A known path, asked in a way that it does not serve; these it does.
    Method {
        allowed: &'static str,
    },
    /// The client's address is not on the source's list.
    Address,
    /// The body is larger than `intake.body_max`.
    TooLarge,
    /// The head is larger than the intake reads.
    HeadTooLarge,
    /// An upgrade to WebSocket: the body's end would be read differently here and by a proxy before us.
    Upgrade,
    /// The body ended early, or its chunks are malformed.
    BrokenBody,
    /// Slower than the slowest that is waited for, or the slowest when a bound was reached.
    TooSlow,
    Signature(signature::Refusal),
    /// `intake.answer_within` has passed. The record may still become durable.
    Late,
    /// A bound was reached, and all others had arrived whole.
    NoRoom,
    Stopping,
    Journal(AppendError),
    /// The journal's writer ended without a word.
    JournalGone,
}

impl Refused {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refused::Path => StatusCode::NOT_FOUND,
            Refused::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Refused::Address => StatusCode::FORBIDDEN,
            Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refused::Upgrade | Refused::BrokenBody => StatusCode::BAD_REQUEST,
            Refused::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refused::Signature(_) => StatusCode::UNAUTHORIZED,
            Refused::Late | Refused::NoRoom | Refused::Stopping | Refused::Journal(_) | Refused::JournalGone => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The label of the metric, which is also the reason in the log.
    pub(super) fn reason(self) -> RefusedReason {
        match self {
            Refused::Path => RefusedReason::Path,
            Refused::Method { .. } => RefusedReason::Method,
            Refused::Address => RefusedReason::Address,
            Refused::TooLarge => RefusedReason::TooLarge,
            Refused::HeadTooLarge | Refused::Upgrade | Refused::BrokenBody => RefusedReason::Http,
            Refused::TooSlow => RefusedReason::TooSlow,
            Refused::Signature(signature::Refusal::Missing) => RefusedReason::Missing,
            Refused::Signature(signature::Refusal::Malformed) => RefusedReason::Malformed,
            Refused::Signature(signature::Refusal::Stale) => RefusedReason::Stale,
            Refused::Signature(signature::Refusal::Wrong) => RefusedReason::Wrong,
            Refused::Late => RefusedReason::Late,
            Refused::NoRoom | Refused::Journal(AppendError::NoRoom) => RefusedReason::NoRoom,
            Refused::Stopping | Refused::Journal(AppendError::Closed) => RefusedReason::Stopping,
            Refused::Journal(AppendError::Poisoned | AppendError::TooLarge) | Refused::JournalGone => {
                RefusedReason::Journal
            }
        }
    }

    /// One sentence for the operator.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Refused::Path => "no source has this path",
            Refused::Method { .. } => "a source takes POST only, the health path GET and HEAD",
            Refused::Address => "the client's address is not in the source's allow list",
            Refused::TooLarge => "the body is larger than intake.body_max",
            Refused::HeadTooLarge => "the head is larger than 32 KiB",
            Refused::Upgrade => "upgrades are not served",
            Refused::BrokenBody => "the sender left before the end of the body, or its chunks are malformed",
            Refused::TooSlow => {
                "it came slower than 64 KiB/s, or was the slowest when intake.in_flight_max or intake.connections_max was reached"
            }
            Refused::Signature(signature::Refusal::Missing) => {
                "no X-Retell-Signature header: the request does not come from Retell, or a proxy dropped the header"
            }
            Refused::Signature(signature::Refusal::Malformed) => {
                "the X-Retell-Signature header is not of the form v=<unix ms>,d=<64 lower-case hex digits>"
            }
            Refused::Signature(signature::Refusal::Stale) => {
                "the signature holds but is outside the time window: a clock is off, or an old request is sent again"
            }
            Refused::Signature(signature::Refusal::Wrong) => {
                "no key makes this signature: wrong key, or the body was changed on its way"
            }
            Refused::Late => "intake.answer_within passed before the event was synced",
            Refused::NoRoom => {
                "intake.in_flight_max or intake.connections_max is reached by events that wait for their sync"
            }
            Refused::Stopping => "the intake is stopping",
            Refused::Journal(AppendError::NoRoom) => "the journal has no room",
            Refused::Journal(AppendError::Poisoned) => "the journal is poisoned by a failed write or sync",
            Refused::Journal(AppendError::Closed) => "the journal is closed",
            Refused::Journal(AppendError::TooLarge) => "the event is larger than a segment of the journal",
            Refused::JournalGone => "the journal's writer ended",
        }
    }

    /// Whether the connection ends with the answer, whatever was read of the request.
    pub(super) fn closes(self) -> bool {
        matches!(self.status(), StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT) || self == Refused::Stopping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_befall_a_whole_authenticated_event_is_a_503() {
        let journal = [AppendError::NoRoom, AppendError::Poisoned, AppendError::Closed, AppendError::TooLarge];
        let all = [Refused::Late, Refused::NoRoom, Refused::Stopping, Refused::JournalGone];
        for refused in all.into_iter().chain(journal.map(Refused::Journal)) {
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
        }
    }
}
