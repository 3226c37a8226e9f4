//! The whole `retell-bridge`, with the bug that the variable PLANTED_BUG names.

use std::process::ExitCode;

use retell_bridge::cli;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => cli::run(&cli).unwrap_or_else(|error| cli::report(&error)),
        Err(code) => code,
    }
}
