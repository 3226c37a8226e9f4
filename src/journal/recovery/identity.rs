//! Whose journal it is, and which spares may carry it on.
//!
//! In: what the survey found blank; the end of the journal. Out: spares of one identity, in order; a new identity where
//! the end is lost. Never happens: a spare of another identity, or behind a gap, that is used.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::super::segment::{FOLDER, Name, SegmentHeader};
use super::super::shared::SegmentMeta;
use super::super::spares::Spare;
use super::super::{JournalId, OpenError, Position};
use super::survey::Found;
use super::{Recoverer, failed, failed_at, rewrite};

impl Recoverer<'_> {
    /// Removes what was still being made, and what cannot be a spare.
    pub(super) fn take_spares(&self, blank: Vec<Found>, unfinished: &[PathBuf]) -> Result<VecDeque<Spare>, OpenError> {
        for path in unfinished {
            self.storage.remove(path).map_err(failed_at("remove", path))?;
        }
        let mut spares = VecDeque::new();
        for found in blank {
            let segment_bytes = self.options.segment_bytes;
            match found.header {
                Some(header) if header.segment_bytes == found.bytes && found.bytes == segment_bytes => {
                    spares.push_back(Spare { file: found.file, header });
                }
                _ => {
                    let path = Name::Segment(found.number).path();
                    tracing::warn!(segment = found.number, "journal: a spare of another size, or broken, is removed");
                    self.storage.remove(&path).map_err(failed_at("remove", &path))?;
                }
            }
        }
        Ok(spares)
    }

    /// A new identity begins with an empty closed segment, which carries the next position.
    pub(super) fn begin_identity(
        &mut self,
        identity: JournalId,
        previous: JournalId,
        number: u64,
        begin: Position,
        end: Position,
    ) -> Result<SegmentMeta, OpenError> {
        tracing::error!(
            journal_end = begin.0,
            next_position = end.0,
            "journal damaged: its end is behind its checkpoint, or both are gone (a volume restored from a copy, or a \
             rotten end); a new journal identity begins"
        );
        self.corrupt_bytes += 1;
        let header = SegmentHeader { identity, previous, number, segment_bytes: 0 };
        rewrite::make_empty(self.storage, header, begin, end).map_err(failed_at("make", &Name::Segment(number).path()))
    }

    /// Spares go on from the last segment, under one identity and in the wanted size; others are removed.
    pub(super) fn match_spares(
        &self,
        spares: &mut VecDeque<Spare>,
        segments: &[SegmentMeta],
        identity: JournalId,
    ) -> Result<(), OpenError> {
        let mut expected = segments.last().map(|last| last.number + 1);
        let fits = |spare: &Spare| {
            let fits = expected.is_none_or(|expected| spare.header.number == expected)
                && spare.header.identity == identity
                && spare.header.segment_bytes == self.options.segment_bytes;
            expected = Some(spare.header.number + 1);
            fits
        };
        let keep = spares.iter().map(fits).take_while(|fits| *fits).count();
        self.drop_spares(spares, keep)
    }

    /// Removes those from `keep` on.
    pub(super) fn drop_spares(&self, spares: &mut VecDeque<Spare>, keep: usize) -> Result<(), OpenError> {
        if spares.len() == keep {
            return Ok(());
        }
        for spare in spares.drain(keep..) {
            let path = Name::Segment(spare.header.number).path();
            self.storage.remove(&path).map_err(failed_at("remove", &path))?;
        }
        self.storage.sync_folder(Path::new(FOLDER)).map_err(failed("sync folder", FOLDER))
    }
}
