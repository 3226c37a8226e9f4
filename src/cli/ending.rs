//! The end that a person or the system asks for, of commands that run for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::service::Signals;

/// Ended by a second signal: what a shell says of Ctrl-C.
const EXIT_AT_ONCE: i32 = 130;

/// True from the first signal on; a second one ends the process where it stands.
pub fn at_signal() -> anyhow::Result<Arc<AtomicBool>> {
    at_signal_told(|| {})
}

/// The same; `tell` runs at the first signal, for commands that have something at hand to finish.
pub fn at_signal_told(tell: impl FnOnce() + Send + 'static) -> anyhow::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let is_ending = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&is_ending);
    // Not joined: it ends with the process.
    std::thread::spawn(move || {
        runtime.block_on(signals.next());
        ending.store(true, Ordering::Release);
        tell();
        runtime.block_on(signals.next());
        std::process::exit(EXIT_AT_ONCE);
    });
    Ok(is_ending)
}
