//! Dead letters: one that was reported kept is there after every restart, byte for byte.
//!
//! In: each letter and whether it was kept; after a recovery, the disk. Out: nothing, or which one is gone. Never happens: a
//! call of the journal's, which might meet a fault that waits for it.

use std::collections::BTreeMap;

use super::Wrong;
use crate::random::Random;
use crate::simulation::disk::SimDisk;

/// Before the letter stand the headers of its frame and of its record.
const HEADERS_BYTES: usize = 64 + 32;
const LETTER_BYTES: usize = 700;

type Letter = Vec<u8>;

/// What may stand under one name.
#[derive(Debug, Default, Clone)]
struct Named {
    /// The one that was reported kept last.
    kept: Option<Letter>,
    /// Those since then of which that is not known.
    doubtful: Vec<Letter>,
}

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct DeadLetters(BTreeMap<String, Named>);

impl DeadLetters {
    /// A letter that differs from all others.
    pub fn make(&self, random: &mut Random) -> Letter {
        let mut letter = vec![0; LETTER_BYTES];
        random.fill(&mut letter);
        letter
    }

    /// The journal has said whether it is kept.
    pub fn answered(&mut self, name: &str, letter: Letter, kept: bool) {
        let named = self.0.entry(name.to_owned()).or_default();
        if kept {
            *named = Named { kept: Some(letter), doubtful: Vec::new() };
        } else {
            named.doubtful.push(letter);
        }
    }

    /// Looks at all of them behind a recovery, which has synced what it found.
    pub fn check(&mut self, disk: &SimDisk) -> Result<(), Wrong> {
        for (name, named) in &mut self.0 {
            let found = disk.bytes(&format!("dead/{name}.dead"));
            let letter = found.map(|bytes| bytes.get(HEADERS_BYTES..).map(<[u8]>::to_vec).unwrap_or_default());
            if letter != named.kept && !named.doubtful.iter().any(|doubtful| Some(doubtful) == letter.as_ref()) {
                let state = if letter.is_some() { "another" } else { "gone" };
                return Err(format!("LOST: dead letter {name}, reported kept, is {state}"));
            }
            *named = Named { kept: letter, doubtful: Vec::new() };
        }
        Ok(())
    }
}
