//! The one place where the publisher meets the journal. In tests an in-memory journal stands here.

use std::time::Duration;

use crate::journal::{Item, Journal, LaneMark, Position};

/// Reads on with one reader; `Err` says what went wrong, and the next call tries again.
pub(super) type ReadNext = Box<dyn FnMut() -> Result<Read, String> + Send>;
/// Keeps a dead letter, by its name; `Err` says what went wrong.
pub(super) type KeepDeadLetter = Box<dyn Fn(&str, &[u8]) -> Result<(), String> + Send>;

/// What a reader gives.
pub(super) enum Read {
    Item(Item),
    /// Nothing further is synced yet; nothing comes before this position, also where none has the one before it.
    End(Position),
}

/// What the publisher asks of the journal.
pub(super) struct Source {
    pub synced: Box<dyn Fn() -> Position + Send>,
    pub wait_synced: Box<dyn Fn(Position, Duration) -> Position + Send>,
    pub reader: Box<dyn Fn(Position) -> ReadNext + Send>,
    pub mark: Box<dyn Fn(Vec<LaneMark>) + Send>,
    pub keep_dead_letter: KeepDeadLetter,
}

impl Source {
    /// The real one.
    pub fn of(journal: &Journal) -> Source {
        let clone = || journal.clone();
        let (synced, waiting, reading, marking, keeping) = (clone(), clone(), clone(), clone(), clone());
        Source {
            synced: Box::new(move || synced.synced()),
            wait_synced: Box::new(move |from, timeout| waiting.wait_synced(from, timeout)),
            reader: Box::new(move |from| {
                let mut reader = reading.reader(from);
                Box::new(move || match reader.next() {
                    Ok(Some(item)) => Ok(Read::Item(item)),
                    Ok(None) => Ok(Read::End(reader.position())),
                    Err(error) => Err(error.to_string()),
                })
            }),
            mark: Box::new(move |lanes| marking.mark(lanes)),
            keep_dead_letter: Box::new(move |name, payload| {
                keeping.keep_dead_letter(name, payload).map_err(|error| error.to_string())
            }),
        }
    }
}
