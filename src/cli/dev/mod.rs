//! `retell-bridge dev`: all in one process on the loopback, nothing to install.
//!
//! In: a few flags. Out: a running bridge with an embedded broker, a temporary journal, signed samples, and one printed
//! line for each record as it arrives on its topic. The bridge is the same as in `serve`; only what stands around it is
//! made here.
//!
//! Start: port looked at, journal's folder, broker, reader of the topics, bridge, env file, words of welcome, samples.
//! Stop, at Ctrl-C: bridge (publishes what it has), reader (until nothing more comes), last words, env file, folder.
//!
//! Never happens: the user's key on the screen or in the env file (both show the key that `dev` made for this run); a
//! broker's or bridge's port on another address than the loopback, unless `--listen` says so; topics made on a real
//! Kafka without being asked.

mod broker;
mod console;
mod explain;
mod journey;
mod place;
mod welcome;

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Runs everything in this process on loopback: broker, bridge, journal, signed samples
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port of the webhook on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8080, conflicts_with = "listen")]
    port: u16,
    /// Address and port of the webhook, where 127.0.0.1 is not enough (in a container: 0.0.0.0:8080)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Keep the journal in this folder, instead of one that goes at the end
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Post no samples
    #[arg(long)]
    no_samples: bool,
    /// File that holds your Retell API key, so that real events pass [default: RETELL_API_KEY]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A real Kafka instead of the embedded broker; RETELL_BRIDGE_KAFKA_PROPERTY_… count then
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// Make the topics that the real Kafka lacks
    #[arg(long, requires = "brokers")]
    make_topics: bool,
    /// Write broker, key and URL to this file for other tools; it goes at the end
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Take calls without a signature from this machine, such as the curl call of Retell's documentation
    #[arg(long)]
    allow_unsigned: bool,
}

impl Args {
    fn address(&self) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port))
    }
}
