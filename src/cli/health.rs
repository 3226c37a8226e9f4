//! `retell-bridge health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::settings::Settings;
use super::{Usage, output};
use crate::{admin, config};

/// Below the time-out of an image's health check.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Ask the local admin listener whether an event could be kept now; for image health checks.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  retell-bridge health\n  retell-bridge health --url http://127.0.0.1:9464")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// The admin listener. Without it: `admin.listen` of the settings.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let base = match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", local(config::admin_listen(&args.settings.inputs())?)?),
    };
    let url = format!("{base}/readyz?verbose");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        // The question is for this machine; a proxy of the environment is not.
        .proxy(None)
        .build()
        .into();
    let ask = || format!("{url} does not answer: is `serve` running, with this admin.listen?");
    let mut response = agent.get(&url).call().with_context(ask)?;
    let text = response.body_mut().read_to_string().with_context(ask)?;
    if response.status() == 200 {
        output::line("ready")?;
        return Ok(ExitCode::SUCCESS);
    }
    if response.status() != 503 {
        bail!("{url} answers {}: is this the admin listener of a bridge?", response.status().as_u16());
    }
    let troubles: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(admin::FAILED)).map(str::trim).collect();
    let troubles = if troubles.is_empty() { "no reason was given".to_owned() } else { troubles.join("; ") };
    output::complain(&format_args!("not ready: {troubles}"));
    Ok(ExitCode::FAILURE)
}

/// Where this machine reaches a listener of its own.
fn local(listen: SocketAddr) -> Result<SocketAddr, Usage> {
    if listen.port() == 0 {
        return Err(Usage("admin.listen has port 0; name the port that the log told with --url".to_owned()));
    }
    Ok(match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        _ => listen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.0.0.7:1", "10.0.0.7:1")]
        {
            assert_eq!(local(listen.parse().unwrap()).unwrap().to_string(), asked);
        }
        assert!(local("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
