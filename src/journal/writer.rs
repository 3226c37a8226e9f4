//! The writer: group commit.
//!
//! In: batches of records. Out: one frame for each, synced, and then the waiters' answers. Never happens: batch N+1
//! written before the sync of N has returned; an answer before the sync; a write or sync after one has failed; a second
//! write to bytes that were acknowledged; a first frame in a segment before the closing of the one before is synced.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::frame::{self, BATCH_BYTES_MAX, BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader, Kind};
use super::queue::{Queued, batch_len};
use super::record;
use super::segment::{Closing, Entry, SEGMENT_HEADER_BYTES, fits};
use super::shared::{SegmentMeta, Shared};
use super::spares::{self, Spare};
use super::storage::write_all_at;
use super::{AppendError, Position};
use crate::planted::Bug;

/// What the batch buffer keeps between batches, bytes; more is given back after a large record.
const BUFFER_BYTES_KEPT: usize = BATCH_BYTES_MAX + (64 << 10);
/// A segment is closed when its oldest record is older than this, or than a quarter of the retention.
const CLOSE_AFTER_MS: u64 = 3_600_000;

/// Writes what is queued. One per journal; a plain object that the writer's thread, or a simulation, steps.
pub struct Writer {
    shared: Arc<Shared>,
    current: Option<Current>,
    next: Position,
    buffer: Vec<u8>,
}

/// The segment that is being written.
struct Current {
    spare: Spare,
    begin: Position,
    /// Where the next frame goes.
    at: u64,
    batch: u32,
    chain: u32,
    entries: Vec<Entry>,
    oldest_ms: u64,
    newest_ms: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, next: Position) -> Writer {
        Writer { shared, current: None, next, buffer: Vec::new() }
    }

    /// One step: writes the next queued batch, if there is one, and closes a segment that is old enough. How many
    /// records were taken from the queue.
    pub fn turn(&mut self, now_ms: u64) -> usize {
        let batch = self.shared.queue.take_batch();
        let taken = batch.len();
        if taken > 0 {
            self.write_batch(batch);
        }
        self.close_if_old(now_ms);
        taken
    }

    /// Writes, syncs and answers; where a batch is more than an empty segment holds, frame by frame.
    pub(super) fn write_batch(&mut self, mut batch: Vec<Queued>) {
        while !batch.is_empty() {
            let count = self.frame_len(&batch);
            let rest = batch.split_off(count);
            let bytes = batch.iter().map(Queued::payload_bytes).sum();
            let placed = self.make_place(count, bytes).and_then(|()| self.write_frame(&batch));
            match placed {
                Ok(first) => {
                    for (index, queued) in batch.into_iter().enumerate() {
                        queued.complete(Ok(Position(first.0 + index as u64)));
                    }
                    self.shared.wake_readers();
                }
                Err(error) => {
                    batch.into_iter().chain(rest).for_each(|queued| queued.complete(Err(error)));
                    return;
                }
            }
            batch = rest;
        }
    }

    /// Ends the segment that is being written, so that the next start has nothing to recover.
    pub fn close(&mut self) {
        self.close_segment();
    }

    /// How many records, from the first on, fit in one frame of an empty segment.
    fn frame_len(&self, batch: &[Queued]) -> usize {
        let mut bytes = 0;
        let fitting = batch[..batch_len(batch.iter())].iter().enumerate().take_while(|(index, queued)| {
            bytes += queued.payload_bytes();
            fits(self.shared.options.segment_bytes, SEGMENT_HEADER_BYTES, 0, index + 1, bytes)
        });
        // The queue took no record that an empty segment does not hold.
        fitting.count().max(1)
    }

    fn make_place(&mut self, records: usize, bytes: usize) -> Result<(), AppendError> {
        if self.shared.is_poisoned() {
            return Err(AppendError::Poisoned);
        }
        let fits = |current: &Current| {
            fits(current.spare.header.segment_bytes, current.at, current.entries.len(), records, bytes)
        };
        if self.current.as_ref().is_some_and(fits) {
            return Ok(());
        }
        if !self.close_segment() {
            return Err(AppendError::Poisoned);
        }
        let Some(spare) = spares::take(&self.shared) else {
            self.shared.set_full(true);
            return Err(AppendError::NoRoom);
        };
        self.current = Some(Current {
            begin: self.next,
            at: SEGMENT_HEADER_BYTES,
            batch: 0,
            chain: frame::seed(spare.header.identity, spare.header.number),
            entries: Vec::new(),
            oldest_ms: u64::MAX,
            newest_ms: 0,
            spare,
        });
        Ok(())
    }

    fn write_frame(&mut self, batch: &[Queued]) -> Result<Position, AppendError> {
        let Some(current) = self.current.as_mut() else { return Err(AppendError::NoRoom) };
        let first = self.next;
        let header = encode_frame(&mut self.buffer, current, first, batch);
        let written = write_all_at(current.spare.file.as_ref(), &self.buffer, current.at).and_then(|()| {
            if Bug::PublishBeforeSync.is_planted() {
                let data_end = current.at + header.disk_bytes();
                self.shared.put_segment(SegmentMeta { data_end, ..current.meta(header.end(), false) });
                self.shared.set_synced(header.end());
                self.shared.wake_readers();
            }
            let started = Instant::now();
            sync(current)?;
            self.shared.metrics.batch_synced(started.elapsed());
            Ok(())
        });
        if let Err(error) = written {
            self.shared.poison("segment", &error);
            return Err(AppendError::Poisoned);
        }
        current.take_in(&header, first, batch);
        self.next = header.end();
        self.shared.written_bytes.fetch_add(self.buffer.len() as u64, Ordering::Relaxed);
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        self.shared.put_segment(current.meta(self.next, false));
        self.shared.set_synced(self.next);
        Ok(first)
    }

    fn close_if_old(&mut self, now_ms: u64) {
        let limit_ms = CLOSE_AFTER_MS.min(self.shared.options.retention.as_millis() as u64 / 4);
        if self.current.as_ref().is_some_and(|current| now_ms.saturating_sub(current.oldest_ms) >= limit_ms) {
            self.close_segment();
        }
    }

    /// Writes and syncs the list, then cuts the file behind it. The cut needs no sync: while it is undone, the list is
    /// found by walking. Whether the journal may go on.
    fn close_segment(&mut self) -> bool {
        if self.shared.is_poisoned() {
            return false;
        }
        // An untouched segment stays what it is: a spare.
        let Some(current) = self.current.take_if(|current| current.batch > 0) else { return true };
        match current.close(self.next) {
            Ok(()) => {
                self.shared.put_segment(current.meta(self.next, true));
                true
            }
            Err(error) => {
                self.shared.poison("segment", &error);
                false
            }
        }
    }
}

