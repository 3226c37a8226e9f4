//! Whoever takes the requests: the bridge, a floor, a peer. One process each, on loopback.
//!
//! In: a [`Kind`], the round's topics. Out: a running process with an address and a process id. Never happens: a process
//! that outlives its round; two receivers on one set of topics at a time; a bridge whose topics, queues or limits are other
//! than users get them, but where a row says so.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use support::bridge::{Bridge, Launch, Metrics};
use support::kafka::free_port;
use support::process::{Lines, Process, wait_until};
use support::settings::Settings;
use support::tools;

use crate::peers;
use crate::stage::Series;

const UP_WITHIN: Duration = Duration::from_secs(30);
/// Above the backlog of the long run.
const JOURNAL_SIZE_MAX: &str = "24GiB";
/// A broker that nobody is: Kafka is away.
pub const NOBODY: &str = "127.0.0.1:1";

static BRIDGE: OnceLock<PathBuf> = OnceLock::new();

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Bridge,
    /// actix-web alone: reads the body, answers 204.
    Http,
    /// The same, and checks the signature.
    Hmac,
    Peer(peers::Peer),
}

impl Kind {
    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bridge => "retell-bridge",
            Kind::Http => "bare actix-web",
            Kind::Hmac => "bare actix-web with HMAC",
            Kind::Peer(peer) => peer.name(),
        }
    }

    /// A peer that answers only what Kafka has confirmed.
    pub fn waits(self) -> bool {
        matches!(self, Kind::Peer(peer) if peer.waits())
    }

    /// Whether what it answers 2xx has to be on Kafka.
    pub fn keeps(self) -> bool {
        !matches!(self, Kind::Http | Kind::Hmac)
    }
}

/// See the module.
pub enum Receiver {
    Bridge(Box<Bridge>),
    Other { process: Process, address: SocketAddr },
}

/// Which bridge is measured; the one that was built with this program where nobody says.
pub fn measure_bridge(path: Option<PathBuf>) -> Result<(), String> {
    let path = path.unwrap_or_else(|| tools::binary("retell-bridge"));
    // It is started in folders of its own.
    let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    BRIDGE.set(path).expect("it is said once");
    Ok(())
}

pub fn bridge_binary() -> &'static Path {
    BRIDGE.get_or_init(|| tools::binary("retell-bridge"))
}

impl Receiver {
    /// Starts it and waits until it listens.
    pub fn start(kind: Kind, brokers: &str, series: &Series) -> Result<Receiver, String> {
        match kind {
            Kind::Bridge => Ok(Receiver::bridge(settings(brokers, series))),
            Kind::Http | Kind::Hmac => {
                let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
                command.args(["floor", if kind == Kind::Hmac { "hmac" } else { "http" }]);
                Receiver::other(command, brokers, series)
            }
            Kind::Peer(peer) => Receiver::other(peer.command()?, brokers, series),
        }
    }

    /// A bridge with settings of one's own.
    pub fn bridge(settings: Settings) -> Receiver {
        Receiver::launched(settings, Arc::new(serve))
    }

    /// The same, with a command of one's own.
    pub fn launched(settings: Settings, launch: Launch) -> Receiver {
        let mut bridge = Bridge::prepare(settings, launch);
        bridge.start_again();
        bridge.wait_ready();
        Receiver::Bridge(Box::new(bridge))
    }

    fn other(mut command: Command, brokers: &str, series: &Series) -> Result<Receiver, String> {
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        command.env("PORT", port.to_string()).env("UVICORN_PORT", port.to_string()).env("KAFKA_BROKERS", brokers);
        command.env("TOPIC_PREFIX", &series.source.prefix).env("RETELL_API_KEY", &series.source.api_key);
        let lines: Arc<Lines> = Arc::default();
        let mut process = Process::start(command, Arc::clone(&lines)).map_err(|error| error.to_string())?;
        let up = wait_until(UP_WITHIN, || {
            (TcpStream::connect(address).is_ok() || !process.running()).then(|| process.running())
        });
        if up == Some(true) {
            return Ok(Receiver::Other { process, address });
        }
        Err(format!("it does not listen; it said:\n{}", lines.since(0).join("\n")))
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Receiver::Bridge(bridge) => bridge.intake_address(),
            Receiver::Other { address, .. } => *address,
        }
    }

    pub fn pid(&self) -> u32 {
        match self {
            Receiver::Bridge(bridge) => bridge.pid().expect("it runs"),
            Receiver::Other { process, .. } => process.pid(),
        }
    }

    /// `kill -9`. A bridge is started again, and goes on with its journal.
    pub fn kill(&mut self) {
        match self {
            Receiver::Bridge(bridge) => {
                bridge.kill();
                bridge.start_again();
            }
            Receiver::Other { process, .. } => process.kill(),
        }
    }

    /// Events that Kafka has confirmed, where the receiver tells.
    pub fn published(&self) -> Option<u64> {
        match self {
            Receiver::Bridge(bridge) => Some(bridge.metrics().get("events_published_total", &[]) as u64),
            Receiver::Other { .. } => None,
        }
    }

    /// Whether at least `wanted` events, and all that the receiver has kept since it was started, are on Kafka; where it
    /// tells. It may have kept more than it has answered 2xx: what was answered too late.
    pub fn has_published(&self, wanted: u64) -> Option<bool> {
        let Receiver::Bridge(bridge) = self else { return None };
        Some(all_published(&bridge.metrics(), wanted))
    }

    /// Whether nothing waits any more, whoever has kept it; where the receiver tells, four times a second.
    pub fn has_drained(&self) -> Option<bool> {
        let Receiver::Bridge(bridge) = self else { return None };
        let metrics = bridge.metrics();
        Some(all_published(&metrics, 0) && metrics.get("journal_backlog_events", &[]) == 0.0)
    }

    /// The bridge itself.
    pub fn as_bridge(&mut self) -> &mut Bridge {
        match self {
            Receiver::Bridge(bridge) => bridge,
            Receiver::Other { .. } => panic!("only the bridge has a journal"),
        }
    }
}

/// At least `wanted` events, and all that were received.
fn all_published(metrics: &Metrics, wanted: u64) -> bool {
    metrics.get("events_published_total", &[]) >= metrics.get("events_received_total", &[]).max(wanted as f64)
}

/// What users set, and no more: the journal on a real disk, with room for the longest round.
pub fn settings(brokers: &str, series: &Series) -> Settings {
    Settings::new(brokers, &[&series.source]).with(json!({
        "journal": { "allow_ephemeral": false, "size_max": JOURNAL_SIZE_MAX },
    }))
}

/// Starts the bridge that is measured.
pub fn serve(settings: &Path) -> Command {
    let mut command = Command::new(bridge_binary());
    command.arg("serve").arg("--config").arg(settings);
    command
}
