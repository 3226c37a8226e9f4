//! Tests against a real Apache Kafka, from outside: the real binary, signed requests, records read back by Kafka's own
//! Java consumer and by librdkafka, and a judge that holds every 2xx for a debt.
//!
//! Not part of a plain `cargo test`. Run `tests/tools/fetch-kafka.sh`, `tests/tools/fetch-sdks.sh` and
//! `tests/tools/fetch.sh deploy` (for Prometheus), then `cargo test --test kafka -- --test-threads 4`. A missing tool fails the test that needs it; nothing is skipped.

// First in the alphabet on purpose: tests start in this order, and it waits for two minutes.
mod absent_topic;
mod arrival;
mod broker_away;
mod dead_letters;
mod drain;
mod duplicates;
mod harness;
mod killed;
mod letters;
mod look;
mod online;
mod oversized;
mod plan;
mod proof;
mod replay;
mod sdks;
mod secure;
mod silence;
mod unrecognized;
mod until_published;
mod upgraded;
mod watched;
