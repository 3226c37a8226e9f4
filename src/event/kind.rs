//! The event types that Retell documents, and the two that stand beside them.

/// The type of an event as far as this release knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    CallStarted,
    CallEnded,
    CallAnalyzed,
    TranscriptUpdated,
    TransferStarted,
    TransferBridged,
    TransferCancelled,
    TransferEnded,
    ChatStarted,
    ChatEnded,
    ChatAnalyzed,
    CallInbound,
    ChatInbound,
    /// `retell_bridge_test`: what `helm test` posts; goes to `unrecognized` and counts in no alert.
    Test,
    /// A type that is not known, or none that could be read.
    Other,
}

impl Kind {
    /// The documented types, in the order of the documentation.
    pub const KNOWN: [Kind; 13] = [
        Kind::CallStarted,
        Kind::CallEnded,
        Kind::CallAnalyzed,
        Kind::TranscriptUpdated,
        Kind::TransferStarted,
        Kind::TransferBridged,
        Kind::TransferCancelled,
        Kind::TransferEnded,
        Kind::ChatStarted,
        Kind::ChatEnded,
        Kind::ChatAnalyzed,
        Kind::CallInbound,
        Kind::ChatInbound,
    ];

    /// The type named in the body's `event`.
    pub fn named(name: &str) -> Kind {
        if name == Kind::Test.name() {
            return Kind::Test;
        }
        Kind::KNOWN.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Other)
    }

    /// Name in the body, in topics and in labels; `other` where it is none of the known ones.
    pub fn name(self) -> &'static str {
        match self {
            Kind::CallStarted => "call_started",
            Kind::CallEnded => "call_ended",
            Kind::CallAnalyzed => "call_analyzed",
            Kind::TranscriptUpdated => "transcript_updated",
            Kind::TransferStarted => "transfer_started",
            Kind::TransferBridged => "transfer_bridged",
            Kind::TransferCancelled => "transfer_cancelled",
            Kind::TransferEnded => "transfer_ended",
            Kind::ChatStarted => "chat_started",
            Kind::ChatEnded => "chat_ended",
            Kind::ChatAnalyzed => "chat_analyzed",
            Kind::CallInbound => "call_inbound",
            Kind::ChatInbound => "chat_inbound",
            Kind::Test => "retell_bridge_test",
            Kind::Other => "other",
        }
    }

    /// Whether the sender waits for a JSON answer, and may leave the id out.
    pub fn is_inbound(self) -> bool {
        matches!(self, Kind::CallInbound | Kind::ChatInbound)
    }

    /// Whether two events of this type with equal bytes are one event sent twice. Of every other type two real events can
    /// have equal bytes (two transfers of one call to one number), and the signed clock tells them apart.
    pub fn is_identified_by_bytes(self) -> bool {
        matches!(
            self,
            Kind::CallStarted
                | Kind::CallEnded
                | Kind::CallAnalyzed
                | Kind::ChatStarted
                | Kind::ChatEnded
                | Kind::ChatAnalyzed
                | Kind::TranscriptUpdated
        )
    }

    /// Whether the key is looked for in `chat` before `call`.
    pub(super) fn is_of_chat(self) -> bool {
        matches!(self, Kind::ChatStarted | Kind::ChatEnded | Kind::ChatAnalyzed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_is_found_by_its_name() {
        for kind in Kind::KNOWN.into_iter().chain([Kind::Test]) {
            assert_eq!(Kind::named(kind.name()), kind);
        }
    }

    #[test]
    fn a_type_nobody_knows_is_other_and_so_is_the_word_other() {
        for name in ["", "call_endedx", "CALL_ENDED", "other"] {
            assert_eq!(Kind::named(name), Kind::Other);
        }
    }
}
