//! What people would use instead: small handlers, each written as its users would (`benches/peers/`).
//!
//! In: a peer. Out: the command that runs it, with its variant in `MODE`. Never happens: a peer that is left out in
//! silence: what has not been fetched fails with the sentence that says how.

use std::process::Command;

use support::tools;

/// Answers when Kafka has confirmed, or when the client's queue has the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Waits,
    AtOnce,
}

/// A handler and its variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// actix-web and rdkafka.
    Rust(Mode),
    /// FastAPI, uvicorn and confluent-kafka.
    FastApi(Mode),
    /// Express, Retell's SDK and node-rdkafka.
    Express(Mode),
    /// net/http and franz-go.
    Go,
}

impl Peer {
    /// Those of every run.
    pub const SHORT: [Peer; 2] = [Peer::Rust(Mode::Waits), Peer::Rust(Mode::AtOnce)];
    /// Those of the long run.
    pub const ALL: [Peer; 7] = [
        Peer::Rust(Mode::Waits),
        Peer::Rust(Mode::AtOnce),
        Peer::Go,
        Peer::FastApi(Mode::AtOnce),
        Peer::FastApi(Mode::Waits),
        Peer::Express(Mode::AtOnce),
        Peer::Express(Mode::Waits),
    ];

    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Rust(Mode::Waits) => "Rust: actix-web, rdkafka, waits",
            Peer::Rust(Mode::AtOnce) => "Rust: actix-web, rdkafka, at once",
            Peer::FastApi(Mode::Waits) => "FastAPI, confluent-kafka, waits",
            Peer::FastApi(Mode::AtOnce) => "FastAPI, confluent-kafka, at once",
            Peer::Express(Mode::Waits) => "Express, Retell's SDK, waits",
            Peer::Express(Mode::AtOnce) => "Express, Retell's SDK, at once",
            Peer::Go => "Go: net/http, franz-go, waits",
        }
    }

    /// Answers only what Kafka has confirmed.
    pub fn waits(self) -> bool {
        matches!(self, Peer::Rust(Mode::Waits) | Peer::FastApi(Mode::Waits) | Peer::Express(Mode::Waits) | Peer::Go)
    }

    /// What runs it.
    pub fn command(self) -> Result<Command, String> {
        let folder = tools::root().join("benches/peers");
        let fetched = tools::root().join("target/peers");
        let mut command = match self {
            Peer::Rust(_) => Command::new(tools::binary("peer-rust")),
            Peer::FastApi(_) => {
                let mut command = Command::new(fetched.join("fastapi/bin/uvicorn"));
                command.args(["main:app", "--no-access-log", "--log-level", "warning", "--host", "127.0.0.1"]);
                command.current_dir(folder.join("fastapi"));
                command
            }
            Peer::Express(_) => {
                let mut command = Command::new("node");
                command.arg("main.mjs").current_dir(fetched.join("express"));
                command
            }
            Peer::Go => Command::new(fetched.join("go/peer-go")),
        };
        if let Some(stamp) = self.stamp()
            && !fetched.join(stamp).join("stamp").exists()
        {
            return Err(format!("target/peers/{stamp} is not there: run benches/peers/fetch.sh first"));
        }
        command.env("MODE", if self.waits() { "wait" } else { "once" });
        Ok(command)
    }

    /// Where what it needs was fetched to.
    fn stamp(self) -> Option<&'static str> {
        match self {
            Peer::Rust(_) => None,
            Peer::FastApi(_) => Some("fastapi"),
            Peer::Express(_) => Some("express"),
            Peer::Go => Some("go"),
        }
    }
}
