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
mod settings;
mod topics;
mod welcome;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::send::{Belief, Sender};
use super::{logging, output};
use crate::config::Config;
use crate::kafka::consumer::Start;
use crate::service::{Service, Signals};
use crate::signature::ApiKey;
use broker::Broker;
use console::{Console, Happening, Style, Tally, Teller};
use explain::Explainer;
use journey::Reader;
use place::{EnvFile, JournalDir};
use topics::Topics;
use welcome::Welcome;

/// Run everything in this process on loopback: broker, bridge, journal, signed samples.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  retell-bridge dev                                      samples, as soon as it is up
  retell-bridge dev --allow-unsigned                     takes the curl call of Retell's documentation
  RETELL_API_KEY=key_… retell-bridge dev --keep ./calls  real events, through a tunnel
  retell-bridge dev --brokers localhost:9092             a Kafka of yours instead of the embedded broker")]
pub struct Args {
    /// Port of the webhook on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 8080, conflicts_with = "listen")]
    port: u16,
    /// Address and port of the webhook, where 127.0.0.1 is not enough (in a container: 0.0.0.0:8080).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Keep the journal in this folder, instead of one that goes at the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Post no samples.
    #[arg(long)]
    no_samples: bool,
    /// File with your API key, so that real events pass. Without it: the variable RETELL_API_KEY, if set.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A real Kafka instead of the embedded broker; RETELL_BRIDGE_KAFKA… and …_TOPICS__… variables count then.
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// Make the topics that the real Kafka lacks.
    #[arg(long, requires = "brokers")]
    make_topics: bool,
    /// Write broker, key and URL to this file for other tools; it goes at the end.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Take calls without a signature from this machine, such as the curl call of Retell's documentation.
    #[arg(long)]
    allow_unsigned: bool,
}

impl Args {
    fn address(&self) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port))
    }
}

/// Runs it until Ctrl-C.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let signals = runtime.block_on(async { Signals::new() })?;
    look_at_port(args.address())?;
    let (dir, dev_key) = (JournalDir::new(args.keep.as_deref())?, place::random_hex()?);
    let dev_key = format!("key_dev_{dev_key}");
    let (teller, happenings) = console::channel();
    let mut config = settings::config(args, dir.path())?;
    let own_key = settings::own_key(&config);
    settings::open_doors(&mut config, &dev_key, args.allow_unsigned, journey::observer(teller.clone()));
    logging::start(&config.log);
    let (broker, topics) = match args.brokers {
        Some(_) => (None, topics::of_real_kafka(&config, args.make_topics)?),
        None => {
            let there = config.topics.lanes();
            let broker = Broker::start(there.iter().map(String::as_str))?;
            config.kafka.brokers = broker.address();
            (Some(broker), Topics { there, missing: Vec::new() })
        }
    };
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let play =
        Play { args, dir, dev_key, own_key, topics, teller, happenings, style: Style { colour }, config, broker };
    play.run(&runtime, signals)
}

/// All that is there before the bridge starts.
struct Play<'a> {
    args: &'a Args,
    dir: JournalDir,
    dev_key: String,
    own_key: Option<String>,
    topics: Topics,
    teller: Teller,
    happenings: std::sync::mpsc::Receiver<Happening>,
    style: Style,
    config: Config,
    /// Outlives the bridge and the reader.
    broker: Option<Broker>,
}

