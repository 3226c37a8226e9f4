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

use std::time::Duration;

use crate::rebuilt::{self, Rebuilt};
use crate::{Effort, Figure, Order};

const CHECKER: Rebuilt = Rebuilt { bin: "concurrency", feature: "shuttle" };
/// Beyond what it was asked for, a run is given this long: a checker that hangs is a finding.
const PATIENCE: Duration = Duration::from_secs(600);

/// What stands before the count on the binary's closing line.
pub const CLOSING: &str = "schedules tried: ";

/// Builds and runs the binary that has the checker, and reads its closing line.
pub fn prove(order: &Order) -> Result<Figure, String> {
    let seconds = match order.effort {
        Effort::Commit => "commit".to_owned(),
        Effort::For(time) => time.as_secs().to_string(),
    };
    let seed = order.seed.unwrap_or(1).to_string();
    let program = CHECKER.build()?;
    let mut arguments = vec![seconds, seed];
    arguments.extend(order.only.then(|| "only".to_owned()));
    let asked = match order.effort {
        Effort::Commit => Duration::ZERO,
        Effort::For(time) => time,
    };
    let ended = rebuilt::run(&program, &arguments, &[], asked + PATIENCE)?;
    let count = ended.text.lines().find_map(|line| line.strip_prefix(CLOSING)?.parse().ok());
    match count {
        Some(count) if ended.status.success() => {
            Ok(Figure { count, unit: "schedules", none: "violations", more: String::new() })
        }
        _ => Err(ended.text),
    }
}
