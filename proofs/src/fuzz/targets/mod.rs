//! What the fuzzer runs: one function for each place where bytes come in that nobody of us wrote.
//!
//! In: any bytes. Out: nothing. A target panics where a parser did, or where an answer is not what a second, plain reading
//! of the documents comes to. Never happens: a target that depends on anything but its bytes, so that a file repeats a
//! failure.
//!
//! Compiled twice: here on stable, with the tests that give each target its seeds and its regressions; and by
//! `proofs/fuzz`, instrumented, for the fuzzer.

pub mod checkpoint;
pub mod config;
pub mod envelope;
pub mod journal;
pub mod router;
pub mod signature;

mod format;
mod input;
mod json;
mod memory;
mod rig;

/// One target.
pub struct Target {
    /// As the fuzzer calls it.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Inputs to begin with, made by the code that writes what the target reads.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input, bytes.
    pub input_bytes_max: usize,
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target { name: "journal", run: journal::run, seeds: journal::seeds, input_bytes_max: 20 << 10 },
    Target { name: "checkpoint", run: checkpoint::run, seeds: checkpoint::seeds, input_bytes_max: 42 << 10 },
    Target { name: "signature", run: signature::run, seeds: signature::seeds, input_bytes_max: 1 << 10 },
    Target { name: "envelope", run: envelope::run, seeds: envelope::seeds, input_bytes_max: 4 << 10 },
    Target { name: "router", run: router::run, seeds: router::seeds, input_bytes_max: 4 << 10 },
    Target { name: "config", run: config::run, seeds: config::seeds, input_bytes_max: 4 << 10 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_takes_its_seeds_and_cut_or_turned_over_ones() {
        for target in &TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} has no seeds", target.name);
            for seed in seeds {
                assert!(seed.len() <= target.input_bytes_max, "{}: a seed of {} bytes", target.name, seed.len());
                (target.run)(&seed);
                (target.run)(&seed[..seed.len() / 2]);
                let turned: Vec<u8> = seed.iter().map(|byte| !byte).collect();
                (target.run)(&turned);
            }
            (target.run)(b"");
        }
    }
}
