//! One way through the journal: what is chosen goes down a road, in order of position.
//!
//! In: a journal that was opened to look, its checkpoint, a choice, a road. Out: how it ended; counts. Never happens: a
//! record behind `synced_up_to`; on its own topics, a delivery that its lane has not settled; damage without a word.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::tally::Tally;
use crate::cli::choice::Chosen;
use crate::cli::output;
use crate::event::Event;
use crate::journal::browse::{Browse, Seen};
use crate::journal::inspect::InspectedCheckpoint;
use crate::journal::{Position, Record};
use crate::publisher::{Again, Refused, Replay, Router, Target};

/// What is gone through.
pub struct Pass<'a> {
    pub browse: &'a Browse,
    pub checkpoint: &'a InspectedCheckpoint,
    pub chosen: &'a Chosen,
    pub to_topic: Option<&'a str>,
}

/// Where records go.
pub enum Road<'a> {
    /// Nowhere: they are counted.
    Dry(&'a Router),
    Kafka {
        again: &'a mut Again,
        run_id: &'a str,
        rate: Option<u32>,
    },
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// Everything before `at` is confirmed.
    Interrupted {
        at: Position,
    },
    /// Everything before `at` is confirmed.
    Refused {
        at: Position,
        refused: Refused,
    },
}

impl Ended {
    /// From where to go on.
    pub fn at(&self) -> Option<Position> {
        match self {
            Ended::Done => None,
            Ended::Interrupted { at } | Ended::Refused { at, .. } => Some(*at),
        }
    }
}

impl Pass<'_> {
    /// Goes through, from `from` on. `goes_on` is asked at each record.
    pub fn run(
        &self,
        from: Position,
        road: &mut Road<'_>,
        tally: &mut Tally,
        goes_on: &mut dyn FnMut(Position) -> bool,
    ) -> anyhow::Result<Ended> {
        let mut wanted = self.chosen.wanted();
        wanted.positions.start = wanted.positions.start.max(from);
        wanted.positions.end = wanted.positions.end.min(self.checkpoint.synced_up_to);
        let (mut ended, began, mut count) = (Ended::Done, Instant::now(), 0_u32);
        self.browse.read(&wanted, &mut |seen| {
            let record = match seen {
                Seen::Record(record) => record,
                Seen::Damage { segment, positions, what } => {
                    tally.damaged(segment, &positions, || {
                        output::complain_of_damage(segment, &positions, what, self.browse.standing(&positions));
                    });
                    return ControlFlow::Continue(());
                }
            };
            let is_there = wanted.positions.contains(&record.position);
            if !is_there || !self.chosen.takes_place(record.position, record.received_at_ms) {
                return ControlFlow::Continue(());
            }
            if !goes_on(record.position) {
                ended = Ended::Interrupted { at: record.position };
                return ControlFlow::Break(());
            }
            if let Err(refused) = self.take(&record, road, tally, &mut count, began) {
                ended = Ended::Refused { at: record.position, refused };
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self::arrive(road, ended))
    }

    /// Waits for what is on its way, and says from where to go on.
    fn arrive(road: &mut Road<'_>, ended: Ended) -> Ended {
        let Road::Kafka { again, .. } = road else { return ended };
        let finished = match &ended {
            Ended::Refused { .. } => Ok(()),
            Ended::Done | Ended::Interrupted { .. } => again.finish(),
        };
        let first = again.first_unconfirmed();
        match (ended, finished) {
            (Ended::Refused { at, refused }, _) => {
                Ended::Refused { at: first.map_or(at, |first| first.min(at)), refused }
            }
            (ended, Ok(())) => ended,
            (Ended::Interrupted { at }, Err(refused)) => Ended::Refused { at: first.unwrap_or(at), refused },
            (Ended::Done, Err(refused)) => Ended::Refused { at: first.unwrap_or_default(), refused },
        }
    }

    fn take(
        &self,
        record: &Record,
        road: &mut Road<'_>,
        tally: &mut Tally,
        count: &mut u32,
        began: Instant,
    ) -> Result<(), Refused> {
        let Ok(event) = Event::decode(record.payload.clone()) else {
            if self.chosen.takes_unreadable() {
                tally.unreadable(record.position);
            }
            return Ok(());
        };
        let peek = event.peek();
        if !self.chosen.takes_event(&event, &peek) {
            return Ok(());
        }
        let router = match road {
            Road::Dry(router) => router,
            Road::Kafka { again, .. } => again.router(),
        };
        let topics: Vec<String> = match self.to_topic {
            Some(topic) => vec![topic.to_owned()],
            None => {
                let route = router.route(event.source(), &peek);
                let topics = std::iter::once(route.own).chain(route.all);
                topics.map(|topic| router.topics()[topic].to_string()).collect()
            }
        };
        for topic in topics {
            if self.to_topic.is_none() && self.waits(&topic, record.position) {
                tally.waiting(record.position, &topic);
                continue;
            }
            if tally.is_passed_over(record.position, &topic) {
                continue;
            }
            match road {
                // By an earlier pass, before the failure for which this one went back.
                Road::Kafka { again, .. } if again.has_confirmed(record.position, &topic) => {}
                Road::Dry(_) => tally.would_send(&topic, event.body().len()),
                Road::Kafka { again, run_id, rate } => {
                    keep_to(*rate, *count, began);
                    *count = count.saturating_add(1);
                    let origin = format!("replay:{run_id}");
                    let replay = Some(Replay { origin: &origin, now_ms: now_ms() });
                    again.send(record, Target { topic: &topic, replay })?;
                }
            }
        }
        Ok(())
    }

    /// The bridge has still to send it there.
    fn waits(&self, topic: &str, position: Position) -> bool {
        let lanes = &self.checkpoint.lanes;
        lanes.is_empty() || lanes.iter().any(|lane| lane.topic == topic && position >= lane.position)
    }
}

/// Waits until record number `count` is due.
fn keep_to(rate: Option<u32>, count: u32, began: Instant) {
    let Some(rate) = rate else { return };
    let due = began + Duration::from_secs_f64(f64::from(count) / f64::from(rate));
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
