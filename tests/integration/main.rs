//! The real binary, as a user runs it.

mod cli;
mod dev;
