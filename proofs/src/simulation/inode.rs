//! One simulated file: what the page cache shows, what the platter holds, and what lies between them.
//!
//! In: writes, length changes, syncs good and failed, crashes. Out: bytes. A write is at once visible to reads (the
//! page cache) and durable only after a sync. At a power cut each 512-byte sector of each un-synced write survives or
//! not by itself, in any combination; one in flight may be torn: part new and part old, or garbage. Never happens: a
//! synced byte that was not written again is lost.

use crate::random::Random;

pub const SECTOR_BYTES: u64 = 512;
/// Room is given out in blocks, as file systems do.
pub const BLOCK_BYTES: u64 = 4096;

/// What was done since the last sync, in order.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

/// How cruel one power cut is.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Of un-synced sectors, percent.
    pub survive_percent: u64,
    /// Of those that do not survive, percent torn.
    pub torn_percent: u64,
}

#[derive(Debug, Default, Clone)]
pub struct Inode {
    cache: Vec<u8>,
    platter: Vec<u8>,
    pending: Vec<Change>,
    /// By block: whether it has room on the disk (a length alone takes none).
    blocks: Vec<bool>,
}

impl Inode {
    pub fn byte_len(&self) -> u64 {
        self.cache.len() as u64
    }

    pub fn room_bytes(&self) -> u64 {
        self.blocks.iter().filter(|taken| **taken).count() as u64 * BLOCK_BYTES
    }

    /// What reads see.
    pub fn bytes(&self) -> &[u8] {
        &self.cache
    }

    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let start = offset.min(self.byte_len()) as usize;
        let count = buffer.len().min(self.cache.len() - start);
        buffer[..count].copy_from_slice(&self.cache[start..start + count]);
        count
    }

    /// How many of `count` bytes at `offset` fit where `free_bytes` are left.
    pub fn fitting(&self, offset: u64, count: u64, free_bytes: u64) -> u64 {
        let mut free_blocks = free_bytes / BLOCK_BYTES;
        let mut end = offset;
        while end < offset + count {
            let block = (end / BLOCK_BYTES) as usize;
            if !self.blocks.get(block).copied().unwrap_or(false) {
                if free_blocks == 0 {
                    break;
                }
                free_blocks -= 1;
            }
            end = (block as u64 + 1) * BLOCK_BYTES;
        }
        end.min(offset + count) - offset
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        put(&mut self.cache, bytes, offset);
        let last = ((offset + bytes.len() as u64 - 1) / BLOCK_BYTES) as usize;
        if self.blocks.len() <= last {
            self.blocks.resize(last + 1, false);
        }
        self.blocks[(offset / BLOCK_BYTES) as usize..=last].fill(true);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub fn set_len(&mut self, bytes: u64) {
        self.cache.resize(bytes as usize, 0);
        self.blocks.truncate(bytes.div_ceil(BLOCK_BYTES) as usize);
        self.pending.push(Change::Length(bytes));
    }

    /// A sync that worked.
    pub fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.platter, &bytes, offset),
                Change::Length(bytes) => self.platter.resize(bytes as usize, 0),
            }
        }
    }

    /// A sync that failed: some sectors got there, the rest is dropped and marked clean, so that no later sync writes
    /// it. Reads go on seeing it, or not.
    pub fn fail_sync(&mut self, random: &mut Random) {
        let cut = Cut { survive_percent: random.pick(&[0, 50, 90]), torn_percent: random.pick(&[0, 20]) };
        self.settle(cut, random);
        if random.chance(25) {
            self.cache.clone_from(&self.platter);
        }
    }

    /// The power is cut: what reads see afterwards is what the platter holds.
    pub fn cut_power(&mut self, cut: Cut, random: &mut Random) {
        self.settle(cut, random);
        self.cache.clone_from(&self.platter);
        self.blocks.resize(self.cache.len().div_ceil(BLOCK_BYTES as usize), false);
    }

    /// Rot: one bit of what was synced turns over. The byte as it is then.
    pub fn flip(&mut self, bit: u64) -> u8 {
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        self.platter[byte] ^= mask;
        self.cache[byte] ^= mask;
        self.cache[byte]
    }

    /// Moves what survives onto the platter and forgets the rest. Length changes are journaled by the file system in
    /// order, so a prefix of them survives; data written behind the surviving length is lost.
    fn settle(&mut self, cut: Cut, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let lengths =
            if cut.survive_percent == 100 { pending.len() as u64 } else { random.below(pending.len() as u64 + 1) };
        for (number, change) in pending.into_iter().enumerate() {
            let length_survives = (number as u64) < lengths;
            match change {
                Change::Length(bytes) if length_survives => self.platter.resize(bytes as usize, 0),
                Change::Length(_) => {}
                Change::Write { offset, bytes } => {
                    let end = offset as usize + bytes.len();
                    if length_survives && self.platter.len() < end {
                        self.platter.resize(end, 0);
                    }
                    settle_write(&mut self.platter, offset, &bytes, cut, random);
                }
            }
        }
    }
}

fn put(target: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if target.len() < end {
        target.resize(end, 0);
    }
    target[start..end].copy_from_slice(bytes);
}

/// The page cache writes whole pages, so the sectors beside the written bytes are written again as well, and one of them
/// may be torn too: this is what a journal that appends inside a block of acknowledged bytes dies of.
fn settle_write(platter: &mut [u8], offset: u64, bytes: &[u8], cut: Cut, random: &mut Random) {
    let end = offset + bytes.len() as u64;
    let mut start = offset / BLOCK_BYTES * BLOCK_BYTES;
    let stop = end.next_multiple_of(BLOCK_BYTES).min(platter.len() as u64);
    while start < stop {
        let sector_end = (start + SECTOR_BYTES).min(stop);
        let old = &mut platter[start as usize..sector_end as usize];
        let survives = random.chance(cut.survive_percent);
        if survives || random.chance(cut.torn_percent) {
            let mut new = [0; SECTOR_BYTES as usize];
            let new = &mut new[..old.len()];
            new.copy_from_slice(old);
            let (from, until) = (start.max(offset), sector_end.min(end));
            if from < until {
                new[(from - start) as usize..(until - start) as usize]
                    .copy_from_slice(&bytes[(from - offset) as usize..(until - offset) as usize]);
            }
            if survives { old.copy_from_slice(new) } else { tear(old, new, random) }
        }
        start = sector_end;
    }
}

fn tear(old: &mut [u8], new: &[u8], random: &mut Random) {
    let at = random.below(new.len() as u64) as usize;
    match random.below(3) {
        0 => old[..at].copy_from_slice(&new[..at]),
        1 => old[at..].copy_from_slice(&new[at..]),
        _ => random.fill(old),
    }
}
