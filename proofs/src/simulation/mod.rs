//! The crash simulation: the real journal on a simulated disk, through crashes, failing syncs, full disks and rot.
//!
//! ```text
//! runner ─▶ scene, rot_walk ─▶ rig (the journal's parts, stepped) ─▶ disk ─▶ folder, inode
//!             └────▶ ledger (what was promised), rot, copies, told
//! ```
//!
//! A scene is fixed by its seed. `proofs run simulation --only --seed N` tells it with every call on the disk.

mod copies;
pub mod disk;
#[cfg(test)]
mod disk_test;
mod folder;
mod inode;
mod ledger;
#[cfg(test)]
mod regressions;
mod rig;
mod rot;
mod rot_walk;
mod runner;
mod scene;
mod told;

pub use runner::prove;
