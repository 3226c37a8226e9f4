//! The hand-overs between threads under a checker (shuttle) that chooses every schedule: by chance, and by priorities
//! with few changes (PCT).
//!
//! ```text
//! prove ─▶ cargo: the binary `concurrency` (feature `shuttle`) ─▶ checker ─▶ appends, readers, equals
//!                                                                   memory: a disk that knows what is synced
//! ```
//!
//! What is checked is the journal's and the index's own code; its locks and threads come through `retell_bridge::sync`.
//! Waiting never times out under the checker, so that a lost wake-up is a deadlock, which it reports. A seed is one batch
//! of schedules of one scenario. Never happens: an answer before its sync, a waiter that is forgotten, a hang.

#[cfg(feature = "shuttle")]
mod appends;
#[cfg(feature = "shuttle")]
pub mod checker;
#[cfg(feature = "shuttle")]
mod equals;
#[cfg(feature = "shuttle")]
mod memory;
#[cfg(feature = "shuttle")]
mod readers;

use crate::{Effort, Figure, Order, rebuilt};

/// What stands before the count on the binary's closing line.
pub const CLOSING: &str = "schedules tried: ";

/// Builds and runs the binary that has the checker, and reads its closing line.
pub fn prove(order: &Order) -> Result<Figure, String> {
    let seconds = match order.effort {
        Effort::Commit => "commit".to_owned(),
        Effort::For(time) => time.as_secs().to_string(),
    };
    let seed = order.seed.unwrap_or(1).to_string();
    rebuilt::build("concurrency", "shuttle")?;
    let mut arguments = vec![seconds.as_str(), seed.as_str()];
    arguments.extend(order.only.then_some("only"));
    let output = rebuilt::run("concurrency", "shuttle", &arguments, &[])?;
    let told = String::from_utf8_lossy(&output.stdout);
    let count = told.lines().last().and_then(|line| line.strip_prefix(CLOSING)?.parse().ok());
    match count {
        Some(count) if output.status.success() => {
            Ok(Figure { count, unit: "schedules", none: "violations", more: String::new() })
        }
        _ => Err(format!("{told}\n{}", String::from_utf8_lossy(&output.stderr))),
    }
}
