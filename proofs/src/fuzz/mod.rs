//! Bytes that nobody wrote, in every place where bytes come in.
//!
//! ```text
//! mod ─▶ runner (cargo-fuzz, two targets at a time) ─▶ stats        targets ◀─ proofs/fuzz (the same, instrumented)
//! ```
//!
//! In: a time, a seed. Out: how many inputs each target has run, all of them judged. Never happens: a target that counts
//! although it ran next to nothing; a crash without the file that repeats it and the command that does.
//!
//! The targets are in `targets/`, a part of this crate, so that they are compiled and linted with it and its tests give
//! each its seeds and its regressions, on stable and without the fuzzer. `proofs/fuzz` is a project of its own for
//! cargo-fuzz, with one line for each target; nobody but this proof builds it.

mod runner;
mod stats;
pub mod targets;

pub use runner::prove;
