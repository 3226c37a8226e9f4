//! The journal of a running bridge: the threads around writer and keeper.
//!
//! In: calls from intake, publisher and service. Out: what writer, keeper and readers do. Never happens: a decision
//! about the disk; those are all in the parts, which a simulation steps without threads.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::keeper::Keeper;
use super::recovery::recover;
use super::retention::Clock;
use super::segment::{FOLDER, record_bytes_max};
use super::shared::{Begin, Shared, lock};
use super::tags::Tags;
use super::writer::Writer;
use super::{
    Append, AppendError, CloseError, DeadLetterError, JournalId, LaneMark, OpenError, Options, Position, Reader,
    Recovered, Storage, dead, spares,
};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, PoisonError};

/// The writer looks this often whether a segment is old enough to be closed.
const WRITER_IDLE: Duration = Duration::from_secs(1);
/// The keeper's turns are at most this far apart.
const KEEPER_IDLE: Duration = Duration::from_millis(200);

/// The journal of a running bridge: writer thread, keeper thread (checkpoint, spares, retention) and readers. Clones
/// share it. Dropped without [`Journal::close`], it ends as a crash would, only tidier: queued records fail, nothing is
/// closed.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    identity: JournalId,
    record_bytes_max: u64,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    bell: Arc<Bell>,
    /// Given back when the threads are gone.
    _lock: Box<dyn Any + Send + Sync>,
}

/// Wakes and ends the keeper's thread.
#[derive(Default)]
struct Bell {
    ending: Mutex<Option<Ending>>,
    rung: Condvar,
    /// The journal is dropped, not closed: the writer leaves the segment as it is.
    abandoned: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Closed,
    Abandoned,
}

/// A journal without threads, to be stepped: see [`open_stepped`].
pub struct Stepped {
    /// Takes records, hands out readers and marks; `close` on it does nothing.
    pub journal: Journal,
    pub writer: Writer,
    pub keeper: Keeper,
    pub recovered: Recovered,
}

/// Recovers and makes spares, as [`Journal::open`] does, but takes no lock and starts no thread: the caller steps writer
/// and keeper. The same steps on the same disk do the same.
pub fn open_stepped(
    storage: Arc<dyn Storage>,
    options: Options,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    now_ms: u64,
    new_identity: JournalId,
) -> Result<Stepped, OpenError> {
    options.check()?;
    let recovery = recover(&storage, &options, now_ms, new_identity)?;
    metrics.corrupt_bytes_found(recovery.corrupt_bytes);
    let lanes = recovery.lanes.clone();
    let clock = Clock::new(recovery.segments.iter().map(|meta| meta.newest_ms).max().filter(|newest| *newest > 0));
    let record_bytes_max = record_bytes_max(options.segment_bytes);
    let shared = Arc::new(Shared::new(Begin {
        storage: storage.clone(),
        options,
        metrics,
        health,
        spares: recovery.spares,
        lanes: recovery.lanes,
        segments: recovery.segments,
        next: recovery.next,
    }));
    let provided = spares::provide(&shared, &mut lock(&shared.spares));
    shared.set_full(!provided);
    // After the spares: settled segments may have gone for their room.
    let segments = shared.segments();
    let recovered = Recovered {
        lanes,
        oldest: segments.first().map_or(recovery.next, |first| first.begin),
        next: recovery.next,
        identity: recovery.identity,
        corrupt_bytes: recovery.corrupt_bytes,
        torn_bytes: recovery.torn_bytes,
        broken_slots: recovery.broken_slots,
        tags: Box::new(Tags::new(shared.clone(), segments)),
    };
    let identity = recovery.identity;
    let writer = Writer::new(shared.clone(), recovery.next);
    let keeper = Keeper::new(shared.clone(), identity, recovery.checkpoint, clock);
    let inner = Inner { shared, identity, record_bytes_max, threads: Mutex::new(None) };
    Ok(Stepped { journal: Journal { inner: Arc::new(inner) }, writer, keeper, recovered })
}

