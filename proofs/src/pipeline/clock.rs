//! Virtual time, shared by everything in one scene.
//!
//! In: how much passes, how far the wall clock is off. Out: both clocks. Never happens: the clock that never goes back
//! goes back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// 2026-01-01.
const START_MS: u64 = 1_767_225_600_000;

/// Clones share it.
#[derive(Clone, Default)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    mono: Duration,
    skew_ms: i64,
    jumps: u64,
}

impl Clock {
    /// Since the scene began; never goes back.
    pub fn mono(&self) -> Duration {
        self.state(|state| state.mono)
    }

    /// Unix milliseconds, as the bridge's machine believes.
    pub fn wall_ms(&self) -> u64 {
        self.state(|state| (START_MS + state.mono.as_millis() as u64).saturating_add_signed(state.skew_ms))
    }

    /// How often the wall clock was set so far.
    pub fn jumps(&self) -> u64 {
        self.state(|state| state.jumps)
    }

    pub fn pass(&self, time: Duration) {
        self.state(|state| state.mono += time);
    }

    /// Sets the wall clock off by so much, or right with 0.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.state(|state| {
            state.jumps += u64::from(state.skew_ms != skew_ms);
            state.skew_ms = skew_ms;
        });
    }

    fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.0.lock().expect("a scene is one thread"))
    }
}
