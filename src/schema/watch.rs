//! The drift watch: a sample of the events that are published is held against the schema of its type, on a thread of its
//! own, so that a new field of Retell's shows in a metric and an alert before a consumer meets it.
//!
//! In: each event as it passes the publisher ([`Watch::offer`]: no copy, no wait). Out: `schema_checks_total`,
//! `schema_drift_total`, `schema_checks_skipped_total`, and one log line for each name, the first time. What is checked:
//! names and JSON types. What is not: fields that are missing, and what is free in form.
//!
//! Never happens: an event that is refused, changed or held up; more than [`QUEUE_EVENTS`] bodies, and the one at hand, kept
//! for it; more than one core; a value of a body, or a name that is not plain, in a metric or a log line.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use bytes::Bytes;

use super::check::{BODY, OTHER, Problem, check};
use super::names::Names;
use super::{KINDS, Shape, document};
use crate::event::Kind;
use crate::metrics::Metrics;
use crate::priority;

/// Events that wait for their check; one that finds no room is passed over.
const QUEUE_EVENTS: usize = 4;
/// Between two sampled events of one type: rare types are nearly all checked, and all types together are at most
/// 14 checks a second.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Larger bodies are passed over, whatever `intake.body_max` lets in: four times the longest call's.
const BODY_MAX_BYTES: usize = 8 << 20;

const BUSY: &str = "busy";
const TOO_LARGE: &str = "too_large";

/// Which events are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Off,
    /// At most one in a second of each type.
    Sampled,
    /// Each, as far as the watch keeps up.
    All,
}

/// The publisher's end of the watch. Its thread ends with it.
pub struct Watch(Option<Offering>);

struct Offering {
    mode: Mode,
    queue: SyncSender<(Kind, Bytes)>,
    offered_at: [Option<Duration>; KINDS.len()],
    metrics: Arc<Metrics>,
}

impl Watch {
    /// One that checks nothing.
    pub fn off() -> Watch {
        Watch(None)
    }

    /// Starts the thread, where `mode` wants one.
    pub fn start(mode: Mode, metrics: Arc<Metrics>) -> io::Result<Watch> {
        if mode == Mode::Off {
            return Ok(Watch::off());
        }
        for kind in KINDS {
            let fields = [BODY, OTHER].into_iter();
            let drift =
                Problem::ALL.into_iter().flat_map(|problem| fields.clone().map(move |each| (problem.label(), each)));
            metrics.expect_schema(kind.name(), drift);
        }
        metrics.expect_schema_skips(&[BUSY, TOO_LARGE]);
        let (queue, events) = sync_channel(QUEUE_EVENTS);
        let desk = Desk { shapes: Default::default(), names: Names::default(), metrics: Arc::clone(&metrics) };
        Builder::new().name("schema-watch".into()).spawn(move || {
            priority::give_way();
            desk.run(&events);
        })?;
        Ok(Watch(Some(Offering { mode, queue, offered_at: [None; KINDS.len()], metrics })))
    }

    /// An event passes by at `now`, which never goes back.
    pub fn offer(&mut self, kind: Kind, body: &Bytes, now: Duration) {
        let Some(offering) = &mut self.0 else { return };
        let Some(number) = number(kind) else { return };
        let last = &mut offering.offered_at[number];
        if offering.mode == Mode::Sampled && last.is_some_and(|last| now < last + SAMPLE_EVERY) {
            return;
        }
        *last = Some(now);
        if body.len() > BODY_MAX_BYTES {
            offering.metrics.schema_check_skipped(TOO_LARGE);
        } else if offering.queue.try_send((kind, body.clone())).is_err() {
            offering.metrics.schema_check_skipped(BUSY);
        }
    }
}

fn number(kind: Kind) -> Option<usize> {
    KINDS.iter().position(|known| *known == kind)
}

/// The thread's end.
struct Desk {
    /// Made when the first event of the type comes.
    shapes: [Option<Shape>; KINDS.len()],
    names: Names,
    metrics: Arc<Metrics>,
}

impl Desk {
    fn run(mut self, events: &Receiver<(Kind, Bytes)>) {
        for (kind, body) in events {
            self.look(kind, &body);
        }
    }

    fn look(&mut self, kind: Kind, body: &[u8]) {
        let Some(slot) = number(kind).map(|number| &mut self.shapes[number]) else { return };
        if slot.is_none() {
            *slot = document(kind).map(|document| Shape::of(&document));
        }
        let Some(shape) = slot else { return };
        let findings = check(body, shape);
        self.metrics.schema_checked(kind.name(), !findings.is_empty());
        for finding in findings {
            let problem = finding.problem.label();
            let counted = self.names.count(kind, finding);
            self.metrics.schema_drifted(kind.name(), problem, &counted.field);
            if counted.is_new {
                let (kind, field) = (kind.name(), counted.field.as_str());
                tracing::warn!(
                    r#type = kind,
                    problem,
                    field,
                    "an event differs from its schema; it is published as it came (told once for each field)"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
