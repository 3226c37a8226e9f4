//! The crash simulation: the real journal on a simulated disk, through crashes, failing syncs, full disks and rot.
//!
//! ```text
//! runner ─▶ scene ─▶ rig (the journal's parts, stepped) ─▶ disk ─▶ folder, inode
//!             └────▶ ledger (what was promised), rot
//! ```
//!
//! `RECOVERIES=n` how many, `SEED=n` one scene with every call on the disk.

mod disk;
mod disk_test;
mod folder;
mod inode;
mod ledger;
mod random;
mod regressions;
mod rig;
mod rot;
mod runner;
mod scene;
