//! Room for ten thousand sockets of the proof itself. The bridge has to see to its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Ten thousand slow connections, the other senders, and what a process holds anyway.
const DESCRIPTORS: u64 = 12_000;

/// Raises the soft limit; an error says what is missing and the cure.
pub(super) fn raise_descriptors() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= DESCRIPTORS) {
        return Ok(());
    }
    if let Some(most) = limit.maximum.filter(|most| *most < DESCRIPTORS) {
        return Err(format!(
            "10,000 slow connections need {DESCRIPTORS} file descriptors and the hard limit is {most}: \
             run it from a shell with `ulimit -Hn {DESCRIPTORS}` (as root), or set LimitNOFILE or nofile in limits.conf"
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: limit.maximum })
        .map_err(|error| format!("the limit of file descriptors cannot be raised to {DESCRIPTORS}: {error}"))
}