impl Play<'_> {
    fn run(self, runtime: &Runtime, signals: Signals) -> anyhow::Result<ExitCode> {
        let brokers = &self.config.kafka.brokers;
        let missing = topics::told(&self.topics.missing, brokers, &program());
        let (mut welcome, path) = (self.welcome(), settings::webhook_path(&self.config));
        // An embedded broker holds nothing older than this run.
        let start = if self.broker.is_some() { Start::Beginning } else { Start::Now };
        let reader = Reader::open(&self.config.kafka, self.topics, start)?;
        let service = runtime.block_on(Service::start(self.config))?;
        welcome.url = url(service.intake_address(), &path);
        welcome.admin = service.admin_address();
        let _env_file =
            self.args.env_file.as_deref().map(|path| EnvFile::write(path, &welcome.variables())).transpose()?;
        output::line(welcome.text())?;
        missing.map_or(Ok(()), output::line)?;

        let key = ApiKey::new(&self.dev_key);
        let explainer = Explainer::new(welcome.url.clone(), key.clone(), self.args.allow_unsigned);
        let console = Console { happenings: self.happenings, style: self.style, explainer };
        let (console, is_closed) = show(console);
        let reader = reader.start(self.teller.clone());
        if !self.args.no_samples {
            let (sender, teller) = (Sender::new(&welcome.url, key, &Belief::default())?, self.teller.clone());
            thread::spawn(move || journey::post_samples(&sender, &teller));
        }
        let ended = runtime.block_on(service.run(signals, async {
            // Nobody reads the lines any more; a console that is gone counts as that.
            let _ = is_closed.await;
        }));
        reader.stop();
        self.teller.tell_surely(Happening::End);
        let tally = console.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended?;
        output::line(last_words(tally?, &self.dir))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The first words, still without the addresses that the bridge will get.
    fn welcome(&self) -> Welcome {
        let goes = if self.dir.is_kept() { "" } else { " (goes at the end; --keep DIR keeps one)" };
        Welcome {
            style: self.style,
            program: program(),
            url: String::new(),
            dev_key: self.dev_key.clone(),
            own_key: self.own_key.clone(),
            brokers: self.config.kafka.brokers.clone(),
            is_embedded: self.broker.is_some(),
            topic: settings::shown_topic(&self.topics.there),
            admin: self.config.admin_listen,
            journal: format!("{}{goes}", self.dir.path().display()),
            allow_unsigned: self.args.allow_unsigned,
        }
    }
}

/// Shows what happens on a thread of its own; the receiver learns when that has ended.
fn show(console: Console) -> (JoinHandle<std::io::Result<Tally>>, oneshot::Receiver<()>) {
    let (closed, is_closed) = oneshot::channel();
    let thread = thread::spawn(move || {
        let outcome = console.run(std::io::stdout());
        // Nobody waits any more where the bridge has ended first.
        let _ = closed.send(());
        outcome
    });
    (thread, is_closed)
}

fn look_at_port(address: SocketAddr) -> anyhow::Result<()> {
    let Err(error) = TcpListener::bind(address) else { return Ok(()) };
    if error.kind() == std::io::ErrorKind::AddrInUse {
        bail!(
            "{address} is already in use, perhaps by another dev or serve: end that one, or choose --port N (0: any)"
        );
    }
    Err(error).with_context(|| format!("cannot listen on {address}: choose another with --listen"))
}

fn url(address: SocketAddr, path: &str) -> String {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    format!("http://{}{path}", SocketAddr::new(ip, address.port()))
}

/// This program as it was called, so that a command can be copied.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "retell-bridge".to_owned())
}

fn last_words(tally: Tally, dir: &JournalDir) -> String {
    let count = |number: u64, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let mut words = format!(
        "\nended: {}, {} on Kafka, {}, {}",
        count(tally.kept, "event kept", "events kept"),
        count(tally.arrived, "record arrived", "records arrived"),
        count(tally.duplicates, "duplicate", "duplicates"),
        count(tally.refused, "request refused", "requests refused"),
    );
    let waiting = tally.kept.saturating_sub(tally.arrived);
    match (dir.is_kept(), waiting) {
        (true, _) => words += &format!("; the journal is in {}", dir.path().display()),
        (false, 0) => {}
        (false, _) => words += &format!("\n{waiting} not on Kafka went with the journal; --keep DIR keeps it"),
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_say_what_went_with_a_temporary_journal() {
        let dir = JournalDir::new(None).unwrap();
        let words = |kept, arrived| last_words(Tally { kept, arrived, ..Tally::default() }, &dir);
        assert_eq!(words(1, 1), "\nended: 1 event kept, 1 record arrived on Kafka, 0 duplicates, 0 requests refused");
        assert!(words(3, 1).ends_with("\n2 not on Kafka went with the journal; --keep DIR keeps it"));
    }

    #[test]
    fn the_url_is_one_that_this_machine_can_ask() {
        assert_eq!(url(([0, 0, 0, 0], 80).into(), "/webhook"), "http://127.0.0.1:80/webhook");
        assert_eq!(url(([127, 0, 0, 1], 8080).into(), "/a"), "http://127.0.0.1:8080/a");
    }
}
