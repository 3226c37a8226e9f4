//! What a bridge uses, against bounds.
//!
//! In: samples of memory and descriptors. Out: the most that was seen, and what of it is above a bound.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::Report;
use crate::process::status_bytes;

/// The most that was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub memory_bytes: u64,
    pub descriptors: u64,
}

impl Usage {
    /// Adds what is above the bounds to the report.
    pub fn judge(&self, bounds: Usage, report: &mut Report) {
        if self.memory_bytes > bounds.memory_bytes {
            report.add_line("memory", format!("{} bytes, at most {}", self.memory_bytes, bounds.memory_bytes));
        }
        if self.descriptors > bounds.descriptors {
            report.add_line("descriptors", format!("{}, at most {}", self.descriptors, bounds.descriptors));
        }
    }

    /// What a process uses; `None` when it is gone.
    pub fn of(pid: u32) -> Option<Usage> {
        let memory_bytes = status_bytes(pid, "VmHWM:")?.max(status_bytes(pid, "VmRSS:")?);
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Usage { memory_bytes, descriptors })
    }

    fn most(self, other: Usage) -> Usage {
        Usage {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// Looks at a process ten times a second, until it is dropped.
pub struct Sampler {
    pid: Arc<AtomicU32>,
    most: Arc<Mutex<Usage>>,
    is_over: Arc<AtomicBool>,
}

impl Sampler {
    /// Begins to look as soon as a process is named.
    pub fn start() -> Sampler {
        let sampler = Sampler { pid: Arc::default(), most: Arc::default(), is_over: Arc::default() };
        let (pid, most, is_over) = (Arc::clone(&sampler.pid), Arc::clone(&sampler.most), Arc::clone(&sampler.is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if let Some(usage) = Some(pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0).and_then(Usage::of) {
                    let mut most = most.lock().expect("no holder panics");
                    *most = most.most(usage);
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        sampler
    }

    /// The process to look at from now on; `None` while there is none.
    pub fn look_at(&self, pid: Option<u32>) {
        self.pid.store(pid.unwrap_or(0), Ordering::Relaxed);
    }

    /// The most so far, over all processes.
    pub fn most(&self) -> Usage {
        *self.most.lock().expect("no holder panics")
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
