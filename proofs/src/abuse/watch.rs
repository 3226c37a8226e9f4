//! Watches the process from outside: memory and descriptors from /proc, and whether `/livez` answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::bridge::Bridge;
use support::process::status_bytes;

const EVERY: Duration = Duration::from_millis(100);
/// `/livez` is asked at each so many looks.
const LIVEZ_EVERY: u64 = 5;
/// A probe of Kubernetes waits a second; the machine may be busy with ten thousand sockets of ours.
const LIVEZ_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub descriptors_high: u64,
    pub livez_answers: u64,
    pub livez_worst: Duration,
    pub complaints: Vec<String>,
}

/// Looks until `is_over`.
pub(super) fn watch(bridge: &Bridge, is_over: &AtomicBool) -> Seen {
    let (mut seen, mut looks) = (Seen::default(), 0);
    while !is_over.load(Ordering::Acquire) {
        seen.descriptors_high = seen.descriptors_high.max(descriptors(bridge));
        if looks % LIVEZ_EVERY == 0 {
            let began = Instant::now();
            let status = bridge.ask("/livez").map(|answer| answer.status);
            let took = began.elapsed();
            seen.livez_worst = seen.livez_worst.max(took);
            match status {
                Ok(200) if took < LIVEZ_WITHIN => seen.livez_answers += 1,
                other => seen.complaints.push(format!("/livez: {other:?} after {} ms", took.as_millis())),
            }
        }
        looks += 1;
        std::thread::sleep(EVERY);
    }
    seen
}

/// Open descriptors of the bridge.
pub(super) fn descriptors(bridge: &Bridge) -> u64 {
    let pid = bridge.pid().expect("the bridge runs while it is watched");
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64)
}

/// The most memory that the bridge has had, bytes.
pub(super) fn memory_high_bytes(bridge: &Bridge) -> u64 {
    let pid = bridge.pid().expect("the bridge runs while it is watched");
    status_bytes(pid, "VmHWM:").expect("the bridge runs while it is watched")
}

/// The memory that it has now, bytes; from now on this is the most it has had.
pub(super) fn forget_memory_high(bridge: &Bridge) -> Result<u64, String> {
    let pid = bridge.pid().expect("the bridge runs while it is watched");
    // proc(5): 5 sets the peak to the present.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5")
        .map_err(|error| format!("the peak of the bridge's memory cannot be reset: {error}"))?;
    Ok(memory_high_bytes(bridge))
}
