//! The command line (draft until the skeleton lands).

pub mod samples;
pub mod send;
