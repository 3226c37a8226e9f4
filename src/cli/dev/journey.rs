//! The way of events through `dev`, from both ends: samples are posted at one, records are read at the other.

use std::time::Duration;

use super::console::{Happening, Teller};
use super::explain::Refused;
use crate::cli::send::{Rounds, Sender, WHOLE_CALL};
use crate::intake::{Observer, Seen};

/// Length of the sample call.
const SAMPLE_LENGTH: Duration = Duration::from_secs(30);

/// Posts one whole call, as Retell does. Blocks until it is answered; says what was not taken.
pub(super) fn post_samples(sender: &Sender, teller: &Teller) {
    for posting in Rounds::made(&WHOLE_CALL, None, SAMPLE_LENGTH, 1) {
        let kind = posting.kind.name();
        if let Err(failure) = sender.post(&posting.into_bytes()).result {
            teller.tell(Happening::Note(format!("the sample {kind} was not taken: {failure}")));
        }
    }
}

/// Tells the console what the intake sees. Called from the intake's threads, and never makes one wait.
pub(super) fn observer(teller: Teller) -> Observer {
    Observer::new(move |seen| {
        teller.tell(match seen {
            Seen::Kept { .. } => Happening::Kept,
            Seen::Duplicate { kind, first_seen_ago, .. } => {
                Happening::Duplicate { kind: kind.name(), age: *first_seen_ago }
            }
            Seen::Refused { status, reason, cause, body, .. } => {
                let local_unsigned_body = body.cloned();
                Happening::Refused(Refused { status: *status, reason, cause, local_unsigned_body })
            }
        });
    })
}
