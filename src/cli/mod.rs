//! The command line (draft until the skeleton lands).

pub mod dev;
pub mod samples;
pub mod send;
