//! A key file that is being written: the good keys stay in force until better ones are whole.
//!
//! In: the bridge in this process, with its key in a file. Out: how many signed events were answered while the file was
//! empty, gone, no text, or half of what it would be. Never happens: an event refused that the live key signed; one taken
//! that half a key signed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use retell_bridge::config::{Config, Inputs};
use retell_bridge::service::Service;
use serde_json::json;
use support::http::Connection;
use support::sign::{now_ms, signature};
use support::tools;

use crate::{Figure, Order};

const LIVE_KEY: &str = "key_live_0123456789abcdef0123456789ab";
const NEXT_KEY: &str = "key_next_0123456789abcdef0123456789ab";
/// Shorter than the five readings, one a second, after which a last line without its end is believed.
const TROUBLE_FOR: Duration = Duration::from_millis(3_500);
/// Longer than whole keys take to be believed.
const BELIEVED_WITHIN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(25);

/// See the module.
pub fn prove(order: &Order) -> Result<Figure, String> {
    let folder = tools::folder("keys");
    let outcome = in_folder(&folder, order);
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn in_folder(folder: &Path, order: &Order) -> Result<Figure, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let keys_file = folder.join("keys");
    write(&keys_file, format!("{LIVE_KEY}\n").as_bytes());
    let service = runtime.block_on(Service::start(config(folder, &keys_file)?)).map_err(|error| error.to_string())?;
    let mut senders = Senders { intake: service.intake_address(), connection: None, answered: 0, sent: 0 };
    let outcome = senders.go_through(order, &keys_file);
    let stopped = runtime.block_on(service.stop());
    let rounds = outcome?;
    stopped.map_err(|error| error.to_string())?;
    let more = format!("{rounds} rounds of a file that is half-written, empty, gone, no text, and whole again");
    Ok(Figure { count: senders.answered, unit: "signed events", none: "refused", more })
}

fn config(folder: &Path, keys_file: &Path) -> Result<Config, String> {
    let settings = folder.join("bridge.yaml");
    let text = json!({
        "listen": "127.0.0.1:0",
        "admin": { "listen": "127.0.0.1:0" },
        "sources": { "default": { "keys_file": keys_file } },
        "journal": { "dir": folder.join("journal-dir"), "allow_ephemeral": true },
        // Nobody is there: Kafka gates no answer.
        "kafka": { "brokers": "127.0.0.1:1" },
        "shutdown": { "delay": "0s", "deadline": "1s" },
    });
    write(&settings, text.to_string().as_bytes());
    let loaded = Config::load(&Inputs { files: vec![settings], ..Inputs::default() });
    let mut config = loaded.map_err(|errors| errors.to_string())?.config;
    config.journal.segment_bytes = 1 << 20;
    Ok(config)
}

fn write(path: &PathBuf, bytes: &[u8]) {
    fs::write(path, bytes).expect("a folder of the proof's own can be written");
}

struct Senders {
    intake: SocketAddr,
    connection: Option<Connection>,
    /// Events that the live key signed, and that were answered 2xx.
    answered: u64,
    sent: u64,
}

impl Senders {
    /// How many rounds there were.
    fn go_through(&mut self, order: &Order, keys_file: &PathBuf) -> Result<u64, String> {
        let (began, mut rounds) = (Instant::now(), 0);
        let (mut live, mut next) = (LIVE_KEY, NEXT_KEY);
        while order.goes_on(began, rounds, 1) {
            let half = &next[..next.len() / 2];
            self.hold("half-written", live, half, || write(keys_file, half.as_bytes()))?;
            self.hold("empty", live, half, || write(keys_file, b""))?;
            self.hold("gone", live, half, || fs::remove_file(keys_file).expect("it was written above"))?;
            self.hold("no text", live, half, || write(keys_file, &[0, 159, 146, 150]))?;
            write(keys_file, format!("{live}\n{next}\n").as_bytes());
            self.wait_for(next, live)?;
            std::mem::swap(&mut live, &mut next);
            rounds += 1;
        }
        Ok(rounds)
    }

    /// While the file is in trouble, the live key is taken, and half a key is not.
    fn hold(&mut self, state: &str, live: &str, half: &str, trouble: impl FnOnce()) -> Result<(), String> {
        trouble();
        let until = Instant::now() + TROUBLE_FOR;
        while Instant::now() < until {
            let status = self.post(live)?;
            if status != 204 {
                return Err(format!(
                    "an event signed with the live key was refused ({status}) while the file was {state}"
                ));
            }
            self.answered += 1;
            if self.sent.is_multiple_of(16) && self.post(half)? != 401 {
                return Err(format!("half a key was taken for one while the file was {state}"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn wait_for(&mut self, next: &str, live: &str) -> Result<(), String> {
        let until = Instant::now() + BELIEVED_WITHIN;
        while self.post(next)? != 204 {
            if self.post(live)? != 204 {
                return Err("an event signed with the live key was refused while both keys stood in the file".into());
            }
            self.answered += 1;
            if Instant::now() > until {
                return Err(format!("a whole key file was not believed within {BELIEVED_WITHIN:?}"));
            }
            std::thread::sleep(PAUSE);
        }
        self.answered += 1;
        Ok(())
    }

    /// The status of one event that nobody else sends.
    fn post(&mut self, key: &str) -> Result<u16, String> {
        self.sent += 1;
        let body = format!(r#"{{"event":"call_started","call":{{"call_id":"keys_{}"}}}}"#, self.sent);
        let header = signature(key, body.as_bytes(), now_ms());
        let headers = [("X-Retell-Signature", header.as_str()), ("Content-Type", "application/json")];
        let failed = |error| format!("the intake does not answer: {error}");
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.intake).map_err(failed)?,
        };
        let answer = connection.post("/webhook", &headers, body.as_bytes()).map_err(failed)?;
        // A refusal may end the connection.
        self.connection = (answer.status == 204).then_some(connection);
        Ok(answer.status)
    }
}
