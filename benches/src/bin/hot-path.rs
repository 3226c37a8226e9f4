//! An event's whole way through our own code, so that its instructions can be counted: `hot-path SIZE COUNT [hashes]`.
//!
//! Signature, envelope, index of duplicates, journal (append, sync, read back), route, headers, receipt, mark; on one thread,
//! with a real folder and a Kafka that confirms at once. With `hashes` it does nothing but the HMAC and the BLAKE3 of the
//! same events: processors differ in what they announce for these, so they are taken off.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bench::bodies::{Library, Size};
use bench::floors::parts::{SOURCE, Sink, topics};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use retell_bridge::event::Event;
use retell_bridge::health::Health;
use retell_bridge::intake::{Clerk, Keep};
use retell_bridge::journal::storage::Disk;
use retell_bridge::journal::{self, JournalId, Options};
use retell_bridge::metrics::Metrics;
use retell_bridge::publisher;
use retell_bridge::signature::{ApiKey, sign, verify};
use sha2::Sha256;

const KEY: &str = "key_made_up";
const NOW_MS: u64 = 1_795_276_800_000;
/// Records of a batch, as they come together in a burst.
const BATCH: u64 = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let size = Size::of_word(&arguments[1]).expect("the first argument is a size");
    let count: u64 = arguments[2].parse().expect("the second argument is a number");
    let library = Library::new(KEY);
    if arguments.get(3).is_some_and(|word| word == "hashes") {
        hash(&library, size, count);
        return;
    }
    let folder = support::tools::folder("hot-path");
    drive(&folder, &library, size, count);
    std::fs::remove_dir_all(&folder).expect("a folder of one's own can be removed");
}

/// The whole way, so many times.
fn drive(folder: &Path, library: &Library, size: Size, count: u64) {
    let key = [ApiKey::new(KEY)];
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let storage = Arc::new(Disk::new(folder).expect("the folder is there"));
    let opened = journal::open_stepped(storage, options(), metrics.clone(), health.clone(), NOW_MS, JournalId([7; 16]));
    let mut stepped = opened.expect("a new journal opens");
    let journal = stepped.journal.clone();
    let keep: Keep = Arc::new(move |append| journal.append(append));
    let clerk = Clerk::new((Duration::from_secs(3600), 500_000), std::iter::empty(), NOW_MS, keep, metrics.clone());
    let sink = Sink::default();
    let taken = Arc::clone(&sink.taken);
    let (journal, recovered) = (&stepped.journal, &stepped.recovered);
    let mut publisher =
        publisher::open_stepped(&topics(), Box::new(sink), journal, recovered, metrics, health, NOW_MS, Duration::ZERO);
    for first in (0..count).step_by(BATCH as usize) {
        let waiting: Vec<_> = (first..count.min(first + BATCH))
            .map(|number| {
                let body = Bytes::from(library.of(size, number).body(number));
                let header = presigned(library, size, number);
                let held = verify(std::iter::once(header.as_bytes()), body, &key, NOW_MS, 300_000);
                let event = Event::live(SOURCE, NOW_MS, held.unwrap_or_else(|refusal| panic!("{refusal}")));
                clerk.take(event, ()).expect("the journal has room")
            })
            .collect();
        while stepped.writer.turn(NOW_MS) > 0 {}
        for taken in waiting {
            let kept = pin!(taken).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(kept, Poll::Ready(Ok(()))), "an event is not kept: {kept:?}");
        }
        let mono = Duration::from_millis(first);
        while !publisher.is_done() {
            publisher.step(NOW_MS, mono, Duration::ZERO);
        }
        stepped.keeper.turn(NOW_MS, first);
    }
    assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), count, "every event is published");
}

/// A header without a hash of the whole body, as the load generator makes it.
fn presigned(library: &Library, size: Size, number: u64) -> String {
    let template = library.of(size, number);
    let digest = template.digest(&template.tail(number), &NOW_MS.to_string());
    let header = format!("v={NOW_MS},d={}", std::str::from_utf8(&digest).expect("hex digits are ASCII"));
    debug_assert_eq!(header, sign(&ApiKey::new(KEY), &template.body(number), NOW_MS));
    header
}

/// What of it is hashing, and the building of bodies.
fn hash(library: &Library, size: Size, count: u64) {
    let mut sum = 0_u64;
    for number in 0..count {
        let body = library.of(size, number).body(number);
        let header = presigned(library, size, number);
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(&body);
        mac.update(NOW_MS.to_string().as_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&body);
        sum += u64::from(mac.finalize().into_bytes()[0]) + u64::from(hasher.finalize().as_bytes()[0]);
        sum += header.len() as u64;
    }
    assert!(sum > 0);
}

fn options() -> Options {
    Options {
        segment_bytes: 64 << 20,
        size_max_bytes: 1 << 30,
        retention: Duration::from_secs(24 * 3600),
        quarantine_retention: Duration::from_secs(24 * 3600),
        checkpoint_every: Duration::from_millis(200),
        allow_ephemeral: true,
    }
}
