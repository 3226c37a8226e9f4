//! Row `losses`: what `kill -9` loses under load, and what an outage of Kafka does, for the bridge and each peer.
//!
//! A broker of its own, which is stopped for 30 s while all receivers get 100 events/s each. A killed bridge is started
//! again; a killed handler has nothing that a start would bring back. A peer that fails is told as failed; the bridge's failure
//! is the row's. Never happens: a loss that counts what was never answered 2xx.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::kafka::Kafka;

use super::{Bench, Effort};
use crate::arrived;
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::load::{self, Order, Outcome, Pace, Until};
use crate::peers::Peer;
use crate::random::Random;
use crate::receiver::{Kind, Receiver};
use crate::round::wait_published;
use crate::stage::{Series, Stage};

const SIZE: Size = Size::Middle;
const PER_SECOND: f64 = 100.0;
/// Time for what is on its way to a broker when its sender dies, and for what a client still sends after an outage.
const SETTLE: Duration = Duration::from_secs(5);

/// Of one receiver.
#[derive(Default)]
struct Toll {
    kills: u64,
    answered: u64,
    lost: u64,
    outage: Option<Outage>,
    failure: Option<String>,
}

struct Outage {
    sent: u64,
    not_kept: u64,
    lost: u64,
    /// Refused or unanswered, and on Kafka all the same: whoever sends it again makes a copy.
    written_anyway: u64,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut tolls: BTreeMap<usize, Toll> = BTreeMap::new();
    let kinds = kinds(bench.all_peers);
    let mut random = Random::new(3);
    for number in 0..bench.effort.pick(1, 3, 10) {
        for (at, kind) in kinds.iter().enumerate() {
            let after = Duration::from_millis(2_000 + random.below(1_000));
            let killed = kill(&bench.stage, *kind, after);
            tolls.entry(at).or_default().add(bench, number, *kind, killed)?;
        }
    }
    let able: Vec<usize> = (0..kinds.len()).filter(|at| tolls[at].failure.is_none()).collect();
    let outages = outage(bench, &able.iter().map(|at| kinds[*at]).collect::<Vec<_>>())?;
    for (at, outage) in able.into_iter().zip(outages) {
        tolls.entry(at).or_default().outage = Some(outage);
    }
    Ok(tolls.iter().map(|(at, toll)| figure(kinds[*at], toll, bench.effort)).collect())
}

impl Toll {
    /// One kill: how many were answered 2xx, and of these lost.
    fn add(
        &mut self,
        bench: &Bench,
        number: usize,
        kind: Kind,
        killed: Result<(u64, u64), String>,
    ) -> Result<(), String> {
        match killed {
            Ok((answered, lost)) => {
                bench.keep("losses", number, json!({ "receiver": kind.name(), "answered": answered, "lost": lost }));
                self.kills += 1;
                self.answered += answered;
                self.lost += lost;
            }
            Err(story) if kind == Kind::Bridge => return Err(story),
            Err(story) => {
                bench.keep("losses", number, json!({ "receiver": kind.name(), "failed": &story }));
                self.failure = Some(story);
            }
        }
        Ok(())
    }
}

fn kinds(all_peers: bool) -> Vec<Kind> {
    let peers: &[Peer] = if all_peers { &Peer::ALL } else { &Peer::SHORT };
    std::iter::once(Kind::Bridge).chain(peers.iter().map(|peer| Kind::Peer(*peer))).collect()
}

fn figure(kind: Kind, toll: &Toll, effort: Effort) -> Figure {
    if let Some(story) = &toll.failure {
        return Figure::failed("losses", kind.name(), story);
    }
    let goal = if kind == Kind::Bridge { Goal::AtMost(0.0) } else { Goal::Told };
    let outage = toll.outage.as_ref();
    let lost = toll.lost + outage.map_or(0, |outage| outage.lost);
    let mut note = format!("{} lost of {} answered, {} kills", toll.lost, toll.answered, toll.kills);
    if let Some(outage) = outage {
        let share = outage.not_kept as f64 * 100.0 / outage.sent.max(1) as f64;
        let seconds = outage_time(effort).as_secs();
        note.push_str(&format!(
            "; Kafka away {seconds} s: {share:.0} % refused or unanswered ({} of these are on Kafka all the same), {} lost",
            outage.written_anyway, outage.lost
        ));
    }
    Figure::bound("losses", kind.name(), goal, "lost", &[lost as f64]).noted(note)
}

