//! `retell-bridge send`: posts signed events as Retell does.
//!
//! In: types, a file or nothing (one whole call), a URL and the key. Out: one line for each event on stdout (type, size,
//! status, latency, `X-Event-Id`), a summary for more than one round, and the reason with its cure on stderr. Exit 0 only
//! when every event was answered 2xx (and, with `--until-published`, is on Kafka).
//!
//! As Retell: a time-out of 10 s an attempt, up to 3 retries of anything but a 2xx. Retell does not document the pause
//! between them nor whether a retry is signed afresh; here it is half a second, and **a retry keeps the signature of the
//! first attempt**: all four together end within 42 s, far inside the window of five minutes.
//!
//! Never happens: the key in an argument or on the screen; a panic because the reader of a pipe left.

mod belief;
mod pace;
mod post;
mod published;
mod report;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;

use super::key::KeyArgs;
use super::samples::Talk;
use super::{Usage, output};
use crate::event::{Kind, Peek};

pub use belief::Belief;
pub use pace::Pace;
pub use post::{Failure, Outcome, Sender};
pub use report::SIX_CAUSES;

/// The types of one whole call, in Retell's order.
pub const WHOLE_CALL: [Kind; 3] = [Kind::CallStarted, Kind::CallEnded, Kind::CallAnalyzed];

/// Post signed events as Retell does, and say how each was answered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  retell-bridge send --url http://127.0.0.1:8080/webhook              one whole call
  retell-bridge send call_ended --minutes 60 --url http://…/webhook   a body of 1 MiB
  retell-bridge send --file body.json --url https://…/webhook         your own body, byte for byte
  retell-bridge send --cacert ca.pem --url https://…/webhook          where your own authority has signed
  retell-bridge send --count 1000 --rate 50 --quiet --url http://…/webhook")]
pub struct Args {
    /// Types to send, e.g. call_ended; none: one whole call (call_started, call_ended, call_analyzed).
    #[arg(value_name = "TYPE", value_parser = kind_parser())]
    types: Vec<Kind>,
    /// Where to, e.g. http://127.0.0.1:8080/webhook.
    #[arg(long)]
    url: String,
    /// Send this body byte for byte; - reads standard input.
    #[arg(long, value_name = "BODY", conflicts_with_all = ["types", "call_id", "minutes"])]
    file: Option<PathBuf>,
    /// The id in the made-up events, instead of a fresh one for each call.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    /// Length of the made-up call in minutes; sizes follow it: about 17 kB a minute.
    #[arg(long, value_name = "M", default_value_t = 0.5, value_parser = minutes)]
    minutes: f64,
    /// How many rounds: calls, or of each TYPE, or of the file.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Events per second, each posted when it is due whether or not earlier ones are answered.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Connections side by side [default: 1, or 64 with --rate].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Option<u16>,
    /// Retries of an event that is not answered 2xx.
    #[arg(long, value_name = "N", default_value_t = post::RETRIES)]
    retries: u32,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    belief: Belief,
    #[command(flatten)]
    until: published::Until,
    /// No line for each event, only the summary.
    #[arg(long, short)]
    quiet: bool,
}

/// Sends what `args` ask for.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let key = args.key.keys()?.swap_remove(0);
    let sender =
        Sender::new(&args.url, key, &args.belief).map_err(|error| Usage(error.to_string()))?.with_retries(args.retries);
    let rounds = Rounds::of(args)?;
    let connections = args.connections.unwrap_or(if args.rate.is_some() { 64 } else { 1 });
    let pace = Pace { rate: args.rate, connections };
    let mut report = report::Report::new(args.quiet, args.count, rounds.events());
    let watch = args.until.watch()?;
    pace::drive(&sender, rounds, pace, |sent| report.take(&sent))?;
    let answered = report.answered();
    let code = report.finish(&args.url)?;
    if let Some(watch) = watch.filter(|_| answered > 0) {
        watch.wait(answered)?;
        output::line("published")?;
    }
    Ok(code)
}

/// One event to be posted.
pub struct Posting {
    pub kind: Kind,
    pub body: Body,
}

/// A body, or what it is made from where it is needed.
pub enum Body {
    Ready(Bytes),
    Made(Talk),
}

