//! The checkpoint file: two slots, of which one is rewritten between two syncs; layout in [`super`].
//!
//! In: how far the lanes are settled. Out: at a start, the newest of what was durable. Never happens: both slots in
//! doubt at once. After a restart the page cache may hold a slot that the disk does not, so the first write of a
//! process goes to the newest slot again (or to a broken one), never to its elder, which is durable.

use std::io;
use std::path::{Path, PathBuf};

use super::frame::{BLOCK_BYTES, array_at, round_up, u32_at, u64_at};
use super::segment::{FOLDER, HeaderError, VERSION};
use super::storage::{File, Storage, read_full_at, write_all_at};
use super::{JournalId, LaneMark, NUMBER_END, Position};
use crate::planted::Bug;

/// Length of one slot, bytes: 64 lanes with Kafka's longest names fit.
pub const SLOT_BYTES: u64 = 5 * BLOCK_BYTES;
/// Most lanes.
pub const LANES_MAX: usize = 64;
/// Longest name of a topic, bytes.
pub const TOPIC_BYTES_MAX: usize = 249;

const MAGIC: [u8; 8] = *b"RBchkpnt";
const FIXED_BYTES: usize = 56;
/// Of one lane, beside its name.
const LANE_FIXED_BYTES: usize = 18;

/// What one slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub identity: JournalId,
    pub generation: u64,
    /// One past the newest synced position.
    pub synced_up_to: Position,
    /// Every segment that was ever named has a lower number.
    pub next_segment: u64,
    pub lanes: Vec<LaneMark>,
}

impl Checkpoint {
    /// The first position that a lane still needs; `None` without lanes.
    pub fn lowest(&self) -> Option<Position> {
        self.lanes.iter().map(|lane| lane.position).min()
    }

    /// The slot's bytes, padded to whole blocks.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_BYTES as usize);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.lanes.len() as u16).to_le_bytes());
        let names: usize = self.lanes.iter().map(|lane| LANE_FIXED_BYTES + lane.topic.len()).sum();
        bytes.extend_from_slice(&((FIXED_BYTES + names) as u32).to_le_bytes());
        bytes.extend_from_slice(&self.identity.0);
        for number in [self.generation, self.synced_up_to.0, self.next_segment] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for lane in &self.lanes {
            bytes.extend_from_slice(&lane.position.0.to_le_bytes());
            bytes.extend_from_slice(&lane.takes.to_le_bytes());
            bytes.extend_from_slice(&(lane.topic.len() as u16).to_le_bytes());
            bytes.extend_from_slice(lane.topic.as_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.resize(round_up(bytes.len() as u64) as usize, 0);
        bytes
    }

    /// Reads a slot.
    pub fn decode(slot: &[u8]) -> Result<Checkpoint, HeaderError> {
        if slot.len() < FIXED_BYTES + 4 || slot[0..8] != MAGIC {
            return Err(HeaderError::Broken);
        }
        let length = u32_at(slot, 12) as usize;
        if length < FIXED_BYTES || length > slot.len() - 4 || crc32c::crc32c(&slot[..length]) != u32_at(slot, length) {
            return Err(HeaderError::Broken);
        }
        let version = u16::from_le_bytes([slot[8], slot[9]]);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let lanes = decode_lanes(&slot[FIXED_BYTES..length], u16::from_le_bytes([slot[10], slot[11]]));
        let checkpoint = Checkpoint {
            identity: JournalId(array_at(slot, 16)),
            generation: u64_at(slot, 32),
            synced_up_to: Position(u64_at(slot, 40)),
            next_segment: u64_at(slot, 48),
            lanes: lanes.ok_or(HeaderError::Broken)?,
        };
        if checkpoint.is_bounded() { Ok(checkpoint) } else { Err(HeaderError::Broken) }
    }

    fn is_bounded(&self) -> bool {
        let lanes = self.lanes.iter().map(|lane| lane.position.0);
        let mut numbers = lanes.chain([self.generation, self.synced_up_to.0, self.next_segment]);
        self.next_segment > 0 && numbers.all(|number| number < NUMBER_END)
    }
}

fn decode_lanes(mut bytes: &[u8], count: u16) -> Option<Vec<LaneMark>> {
    let mut lanes = Vec::new();
    for _ in 0..count {
        let (head, rest) = bytes.split_at_checked(LANE_FIXED_BYTES)?;
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([head[16], head[17]])))?;
        let topic = String::from_utf8(topic.to_vec()).ok()?;
        lanes.push(LaneMark { topic, position: Position(u64_at(head, 0)), takes: u64_at(head, 8) });
        bytes = rest;
    }
    bytes.is_empty().then_some(lanes)
}

