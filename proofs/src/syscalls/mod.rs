//! Every system call: the real process killed, or its call failed, at the N-th call of each kind, for every N.
//!
//! ```text
//! runner ─▶ scene ─▶ stage (folder, settings, mock cluster, sender, judge) ─▶ life (the process)
//!             │        strace (who strikes), told (what a life says of itself)
//!             └──────▶ case (what is struck), verdict (whether it ended as it should)
//! ```
//!
//! A run without injection tells the cases: each call on each path of the journal, and each `write` elsewhere, with its
//! count. A case is then a whole story: lives before, the life that is struck, a life without trouble; at the end every
//! 2xx of all lives must be on the mock cluster's topics, byte for byte, nothing else, and the journal be sound.
//! `proofs run syscalls --only --seed N` tells case N.

pub mod case;
pub mod life;
pub mod mock;
mod runner;
mod scene;
pub mod stage;
pub mod strace;
pub mod told;
mod verdict;

pub use runner::prove;
