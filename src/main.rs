//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use retell_bridge::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::run(&cli).unwrap_or_else(|error| cli::report(&error))
}
