//! Load on a running journal: appenders that wait for their answers, and a publisher that reads and marks.
//!
//! In: a journal, where its lanes stand. Out: all into the ledger. Never happens: more than a burst outstanding for each
//! appender; a mark that the ledger does not know before the journal does.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use retell_bridge::journal::inspect::{Depth, inspect};
use retell_bridge::journal::storage::Disk;
use retell_bridge::journal::{Append, AppendError, Item, Journal, LaneMark, Position, Reader};

use super::ledger::{Ledger, Seen, Wrong};
use crate::random::Random;

const APPENDERS: usize = 3;
/// An answer that takes longer never comes.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The ledger, shared by threads.
#[derive(Clone)]
pub struct Book(Arc<Mutex<Ledger>>);

impl Book {
    pub fn new(ledger: Ledger) -> Book {
        Book(Arc::new(Mutex::new(ledger)))
    }

    pub fn open(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the threads share.
#[derive(Clone)]
struct Work {
    journal: Journal,
    book: Book,
    /// Set just before the cut: from then on, reads may fail.
    may_fail: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
}

/// The threads.
pub struct Load {
    work: Work,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// `lanes`: where the publisher begins. `largest_bytes`: of a record.
    pub fn start(
        journal: &Journal,
        book: &Book,
        lanes: &[LaneMark],
        folder: PathBuf,
        largest_bytes: u64,
        random: &mut Random,
    ) -> Load {
        let flag = || Arc::new(AtomicBool::new(false));
        let work = Work { journal: journal.clone(), book: book.clone(), may_fail: flag(), ends: flag() };
        let mut threads = Vec::new();
        for _ in 0..APPENDERS {
            let (work, random) = (work.clone(), random.split());
            threads.push(std::thread::spawn(move || work.append_on(largest_bytes, random)));
        }
        let (own, lanes, random) = (work.clone(), lanes.to_vec(), random.split());
        threads.push(std::thread::spawn(move || own.publish_on(&lanes, folder, random)));
        Load { work, threads }
    }

    /// Tells that the power is about to go.
    pub fn expect_cut(&self) {
        self.work.may_fail.store(true, Ordering::SeqCst);
    }

    /// Ends the threads; each has its answers then.
    pub fn end(self) -> Result<(), Wrong> {
        self.work.ends.store(true, Ordering::SeqCst);
        let ended = self.threads.into_iter().map(JoinHandle::join).collect::<Result<Vec<()>, _>>();
        ended.map(|_| ()).map_err(|_| "a thread of the load panics".to_owned())
    }
}

/// Hands in `count` records and waits for every answer. The error of the last one that was not kept.
pub fn append(
    journal: &Journal,
    book: &Book,
    count: u64,
    largest_bytes: u64,
    random: &mut Random,
) -> Result<(), AppendError> {
    let (tell, told) = mpsc::channel();
    for _ in 0..count {
        let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let (id, tag, payload) = book.open().make(random.between(8, largest_bytes), now_ms);
        let (own, answers) = (book.clone(), tell.clone());
        let done = move |answer: Result<Position, AppendError>| {
            own.open().answered(id, answer.map(|position| position.0));
            // Whoever waited too long is told in the ledger.
            let _ = answers.send(answer.map(|_| ()));
        };
        let (head, body) = payload.split_at(payload.len().min(20));
        let payload = [Bytes::copy_from_slice(head), Bytes::copy_from_slice(body)];
        if let Err(error) = journal.append(Append { tag, received_at_ms: now_ms, payload, done: Box::new(done) }) {
            book.open().answered(id, Err(error));
            let _ = tell.send(Err(error));
        }
    }
    let mut outcome = Ok(());
    for _ in 0..count {
        match told.recv_timeout(ANSWER_WITHIN) {
            Ok(answer) => outcome = outcome.and(answer),
            Err(_) => book.open().note(Err("a record was not answered within 20 s".into())),
        }
    }
    outcome
}

impl Work {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst) && self.book.open().wrong.is_none()
    }

    fn append_on(&self, largest_bytes: u64, mut random: Random) {
        while self.goes_on() {
            let count = random.pick(&[1, 1, 1, 2, 4, 12]);
            let largest_bytes = random.pick(&[64, 600, 4_000, largest_bytes]);
            match append(&self.journal, &self.book, count, largest_bytes, &mut random) {
                Ok(()) if random.chance(80) => {}
                Err(AppendError::Poisoned | AppendError::Closed) => break,
                _ => std::thread::sleep(Duration::from_micros(random.below(2_000))),
            }
        }
    }

    fn publish_on(&self, lanes: &[LaneMark], folder: PathBuf, mut random: Random) {
        let disk = Disk::read_only(folder);
        let begin = |lane: &LaneMark| (lane.topic.clone(), self.journal.reader(lane.position));
        let mut readers: Vec<(String, Reader)> = lanes.iter().map(begin).collect();
        while self.goes_on() {
            let lane = random.below(readers.len() as u64) as usize;
            // Now and then Kafka is well, and all that waits is published.
            let count = random.pick(&[10, 100, u64::MAX]);
            if !self.publish(&mut readers[lane].1, count) {
                break;
            }
            if random.chance(70) {
                // A reader may be a batch ahead of this word, when a sync has just returned; the journal marks no further.
                let synced = self.journal.synced();
                let mark = |(topic, reader): &(String, Reader)| LaneMark {
                    topic: topic.clone(),
                    position: reader.position().min(synced),
                    takes: 0,
                };
                let marks: Vec<LaneMark> = readers.iter().map(mark).collect();
                self.book.open().handed_over(&marks);
                self.journal.mark(marks);
            }
            // Files may go while it looks; then it looks again later.
            if let Some(found) = inspect(&disk, Depth::Summary).ok().and_then(|found| found.checkpoint)
                && !self.may_fail.load(Ordering::SeqCst)
            {
                self.book.open().looked_at(found.generation, &found.lanes);
            }
            std::thread::sleep(Duration::from_micros(random.below(1_500)));
        }
    }

    fn publish(&self, reader: &mut Reader, count: u64) -> bool {
        for _ in 0..count {
            let item = match reader.next() {
                Ok(Some(Item::Record(record))) => Ok(Seen {
                    position: record.position.0,
                    tag: record.tag,
                    received_at_ms: record.received_at_ms,
                    payload: record.payload.to_vec(),
                }),
                Ok(Some(Item::Damaged { from, until })) => Err(format!("damage at {}..{} is told", from.0, until.0)),
                Ok(None) => return true,
                Err(_) if self.may_fail.load(Ordering::SeqCst) => return false,
                Err(error) => Err(format!("a reader fails: {error}")),
            };
            match item {
                // Damage that a dying disk tells is no damage.
                Err(_) if self.may_fail.load(Ordering::SeqCst) => return false,
                Err(wrong) => {
                    self.book.open().note(Err(wrong));
                    return false;
                }
                Ok(seen) => self.book.open().read(&seen),
            }
        }
        true
    }
}
