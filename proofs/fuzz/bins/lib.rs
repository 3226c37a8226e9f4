//! The targets as `proofs` has them, in a crate of its own so that nothing else of the proofs is built for the fuzzer.

#[path = "../../src/fuzz/targets/mod.rs"]
pub mod targets;
