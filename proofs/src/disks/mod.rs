//! Disks that are full, slow or failing, under the real process.
//!
//! ```text
//! runner ─▶ trouble (a case's kind and parameters) ─▶ full | slow | failing
//!                                                        │
//!                volume (ext4 on a loop device, tmpfs), crowd (senders), and syscalls' stage, life and strace
//! ```
//!
//! What holds: a full disk is answered 503 with Retry-After, published on, and taken up again without a restart, also
//! behind a restart on the full disk; a slow one is answered before Retell's 10 s, in bounded memory, and what comes late
//! is found as a duplicate by its retry; a failing sync is answered 503 to all that wait, and the process ends with 1.
//! At the end of each case ledger and topics are compared, and the journal is verified.
//! `proofs run disks --only --seed N` tells case N.

mod crowd;
mod failing;
mod full;
mod runner;
mod slow;
mod trouble;
mod volume;

pub use runner::prove;
