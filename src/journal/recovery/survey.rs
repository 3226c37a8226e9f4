//! What lies in the folder, by headers and footers alone.
//!
//! In: the folder. Out: segments that hold something, and segments that hold nothing. Never happens: a change on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::frame::{BLOCK_BYTES, FOOTER_BYTES, FRAME_HEADER_BYTES, FrameHeader, Kind};
use super::super::segment::{FOLDER, Footer, HeaderError, Name, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::super::shared::SegmentMeta;
use super::super::storage::{File, Storage, read_full_at};
use super::super::walk::{HEADER_CHUNK_BYTES, Piece, Walk};
use super::super::{JournalId, OpenError, Position, checkpoint};
use super::{failed, failed_at};

/// Bytes read at once where zeros are looked for.
const ZEROS_BYTES: usize = 64 << 10;

/// What lies in the folder.
pub struct Survey {
    /// Segments that hold something, oldest first.
    pub used: Vec<Found>,
    /// Segments behind them that hold nothing.
    pub blank: Vec<Found>,
    /// Number of the segment that an earlier recovery was rewriting.
    pub leftover: Option<u64>,
    /// Files that were still being made.
    pub unfinished: Vec<PathBuf>,
    pub highest_number: u64,
}

impl Survey {
    /// Takes the segments without a frame at the end out of the list. The first of them may have been begun, its first
    /// frame torn; the writer begins the next one when the closing of the one before is synced, so behind an open
    /// segment, or behind a gap, what is not zero is rot, and that spare is none.
    fn split_blank(&mut self) -> Result<(), OpenError> {
        let mut used = self.used.iter().rposition(|found| found.is_sure).map_or(0, |last| last + 1);
        while let Some(found) = self.used.get(used) {
            let failed = failed_at("read", &Name::Segment(found.number).path());
            if is_blank(found).map_err(&failed)? {
                break;
            }
            let before = used.checked_sub(1).map(|before| &self.used[before]);
            let is_begun = match before {
                Some(before) if before.number + 1 != found.number => false,
                Some(before) => before.footer.is_some() || has_frame(before, is_closing).map_err(&failed)?,
                None => true,
            };
            if !is_begun && !has_frame(found, |_| true).map_err(&failed)? {
                self.used[used].header = None;
                break;
            }
            used += 1;
        }
        self.blank = self.used.split_off(used);
        Ok(())
    }

    /// Whether a segment is of that journal, or follows it.
    pub fn knows(&self, identity: JournalId) -> bool {
        let named = |found: &Found| {
            found.identity() == Some(identity) || found.header.is_some_and(|header| header.previous == identity)
        };
        // Where all headers are broken, nothing can be told, and the checkpoint is believed.
        self.used.iter().any(named) || self.used.iter().all(|found| found.identity().is_none())
    }
}

/// One segment file.
pub struct Found {
    pub number: u64,
    pub file: Arc<dyn File>,
    pub bytes: u64,
    /// `None` where it is broken.
    pub header: Option<SegmentHeader>,
    /// Where the file ends with one and its closing frame's header is sound.
    pub footer: Option<Footer>,
    /// Of the closing frame or the first one.
    frame_identity: Option<JournalId>,
    /// It has a footer or a first frame.
    is_sure: bool,
}

impl Found {
    /// Whose journal it is of: one survivor is enough.
    pub fn identity(&self) -> Option<JournalId> {
        self.header.map(|header| header.identity).or(self.frame_identity)
    }

    /// It was never cut behind a closing frame; what stands in it may be in the page cache alone.
    pub fn is_full_length(&self) -> bool {
        self.header.is_none_or(|header| header.segment_bytes == self.bytes)
    }

    /// What the footer says.
    pub fn meta(&self, footer: &Footer) -> SegmentMeta {
        SegmentMeta {
            number: self.number,
            identity: self.identity(),
            begin: footer.begin,
            end: footer.end,
            data_end: footer.closing_at,
            closed: true,
            newest_ms: footer.newest_ms,
        }
    }
}

/// Looks at every file, newest first: beside a running bridge, a segment is then never seen in use while the one before
/// it was seen before its closing.
pub fn survey(storage: &dyn Storage) -> Result<Survey, OpenError> {
    let mut entries = storage.list(Path::new(FOLDER)).map_err(failed("list", FOLDER))?;
    entries.sort_by(|left, right| right.name.cmp(&left.name));
    let mut survey =
        Survey { used: Vec::new(), blank: Vec::new(), leftover: None, unfinished: Vec::new(), highest_number: 0 };
    for entry in &entries {
        match Name::parse(&entry.name) {
            Some(Name::Segment(number)) => {
                survey.highest_number = survey.highest_number.max(number);
                survey.used.extend(look_at(storage, number)?);
            }
            Some(Name::Rewrite(number)) if survey.leftover.is_none() => survey.leftover = Some(number),
            Some(name) => survey.unfinished.push(name.path()),
            None if entry.name == "checkpoint.new" => survey.unfinished.push(checkpoint::path_new()),
            None => {}
        }
    }
    survey.used.reverse();
    survey.split_blank()?;
    Ok(survey)
}

/// `None` where it has gone since the folder was listed, as a running bridge drops segments.
fn look_at(storage: &dyn Storage, number: u64) -> Result<Option<Found>, OpenError> {
    let path = Name::Segment(number).path();
    let failed = || failed_at("read", &path);
    let file: Arc<dyn File> = match storage.open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => Arc::from(other.map_err(failed())?),
    };
    let bytes = file.byte_len().map_err(failed())?;
    let mut blocks = vec![0; 2 * BLOCK_BYTES as usize];
    read_full_at(file.as_ref(), &mut blocks, 0).map_err(failed())?;
    let (first, second) = blocks.split_at(SEGMENT_HEADER_BYTES as usize);
    let header = match SegmentHeader::decode(first) {
        Ok(header) => Some(header).filter(|header| header.number == number),
        Err(HeaderError::Broken) => None,
        Err(HeaderError::Version(version)) => {
            return Err(OpenError::Version { path: path.display().to_string(), version });
        }
    };
    let of_this = |header: &FrameHeader| header.segment == number;
    let frame = FrameHeader::decode(second).filter(of_this);
    let mut found = Found {
        number,
        file,
        bytes,
        header,
        footer: None,
        frame_identity: frame.map(|frame| frame.identity),
        is_sure: frame.is_some(),
    };
    found.footer = read_footer(&found).map_err(failed())?;
    found.is_sure |= found.footer.is_some();
    Ok(Some(found))
}

