//! `retell-bridge serve`.

use std::process::ExitCode;

use super::logging;
use super::settings::Settings;
use crate::service;

/// Run the bridge until it is told to stop.
#[derive(clap::Args)]
#[command(after_help = "\
Settings come from files, then RETELL_BRIDGE_… variables, then --set; `config show` says what counts.

Examples:
  RETELL_API_KEY=key_… retell-bridge serve
  retell-bridge serve --config /etc/retell-bridge/config.yaml --set log.level=debug")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = args.settings.load()?;
    logging::start(&loaded.config.log);
    service::run(loaded.config)?;
    Ok(ExitCode::SUCCESS)
}
