//! The command `proofs`: which proofs, how much of each, one line for each.
//!
//! Exit codes: 0 nothing found; 1 a proof found something, or could not be run here; 2 wrong usage.

use std::io::Write as _;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::{Effort, Order, PROOFS, Proof, Seeds, published};

/// Tries to make the promise false: an event answered with 2xx reaches Kafka, byte for byte, as long as its disk survives.
#[derive(Parser)]
#[command(name = "proofs", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Name the proofs and what each claims.
    List,
    /// Run proofs at the size that each commit gets; all of them where none is named.
    Run {
        /// Names, as `list` tells them.
        #[arg(value_parser = proof_names())]
        names: Vec<String>,
        /// First seed; with --only the one case to repeat.
        #[arg(long)]
        seed: Option<u64>,
        /// Repeat one case; where it fails, it is told step by step.
        #[arg(long, requires = "seed")]
        only: bool,
    },
    /// Run those that are part of the README's test command.
    Test,
    /// Run proofs for a given time, shared out evenly, and add their figures to docs/proofs.
    Long {
        /// Names, as `list` tells them; all where none is named.
        #[arg(value_parser = proof_names())]
        names: Vec<String>,
        /// For how long in all, such as `90m` or `8h`.
        #[arg(long = "for", value_parser = humantime::parse_duration)]
        time: Duration,
        /// First seed. Where none is given, one that no earlier run has used.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Write the tables of docs/proofs.md anew from the figures beside it.
    Table,
}

fn proof_names() -> clap::builder::PossibleValuesParser {
    PROOFS.iter().map(|proof| proof.name).into()
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let all_kept = match cli.what {
        What::List => {
            PROOFS.iter().for_each(|proof| say(&format!("{:<12} {}", proof.name, proof.claim)));
            true
        }
        What::Run { names, seed, only } => {
            if let Some(wrong) = seed.and_then(|_| misuse_of_seed(&names, only)) {
                Cli::command().error(ErrorKind::ArgumentConflict, wrong).exit();
            }
            run(&chosen(&names), |_| Order { effort: Effort::Commit, seed, only }, |_, _, _, _| Ok(()))
        }
        What::Test => {
            let proofs: Vec<&Proof> = PROOFS.iter().filter(|proof| proof.is_in_test_command).collect();
            run(&proofs, |_| Order::COMMIT, |_, _, _, _| Ok(()))
        }
        What::Long { names, time, seed } => {
            let proofs = chosen(&names);
            let share = time / proofs.len() as u32;
            let seeds = seed.unwrap_or_else(published::fresh_seed);
            let order = |_: &Proof| Order { effort: Effort::For(share), seed: Some(seeds), only: false };
            // What ran to its end is on the page, whatever became of the others.
            let all_kept = run(&proofs, order, published::add);
            told(published::write_tables()) && all_kept
        }
        What::Table => told(published::write_tables()),
    };
    if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(names: &[String]) -> Vec<&'static Proof> {
    PROOFS.iter().filter(|proof| names.is_empty() || names.iter().any(|name| name == proof.name)).collect()
}

/// Why a seed, or one case, cannot be asked of these proofs.
fn misuse_of_seed(names: &[String], only: bool) -> Option<String> {
    let proofs = chosen(names);
    if names.is_empty() || only && proofs.len() > 1 {
        return Some("a seed belongs to one proof: name it".to_owned());
    }
    let is_wrong = |proof: &&&Proof| proof.seeds == Seeds::None || only && proof.seeds != Seeds::Case;
    proofs.iter().find(is_wrong).map(|proof| match proof.seeds {
        Seeds::None => format!("{} has no seeds: it always does the same", proof.name),
        _ => format!("no seed names one case of {}: a failure tells the file that repeats it", proof.name),
    })
}

/// A panic is a story like another, and the other proofs still have their turn.
fn guarded(proof: &Proof, order: &Order) -> Result<crate::Figure, String> {
    catch_unwind(|| (proof.run)(order)).unwrap_or_else(|_| Err("it panics, as told above".to_owned()))
}

/// One line for each proof, then the plain count. Whether nothing was found.
fn run(
    proofs: &[&Proof],
    order: impl Fn(&Proof) -> Order,
    after: impl Fn(&Proof, &crate::Figure, &Order, Duration) -> Result<(), String>,
) -> bool {
    let mut failed = 0;
    for proof in proofs {
        let (order, began) = (order(proof), Instant::now());
        match guarded(proof, &order).and_then(|figure| after(proof, &figure, &order, began.elapsed()).map(|()| figure))
        {
            Ok(figure) => say(&format!("{:<12} {figure} in {:.0} s", proof.name, began.elapsed().as_secs_f64())),
            Err(story) => {
                failed += 1;
                say(&format!("{:<12} FAILED: {story}", proof.name));
            }
        }
    }
    say(&format!("{} passed, {failed} failed", proofs.len() - failed));
    failed == 0
}

fn told(outcome: Result<(), String>) -> bool {
    if let Err(error) = &outcome {
        say(&format!("proofs: {error}"));
    }
    outcome.is_ok()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may have left; the exit code still says it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_taken_by_one_proof_that_has_seeds() {
        let misuse = |names: &[&str], only: bool| {
            misuse_of_seed(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), only)
        };
        assert_eq!([misuse(&["power"], true), misuse(&["power", "fuzz"], false)], [None, None]);
        assert!(misuse(&[], false).is_some_and(|wrong| wrong.contains("name it")));
        assert!(misuse(&["power", "kills"], true).is_some_and(|wrong| wrong.contains("name it")));
        assert!(misuse(&["judge"], false).is_some_and(|wrong| wrong.contains("judge has no seeds")));
        assert!(misuse(&["fuzz"], true).is_some_and(|wrong| wrong.contains("one case of fuzz")));
    }
}
