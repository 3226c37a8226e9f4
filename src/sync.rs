//! The locks, flags and threads of the journal and of the index of duplicates.
//!
//! In: nothing. Out: std's. With the feature `shuttle`, which only the proofs have, those of a checker that chooses each
//! schedule: the code that is checked is the code that ships. Never happens: a type of its own.

#[cfg(not(feature = "shuttle"))]
pub use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic},
    thread,
};

#[cfg(feature = "shuttle")]
pub use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic},
    thread,
};
