//! What each part reports about itself, for `/readyz`, `/livez` and the stop.
//!
//! In: facts from the parts (the journal takes records, the service is stopping …). Out: [`Readiness`]. Never happens:
//! a question to Kafka, a lock that waits for I/O.

use std::sync::atomic::{AtomicBool, Ordering};

/// The facts, each set by one part.
#[derive(Debug, Default)]
pub struct Health {
    /// `service`: recovery is done and the listeners are open.
    started: AtomicBool,
    /// `service`: the stop has begun.
    stopping: AtomicBool,
    /// `journal`: no segment is left for the intake.
    journal_full: AtomicBool,
    /// `journal`: a write or sync failed; the process is about to end.
    journal_poisoned: AtomicBool,
    /// `publisher`: a broker answered lately. Told in `?verbose`, never part of readiness.
    kafka_up: AtomicBool,
}

/// Whether an event could be kept now, and each check behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Name of the check, whether it holds, and what it means where it does not.
    pub checks: Vec<Check>,
}

/// One check of [`Readiness`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub holds: bool,
    /// Whether it decides; Kafka's does not.
    pub decides: bool,
    /// What is wrong and what follows, where it does not hold.
    pub trouble: &'static str,
}

impl Readiness {
    /// Every deciding check holds.
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.holds || !check.decides)
    }
}

impl Health {
    /// The service is open.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// The stop has begun.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The journal has, or has not, room for the next record.
    pub fn set_journal_full(&self, full: bool) {
        self.journal_full.store(full, Ordering::Release);
    }

    /// A write or sync failed.
    pub fn set_journal_poisoned(&self) {
        self.journal_poisoned.store(true, Ordering::Release);
    }

    /// A broker answered lately, or none did.
    pub fn set_kafka_up(&self, up: bool) {
        self.kafka_up.store(up, Ordering::Release);
    }

    /// All checks, in the order in which an operator would ask.
    pub fn readiness(&self) -> Readiness {
        let get = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let check = |name, holds, decides, trouble| Check { name, holds, decides, trouble };
        Readiness {
            checks: vec![
                check("started", get(&self.started), true, "the journal is being recovered"),
                check("running", !get(&self.stopping), true, "the stop has begun"),
                check("journal_room", !get(&self.journal_full), true, "no room: events are refused with 503"),
                check("journal_sound", !get(&self.journal_poisoned), true, "a write or sync failed: restart follows"),
                check("kafka", get(&self.kafka_up), false, "no broker answers: events wait in the journal"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_from_start_to_stop_whatever_kafka_does() {
        let health = Health::default();
        assert!(!health.readiness().is_ready());
        health.set_started();
        assert!(health.readiness().is_ready());
        health.set_kafka_up(true);
        health.set_stopping();
        assert!(!health.readiness().is_ready());
    }

    #[test]
    fn a_full_or_poisoned_journal_is_not_ready() {
        let health = Health::default();
        health.set_started();
        health.set_journal_full(true);
        assert!(!health.readiness().is_ready());
        health.set_journal_full(false);
        health.set_journal_poisoned();
        assert!(!health.readiness().is_ready());
    }
}
