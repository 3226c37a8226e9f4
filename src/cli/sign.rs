//! `retell-bridge sign`.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;

use super::key::KeyArgs;
use super::output;
use crate::signature;

/// Print the X-Retell-Signature value for a body on standard input.
#[derive(clap::Args)]
#[command(after_help = "\
Every byte counts, a last line break as well: use printf, or curl's --data-binary.

Example:
  printf %s '{\"event\":\"call_ended\"}' | RETELL_API_KEY=key_… retell-bridge sign")]
pub struct Args {
    #[command(flatten)]
    key: KeyArgs,
    /// Sign as of this Unix time in milliseconds. Without it: now.
    #[arg(long, value_name = "MS")]
    now: Option<u64>,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let keys = args.key.keys()?;
    let body = body()?;
    let key = keys.first().context("no key")?;
    output::line(signature::sign(key, &body, args.now.unwrap_or_else(now_ms)))?;
    Ok(ExitCode::SUCCESS)
}

/// Standard input, to its end.
pub fn body() -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    std::io::stdin().lock().read_to_end(&mut body).context("cannot read the body from standard input")?;
    Ok(body)
}

/// This machine's clock, Unix milliseconds.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
