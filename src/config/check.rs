//! From the settings as given to the checked [`Config`]: what each key must be by itself, and what they must be to each
//! other. Every check adds its finding and goes on. Reads files of keys and certificates, to know that they can be read;
//! nothing else.

mod kafka;
mod limits;
mod sources;
mod tls;
mod topics;

pub use topics::name_trouble as topic_name_trouble;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::errors::{Findings, quoted};
use super::given::{self, Given};
use super::{Config, Log, Shutdown};
use crate::schema;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// No service manager waits longer; far above it the deadline would be past the end of the clock.
const STOP_MAX: Duration = Duration::from_secs(24 * 3600);

/// Whether the sources' keys and the intake's certificate are looked at: commands that only speak to Kafka do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    Needed,
    NotNeeded,
}

/// Checks everything; `None` where a part cannot be made at all (its finding says why).
pub fn checked(given: &Given, keys: Keys, findings: &mut Findings) -> Option<Config> {
    let listen = address(&given.listen, "listen", "0.0.0.0:8080", findings);
    let admin_listen = address(&given.admin.listen, "admin.listen", "0.0.0.0:9464", findings);
    not_the_same_port(listen, admin_listen, findings);
    let tls = tls::checked(&given.tls, keys, findings);
    let sources = sources::checked(given, keys, findings);
    let intake = limits::intake(given, sources, tls, findings);
    let journal = limits::journal(given, findings);
    let shutdown = shutdown(&given.shutdown, findings);
    let topics = topics::checked(given, findings);
    let topics_shape = topics::shape(&given.topics, findings);
    let kafka = kafka::checked(given, findings);
    let log = log(&given.log, findings);
    Some(Config {
        listen: listen?,
        intake,
        journal_dir: given.journal.dir.clone().into(),
        journal,
        kafka,
        topics,
        topics_shape,
        admin_listen: admin_listen?,
        log,
        shutdown,
        drift: drift(given.drift.check),
    })
}

/// An address and a port to listen on.
pub fn address(text: &str, path: &str, example: &str, findings: &mut Findings) -> Option<SocketAddr> {
    let text = text.trim();
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let cure = format!("write an IP address and a port, such as {example} or [::]:8080");
            findings.add(path, format!("{} is no address to listen on", quoted(text)), cure);
            None
        }
    }
}

fn not_the_same_port(listen: Option<SocketAddr>, admin: Option<SocketAddr>, findings: &mut Findings) {
    let (Some(listen), Some(admin)) = (listen, admin) else { return };
    let everywhere = |address: IpAddr| address.is_unspecified();
    let overlap = listen.ip() == admin.ip() || everywhere(listen.ip()) || everywhere(admin.ip());
    if listen.port() != 0 && listen.port() == admin.port() && overlap {
        let problem = format!("has the port of `listen`, {}", listen.port());
        findings.add("admin.listen", problem, "give it one of its own: probes and metrics are not for the Internet");
    }
}

fn shutdown(given: &given::Shutdown, findings: &mut Findings) -> Shutdown {
    let (delay, deadline) = (given.delay.duration(), given.deadline.duration());
    if delay >= deadline {
        let (delay, deadline) = (&given.delay, &given.deadline);
        let (at, problem) = if findings.origins.contains_key("shutdown.deadline") {
            ("shutdown.deadline", format!("{deadline} is not after shutdown.delay, {delay}"))
        } else {
            ("shutdown.delay", format!("{delay} is not before shutdown.deadline, {deadline}"))
        };
        findings.add(at, problem, "both count from the signal: write a delay below the deadline");
    } else if deadline > STOP_MAX {
        let problem = format!("{} is longer than a day", given.deadline);
        findings.add("shutdown.deadline", problem, "write a time such as 25s; what is left goes out at the next start");
    }
    Shutdown { delay, deadline }
}

fn drift(check: given::DriftCheck) -> schema::Mode {
    match check {
        given::DriftCheck::Off => schema::Mode::Off,
        given::DriftCheck::Sampled => schema::Mode::Sampled,
        given::DriftCheck::All => schema::Mode::All,
    }
}

fn log(given: &given::Log, findings: &mut Findings) -> Log {
    // A bare word that is no level would be read as the name of a module, and silence all others.
    let is_level = |part: &str| part.contains('=') || LEVELS.contains(&part.trim().to_ascii_lowercase().as_str());
    if !given.level.split(',').all(is_level) || EnvFilter::builder().parse(&given.level).is_err() {
        let cure = "write error, warn, info, debug or trace, or by module: info,retell_bridge::journal=debug";
        findings.add("log.level", format!("{} is no level", quoted(&given.level)), cure);
    }
    Log { format: given.format, level: given.level.clone(), events: given.events }
}
