//! What rot has turned over, and what that may cost.
//!
//! In: one hit for each bit. Out: which records may be gone, and whether lanes may. Never happens: a record excused of which
//! no bit was turned over: **one rotten bit costs one event**, and one in a header or in padding costs none.

/// One bit that turned over.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Number of the segment, 0 for the checkpoint, as quarantine names them; `None`: a file that was still being made.
    pub segment: Option<u64>,
    /// The byte, from the start of the file.
    pub at: u64,
    /// What it is since.
    pub byte: u8,
    /// The record that it is a byte of, with its header.
    pub record: Option<usize>,
    /// That record was of the last write of all, where rot cannot be told from a torn write.
    pub is_tail: bool,
}

/// All that no recovery has been judged for yet.
#[derive(Debug, Default, Clone)]
pub struct Rot {
    pub hits: Vec<Hit>,
}

impl Rot {
    /// Whether nothing was hit.
    pub fn is_none(&self) -> bool {
        self.hits.is_empty()
    }

    /// Records that may be gone.
    pub fn records(&self) -> impl Iterator<Item = usize> {
        self.hits.iter().filter_map(|hit| hit.record)
    }

    /// One slot of the checkpoint may be broken, or both.
    pub fn has_checkpoint(&self) -> bool {
        self.hits.iter().any(|hit| hit.segment == Some(0))
    }

    /// Whether positions of the last write may be given out again. Its frame names them, so that needs a second bit, in
    /// that frame's header.
    pub fn may_free_positions(&self) -> bool {
        self.hits.len() > 1 && self.hits.iter().any(|hit| hit.is_tail)
    }
}
