//! One volume: a new file system, load, cuts, recoveries, each judged.
//!
//! In: a seed and the file system. Out: how many cuts were judged, or what was lost. Never happens: a cut that counts
//! before the recovery behind it has been judged.

mod cuts;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use retell_bridge::health::Health;
use retell_bridge::journal::inspect::{Depth, inspect};
use retell_bridge::journal::storage::Disk;
use retell_bridge::journal::{Item, Journal, LaneMark, OpenError, Options, Position, Recovered};
use retell_bridge::metrics::Metrics;

use super::ledger::{Found, Ledger, Seen, Wrong};
use super::load::{Book, Load, append};
use super::volume::{FileSystem, Flush, Switch, Volume};
use crate::random::Random;

/// Cuts on one volume.
pub const CUTS: u64 = 5;
const SEGMENT_BYTES: u64 = 64 << 10;
const TOPICS: [&str; 3] = ["retell.call_ended", "retell.chat_ended", "retell.unrecognized"];

#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub cuts: u64,
    pub in_recovery: u64,
    pub in_close: u64,
    /// Starts that asked for room on the full file system, and got it.
    pub without_room: u64,
    pub acknowledged: u64,
    pub refused: u64,
}

impl Outcome {
    pub fn add(&mut self, other: &Outcome) {
        self.cuts += other.cuts;
        self.in_recovery += other.in_recovery;
        self.in_close += other.in_close;
        self.without_room += other.without_room;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
    }
}

struct Scene {
    random: Random,
    volume: Volume,
    options: Options,
    book: Book,
    /// The file system is nearly full.
    is_squeezed: bool,
    /// Cuts that no recovery was judged after.
    open_cuts: u64,
    outcome: Outcome,
    log: Vec<String>,
}

/// A journal at work, and where its lanes stand.
struct Running {
    journal: Journal,
    lanes: Vec<LaneMark>,
}

pub fn run(seed: u64, file_system: FileSystem, is_told: bool) -> Result<Outcome, String> {
    let mut random = Random::new(seed);
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        size_max_bytes: random.pick(&[5, 8, 12, 40]) * SEGMENT_BYTES + SEGMENT_BYTES / 2,
        retention: random.pick(&[Duration::ZERO, Duration::from_millis(200), Duration::from_secs(3_600)]),
        quarantine_retention: Duration::from_secs(3_600),
        checkpoint_every: Duration::from_millis(random.pick(&[0, 2, 10])),
        allow_ephemeral: false,
    };
    let log = vec![format!("{} {options:?}", file_system.name())];
    let volume = Volume::make(file_system)?;
    let (book, outcome) = (Book::new(Ledger::new(seed)), Outcome::default());
    let mut scene = Scene { random, volume, options, book, is_squeezed: false, open_cuts: 0, outcome, log };
    let lived = scene.live();
    let ledger = scene.book.open();
    if is_told {
        eprintln!("{}", scene.log.join("\n"));
    }
    match lived {
        Ok(()) => Ok(Outcome { acknowledged: ledger.acknowledged, refused: ledger.refused, ..scene.outcome }),
        Err(wrong) => Err(format!("{}\n\n{wrong}", scene.log.join("\n"))),
    }
}

impl Scene {
    fn live(&mut self) -> Result<(), Wrong> {
        let mut running = self.open()?;
        while self.outcome.cuts < CUTS {
            if self.random.chance(25) {
                self.work(&running)?;
                self.stop(running)?;
                running = self.open()?;
            }
            if self.is_squeezed && self.random.chance(50) {
                self.make_room()?;
            } else if self.random.chance(15) {
                self.squeeze()?;
            }
            self.cut_at_work(running)?;
            while self.random.chance(25) {
                self.cut_in_recovery()?;
            }
            running = self.open()?;
        }
        self.work(&running)?;
        self.stop(running)
    }

    /// Recovers, reads all that is there, judges.
    fn open(&mut self) -> Result<Running, Wrong> {
        self.look()?;
        let (journal, recovered, metrics) = match self.start() {
            Err(error) if self.is_squeezed && is_for_room(&error) => {
                self.note(format!("no room to recover: {error}"));
                self.outcome.without_room += 1;
                self.make_room()?;
                self.start()
            }
            other => other,
        }
        .map_err(|error| format!("the journal does not open after a cut: {error}"))?;
        let may_go_back = self.is_squeezed && self.open_cuts > 1;
        let mut found = Found {
            lanes: recovered.lanes,
            oldest: recovered.oldest.0,
            next: recovered.next.0,
            tags: recovered.tags.collect(),
            records: read_all(&journal)?,
            is_freed: false,
        };
        // The keeper frees the oldest first: nothing has gone where the oldest is still there.
        let looked = inspect(&Disk::read_only(self.volume.folder().join("bridge")), Depth::Summary);
        let oldest = looked.ok().and_then(|looked| looked.segments.first().map(|first| first.begin.0));
        found.is_freed = oldest != Some(found.oldest);
        if recovered.corrupt_bytes > 0 || told_bytes(&metrics) > 0 {
            return Err(format!("{} damaged bytes are told after a plain power cut", told_bytes(&metrics)));
        }
        let (torn, count, oldest, next) = (recovered.torn_bytes, found.records.len(), found.oldest, found.next);
        self.note(format!("recovered {count} records from {oldest}, next {next}, {torn} bytes torn"));
        self.book.open().recovered(&found, may_go_back)?;
        self.outcome.cuts += std::mem::take(&mut self.open_cuts);
        let lane = |topic: &&str| {
            let known = found.lanes.iter().find(|lane| lane.topic == *topic).map(|lane| lane.position);
            LaneMark { topic: (*topic).to_owned(), position: known.unwrap_or(Position(found.oldest)), takes: 0 }
        };
        Ok(Running { journal, lanes: TOPICS.iter().map(lane).collect() })
    }

