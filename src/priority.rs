//! Which threads let others go first: a sender is to be answered within ten seconds, while what is kept may reach Kafka
//! a moment later.
//!
//! In: nothing. Out: the calling thread at a lower priority than the process has (its nice value, which on Linux is each
//! thread's own), and so every thread that it starts. Where processors are idle this changes nothing. Never happens: a start
//! or a delivery that fails because the priority stays as it was; a thread that gives way twice.

use std::panic::resume_unwind;
use std::{io, thread};

use rustix::process::{getpid, getpriority_process, setpriority_process};

/// Of Linux's 20 steps. The scheduler gives such a thread a quarter of what it gives one of the intake where both want the
/// whole core: enough that a backlog gets smaller under any load that the intake can be given.
const STEPS: i32 = 5;
/// Lower than this there is none.
const LOWEST: i32 = 19;

/// The calling thread lets those of the usual priority go first, from now on: there is no way back.
pub fn give_way() {
    // The process's own is that of its first thread, which never gives way.
    let lowered =
        getpriority_process(Some(getpid())).and_then(|usual| setpriority_process(None, (usual + STEPS).min(LOWEST)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "a thread of the publisher keeps its priority");
    }
}

/// Runs `work` on a thread that gives way, so that the threads which it starts do, and waits for it. An error: the system
/// has no thread to give.
pub fn giving_way<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let lowered = || {
            give_way();
            work()
        };
        let running = thread::Builder::new().spawn_scoped(scope, lowered)?;
        Ok(running.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        getpriority_process(None).expect("one's own priority can be read")
    }

    #[test]
    #[should_panic(expected = "made up")]
    fn a_panic_of_the_work_is_one_of_the_caller() {
        let _ = giving_way(|| panic!("made up"));
    }

    #[test]
    fn a_thread_that_gives_way_is_lower_and_so_is_what_it_starts_and_nothing_else_is() {
        let usual = own();
        let lowered = giving_way(|| {
            give_way();
            (own(), thread::spawn(own).join().expect("it ends"))
        })
        .expect("there are threads");
        let expected = (usual + STEPS).min(LOWEST);
        assert_eq!((lowered, own()), ((expected, expected), usual));
    }
}
