//! `retell-bridge verify`.

use std::process::ExitCode;

use super::key::KeyArgs;
use super::output;
use super::sign::{body, now_ms};
use crate::signature;

/// Five minutes, as Retell's own SDKs have it.
const WINDOW_MS: u64 = 300_000;

/// Check a signature over a body on standard input: exit code 0 when it holds, 1 when not.
#[derive(clap::Args)]
#[command(after_help = "\
An old request needs --now: a signature holds for five minutes around its own time.

Example:
  RETELL_API_KEY=key_… retell-bridge verify --signature 'v=1714608491736,d=…' --now 1714608491736 < body.json")]
pub struct Args {
    #[command(flatten)]
    key: KeyArgs,
    /// Value of the X-Retell-Signature header.
    #[arg(long, value_name = "VALUE")]
    signature: String,
    /// Check as of this Unix time in milliseconds. Without it: now.
    #[arg(long, value_name = "MS")]
    now: Option<u64>,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let keys = args.key.keys()?;
    let body = body()?.into();
    let header = args.signature.as_bytes();
    let now_ms = args.now.unwrap_or_else(now_ms);
    match signature::verify([header].into_iter(), body, &keys, now_ms, WINDOW_MS) {
        Ok(proof) => {
            output::line(format_args!("the signature holds (key {})", proof.key_fingerprint()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            output::complain(&refusal);
            Ok(ExitCode::FAILURE)
        }
    }
}
