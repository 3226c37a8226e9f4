//! The checker of schedules: `concurrency <commit | seconds> <seed> [only]`. Run by `proofs run concurrency`.

use std::time::Duration;

use proofs::{Effort, Order, concurrency};

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.first().and_then(|text| text.parse().ok());
    let effort = seconds.map_or(Effort::Commit, |seconds| Effort::For(Duration::from_secs(seconds)));
    let seed = arguments.get(1).and_then(|text| text.parse().ok());
    let only = arguments.get(2).is_some_and(|text| text == "only");
    match concurrency::checker::check(&Order { effort, seed, only }) {
        Ok(count) => println!("{}{count}", concurrency::CLOSING),
        Err(story) => {
            println!("{story}");
            return std::process::ExitCode::FAILURE;
        }
    }
    std::process::ExitCode::SUCCESS
}
