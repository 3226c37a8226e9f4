//! The crash simulation: the real journal on a simulated disk.

mod disk;
#[cfg(test)]
mod disk_test;
mod folder;
mod inode;
mod random;
