//! Row `losses`: what `kill -9` loses under load, and what an outage of Kafka does, for the bridge and each peer.
//!
//! Three questions: kills under load ([`kill`]); 30 s without Kafka; the same with a `kill -9` at its end ([`outage`]). A
//! killed bridge is started again; a killed handler has nothing that a start would bring back. A peer that fails is told as
//! failed; the bridge's failure is the row's. Never happens: a loss that counts what was never answered 2xx.

mod kill;
mod outage;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, Effort};
use crate::bodies::Size;
use crate::figures::{Figure, Goal};
use crate::peers::Peer;
use crate::random::Random;
use crate::receiver::Kind;
use outage::{End, Fate};

const SIZE: Size = Size::Middle;
/// Time for what is on its way to a broker when its sender dies, and for what a client still sends after an outage.
const SETTLE: Duration = Duration::from_secs(5);

/// Of one receiver.
#[derive(Default)]
struct Toll {
    kills: u64,
    answered: u64,
    lost: u64,
    /// Of an outage, and of one with a kill at its end.
    outages: Option<[Fate; 2]>,
    failure: Option<String>,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut tolls: BTreeMap<usize, Toll> = BTreeMap::new();
    let kinds = kinds(bench.all_peers);
    let mut random = Random::new(3);
    for number in 0..bench.effort.pick(1, 3, 10) {
        for (at, kind) in kinds.iter().enumerate() {
            let after = Duration::from_millis(2_000 + random.below(1_000));
            let killed = kill::run(&bench.stage, *kind, after);
            tolls.entry(at).or_default().add(bench, number, *kind, killed)?;
        }
    }
    let able: Vec<usize> = (0..kinds.len()).filter(|at| tolls[at].failure.is_none()).collect();
    let those: Vec<Kind> = able.iter().map(|at| kinds[*at]).collect();
    let alive = outage::run(bench.effort, &those, End::Alive)?;
    let killed = outage::run(bench.effort, &those, End::Killed)?;
    for (at, (alive, killed)) in able.into_iter().zip(alive.into_iter().zip(killed)) {
        let fates = alive.and_then(|alive| Ok([alive, killed?]));
        tolls.entry(at).or_default().add_outages(bench, kinds[at], fates)?;
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
            Err(story) => self.fail(bench, number, kind, story)?,
        }
        Ok(())
    }

    /// Both outages.
    fn add_outages(&mut self, bench: &Bench, kind: Kind, fates: Result<[Fate; 2], String>) -> Result<(), String> {
        match fates {
            Ok([alive, killed]) => {
                bench.keep("losses", 0, json(kind, &alive, &killed));
                self.outages = Some([alive, killed]);
            }
            Err(story) => self.fail(bench, 0, kind, story)?,
        }
        Ok(())
    }

    /// A peer's failure stands in its line.
    fn fail(&mut self, bench: &Bench, number: usize, kind: Kind, story: String) -> Result<(), String> {
        if kind == Kind::Bridge {
            return Err(story);
        }
        bench.keep("losses", number, json!({ "receiver": kind.name(), "failed": &story }));
        self.failure = Some(story);
        Ok(())
    }
}

/// One entry for both outages.
fn json(kind: Kind, alive: &Fate, killed: &Fate) -> Value {
    json!({
        "receiver": kind.name(),
        "outage_sent": alive.sent,
        "not_kept": alive.not_kept,
        "written_anyway": alive.written_anyway,
        "outage_lost": alive.lost,
        "killed_outage_sent": killed.sent,
        "killed_outage_answered": killed.answered,
        "killed_outage_lost": killed.lost,
    })
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
    let mut lost = toll.lost;
    let mut note = format!("{} lost of {} answered, {} kills", toll.lost, toll.answered, toll.kills);
    if let Some([alive, killed]) = &toll.outages {
        lost += alive.lost + killed.lost;
        let share = alive.not_kept as f64 * 100.0 / alive.sent.max(1) as f64;
        let seconds = outage::time(effort).as_secs();
        note.push_str(&format!(
            "; Kafka away {seconds} s: {share:.0} % refused or unanswered ({} of these are on Kafka all the same), {} lost; \
             the same with `kill -9` before Kafka comes back: {} lost of {} answered",
            alive.written_anyway, alive.lost, killed.lost, killed.answered
        ));
    }
    Figure::bound("losses", kind.name(), goal, "lost", &[lost as f64]).noted(note)
}
