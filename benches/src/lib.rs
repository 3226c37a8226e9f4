//! # What an event costs, and how fast it is answered
//!
//! Absolute figures wander with the machine. So every figure here is a ratio within one round: the bridge beside a floor
//! (what no receiver can be cheaper than) or a peer (what people would use instead), in turns, several rounds, the median.
//! And a fast run that lost something is no run: after each round every topic is read to its end and compared with what was
//! answered.
//!
//! From the ground up:
//!
//! - [`random`], [`bodies`]: events in Retell's shape, signed up to their last bytes
//! - [`load`]: the load generator; [`usage`]: what a process has used
//! - [`stage`]: Apache Kafka and fresh topics; [`arrived`]: what arrived, against what was answered
//! - [`peers`], [`receiver`]: who receives; [`round`]: one receiver under one load
//! - [`floors`]: each part by itself
//! - [`figures`]: goals and verdicts; [`rows`]: the rows of the table, each with its rounds
//! - [`report`]: the page, the plots, the results; [`flame`]: where the processor time goes
//! - [`command`]: the command line

pub mod random;

pub mod bodies;

pub mod load;

pub mod usage;

pub mod stage;

pub mod arrived;

pub mod peers;

pub mod receiver;

pub mod round;

pub mod floors;

pub mod figures;

pub mod rows;

pub mod report;

pub mod flame;

pub mod command;
