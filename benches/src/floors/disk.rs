//! One write and its fdatasync, again and again, in a zero-filled file: the least that a durable answer takes.
//!
//! In: the lengths of a load's bodies, and how often. Out: a histogram of what each pair took. Each write is as long as the
//! journal's frame of such a body would be, begins where a block of 4 KiB begins, and comes at the times at which events of
//! an open loop come: a disk that is asked all the time answers otherwise than one that rests.
//!
//! Never happens: a write that lets the file grow.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bodies::{Library, Size};
use crate::load::{histogram, note};
use crate::random::Random;

const FILE_BYTES: u64 = 64 << 20;
const BLOCK_BYTES: u64 = 4096;
/// Headers of a frame and a record, and the envelope.
const FRAME_BYTES: usize = 64 + 32 + 130;

/// A zero-filled file, synced, in `folder`.
pub struct Disk {
    file: File,
    path: PathBuf,
    at: u64,
    /// What is written; as long as the longest so far.
    buffer: Vec<u8>,
}

impl Disk {
    pub fn new(folder: &Path) -> io::Result<Disk> {
        let path = folder.join("floor");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Disk { file, path, at: 0, buffer: Vec::new() })
    }

    /// Writes as an open loop of `per_second` events of `size` does, for `time`.
    pub fn slice(
        &mut self,
        library: &Library,
        size: Size,
        per_second: f64,
        time: Duration,
    ) -> io::Result<Histogram<u64>> {
        let mut took = histogram();
        let (mut random, began) = (Random::new(17), Instant::now());
        let mut planned = began;
        for number in 0.. {
            planned += random.gap(Duration::from_secs_f64(1.0 / per_second));
            if planned > began + time {
                break;
            }
            std::thread::sleep(planned.saturating_duration_since(Instant::now()));
            let bytes = library.of(size, number).body_bytes() + FRAME_BYTES;
            note(&mut took, self.pair(bytes)?);
        }
        Ok(took)
    }

    /// One write and its fdatasync.
    pub fn pair(&mut self, bytes: usize) -> io::Result<Duration> {
        let bytes = (bytes as u64).next_multiple_of(BLOCK_BYTES);
        if self.at + bytes > FILE_BYTES {
            self.at = 0;
        }
        let length = bytes as usize;
        self.buffer.resize(length.max(self.buffer.len()), 0x5a);
        let began = Instant::now();
        self.file.write_all_at(&self.buffer[..length], self.at)?;
        self.file.sync_data()?;
        self.at += bytes;
        Ok(began.elapsed())
    }

    /// Megabytes a second of a plain sequence of writes of 1 MiB, each synced, as the journal's largest batches are.
    pub fn sequential(&mut self, time: Duration) -> io::Result<f64> {
        let (began, mut bytes) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            self.pair(1 << 20)?;
            bytes += 1 << 20;
        }
        Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
