//! Commands that have their name already and whose work is left to a later release: each is refused with one line that
//! says what to do until then.

use std::ffi::OsString;
use std::process::ExitCode;

use super::Usage;

/// Whatever comes behind the name is not looked at.
#[derive(clap::Args)]
pub struct Rest {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Put retained events on their topics again. Not in this release.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  retell-bridge replay --dry-run")]
pub struct Replay {
    #[command(flatten)]
    rest: Rest,
}

/// Refuses `replay`.
pub fn replay() -> anyhow::Result<ExitCode> {
    refuse("replay", "until then consumers read their topics again from an earlier offset")
}

/// Refuses `config check --online`.
pub fn check_online() -> anyhow::Result<ExitCode> {
    refuse("config check --online", "until then `topics plan` shows whether Kafka answers and what its topics lack")
}

/// Refuses `topics plan --format`.
pub fn plan_format() -> anyhow::Result<ExitCode> {
    refuse("topics plan --format", "leave --format out for the text")
}

fn refuse(command: &str, instead: &str) -> anyhow::Result<ExitCode> {
    Err(Usage(format!("`{command}` comes in a later release; {instead}")).into())
}
