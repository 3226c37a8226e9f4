//! The last resort: a process that neither works nor ends is not started again, so it is ended where its own end takes
//! too long.
//!
//! In: how long the end may take. Out: nothing, or exit code 1. It has a thread of its own, which needs no runtime: that
//! may be what does not come to an end. Never happens: an acknowledged event lost by it, as that was synced before its
//! answer; an end while the parts still keep to their own deadlines.

use std::sync::mpsc;
use std::time::Duration;

/// How long the last words may take: who reads them may be what everything waits for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Armed until it is dropped.
pub struct LastResort {
    /// Dropping it is the word to let the process be.
    _armed: mpsc::Sender<()>,
}

impl LastResort {
    /// Ends the process `within` from now. Where no thread can be had it does not: then the end has only itself.
    pub fn arm(within: Duration) -> LastResort {
        let (armed, over) = mpsc::channel::<()>();
        let wait = move || {
            if over.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (words, spoken) = mpsc::channel::<()>();
                let say = move || {
                    tracing::error!(
                        ?within,
                        "the end takes too long, ended at once; the next start publishes what is left"
                    );
                    drop(words);
                };
                let _ = std::thread::Builder::new().name("last-words".into()).spawn(say);
                let _ = spoken.recv_timeout(LAST_WORDS);
                // SAFETY: ends the process at once, without handlers, which may be what hangs.
                unsafe { libc::_exit(1) }
            }
        };
        let _ = std::thread::Builder::new().name("last-resort".into()).spawn(wait);
        LastResort { _armed: armed }
    }
}