/// A kill in the middle of a closed loop: answered 2xx, and of these lost.
fn kill(stage: &Stage, kind: Kind, after: Duration) -> Result<(u64, u64), String> {
    let series = stage.series();
    let mut receiver = Receiver::start(kind, &stage.kafka.brokers(), &series)?;
    let to = receiver.address();
    let outcome = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let pace = Pace::Closed { connections: 64 };
            send(stage, &series, to, pace, Until::time(after + Duration::from_millis(300)))
        });
        thread::sleep(after);
        receiver.kill();
        load.join().map_err(|_| "the load generator panicked".to_owned())
    })?;
    match kind {
        Kind::Bridge => wait_published_again(stage, &receiver, &series, &outcome)?,
        _ => thread::sleep(SETTLE),
    }
    let arrived = arrived::judge(stage, &series, &[(SIZE, &outcome)]);
    if arrived.altered + arrived.unknown > 0 {
        return Err(format!("{}: {arrived:?}", kind.name()));
    }
    drop(receiver);
    stage.end(&series);
    Ok((outcome.kept(), arrived.lost))
}

/// A bridge that was started again counts what it has published from 0: the topics tell.
fn wait_published_again(stage: &Stage, receiver: &Receiver, series: &Series, outcome: &Outcome) -> Result<(), String> {
    let found = support::process::wait_until(Duration::from_secs(120), || {
        let is_there = arrived::count(stage, series) >= outcome.kept();
        (is_there && receiver.has_published(0) == Some(true)).then_some(())
    });
    thread::sleep(Duration::from_secs(1));
    found.ok_or_else(|| "what was answered is not published two minutes after the kill".to_owned())
}

fn send(stage: &Stage, series: &Series, to: std::net::SocketAddr, pace: Pace, until: Until) -> Outcome {
    load::run(&Order {
        to,
        paths: &series.paths,
        library: &stage.library,
        size: SIZE,
        first: series.first,
        pace,
        until,
    })
}

fn outage_time(effort: Effort) -> Duration {
    effort.seconds(5.0, 30.0, 30.0)
}

/// All receivers at once, while their Kafka is away.
fn outage(bench: &Bench, kinds: &[Kind]) -> Result<Vec<Outage>, String> {
    let mut stage = Stage::with(Kafka::start_with(&["auto.create.topics.enable=false"]));
    let series: Vec<Series> = kinds.iter().map(|_| stage.series()).collect();
    let brokers = stage.kafka.brokers();
    let start = |(kind, series): (&Kind, &Series)| Receiver::start(*kind, &brokers, series);
    let receivers: Vec<Receiver> = kinds.iter().zip(&series).map(start).collect::<Result<_, _>>()?;
    let lead = Duration::from_secs(3);
    let away = outage_time(bench.effort);
    let pace = Pace::Open { per_second: PER_SECOND, connections: 1000, is_even: false };
    let library = &stage.library;
    let kafka = &mut stage.kafka;
    let outcomes: Vec<Result<Outcome, String>> = thread::scope(|scope| {
        let loads: Vec<_> = receivers
            .iter()
            .zip(&series)
            .map(|(receiver, series)| {
                let to = receiver.address();
                let until = Until::time(lead + away);
                scope.spawn(move || {
                    load::run(&Order {
                        to,
                        paths: &series.paths,
                        library,
                        size: SIZE,
                        first: series.first,
                        pace,
                        until,
                    })
                })
            })
            .collect();
        thread::sleep(lead);
        kafka.stop();
        thread::sleep(away);
        kafka.up();
        loads.into_iter().map(|load| load.join().map_err(|_| "a load generator panicked".to_owned())).collect()
    });
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    wait_published(&stage, &receivers[0], &series[0], outcomes[0].kept())?;
    thread::sleep(2 * SETTLE);
    let mut told = Vec::new();
    for ((kind, series), outcome) in kinds.iter().zip(&series).zip(&outcomes) {
        let arrived = arrived::judge(&stage, series, &[(SIZE, outcome)]);
        let (sent, not_kept) = (outcome.statuses.len() as u64, outcome.refused() + outcome.unanswered());
        // Every event that is there once, less those that were answered 2xx and are there.
        let written_anyway = (arrived.records - arrived.repeated).saturating_sub(outcome.kept() - arrived.lost);
        bench.keep(
            "losses",
            0,
            json!({
                "receiver": kind.name(),
                "outage_sent": sent,
                "not_kept": not_kept,
                "written_anyway": written_anyway,
                "outage_lost": arrived.lost,
            }),
        );
        told.push(Outage { sent, not_kept, lost: arrived.lost, written_anyway });
    }
    Ok(told)
}