impl Posting {
    /// The bytes to post.
    pub fn into_bytes(self) -> Bytes {
        match self.body {
            Body::Ready(bytes) => bytes,
            Body::Made(talk) => talk.body(self.kind).into(),
        }
    }
}

/// All postings, one after the other: cheap to step, as bodies are made by whoever posts them.
pub struct Rounds {
    what: What,
    rounds_left: u64,
    /// Types of the present round that are still to come, the next one last.
    pending: Vec<Kind>,
    talk: Option<Talk>,
}

enum What {
    File { kind: Kind, body: Bytes },
    Made { kinds: Vec<Kind>, call_id: Option<String>, length: Duration },
}

impl Rounds {
    /// `count` whole rounds of `kinds`, each round about one fresh conversation.
    pub fn made(kinds: &[Kind], call_id: Option<String>, length: Duration, count: u64) -> Rounds {
        let what = What::Made { kinds: kinds.to_vec(), call_id, length };
        Rounds { what, rounds_left: count, pending: Vec::new(), talk: None }
    }

    fn of(args: &Args) -> anyhow::Result<Rounds> {
        let Some(path) = &args.file else {
            let kinds = if args.types.is_empty() { &WHOLE_CALL[..] } else { &args.types };
            let length = Duration::from_secs_f64(args.minutes * 60.0);
            return Ok(Rounds::made(kinds, args.call_id.clone(), length, args.count));
        };
        let mut body = Vec::new();
        if path.as_os_str() == "-" {
            std::io::stdin().read_to_end(&mut body).context("cannot read the body from standard input")?;
        } else {
            body = std::fs::read(path).with_context(|| format!("cannot read the body from {}", path.display()))?;
        }
        let what = What::File { kind: Peek::at(&body).kind(), body: body.into() };
        Ok(Rounds { what, rounds_left: args.count, pending: Vec::new(), talk: None })
    }

    /// How many postings there will be.
    pub fn events(&self) -> u64 {
        match &self.what {
            What::File { .. } => self.rounds_left,
            What::Made { kinds, .. } => self.rounds_left.saturating_mul(kinds.len() as u64),
        }
    }
}

impl Iterator for Rounds {
    type Item = Posting;

    fn next(&mut self) -> Option<Posting> {
        if self.pending.is_empty() {
            self.rounds_left = self.rounds_left.checked_sub(1)?;
            match &self.what {
                What::File { kind, body } => return Some(Posting { kind: *kind, body: Body::Ready(body.clone()) }),
                What::Made { kinds, call_id, length } => {
                    self.pending = kinds.iter().rev().copied().collect();
                    self.talk = Some(match call_id {
                        Some(id) => Talk::named(id, super::sign::now_ms(), *length),
                        None => Talk::fresh(super::sign::now_ms(), *length),
                    });
                }
            }
        }
        let kind = self.pending.pop()?;
        self.talk.clone().map(|talk| Posting { kind, body: Body::Made(talk) })
    }
}

fn kind_parser() -> impl clap::builder::TypedValueParser<Value = Kind> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    let names = Kind::KNOWN.into_iter().chain([Kind::Test]).map(Kind::name);
    PossibleValuesParser::new(names).map(|name| Kind::named(&name))
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=240.0).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes from 0 to 240".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("events per second, from 0.001 to 100000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_type_a_round_is_one_whole_call_under_one_id() {
        let rounds = Rounds::made(&WHOLE_CALL, None, Duration::from_secs(1), 2);
        assert_eq!(rounds.events(), 6);
        let bodies: Vec<Bytes> = rounds.map(Posting::into_bytes).collect();
        let kinds: Vec<Kind> = bodies.iter().map(|body| Peek::at(body).kind()).collect();
        assert_eq!(kinds, [WHOLE_CALL, WHOLE_CALL].concat());
        let ids: Vec<_> = bodies.iter().map(|body| Peek::at(body).key().map(str::to_owned)).collect();
        assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3] && ids[3] == ids[5]);
    }

    #[test]
    fn a_given_call_id_stands_in_every_round() {
        let rounds = Rounds::made(&[Kind::CallEnded], Some("mine".into()), Duration::ZERO, 2);
        let keys: Vec<_> = rounds.map(|posting| Peek::at(&posting.into_bytes()).key().map(str::to_owned)).collect();
        assert_eq!(keys, [Some("mine".to_owned()), Some("mine".to_owned())]);
    }
}
