//! Power cuts on real file systems: the journal, with its threads, on ext4 and XFS that are shut down under it.
//!
//! ```text
//! prove ─▶ scene (one volume, several cuts) ─▶ volume (image, loop device, mount, the cut)
//!             ├────▶ load (appenders, a publisher) ─▶ journal
//!             └────▶ ledger (what was promised)
//! ```
//!
//! In: an order. Out: how many cuts were made and judged by the recovery behind them, or what was lost. A cut is the
//! shutdown ioctl of the file system (with and without a flush of its log): at a random moment under load, at an answer, at
//! the last answer of all, in a clean stop, in the recovery from the cut before. Never happens: a loop device, a mount or
//! an image that outlives the proof; a loop device touched that the proof did not make.
//!
//! What this does not show: the ioctl stops the file system, not the device. What had reached the device stays, whole and
//! in order, so no sector is torn inside it, none of its cache is lost, and a disk that lies about flushes is not found
//! out (torn and lost sectors are [`crate::simulation`]'s). The moment of a cut is the machine's: a seed fixes the plan of
//! a scene, its sizes and its cuts, but not the schedule of the threads, so a failure may need several tries to repeat.

mod ledger;
mod load;
mod scene;
mod volume;

use std::time::Instant;

use crate::{Figure, Order};
use scene::{CUTS, Outcome};
use volume::FileSystem;

/// Cuts with each commit on each file system.
const CUTS_PER_COMMIT: u64 = 40;
const FIRST_SEED: u64 = 1;
/// How often a seed is tried where it is to be repeated: the schedule is not the seed's.
const REPEATS: u64 = 20;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    volume::check_machine()?;
    let (first, began) = (order.seed.unwrap_or(FIRST_SEED), Instant::now());
    if order.only {
        let mut total = Outcome::default();
        for _ in 0..REPEATS {
            total.add(&run(first, true)?);
        }
        return Ok(figure(&[(of_seed(first), total)]));
    }
    let mut totals = FileSystem::BOTH.map(|file_system| (file_system, Outcome::default()));
    let mut seed = first;
    let fewest = |totals: &[(FileSystem, Outcome)]| totals.iter().map(|(_, total)| total.cuts).min().unwrap_or(0);
    while order.goes_on(began, fewest(&totals), CUTS_PER_COMMIT) {
        let outcome = run(seed, false)?;
        let own = totals.iter_mut().find(|(file_system, _)| *file_system == of_seed(seed));
        own.expect("both are there").1.add(&outcome);
        seed += 1;
    }
    Ok(figure(&totals))
}

/// They take turns.
fn of_seed(seed: u64) -> FileSystem {
    FileSystem::BOTH[(seed % 2) as usize]
}

fn run(seed: u64, is_told: bool) -> Result<Outcome, String> {
    scene::run(seed, of_seed(seed), is_told).map_err(|story| {
        let command = crate::figure::repeat("power", seed);
        format!(
            "{story}\nseed {seed}: repeat it with {command} (as root; the schedule of the threads is not the seed's)"
        )
    })
}

fn figure(totals: &[(FileSystem, Outcome)]) -> Figure {
    let mut all = Outcome::default();
    let mut each = Vec::new();
    for (file_system, total) in totals {
        all.add(total);
        each.push(format!("{} on {}", total.cuts, file_system.name()));
    }
    let more = format!(
        "{}; {} in a recovery, {} in a clean stop; {} records acknowledged, {} refused for room, {} starts asked for room; {CUTS} cuts a volume",
        each.join(", "),
        all.in_recovery,
        all.in_close,
        all.acknowledged,
        all.refused,
        all.without_room
    );
    Figure { count: all.cuts, unit: "power cuts", none: "lost", more }
}