/// The footer, where both it and the header of the closing frame that it names are sound.
fn read_footer(found: &Found) -> std::io::Result<Option<Footer>> {
    if found.bytes < SEGMENT_HEADER_BYTES + BLOCK_BYTES {
        return Ok(None);
    }
    let mut bytes = [0; FOOTER_BYTES];
    read_full_at(found.file.as_ref(), &mut bytes, found.bytes - FOOTER_BYTES as u64)?;
    let Some(footer) = Footer::decode(&bytes) else { return Ok(None) };
    let mut bytes = [0; FRAME_HEADER_BYTES];
    read_full_at(found.file.as_ref(), &mut bytes, footer.closing_at)?;
    let names_it = |header: &FrameHeader| {
        footer.is_behind(found.number, footer.closing_at, header)
            && footer.closing_at.checked_add(header.disk_bytes()) == Some(found.bytes)
            && found.identity().is_none_or(|identity| identity == header.identity)
    };
    Ok(FrameHeader::decode(&bytes).filter(names_it).map(|_| footer))
}

fn is_closing(header: &FrameHeader) -> bool {
    header.kind == Kind::Closing
}

/// Whether there is such a frame.
fn has_frame(found: &Found, wanted: impl Fn(&FrameHeader) -> bool) -> std::io::Result<bool> {
    let mut walk = Walk::new(found.file.clone(), found.number, found.identity(), Position(1));
    while let Some(piece) = walk.next(found.bytes, HEADER_CHUNK_BYTES)? {
        if let Piece::Frame { header, .. } = piece
            && wanted(&header)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Nothing but zeros behind the header.
fn is_blank(found: &Found) -> std::io::Result<bool> {
    let mut buffer = vec![0; ZEROS_BYTES];
    let mut at = SEGMENT_HEADER_BYTES;
    loop {
        let length = read_full_at(found.file.as_ref(), &mut buffer, at)?;
        if buffer[..length].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if length < buffer.len() {
            return Ok(true);
        }
        at += length as u64;
    }
}
