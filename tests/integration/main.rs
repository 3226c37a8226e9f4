//! Tests that need nothing but the binary: one target, so that there is one link step. Tests that need a broker are in
//! `tests/kafka/`.

mod cli;
mod data;
mod dev;
mod drain;
mod find;
#[cfg(feature = "tls")]
mod https;
mod letters;
mod limits;
mod small_journal;
mod stop;
mod vectors;
