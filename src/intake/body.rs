//! Reads a body: in pieces as they arrive, counted before they are kept, bounded, into one run of bytes.
//!
//! Nothing is set aside for what a header promises: memory grows with what has arrived, at most to four times of it. The bytes
//! are those on the wire; a `Content-Encoding` is not looked at.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::web::{Bytes, Payload};
use futures_core::Stream;

use super::phase::Verdict;
use super::refused::Refused;
use super::registry::Refusal;
use super::request::{Held, Request};

/// Below this, a body that came in one piece is copied: as it is, it would keep a whole read buffer.
const COPIED_BELOW_BYTES: usize = 4 * 1024;
/// First step of a body that comes in several pieces.
const STEP_BYTES: usize = 16 * 1024;
/// Each further step, against the one before: what has arrived is copied at each of them.
const STEP_FACTOR: usize = 4;

/// Reads to the end; `promised_bytes` is the Content-Length.
///
/// Dropped early, it gives back what it counted (by [`Request`]).
pub(super) async fn read(
    request: &Request<'_>,
    mut payload: Payload,
    promised_bytes: Option<usize>,
    max_bytes: usize,
) -> Result<(Bytes, Held), Refused> {
    let mut body = Growing { whole: None, bytes: Vec::new(), promised_bytes, max_bytes };
    let end = std::future::poll_fn(|context| body.poll_to_end(context, request, &mut payload));
    end.await?;
    let memory_bytes = body.whole.as_ref().map_or(body.bytes.capacity(), Bytes::len);
    let held = request.whole(memory_bytes);
    Ok((body.whole.unwrap_or_else(|| Bytes::from(body.bytes)), held))
}

struct Growing {
    /// All of it, where it came in one piece.
    whole: Option<Bytes>,
    bytes: Vec<u8>,
    promised_bytes: Option<usize>,
    max_bytes: usize,
}

impl Growing {
    fn poll_to_end(
        &mut self,
        context: &mut Context<'_>,
        request: &Request<'_>,
        payload: &mut Payload,
    ) -> Poll<Result<(), Refused>> {
        loop {
            match Pin::new(&mut *payload).poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => self.push(request, piece)?,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                // The sender left, or its chunks are malformed.
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Refused::BrokenBody)),
                Poll::Pending => {
                    let verdict = request.connection().verdict(context);
                    return verdict.map_or(Poll::Pending, |verdict| Poll::Ready(Err(verdict.into())));
                }
            }
        }
    }

    fn push(&mut self, request: &Request<'_>, piece: Bytes) -> Result<(), Refused> {
        request.connection().has_arrived(piece.len());
        let sum = self.bytes.len() + piece.len();
        if sum > self.max_bytes {
            return Err(Refused::TooLarge);
        }
        if self.bytes.is_empty() && self.promised_bytes == Some(piece.len()) && piece.len() >= COPIED_BELOW_BYTES {
            request.hold(piece.len())?;
            self.whole = Some(piece);
            return Ok(());
        }
        if sum > self.bytes.capacity() {
            let grown = sum.max(self.bytes.capacity() * STEP_FACTOR).max(STEP_BYTES);
            let capacity = grown.min(self.promised_bytes.unwrap_or(self.max_bytes)).max(sum);
            request.hold(capacity - self.bytes.capacity())?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(&piece);
        Ok(())
    }
}

impl From<Verdict> for Refused {
    fn from(verdict: Verdict) -> Refused {
        match verdict {
            Verdict::TooSlow => Refused::TooSlow,
            Verdict::Late => Refused::Late,
            Verdict::Gone => Refused::Stopping,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::Slowest => Refused::TooSlow,
            Refusal::NoRoom => Refused::NoRoom,
        }
    }
}
