//! The end that a person or the system asks for, of commands that run for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::service::Signals;

/// True from the first signal on.
pub fn at_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let is_ending = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&is_ending);
    // Not joined: it ends with the process.
    std::thread::spawn(move || {
        runtime.block_on(signals.next());
        ending.store(true, Ordering::Release);
    });
    Ok(is_ending)
}