impl Journal {
    /// Locks, recovers, makes spares and starts the threads. A full disk is no error: the journal then refuses records
    /// ([`AppendError::NoRoom`]) and publishes.
    pub fn open(
        storage: Arc<dyn Storage>,
        options: Options,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Result<(Journal, Recovered), OpenError> {
        let asking = |source| OpenError::Io { doing: "ask the file system of", path: "journal.dir".into(), source };
        if let Some(file_system) = storage.ephemeral().map_err(asking)?.filter(|_| !options.allow_ephemeral) {
            return Err(OpenError::Ephemeral { file_system });
        }
        let lock = take_lock(storage.as_ref())?;
        let mut identity = [0; 16];
        rustix::rand::getrandom(&mut identity, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| OpenError::Random(errno.into()))?;
        let stepped = open_stepped(storage, options, metrics, health, unix_ms(), JournalId(identity))?;
        let Stepped { journal, writer, mut keeper, recovered } = stepped;
        // The room is known before anyone asks.
        keeper.turn(unix_ms(), 0);
        journal.start(writer, keeper, lock).map_err(OpenError::Threads)?;
        Ok((journal, recovered))
    }

    fn start(&self, mut writer: Writer, mut keeper: Keeper, guard: Box<dyn Any + Send + Sync>) -> io::Result<()> {
        let bell = Arc::new(Bell::default());
        let (shared, abandoned) = (self.inner.shared.clone(), bell.clone());
        let keeper_bell = bell.clone();
        let keeper = thread::Builder::new()
            .name("journal-keeper".into())
            .spawn(move || run_keeper(&mut keeper, &keeper_bell))?;
        let writer = thread::Builder::new().name("journal-writer".into()).spawn(move || {
            let _guard = PoisonOnPanic(shared.clone());
            while shared.queue.wait(WRITER_IDLE) {
                writer.turn(unix_ms());
            }
            if !abandoned.abandoned.load(Ordering::Acquire) {
                writer.close();
            }
        });
        let writer = writer.inspect_err(|_| bell.ring(Ending::Abandoned))?;
        *lock(&self.inner.threads) = Some(Threads { writer, keeper, bell, _lock: guard });
        Ok(())
    }

    /// Whose journal it is now.
    pub fn identity(&self) -> JournalId {
        self.inner.identity
    }

    /// Queues one record; returns at once. On `Err`, `done` is not called.
    pub fn append(&self, append: Append) -> Result<(), AppendError> {
        self.inner.shared.enqueue(append, self.inner.record_bytes_max)
    }

    /// The longest record that is taken, bytes.
    pub fn record_bytes_max(&self) -> u64 {
        self.inner.record_bytes_max
    }

    /// One past the newest synced position: readers see everything before it.
    pub fn synced(&self) -> Position {
        self.inner.shared.synced()
    }

    /// Blocks the calling thread until something at or behind `from` is synced, the journal stops, or the time is over.
    pub fn wait_synced(&self, from: Position, timeout: Duration) -> Position {
        self.inner.shared.wait_synced(from, timeout)
    }

    /// A reader that starts at the first record at or behind `from`. Sees synced records only.
    pub fn reader(&self, from: Position) -> Reader {
        Reader::new(self.inner.shared.clone(), from)
    }

    /// Hands over how far the lanes are settled; written and synced by the keeper within `checkpoint_every`. Lanes that
    /// are not named end.
    pub fn mark(&self, lanes: Vec<LaneMark>) {
        let synced = self.inner.shared.synced();
        let clipped = |lane: LaneMark| LaneMark { position: lane.position.min(synced), ..lane };
        let lanes: Vec<LaneMark> = lanes.into_iter().map(clipped).collect();
        let mut marks = lock(&self.inner.shared.marks);
        if marks.lanes != lanes {
            marks.lanes = lanes;
            marks.changed = true;
        }
    }

    /// Keeps one dead letter in `<dir>/dead/`; returns after its sync. `name` is a file name part chosen by the caller,
    /// an equal name overwrites (a doubtful dead letter is kept once).
    pub fn keep_dead_letter(&self, name: &str, payload: &[u8]) -> Result<(), DeadLetterError> {
        let shared = &self.inner.shared;
        let room_bytes = spares::room_bytes(shared.storage.as_ref(), &shared.options)?;
        dead::keep(shared.storage.as_ref(), self.inner.identity, room_bytes, name, payload)
    }

    /// Whether the first error of a write or sync has happened.
    pub fn is_poisoned(&self) -> bool {
        self.inner.shared.is_poisoned()
    }

    /// Takes no more, syncs what is queued, writes the last checkpoint, closes the segment, ends the threads and gives
    /// the lock back. Blocks. A second call does nothing.
    pub fn close(&self) -> Result<(), CloseError> {
        self.inner.end(Ending::Closed)
    }
}

impl Inner {
    fn end(&self, ending: Ending) -> Result<(), CloseError> {
        let Some(Threads { writer, keeper, bell, _lock }) = lock(&self.threads).take() else { return Ok(()) };
        bell.abandoned.store(ending == Ending::Abandoned, Ordering::Release);
        self.shared.queue.close();
        let writer = join(writer);
        bell.ring(ending);
        let keeper = join(keeper);
        self.shared.stop();
        if writer.is_err() || keeper.is_err() {
            return Err(CloseError::Panicked);
        }
        if self.shared.is_poisoned() { Err(CloseError::Poisoned) } else { Ok(()) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.end(Ending::Abandoned);
    }
}

impl Bell {
    fn ring(&self, ending: Ending) {
        *lock(&self.ending) = Some(ending);
        self.rung.notify_all();
    }

    fn wait(&self, timeout: Duration) -> Option<Ending> {
        let ending = lock(&self.ending);
        let none = |ending: &mut Option<Ending>| ending.is_none();
        *self.rung.wait_timeout_while(ending, timeout, none).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Joins, unless this is that thread: the last handle may go with an answer's closure.
fn join(joined: JoinHandle<()>) -> thread::Result<()> {
    if joined.thread().id() == thread::current().id() { Ok(()) } else { joined.join() }
}

fn run_keeper(keeper: &mut Keeper, bell: &Bell) {
    let _guard = PoisonOnPanic(keeper.shared().clone());
    let started = Instant::now();
    let idle = keeper.shared().options.checkpoint_every.min(KEEPER_IDLE);
    loop {
        match bell.wait(idle) {
            None => keeper.turn(unix_ms(), started.elapsed().as_millis() as u64),
            Some(Ending::Closed) => return keeper.close(unix_ms()),
            Some(Ending::Abandoned) => return,
        }
    }
}

/// A thread that panics poisons the journal: its waiters must not wait for ever.
struct PoisonOnPanic(Arc<Shared>);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.poison("thread", &io::Error::other("panic"));
        }
    }
}

fn take_lock(storage: &dyn Storage) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    let making = |source| OpenError::Io { doing: "make folder", path: FOLDER.into(), source };
    storage.create_folder(Path::new(FOLDER)).map_err(making)?;
    storage.lock(&Path::new(FOLDER).join("lock")).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked,
        _ => OpenError::Io { doing: "lock", path: "journal/lock".into(), source },
    })
}

fn unix_ms() -> u64 {
    // A clock before 1970 is a jump like another: nothing is dropped by age.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
