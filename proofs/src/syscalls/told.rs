//! What a life says of itself, compared with what its senders and its topics know.
//!
//! In: a life from before its start. Out: nothing, or what its metrics do not agree with. Never happens: a verdict while
//! it still publishes: it has time to come to agree, and what it has told too much stays too much.

use std::time::{Duration, Instant};

use support::judge::Report;
use support::judge::lives::{Count, Life as Known};
use support::judge::truth::Span;
use support::ledger::turn;

use super::life::Life;
use super::stage::Stage;

const AGREES_WITHIN: Duration = Duration::from_secs(20);

/// What was there before the life began.
pub struct Told {
    from: u64,
    records: i64,
}

impl Told {
    pub fn before_start(stage: &Stage) -> Result<Told, String> {
        let records = stage.mock.last_ends()?.values().sum();
        Ok(Told { from: turn(), records })
    }

    /// When nobody sends any more and Kafka is there.
    pub fn compare(&self, stage: &Stage, life: &Life) -> Result<(), String> {
        let end = Instant::now() + AGREES_WITHIN;
        loop {
            let report = self.report(stage, life)?;
            match report.scene() {
                None => return Ok(()),
                Some(scene) if Instant::now() > end => return Err(format!("its metrics do not agree: {scene}")),
                Some(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn report(&self, stage: &Stage, life: &Life) -> Result<Report, String> {
        let before = turn();
        let metrics = life.metrics()?;
        let scrape = (before, turn());
        let gained = (stage.mock.ends()?.values().sum::<i64>() - self.records) as u64;
        // A producer that is given up leaves records that nobody has confirmed.
        let gained = if life.has_renewed() { Count::at_most(gained) } else { Count::exactly(gained) };
        let span = Span { intake: life.intake, from: self.from, scrape, until: turn() };
        let mut report = Report::default();
        Known::of(&span, &stage.sender.ledger, metrics, false, gained).judge(&mut report);
        Ok(report)
    }
}