/// Whether the lanes fit in a slot.
pub fn lanes_fit(lanes: &[LaneMark]) -> bool {
    lanes.len() <= LANES_MAX && lanes.iter().all(|lane| lane.topic.len() <= TOPIC_BYTES_MAX)
}

/// Where the checkpoint lies.
pub fn path() -> PathBuf {
    Path::new(FOLDER).join("checkpoint")
}

/// The name under which a checkpoint file is made.
pub fn path_new() -> PathBuf {
    Path::new(FOLDER).join("checkpoint.new")
}

/// Both slots as they lie on disk.
pub type Slots = [Result<Checkpoint, HeaderError>; 2];

/// Reads both slots.
pub fn read_slots(file: &dyn File) -> io::Result<Slots> {
    let mut bytes = vec![0; 2 * SLOT_BYTES as usize];
    let length = read_full_at(file, &mut bytes, 0)?;
    let slot = |index: usize| {
        let from = (index * SLOT_BYTES as usize).min(length);
        Checkpoint::decode(&bytes[from..(from + SLOT_BYTES as usize).min(length)])
    };
    Ok([slot(0), slot(1)])
}

/// The open checkpoint file.
pub struct CheckpointFile {
    file: Box<dyn File>,
    /// What each slot holds; `None` while it is in doubt.
    slots: [Option<Checkpoint>; 2],
    /// The slot that the next write goes to.
    turn: usize,
    generation: u64,
}

impl CheckpointFile {
    /// Makes the file, both slots written, and syncs all of it; takes the place of a broken one. An error that tells of a
    /// full disk comes before that: the one that was there is still in its place.
    pub fn create(storage: &dyn Storage, first: &Checkpoint) -> io::Result<CheckpointFile> {
        let file = storage.create(&path_new())?;
        let mut slots = [None, None];
        write_all_at(file.as_ref(), &vec![0; 2 * SLOT_BYTES as usize], 0)?;
        for (index, slot) in slots.iter_mut().enumerate() {
            let checkpoint = Checkpoint { generation: first.generation + index as u64, ..first.clone() };
            write_all_at(file.as_ref(), &checkpoint.encode(), index as u64 * SLOT_BYTES)?;
            *slot = Some(checkpoint);
        }
        file.sync_all()?;
        storage.rename(&path_new(), &path())?;
        // Behind the rename nobody may go on with the old file, however the error is called: it has no name any more.
        storage.sync_folder(Path::new(FOLDER)).map_err(io::Error::other)?;
        Ok(CheckpointFile { file, slots, turn: 0, generation: first.generation + 1 })
    }

    /// Goes on with a file of which at least one slot is sound.
    pub fn resume(file: Box<dyn File>, slots: Slots) -> CheckpointFile {
        let slots = slots.map(Result::ok);
        let generation = |slot: &Option<Checkpoint>| slot.as_ref().map_or(0, |slot| slot.generation);
        // The broken one (it has no generation); else the newest, which may be in the page cache alone.
        let turn = match (&slots[0], &slots[1]) {
            (Some(_), Some(_)) => usize::from(generation(&slots[1]) > generation(&slots[0])),
            (first, _) => usize::from(first.is_some()),
        };
        let newest = generation(&slots[0]).max(generation(&slots[1]));
        CheckpointFile { file, slots, turn, generation: newest }
    }

    /// Writes one slot and syncs; on an error the file must never be synced again.
    pub fn write(&mut self, mut checkpoint: Checkpoint) -> io::Result<()> {
        checkpoint.generation = self.generation + 1;
        self.slots[self.turn] = None;
        if Bug::BothSlotsBetweenSyncs.is_planted() {
            write_all_at(self.file.as_ref(), &checkpoint.encode(), (1 - self.turn) as u64 * SLOT_BYTES)?;
        }
        write_all_at(self.file.as_ref(), &checkpoint.encode(), self.turn as u64 * SLOT_BYTES)?;
        self.file.sync_data()?;
        self.generation = checkpoint.generation;
        self.slots[self.turn] = Some(checkpoint);
        self.turn = 1 - self.turn;
        Ok(())
    }

    /// The first position that a lane still needs according to either slot: what lies before it stays unneeded even
    /// when a slot rots. `None` while a slot is in doubt or without lanes.
    pub fn settled_in_both(&self) -> Option<Position> {
        let [Some(first), Some(second)] = &self.slots else { return None };
        let synced = first.synced_up_to.min(second.synced_up_to);
        Some(first.lowest()?.min(second.lowest()?).min(synced))
    }