    fn start(&self) -> Result<(Journal, Recovered, Arc<Metrics>), OpenError> {
        start(&self.volume.folder().join("bridge"), &self.options)
    }

    /// As `journal verify` would look before the next start.
    fn look(&self) -> Result<(), Wrong> {
        let folder = self.volume.folder().join("bridge");
        if !folder.join("journal").exists() {
            return Ok(());
        }
        let found = inspect(&Disk::read_only(folder), Depth::Records).map_err(|error| format!("no look: {error}"))?;
        if found.is_sound() { Ok(()) } else { Err(format!("the journal is not sound: {found:?}")) }
    }

    fn load(&mut self, running: &Running) -> Load {
        let largest_bytes = self.random.pick(&[600, 4_000, SEGMENT_BYTES / 2]);
        let folder = self.volume.folder().join("bridge");
        Load::start(&running.journal, &self.book, &running.lanes, folder, largest_bytes, &mut self.random)
    }

    /// Until so many more are acknowledged, or it takes too long (no room).
    fn wait(&mut self) {
        let target = self.book.open().acknowledged + self.random.pick(&[1, 20, 100, 400]);
        let began = Instant::now();
        while self.book.open().acknowledged < target && began.elapsed() < Duration::from_millis(150) {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(self.random.below(3_000)));
    }

    fn work(&mut self, running: &Running) -> Result<(), Wrong> {
        let load = self.load(running);
        self.wait();
        load.end()?;
        self.told()
    }

    /// A clean stop.
    fn stop(&mut self, running: Running) -> Result<(), Wrong> {
        running.journal.close().map_err(|error| format!("a clean stop fails: {error}"))?;
        drop(running);
        let newest = self.book.open().newest();
        self.book.open().closed(&newest);
        self.note("clean stop".into());
        self.look()
    }

    /// Leaves little room beside the journal.
    fn squeeze(&mut self) -> Result<(), Wrong> {
        let free_bytes = self.random.below(6 * SEGMENT_BYTES);
        self.note(format!("{free_bytes} bytes are free"));
        self.is_squeezed = true;
        self.volume.fill_up_to(Some(free_bytes)).map_err(|error| format!("the volume is not filled: {error}"))
    }

    fn make_room(&mut self) -> Result<(), Wrong> {
        self.note("room again".into());
        self.is_squeezed = false;
        self.volume.fill_up_to(None).map_err(|error| format!("the volume is not emptied: {error}"))
    }

    fn told(&self) -> Result<(), Wrong> {
        self.book.open().wrong.take().map_or(Ok(()), Err)
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }
}

fn start(folder: &Path, options: &Options) -> Result<(Journal, Recovered, Arc<Metrics>), OpenError> {
    let making = |source| OpenError::Io { doing: "make", path: "journal.dir".into(), source };
    let disk = Arc::new(Disk::new(folder).map_err(making)?);
    let metrics = Arc::new(Metrics::new());
    let (journal, recovered) = Journal::open(disk, options.clone(), metrics.clone(), Arc::new(Health::default()))?;
    Ok((journal, recovered, metrics))
}

/// A start on a full file system may need room beside the journal, and says so: XFS wants some for a rename.
fn is_for_room(error: &OpenError) -> bool {
    match error {
        OpenError::NoRoom { .. } => true,
        OpenError::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

fn read_all(journal: &Journal) -> Result<Vec<Seen>, Wrong> {
    let mut reader = journal.reader(Position(0));
    let mut records = Vec::new();
    while let Some(item) = reader.next().map_err(|error| format!("a reader fails: {error}"))? {
        let Item::Record(record) = item else { return Err(format!("damage is told after a plain cut: {item:?}")) };
        records.push(Seen {
            position: record.position.0,
            tag: record.tag,
            received_at_ms: record.received_at_ms,
            payload: record.payload.to_vec(),
        });
    }
    Ok(records)
}

/// Damaged bytes that this start has told of.
fn told_bytes(metrics: &Metrics) -> u64 {
    let text = metrics.scrape();
    let line = text.lines().find(|line| line.starts_with("retell_bridge_journal_corrupt_bytes_total "));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
}
