//! What a process has used: processor time and memory, as the kernel counts them.
//!
//! In: a process id. Out: figures. The processor time is that of the whole process, ended threads included, in ticks of
//! 10 ms: a round has to last for a hundred of them. Never happens: a figure of a process that is gone.

use std::fs;
use std::time::Duration;

use support::process::status_bytes;

/// User and system time so far.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_else(|error| panic!("process {pid}: {error}"));
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("ticks are numbers")).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory, bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:").expect("the process runs")
}

/// The most resident memory since the start or [`reset_peak`], bytes.
pub fn peak_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:").expect("the process runs")
}

/// The peak begins again at what is resident now.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a child's peak can be reset");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_processor_time_grows_and_memory_is_there() {
        let before = cpu(std::process::id());
        let mut sum = 0_u64;
        while cpu(std::process::id()) < before + Duration::from_millis(30) {
            sum = sum.wrapping_add((0..1000).sum::<u64>());
        }
        assert!(sum > 0 && resident_bytes(std::process::id()) > 1 << 20);
    }
}