    /// What the newest sound slot holds.
    pub fn newest(&self) -> Option<&Checkpoint> {
        self.slots.iter().flatten().max_by_key(|slot| slot.generation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::storage::Disk;

    fn checkpoint(generation: u64, position: u64) -> Checkpoint {
        Checkpoint {
            identity: JournalId([4; 16]),
            generation,
            synced_up_to: Position(position + 5),
            next_segment: 8,
            lanes: vec![LaneMark { topic: "retell.call_ended".into(), position: Position(position), takes: 7 }],
        }
    }

    proptest! {
        #[test]
        fn a_checkpoint_comes_back_and_no_flipped_bit_goes_unseen(
            lanes in prop::collection::vec(("[a-z._-]{1,249}", 1..NUMBER_END), 0..=64),
            generation in 0..NUMBER_END, synced in 0..NUMBER_END, at: prop::sample::Index, bit in 0..8,
        ) {
            let lanes = lanes.into_iter().map(|(topic, at)| LaneMark { topic, position: Position(at), takes: at }).collect();
            let written = Checkpoint {
                identity: JournalId([4; 16]), generation, synced_up_to: Position(synced), next_segment: 2, lanes,
            };
            let mut bytes = written.encode();
            prop_assert!(bytes.len() as u64 <= SLOT_BYTES);
            prop_assert_eq!(Checkpoint::decode(&bytes), Ok(written.clone()));
            let used = u32_at(&bytes, 12) as usize + 4;
            bytes[at.index(used)] ^= 1_u8 << bit;
            prop_assert_eq!(Checkpoint::decode(&bytes), Err(HeaderError::Broken));
        }

        #[test]
        fn bytes_that_are_no_checkpoint_are_broken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Checkpoint::decode(&bytes), Err(HeaderError::Broken));
        }
    }

    #[test]
    fn a_sound_slot_with_numbers_that_cannot_be_is_broken() {
        let sound = checkpoint(1, 2);
        let far = Position(NUMBER_END);
        let lanes = vec![LaneMark { position: far, ..sound.lanes[0].clone() }];
        for impossible in [
            Checkpoint { next_segment: 0, ..sound.clone() },
            Checkpoint { next_segment: u64::MAX, ..sound.clone() },
            Checkpoint { generation: u64::MAX, ..sound.clone() },
            Checkpoint { synced_up_to: far, ..sound.clone() },
            Checkpoint { lanes, ..sound.clone() },
        ] {
            assert_eq!(Checkpoint::decode(&impossible.encode()), Err(HeaderError::Broken), "{impossible:?}");
        }
    }

    #[test]
    fn slots_take_turns_and_a_restart_writes_the_newest_again() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        disk.create_folder(Path::new(FOLDER)).unwrap();
        let mut file = CheckpointFile::create(&disk, &checkpoint(1, 1)).unwrap();
        file.write(checkpoint(0, 10)).unwrap();
        file.write(checkpoint(0, 20)).unwrap();
        assert_eq!(file.settled_in_both(), Some(Position(10)));
        let generations = || {
            let file = disk.open(&path()).unwrap();
            read_slots(file.as_ref()).unwrap().map(|slot| slot.map_or(0, |slot| slot.generation))
        };
        assert_eq!(generations(), [3, 4]);
        let open = disk.open(&path()).unwrap();
        let slots = read_slots(open.as_ref()).unwrap();
        let mut resumed = CheckpointFile::resume(open, slots);
        resumed.write(checkpoint(0, 30)).unwrap();
        assert_eq!(generations(), [3, 5], "the elder slot is the durable one");
    }

    #[test]
    fn a_broken_slot_is_written_first() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        disk.create_folder(Path::new(FOLDER)).unwrap();
        CheckpointFile::create(&disk, &checkpoint(1, 1)).unwrap();
        for broken in [0, 1] {
            let file = disk.open(&path()).unwrap();
            write_all_at(file.as_ref(), b"rot", broken * SLOT_BYTES + 20).unwrap();
            let slots = read_slots(file.as_ref()).unwrap();
            let mut resumed = CheckpointFile::resume(file, slots);
            assert_eq!(resumed.settled_in_both(), None);
            resumed.write(checkpoint(0, 7)).unwrap();
            assert!(resumed.settled_in_both().is_some());
        }
    }
}
