//! The bridge's journal alone: so many records at a time appended, synced, and read back behind the writer.
//!
//! In: a folder, a size, how many records, how many at a time. Out: processor time of the whole process and how long it
//! took. Never happens: a record that is read before it is synced (the journal's own promise), or not read; a body that is
//! made while the clock runs.

use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use retell_bridge::health::Health;
use retell_bridge::journal::storage::Disk;
use retell_bridge::journal::{Append, Item, Journal, LaneMark, Options, Position};
use retell_bridge::metrics::Metrics;

use super::{Told, finished, own_cpu};
use crate::bodies::Size;

/// As the bridge has it.
fn options() -> Options {
    Options {
        segment_bytes: 64 << 20,
        size_max_bytes: 24 << 30,
        retention: Duration::from_secs(24 * 3600),
        quarantine_retention: Duration::from_secs(30 * 24 * 3600),
        checkpoint_every: Duration::from_millis(200),
        allow_ephemeral: false,
    }
}

/// How many records are on their way.
#[derive(Default)]
struct Gate {
    outstanding: Mutex<usize>,
    fewer: Condvar,
}

/// Appends `count` records, `at_once` of them on their way at a time, and reads them all.
pub fn append(folder: &Path, size: Size, count: u64, at_once: usize) -> Result<Told, String> {
    let storage = Disk::new(folder).map_err(|error| error.to_string())?;
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let opened = Journal::open(Arc::new(storage), options(), metrics, health);
    let (journal, recovered) = opened.map_err(|error| error.to_string())?;
    let bodies = finished(size);
    let (cpu, began) = (own_cpu(), Instant::now());
    let reader = {
        let (journal, next) = (journal.clone(), recovered.next);
        std::thread::spawn(move || read(&journal, next, count))
    };
    let gate = Arc::new(Gate::default());
    let (failures, failed) = mpsc::channel();
    for (number, finished) in (0..count).zip(bodies.iter().cycle()) {
        // The copies that a request's body takes on its way here are the floor of HTTP's.
        let body = finished.body.clone();
        let envelope = Bytes::from_static(&[0; 120]);
        enter(&gate, at_once);
        let (gate, failures) = (Arc::clone(&gate), failures.clone());
        let done = move |written: Result<Position, _>| {
            if let Err(error) = written {
                let _ = failures.send(format!("{error:?}"));
            }
            *gate.outstanding.lock().expect("no holder panics") -= 1;
            gate.fewer.notify_one();
        };
        // A record of long ago would close its segment at once, for its age.
        let received_at_ms = support::sign::now_ms();
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&number.to_le_bytes());
        let append = Append { tag, received_at_ms, payload: [envelope, body], done: Box::new(done) };
        journal.append(append).map_err(|error| format!("{error:?}"))?;
    }
    reader.join().expect("the reader does not panic")?;
    let cpu_us = (own_cpu() - cpu).as_secs_f64() * 1e6;
    let told = Told { events: count, cpu_us, timed_events: count, seconds: began.elapsed().as_secs_f64() };
    journal.close().map_err(|error| format!("{error:?}"))?;
    failed.try_recv().map_or(Ok(told), Err)
}

fn enter(gate: &Gate, at_once: usize) {
    let mut outstanding = gate.outstanding.lock().expect("no holder panics");
    while *outstanding >= at_once {
        outstanding = gate.fewer.wait(outstanding).expect("no holder panics");
    }
    *outstanding += 1;
}

/// Reads what is synced and marks it settled, as the publisher does.
fn read(journal: &Journal, from: Position, count: u64) -> Result<(), String> {
    let mut reader = journal.reader(from);
    let mut found = 0;
    while found < count {
        match reader.next().map_err(|error| format!("{error:?}"))? {
            Some(Item::Record(record)) => {
                found += u64::from(!record.payload.is_empty());
                if found % 512 == 0 {
                    let position = Position(record.position.0 + 1);
                    journal.mark(vec![LaneMark { topic: "retell.call_ended".to_owned(), position, takes: 1 }]);
                }
            }
            Some(item) => return Err(format!("not a record: {:?}", std::mem::discriminant(&item))),
            None => drop(journal.wait_synced(reader.position(), Duration::from_millis(50))),
        }
    }
    Ok(())
}