impl Current {
    fn take_in(&mut self, header: &FrameHeader, first: Position, batch: &[Queued]) {
        self.at += header.disk_bytes();
        self.batch += 1;
        self.chain = header.crc;
        for (index, queued) in batch.iter().enumerate() {
            let (position, received_at_ms) = (Position(first.0 + index as u64), queued.received_at_ms);
            self.oldest_ms = self.oldest_ms.min(received_at_ms);
            self.newest_ms = self.newest_ms.max(received_at_ms);
            self.entries.push(Entry { position, received_at_ms, tag: queued.tag });
        }
    }

    fn meta(&self, end: Position, closed: bool) -> SegmentMeta {
        SegmentMeta {
            number: self.spare.header.number,
            identity: Some(self.spare.header.identity),
            begin: self.begin,
            end,
            data_end: self.at,
            closed,
            newest_ms: self.newest_ms,
        }
    }

    fn close(&self, end: Position) -> io::Result<()> {
        let closing = Closing {
            identity: self.spare.header.identity,
            number: self.spare.header.number,
            at: self.at,
            batch: self.batch,
            chain: self.chain,
            begin: self.begin,
            end,
            entries: &self.entries,
        };
        let bytes = closing.encode();
        let file = self.spare.file.as_ref();
        write_all_at(file, &bytes, self.at)?;
        file.sync_data()?;
        if let Err(error) = file.set_len(self.at + bytes.len() as u64) {
            tracing::warn!(segment = closing.number, %error, "journal: closed segment keeps its full length");
        }
        Ok(())
    }
}

fn sync(current: &Current) -> io::Result<()> {
    let file = current.spare.file.as_ref();
    if Bug::AckBeforeSync.is_planted() && current.batch.is_multiple_of(2) {
        return Ok(());
    }
    match file.sync_data() {
        Err(_) if Bug::SyncRetried.is_planted() => file.sync_data(),
        outcome => outcome,
    }
}

fn encode_frame(buffer: &mut Vec<u8>, current: &Current, first: Position, batch: &[Queued]) -> FrameHeader {
    buffer.clear();
    let records_bytes: usize = batch.iter().map(Queued::frame_bytes).sum();
    buffer.reserve_exact(FRAME_HEADER_BYTES + records_bytes + BLOCK_BYTES as usize);
    buffer.resize(FRAME_HEADER_BYTES, 0);
    for (index, queued) in batch.iter().enumerate() {
        let position = Position(first.0 + index as u64);
        let parts = [queued.payload[0].as_ref(), queued.payload[1].as_ref()];
        record::encode(buffer, position, queued.received_at_ms, &queued.tag, &parts);
    }
    let mut header = FrameHeader {
        kind: Kind::Records,
        identity: current.spare.header.identity,
        segment: current.spare.header.number,
        batch: current.batch,
        count: batch.len() as u32,
        first,
        payload_bytes: (buffer.len() - FRAME_HEADER_BYTES) as u32,
        chain: current.chain,
        crc: 0,
    };
    buffer[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
    buffer.resize(header.disk_bytes() as usize, 0);
    header
}
