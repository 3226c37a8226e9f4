//! Commands that have their name already and whose work is left to a later release: each is refused with one line that
//! says what to do until then.

use std::process::ExitCode;

use super::Usage;

/// Refuses `config check --online`.
pub fn check_online() -> anyhow::Result<ExitCode> {
    refuse("config check --online", "until then `topics plan` shows whether Kafka answers and what its topics lack")
}

fn refuse(command: &str, instead: &str) -> anyhow::Result<ExitCode> {
    Err(Usage(format!("`{command}` comes in a later release; {instead}")).into())
}
