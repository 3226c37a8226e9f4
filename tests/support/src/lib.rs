//! What the tests need to stand outside the bridge and look at it, from the ground up:
//!
//! - [`process`]: child processes that never outlive the tests, and what they print
//! - [`tools`]: where the fetched tools lie, and the sentence that says how to get them
//! - [`http`], [`sign`], [`events`]: a request as Retell makes one, with code of its own (nothing here uses the crate)
//! - [`bridge`]: the real binary: settings, start, kill, stop, metrics; [`sweep`]: what it may never say
//! - [`sender`]: sends, retries, and keeps the [`ledger`] of what was promised
//! - [`kafka`], [`topics`], [`records`]: a real Apache Kafka, and two readers of what it holds; [`batches`]: what lies on its
//!   disks beside
//! - [`secure`]: the same with TLS, users and rights; [`certificates`]: what they need
//! - [`judge`]: ledger against records, quarantine and dead letters; metrics, memory and descriptors against the truth
//!
//! A crate of its own, because the tests of the bridge and the proofs share it.

pub mod process;
pub mod tools;

pub mod events;
pub mod http;
pub mod sign;

pub mod bridge;
pub mod settings;
pub mod sweep;

pub mod ledger;
pub mod sender;

pub mod batches;
pub mod certificates;
pub mod kafka;
pub mod records;
pub mod secure;
pub mod topics;

pub mod judge;
