//! The tags of retained records, from the lists at each segment's end.
//!
//! In: the segments that a recovery found. Out: {tag, received-at}, newest first, one list at a time. Never happens: a
//! body read; a list that is believed although its checksum does not hold (such a segment is walked instead, and the
//! damage told like any other).

use std::io;
use std::sync::Arc;

use super::Tag;
use super::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
use super::quarantine::Damage;
use super::recovery::examine::{Subject, examine};
use super::segment::{Entry, Name, decode_list};
use super::shared::{SegmentMeta, Shared, lock};
use super::storage::{File, read_full_at};

/// Reads lists lazily.
pub struct Tags {
    shared: Arc<Shared>,
    /// Not yet read, oldest first.
    segments: Vec<SegmentMeta>,
    /// Of the segment at hand, oldest first.
    entries: Vec<Entry>,
}

impl Tags {
    /// Of these segments, oldest first.
    pub fn new(shared: Arc<Shared>, segments: Vec<SegmentMeta>) -> Tags {
        Tags { shared, segments, entries: Vec::new() }
    }
}

impl Iterator for Tags {
    type Item = (Tag, u64);

    fn next(&mut self) -> Option<(Tag, u64)> {
        loop {
            if let Some(entry) = self.entries.pop() {
                return Some((entry.tag, entry.received_at_ms));
            }
            let meta = self.segments.pop()?;
            match entries(&self.shared, &meta) {
                Ok(entries) => self.entries = entries,
                // Dropped since: its records are older than what is wanted, or published and retained no more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!(segment = meta.number, %error, "journal: tags cannot be read, repeats may be kept twice");
                }
            }
        }
    }
}

fn entries(shared: &Shared, meta: &SegmentMeta) -> io::Result<Vec<Entry>> {
    let file: Arc<dyn File> = Arc::from(shared.storage.open(&Name::Segment(meta.number).path())?);
    if let Some(entries) = read_list(file.as_ref(), meta)? {
        return Ok(entries);
    }
    let bytes = file.byte_len()?;
    let what = "the list at the end of a segment is broken, its records are not";
    let damage = Damage { segment: meta.number, bytes: meta.data_end.min(bytes)..bytes, positions: 0..0, what };
    // The keeper tells and quarantines it.
    lock(&shared.damages).push(damage);
    let subject = Subject {
        bytes,
        file,
        number: meta.number,
        identity: meta.identity,
        begin: Some(meta.begin),
        floor: meta.begin,
        at_least: meta.end,
    };
    let mut entries = Vec::new();
    examine(&subject, &mut |_, found| {
        let (position, received_at_ms, tag) = (found.position, found.received_at_ms, found.tag);
        entries.push(Entry { position, received_at_ms, tag });
        Ok(())
    })?;
    Ok(entries)
}

fn read_list(file: &dyn File, meta: &SegmentMeta) -> io::Result<Option<Vec<Entry>>> {
    let mut bytes = [0; FRAME_HEADER_BYTES];
    let length = read_full_at(file, &mut bytes, meta.data_end)?;
    let closing = |header: &FrameHeader| header.kind == Kind::Closing && header.segment == meta.number;
    let Some(header) = FrameHeader::decode(&bytes[..length]).filter(closing) else { return Ok(None) };
    if u64::from(header.payload_bytes) > file.byte_len()? {
        return Ok(None);
    }
    let mut payload = vec![0; header.payload_bytes as usize];
    let length = read_full_at(file, &mut payload, meta.data_end + FRAME_HEADER_BYTES as u64)?;
    Ok(decode_list(&payload[..length]))
}
