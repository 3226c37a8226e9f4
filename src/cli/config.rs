//! `retell-bridge config check | show | schema`.

use std::process::ExitCode;

use super::settings::Settings;
use super::{online, output};
use crate::config;

/// Check the settings, show them with where each came from, or print their JSON Schema.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  retell-bridge config check --config config.yaml --online")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say everything that is wrong with the settings; exit code 78 when something is.
    ///
    /// With --online also Kafka (names, connection, TLS, login, topics, rights, limits, retention), the journal's disk (its
    /// kind, its room, how long a sync takes) and the clock, one line each with the cure; exit code 1 when a check fails.
    /// Sends no record and makes nothing.
    #[command(after_help = "\
Examples:
  retell-bridge config check --config config.yaml
  retell-bridge config check --config config.yaml --online --json")]
    Check {
        #[command(flatten)]
        settings: Settings,
        /// Ask Kafka, the disk and the clock as well.
        #[arg(long)]
        online: bool,
        /// One line of JSON for each check.
        #[arg(long, requires = "online")]
        json: bool,
    },
    /// Print every setting with where it came from; keys as fingerprints, secrets hidden.
    #[command(after_help = "Example:\n  retell-bridge config show --config config.yaml | grep -v '# default'")]
    Show {
        #[command(flatten)]
        settings: Settings,
        /// As JSON: each key with its value and where it came from.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of a settings file.
    #[command(after_help = "Example:\n  retell-bridge config schema > retell-bridge.schema.json")]
    Schema,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check { settings, online: true, json } => return online::run(&settings.load()?.config, *json),
        Command::Check { settings, .. } => {
            let config = settings.load()?.config;
            let (sources, topics) = (config.intake.sources.len(), config.topics.types.len());
            output::line(format_args!("the settings hold ({sources} source(s), {topics} event types with a topic)"))?;
        }
        Command::Show { settings, json: false } => output::text(&settings.load_without_keys()?.show_yaml())?,
        Command::Show { settings, json: true } => {
            output::line(format_args!("{:#}", settings.load_without_keys()?.show_json()))?
        }
        Command::Schema => output::line(format_args!("{:#}", config::schema()))?,
    }
    Ok(ExitCode::SUCCESS)
}
