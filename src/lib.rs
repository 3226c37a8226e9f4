//! # retell-bridge
//!
//! Takes Retell AI webhooks over HTTP, proves who sent them, keeps them on disk, answers at once, and then puts every
//! event, byte for byte, on a Kafka topic for its type, keyed by the call.
//!
//! The promise: **an event that was answered with 2xx reaches Kafka, byte for byte, as long as its disk survives.**
//!
//! The way of one event, which is also the order of the modules:
//!
//! ```text
//! HTTP ─▶ intake ─▶ signature ─▶ event ─▶ journal (sync) ─▶ 204
//!                                            │
//!                                            ▼
//!                       Kafka ◀─ kafka ◀─ publisher ─▶ checkpoint
//! ```
//!
//! `schema` says what is in an event; the publisher shows it a sample of what passes.
//!
//! A module uses only those above it (`tests/tidy.rs` holds this): `intake` and `publisher` never meet but in the
//! journal. `ARCHITECTURE.md` has the invariants and what is absent on purpose.

// Ground: used by all, uses none.
pub mod sync;

pub mod planted;

pub mod metrics;

pub mod health;

pub mod limits;

pub mod priority;

pub mod reload;

// The river, in flow order.
pub mod signature;

pub mod event;

pub mod schema;

pub mod journal;

pub mod intake;

pub mod publisher;

pub mod kafka;

// Assembly: knows everyone.
pub mod letters;

pub mod admin;

pub mod config;

pub mod service;

pub mod cli;
