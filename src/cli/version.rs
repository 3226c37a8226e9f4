//! `retell-bridge version`.

use std::process::ExitCode;

use serde_json::json;

use super::output;
use crate::{config, kafka};

/// Print version, commit, compiler and what the Kafka client inside can do.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  retell-bridge version --json")]
pub struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (librdkafka, features) = (kafka::librdkafka_version(), kafka::builtin_features());
    if args.json {
        let version = json!({
            "version": config::VERSION,
            "commit": config::COMMIT,
            "rustc": config::RUSTC,
            "librdkafka": librdkafka,
            "librdkafka_features": features,
        });
        output::line(format_args!("{version:#}"))?;
    } else {
        output::line(format_args!("retell-bridge {} ({})", config::VERSION, config::COMMIT))?;
        output::line(config::RUSTC)?;
        output::line(format_args!("librdkafka {librdkafka}: {}", features.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
