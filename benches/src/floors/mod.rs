//! What no receiver can be cheaper than: each part of an event's way by itself, in the same rounds.
//!
//! | part | how |
//! | --- | --- |
//! | [`http`] | actix-web reads the body and answers 204, with and without the HMAC |
//! | [`parts`] | the bridge's own functions in a loop: signature, envelope, headers |
//! | [`journal`] | the bridge's journal alone: append, sync, read back |
//! | [`kafka`] | librdkafka alone, the same records and settings |
//! | [`disk`] | one write and its fdatasync in a zero-filled file |
//!
//! The first, third and fourth run in processes of their own (`bench floor …`), so that all their threads count.

pub mod disk;
pub mod http;
pub mod journal;
pub mod kafka;
pub mod parts;

use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::bodies::{Library, Size};

/// At least so many bodies, and so many bytes of them: spread over the partitions, none comes again within a compressor's
/// window, as with the load generator.
const FINISHED: u64 = 256;
const FINISHED_BYTES: f64 = 2_500_000.0;

/// A body that was whole before the clock started: to take it again is to count a reference.
pub struct Finished {
    /// Index into [`crate::bodies::KINDS`].
    pub kind: usize,
    pub key: String,
    pub body: Bytes,
}

/// Bodies for a floor to take in turn: what the load generator does is no part of an event's way.
pub fn finished(size: Size) -> Vec<Finished> {
    let library = Library::new("key_made_up");
    let one = |number| {
        let template = library.of(size, number);
        Finished { kind: template.kind, key: template.key.clone(), body: template.body(number).into() }
    };
    let count = FINISHED.max((FINISHED_BYTES / library.mean_bytes(size)) as u64);
    (0..count).map(one).collect()
}

/// What a floor in a process of its own tells of itself, as one line of JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Told {
    pub events: u64,
    pub cpu_us: f64,
    /// Those that `seconds` are about.
    pub timed_events: u64,
    pub seconds: f64,
}

impl Told {
    pub fn cpu_us_per_event(&self) -> f64 {
        self.cpu_us / self.events as f64
    }

    pub fn events_per_second(&self) -> f64 {
        self.timed_events as f64 / self.seconds
    }
}

/// Runs `bench floor …` and takes its word.
pub fn ask(arguments: &[&str]) -> Result<Told, String> {
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.arg("floor").args(arguments).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).map_err(|error| format!("floor {arguments:?}: {error}: {text}"))
}

/// Processor time of this process, all threads.
pub fn own_cpu() -> Duration {
    of(ClockId::ProcessCPUTime)
}

/// Processor time of this thread.
pub fn own_thread_cpu() -> Duration {
    of(ClockId::ThreadCPUTime)
}

fn of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
