//! The whole-pipeline simulation: intake behind HTTP, duplicates, journal, lanes, publisher and checkpoint together, on a
//! simulated disk, over a scripted Kafka, in virtual time, in one thread.
//!
//! ```text
//! runner ─▶ scene, steps ─▶ senders ─▶ bridge (the real parts, stepped) ─▶ kafka (scripted)
//!                                        │ stage (a sync with others at work meanwhile) ─▶ simulated disk
//!                                        └────────────▶ judge ◀── marks (what lies on the disk)
//! ```
//!
//! What befalls it: outages, a topic that is missing for a day, silent topics, topics that are forbidden or that take no
//! record, time-outs with and without the record written, receipts out of order between partitions, a full queue, records
//! too large or invalid alone or in a batch, fatal errors, producers that cannot be made; failing syncs and writes, a full
//! disk, a disk that takes seconds; power cuts at any change, kills, clean stops, and settings that differ afterwards; clocks
//! that are set; senders that leave, send twice at once, send again. Then all is healed, and everything must drain within a
//! bound of virtual time.
//!
//! A scene is fixed by its seed: `proofs run pipeline --only --seed N` tells it step by step.

mod bridge;
mod clock;
mod judge;
mod kafka;
mod marks;
mod runner;
mod scene;
mod senders;
mod settings;
mod stage;
mod steps;

pub use runner::prove;
