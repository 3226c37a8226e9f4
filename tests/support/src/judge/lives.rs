//! What a bridge says of itself, and what it uses, against what is known from outside.
//!
//! In: a life's last scrape with what the senders were answered and what the topics gained meanwhile; samples of memory
//! and descriptors. Out: what does not agree. Never happens: a killed life judged by equality, since what it counted
//! after its last scrape died with it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::Report;
use crate::bridge::Metrics;
use crate::process::status_bytes;

/// Reasons that are answered 503.
const UNAVAILABLE: [&str; 4] = ["late", "no_room", "stopping", "journal"];

/// One life of a bridge, from outside.
pub struct Life {
    /// The last scrape.
    pub metrics: Metrics,
    pub was_killed: bool,
    /// Requests of this life that were answered 2xx, 503, and with another status that refuses.
    pub answered_2xx: u64,
    pub answered_503: u64,
    pub answered_else: u64,
    /// Requests of this life that got no answer: any of them may have been counted.
    pub unanswered: u64,
    /// Records that its topics gained during this life.
    pub gained: u64,
}

impl Life {
    /// Adds what does not agree to the report.
    pub fn judge(&self, report: &mut Report) {
        let total = |name: &str, labels: &[&str]| self.metrics.get(name, labels) as u64;
        let kept = total("events_received_total", &[]) + total("events_duplicate_total", &[]);
        let published = total("events_published_total", &[]);
        let refused = total("events_refused_total", &[]);
        let refused_503 =
            UNAVAILABLE.iter().map(|reason| total("events_refused_total", &[&format!("reason=\"{reason}\"")])).sum();
        let most = self.unanswered;
        self.compare(report, "received and duplicate against 2xx", kept, self.answered_2xx, most);
        self.compare(report, "published against the records gained", published, self.gained, 0);
        self.compare(report, "refused against 503", refused_503, self.answered_503, most);
        self.compare(report, "refused against other statuses", refused - refused_503, self.answered_else, most);
        if !self.was_killed {
            for name in ["journal_backlog_events", "journal_oldest_unpublished_seconds"] {
                let left = self.metrics.get(name, &[]);
                if left != 0.0 {
                    report.add_line("metrics", format!("{name} is {left} when nothing waits"));
                }
            }
        }
    }

    fn compare(&self, report: &mut Report, what: &str, told: u64, truth: u64, slack: u64) {
        // A killed life counted more after its last scrape; it can never have counted what did not happen.
        if told > truth + slack || (!self.was_killed && told < truth) {
            report.add_line("metrics", format!("{what}: {told} told, {truth} true ({slack} in doubt)"));
        }
    }
}

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
