//! What the process may take from the machine: open files, as many as it is allowed; core dumps, none.
//!
//! In: the connections that the intake may hold. Out: the soft limit of open files raised as far as the hard one allows, as
//! shells and service managers hand down 1,024; a process whose memory, which holds transcripts and keys, no crash writes to
//! a disk. Never happens: a limit of open files lowered; a start refused for it, as fewer senders may come than the settings
//! allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside the connections that the intake holds: those that the kernel hands over in one burst before the
/// intake has looked at them, segments, Kafka's sockets, scrapes.
const BESIDE: u64 = 1_024 + 512;

/// No core file. A handler that the kernel pipes the memory to is told of the same limit; those of the distributions heed it.
pub fn forbid_core_dumps() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps cannot be turned off: a crash would write transcripts and keys to a disk");
    }
}

/// Raises the soft limit; says in the log where even the hard one is too low for `connections_max`.
pub fn make_room(connections_max: usize) {
    let limits = getrlimit(Resource::Nofile);
    if let Some(raised) = raised(limits)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let (needed, limit) = (connections_max as u64 + BESIDE, getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            cure = "raise the hard limit (LimitNOFILE, ulimit -Hn) or lower intake.connections_max",
            "fewer files may be open than the settings allow connections"
        );
    }
}

/// The limits with the soft one at the hard one; `None` where it is there already. An absent limit is an infinite one.
fn raised(limits: Rlimit) -> Option<Rlimit> {
    let is_there = limits.current.is_none() || limits.current == limits.maximum;
    (!is_there).then_some(Rlimit { current: limits.maximum, maximum: limits.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one_and_is_never_lowered() {
        let limits = |current, maximum| Rlimit { current, maximum };
        let soft = |current, maximum| raised(limits(current, maximum)).map(|raised| (raised.current, raised.maximum));
        assert_eq!(soft(Some(1_024), Some(4_096)), Some((Some(4_096), Some(4_096))));
        assert_eq!(soft(Some(1_024), None), Some((None, None)));
        assert_eq!(soft(Some(4_096), Some(4_096)), None);
        assert_eq!(soft(None, None), None);
    }
}
