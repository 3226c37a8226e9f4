//! Hostile senders beside honest ones, at the real process.
//!
//! In: a seed. Out: how many hostile requests and connections were tried, and what the honest senders felt of them. Never
//! happens: an honest event without its 2xx inside Retell's own rules; a 2xx whose bytes do not lie in the journal at
//! the end; a record that nobody signed, or that hid inside another request; memory or descriptors beyond what the
//! settings say; a `/livez` that does not answer.
//!
//! A round is one bridge with its Kafka out of reach (which gates no answer, and frees nothing, so the journal holds
//! all at the end): a quiet stretch, then one stretch for each kind of abuse.

mod honest;
mod hostile;
mod ledger;
mod limits;
mod round;
mod watch;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::{Figure, Order};

use round::Outcome;

/// The first seed of a run where none is given; later rounds take the next ones.
const FIRST_SEED: u64 = 1;
const ROUNDS_PER_COMMIT: u64 = 1;

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    limits::raise_descriptors()?;
    let (began, first) = (Instant::now(), order.seed.unwrap_or(FIRST_SEED));
    let mut total = Outcome::default();
    let mut rounds = 0;
    while if order.only { rounds == 0 } else { order.goes_on(began, rounds, ROUNDS_PER_COMMIT) } {
        let seed = first + rounds;
        // The bridge's own sweep, and whatever it does not answer in time, panic.
        let ran = catch_unwind(AssertUnwindSafe(|| round::run(seed, order.only)));
        let told = ran.unwrap_or_else(|panic| Err(words(panic.as_ref())));
        total.add(told.map_err(|wrong| {
            format!("seed {seed}: {wrong}\nrepeat it with {}", crate::figure::repeat("abuse", seed))
        })?);
        rounds += 1;
    }
    let more = format!(
        "{} honest events and {} signed odd or large ones kept; honest p50/p99 in ms: {}; VmHWM {} MiB, {} descriptors, /livez {} times, {} ms at worst",
        crate::figure::grouped(total.honest_events),
        crate::figure::grouped(total.kept_records - total.honest_events),
        total.told_latencies(),
        total.memory_high_bytes >> 20,
        total.descriptors_high,
        total.livez_answers,
        total.livez_worst.as_millis(),
    );
    Ok(Figure {
        count: total.hostile_tries,
        unit: "hostile requests and connections",
        none: "honest events lost",
        more,
    })
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_string()
}

/// The value that `percent` of all are not above; zero where there are none.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 50), Duration::from_millis(100));
        assert_eq!(percentile(&values, 99), Duration::from_millis(198));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
