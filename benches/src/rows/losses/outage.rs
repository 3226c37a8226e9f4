//! An outage of Kafka, for all receivers at once: as it is, and with a `kill -9` of each at its end.
//!
//! In: the receivers' kinds. Out: a [`Fate`] for each. Each pass has a broker of its own, which is stopped while all receivers
//! get 100 events/s each. Where they are killed, that is when the outage's time is over, every answer has come or was given up,
//! and Kafka is not back: what a receiver has answered and keeps in memory alone is gone then.
//!
//! Never happens: a kill that Kafka's return has forestalled; a record that is not as it was sent, in silence.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use support::kafka::Kafka;

use super::{SETTLE, SIZE};
use crate::arrived::{self, Arrived};
use crate::load::{self, Order, Outcome, Pace, Until};
use crate::receiver::{Kind, Receiver};
use crate::round::{wait_published, wait_published_again};
use crate::rows::Effort;
use crate::stage::{Series, Stage};

/// From the first event until Kafka is told to stop.
const LEAD: Duration = Duration::from_secs(3);
/// More connections than a receiver that hangs can keep busy.
const PACE: Pace = Pace::Open { per_second: 100.0, connections: 1000, is_even: false };

/// What becomes of the receivers when the outage is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// They go on.
    Alive,
    /// Each is killed, and the bridge started again; then Kafka comes back.
    Killed,
}

/// What became of one receiver's events.
pub struct Fate {
    pub sent: u64,
    pub answered: u64,
    /// Refused or unanswered.
    pub not_kept: u64,
    /// Of those answered 2xx.
    pub lost: u64,
    /// Refused or unanswered, and on Kafka all the same: whoever sends it again makes a copy.
    pub written_anyway: u64,
}

/// How long Kafka is away.
pub fn time(effort: Effort) -> Duration {
    effort.seconds(5.0, 30.0, 30.0)
}

/// One pass; of a receiver whose records are wrong, what is wrong.
pub fn run(effort: Effort, kinds: &[Kind], end: End) -> Result<Vec<Result<Fate, String>>, String> {
    let mut stage = Stage::with(Kafka::start_with(&["auto.create.topics.enable=false"]));
    let series: Vec<Series> = kinds.iter().map(|_| stage.series()).collect();
    let brokers = stage.kafka.brokers();
    let start = |(kind, series): (&Kind, &Series)| Receiver::start(*kind, &brokers, series);
    let mut receivers: Vec<Receiver> = kinds.iter().zip(&series).map(start).collect::<Result<_, _>>()?;
    let outcomes = while_away(&mut stage, &mut receivers, &series, time(effort), end)?;
    if let Some(at) = kinds.iter().position(|kind| *kind == Kind::Bridge) {
        match end {
            End::Alive => wait_published(&stage, &receivers[at], &series[at], outcomes[at].kept())?,
            End::Killed => wait_published_again(&stage, &receivers[at], &series[at], outcomes[at].kept())?,
        }
    }
    thread::sleep(2 * SETTLE);
    Ok(series.iter().zip(&outcomes).map(|(series, outcome)| fate(&stage, series, outcome)).collect())
}

/// The loads, while Kafka goes and comes back.
fn while_away(
    stage: &mut Stage,
    receivers: &mut [Receiver],
    series: &[Series],
    away: Duration,
    end: End,
) -> Result<Vec<Outcome>, String> {
    let (library, kafka) = (&stage.library, &mut stage.kafka);
    let addresses: Vec<SocketAddr> = receivers.iter().map(Receiver::address).collect();
    thread::scope(|scope| {
        let start = |(to, series): (SocketAddr, &'_ Series)| {
            let (paths, first, until) = (series.paths.clone(), series.first, Until::time(LEAD + away));
            scope.spawn(move || load::run(&Order { to, paths: &paths, library, size: SIZE, first, pace: PACE, until }))
        };
        let loads: Vec<_> = addresses.into_iter().zip(series).map(start).collect();
        thread::sleep(LEAD);
        kafka.stop();
        thread::sleep(away);
        if end == End::Alive {
            kafka.up();
        }
        let outcomes = loads.into_iter().map(|load| load.join().map_err(|_| "a load generator panicked".to_owned()));
        let outcomes = outcomes.collect();
        if end == End::Killed {
            receivers.iter_mut().for_each(Receiver::kill);
            kafka.up();
        }
        outcomes
    })
}

fn fate(stage: &Stage, series: &Series, outcome: &Outcome) -> Result<Fate, String> {
    let Arrived { records, lost, altered, unknown, repeated } = arrived::judge(stage, series, &[(SIZE, outcome)]);
    if altered + unknown > 0 {
        return Err(format!("after an outage {altered} records are not as they were sent, {unknown} nobody has sent"));
    }
    Ok(Fate {
        sent: outcome.statuses.len() as u64,
        answered: outcome.kept(),
        not_kept: outcome.refused() + outcome.unanswered(),
        lost,
        // Every event that is there once, less those that were answered 2xx and are there.
        written_anyway: (records - repeated).saturating_sub(outcome.kept() - lost),
    })
}
