//! What an error of librdkafka or a broker asks for, and its short code for labels and logs.
//!
//! The list of what sets a record aside is closed, and so is the list of what ends a producer; everything else waits,
//! also codes that are not known: a person may cure them, and the event waits.

use rdkafka::types::RDKafkaErrorCode as Code;

use crate::publisher::{Action, DeliveryError, INVALID, PURGED, TOO_LARGE};

/// Reasons, each with the codes that it stands for. A code that is not named is `other`.
const WAITS: &[(&str, &[Code])] = &[
    ("timed_out", &[Code::MessageTimedOut, Code::OperationTimedOut, Code::RequestTimedOut, Code::QueueFull]),
    (
        "unavailable",
        &[
            Code::AllBrokersDown,
            Code::BrokerTransportFailure,
            Code::BrokerDestroy,
            Code::Resolve,
            Code::NetworkException,
            Code::BrokerNotAvailable,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::ReplicaNotAvailable,
        ],
    ),
    ("authentication_failed", &[Code::Authentication, Code::SaslAuthenticationFailed, Code::SSL]),
    ("unknown_topic", &[Code::UnknownTopic, Code::UnknownTopicOrPartition, Code::UnknownPartition]),
    ("topic_authorization_failed", &[Code::TopicAuthorizationFailed]),
    ("not_enough_replicas", &[Code::NotEnoughReplicas, Code::NotEnoughReplicasAfterAppend]),
    ("invalid_timestamp", &[Code::InvalidTimestamp]),
    ("policy_violation", &[Code::PolicyViolation]),
    ("throttled", &[Code::ThrottlingQuotaExceeded]),
];

const ASIDE: &[(&str, &[Code], &str)] = &[
    ("msg_size_too_large", &[Code::MessageSizeTooLarge], TOO_LARGE),
    ("record_list_too_large", &[Code::MessageBatchTooLarge], TOO_LARGE),
    ("invalid_record", &[Code::InvalidRecord], INVALID),
];

const ENDS: &[(&str, &[Code])] = &[
    ("fatal", &[Code::Fatal]),
    ("gapless_guarantee", &[Code::GaplessGuarantee]),
    ("cluster_authorization_failed", &[Code::ClusterAuthorizationFailed]),
    ("out_of_order_sequence", &[Code::OutOfOrderSequenceNumber]),
    ("unknown_producer_id", &[Code::UnknownProducerId]),
    ("fenced", &[Code::Fenced, Code::InvalidProducerEpoch, Code::ProducerFenced]),
    (PURGED, &[Code::PurgeQueue, Code::PurgeInflight]),
];

/// A confirmation that names no offset. librdkafka gives it to a batch that failed where a later one of its partition
/// succeeded, because a broker takes no batch before those that it is missing. A leader that has nothing of this producer
/// yet, as no copy has reached it, takes any: the first batches of a partition are then confirmed, and nowhere.
pub(super) const UNPROVEN: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "unproven" };

const OTHER: &str = "other";
/// The client could not be made again.
pub(super) const SETTINGS: &str = "settings";

/// Every reason there is.
pub(super) const REASONS: [&str; 22] = [
    "timed_out",
    "unavailable",
    "authentication_failed",
    "unknown_topic",
    "topic_authorization_failed",
    "not_enough_replicas",
    "invalid_timestamp",
    "policy_violation",
    "throttled",
    "msg_size_too_large",
    "record_list_too_large",
    "invalid_record",
    "fatal",
    "gapless_guarantee",
    "cluster_authorization_failed",
    "out_of_order_sequence",
    "unknown_producer_id",
    "fenced",
    PURGED,
    UNPROVEN.reason,
    OTHER,
    SETTINGS,
];

/// What a confirmation with this offset is worth.
pub(super) fn proven(offset: i64) -> Result<(), DeliveryError> {
    if offset >= 0 { Ok(()) } else { Err(UNPROVEN) }
}

/// What `code` asks for.
pub(super) fn sorted(code: Code) -> DeliveryError {
    if let Some((reason, _, dead_letter)) = ASIDE.iter().find(|(_, codes, _)| codes.contains(&code)) {
        return DeliveryError { action: Action::SetAside(dead_letter), reason };
    }
    let named = |list: &[(&'static str, &[Code])]| {
        list.iter().find(|(_, codes)| codes.contains(&code)).map(|(reason, _)| *reason)
    };
    match named(ENDS) {
        Some(reason) => DeliveryError { action: Action::NewProducer, reason },
        None => DeliveryError { action: Action::Wait, reason: named(WAITS).unwrap_or(OTHER) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that librdkafka knows.
    fn all_codes() -> Vec<Code> {
        let (mut list, mut length) = (std::ptr::null(), 0);
        // SAFETY: gives a static list and its length.
        let list = unsafe {
            rdkafka::bindings::rd_kafka_get_err_descs(&mut list, &mut length);
            std::slice::from_raw_parts(list, length)
        };
        list.iter().filter(|entry| !entry.desc.is_null()).map(|entry| entry.code.into()).collect()
    }

    #[test]
    fn exactly_three_codes_set_a_record_aside() {
        let codes = all_codes();
        assert!(codes.len() > 100, "{} codes", codes.len());
        let aside: Vec<Code> =
            codes.into_iter().filter(|code| matches!(sorted(*code).action, Action::SetAside(_))).collect();
        assert_eq!(aside, [Code::MessageSizeTooLarge, Code::MessageBatchTooLarge, Code::InvalidRecord]);
    }

    #[test]
    fn what_a_person_may_cure_waits_and_so_does_what_nobody_knows() {
        for code in [
            Code::TopicAuthorizationFailed,
            Code::UnknownTopicOrPartition,
            Code::InvalidTimestamp,
            Code::PolicyViolation,
            Code::Unknown,
            Code::InvalidMessage,
        ] {
            assert_eq!(sorted(code).action, Action::Wait, "{code:?}");
        }
    }

    #[test]
    fn every_reason_is_in_the_closed_list_once() {
        let named = WAITS.iter().chain(ENDS).map(|(reason, _)| *reason);
        let mut reasons: Vec<&str> =
            named.chain(ASIDE.iter().map(|(reason, ..)| *reason)).chain([UNPROVEN.reason, OTHER, SETTINGS]).collect();
        let mut listed = REASONS.to_vec();
        reasons.sort_unstable();
        listed.sort_unstable();
        assert_eq!(reasons, listed);
    }
}
