//! On what it was measured: processor, kernel, disk, commit, date.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::receiver::bridge_binary;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    /// File system and device of the journals.
    pub disk: String,
    /// Of Kafka, its clients and the peers.
    #[serde(default)]
    pub versions: String,
    /// As the measured bridge tells it.
    pub commit: String,
    pub date: String,
    /// Load average before the run: above a half, somebody else was at work.
    pub load_before: f64,
}

impl Machine {
    /// This one, now; journals lie in `folder`.
    pub fn here(folder: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| -> String {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        Machine {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            disk: disk(folder),
            versions: super::versions::all(),
            commit: commit(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[..10].to_owned(),
            load_before: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }

    /// Figures of both may stand in one table; one of another commit or day says so.
    pub fn is_like(&self, other: &Machine) -> bool {
        let same = |one: &Machine| (one.processor.clone(), one.cores, one.kernel.clone(), one.disk.clone());
        same(self) == same(other)
    }
}

/// `ext4 on /dev/vda`, of the mount that holds the folder.
fn disk(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let holds = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (device, point, kind) = (fields.first()?, fields.get(1)?, fields.get(2)?);
        folder.starts_with(point).then(|| (point.len(), format!("{kind} on {device}")))
    });
    holds.max_by_key(|(length, _)| *length).map(|(_, text)| text).unwrap_or_default()
}

/// What the measured binary says of itself, with a mark where the tree holds anything else.
fn commit() -> String {
    let output = Command::new(bridge_binary()).args(["version", "--json"]).output();
    let told = output.ok().and_then(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).ok());
    let built = told.and_then(|told| Some(told["commit"].as_str()?.to_owned())).unwrap_or_else(|| "unknown".to_owned());
    let arguments = ["diff", "--quiet", built.as_str(), "--", ":/src", ":/benches", ":/Cargo.toml", ":/Cargo.lock"];
    let git = Command::new("git").args(arguments).current_dir(support::tools::root()).status();
    if git.is_ok_and(|status| status.success()) { built } else { format!("{built} and changes") }
}
