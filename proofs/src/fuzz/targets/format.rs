//! The journal's format once more, read and written from its description alone, for a second opinion.
//!
//! In: fields. Out: bytes with checksums that hold, whatever the fields say; and back. Shares no line with the journal.

/// Frames, headers and slots begin at multiples of this.
pub const BLOCK_BYTES: usize = 4096;
/// One slot of a checkpoint.
pub const SLOT_BYTES: usize = 20 << 10;
const RECORD_HEADER_BYTES: usize = 32;
/// Positions, generations and segment numbers are below this.
pub const NUMBER_END: u64 = 1 << 62;

/// What a record is when its checksum is left out.
pub struct Record<'a> {
    pub position: u64,
    pub received_at_ms: u64,
    pub tag: [u8; 16],
    pub payload: &'a [u8],
}

impl Record<'_> {
    pub fn encode(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_le_bytes();
        let received_at = self.received_at_ms.to_le_bytes();
        let covered = [&received_at[..], &self.tag, &length, self.payload, &self.position.to_le_bytes()].concat();
        let crc = crc32c::crc32c(&covered).to_le_bytes();
        [&length[..], &crc, &received_at, &self.tag, self.payload].concat()
    }
}

/// A frame's header, every field free.
pub struct Frame {
    pub kind: u8,
    pub identity: [u8; 16],
    pub segment: u64,
    pub batch: u32,
    pub count: u32,
    pub first: u64,
    pub payload_bytes: u32,
    pub chain: u32,
}

impl Frame {
    /// The header, and its checksum, from which the next one chains.
    pub fn encode(&self) -> ([u8; 64], u32) {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(b"RBfr");
        bytes[4] = 1;
        bytes[6] = self.kind;
        bytes[8..24].copy_from_slice(&self.identity);
        bytes[24..32].copy_from_slice(&self.segment.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.batch.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.count.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.chain.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }
}

/// What the first frame of a segment chains from.
pub fn seed(identity: [u8; 16], segment: u64) -> u32 {
    crc32c::crc32c(&[&identity[..], &segment.to_le_bytes()].concat())
}

/// The first block of a segment.
pub fn segment_header(identity: [u8; 16], previous: [u8; 16], number: u64, segment_bytes: u64) -> Vec<u8> {
    let fields = [&b"RBsegmnt"[..], &[1, 0, 0, 0, 0, 0, 0, 0], &identity, &previous];
    let mut bytes = [&fields.concat()[..], &number.to_le_bytes(), &segment_bytes.to_le_bytes()].concat();
    seal(&mut bytes);
    bytes.resize(BLOCK_BYTES, 0);
    bytes
}

/// The last 64 bytes of a closed segment.
pub fn footer(fields: [u64; 6]) -> Vec<u8> {
    let mut bytes = b"RBfooter".to_vec();
    fields.iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    bytes.resize(60, 0);
    seal(&mut bytes);
    bytes
}

/// A checkpoint slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub identity: [u8; 16],
    pub generation: u64,
    pub synced_up_to: u64,
    pub next_segment: u64,
    /// Position, what it takes, topic.
    pub lanes: Vec<(u64, u64, String)>,
}

impl Slot {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = [&b"RBchkpnt"[..], &[1, 0], &(self.lanes.len() as u16).to_le_bytes(), &[0; 4]].concat();
        bytes.extend(self.identity);
        [self.generation, self.synced_up_to, self.next_segment]
            .iter()
            .for_each(|number| bytes.extend(number.to_le_bytes()));
        for (position, takes, topic) in &self.lanes {
            bytes.extend(position.to_le_bytes());
            bytes.extend(takes.to_le_bytes());
            bytes.extend((topic.len() as u16).to_le_bytes());
            bytes.extend(topic.as_bytes());
        }
        let length = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// The highest of its numbers.
    pub fn highest(&self) -> u64 {
        let lanes = self.lanes.iter().map(|(position, ..)| *position);
        lanes.chain([self.generation, self.synced_up_to, self.next_segment]).max().unwrap_or_default()
    }

    /// What a slot of that file says; `None` where it is none. A version that is not 1 is the second kind of `None`.
    pub fn decode(file: &[u8], index: usize) -> Result<Slot, Option<u16>> {
        let file = &file[..file.len().min(2 * SLOT_BYTES)];
        let bytes = file.get(index * SLOT_BYTES..).ok_or(None)?;
        let bytes = &bytes[..bytes.len().min(SLOT_BYTES)];
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let length = u32::from_le_bytes(bytes.get(12..16).ok_or(None)?.try_into().expect("four bytes")) as usize;
        let covered = bytes.get(..length).filter(|covered| covered.len() >= 56 && covered.starts_with(b"RBchkpnt"));
        let covered = covered.ok_or(None)?;
        let crc = bytes.get(length..length + 4).ok_or(None)?;
        if crc32c::crc32c(covered).to_le_bytes() != crc {
            return Err(None);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != 1 {
            return Err(Some(version));
        }
        let mut lanes = Vec::new();
        let mut at = 56;
        for _ in 0..u16::from_le_bytes([bytes[10], bytes[11]]) {
            let head = covered.get(at..at + 18).ok_or(None)?;
            let name_bytes = usize::from(u16::from_le_bytes([head[16], head[17]]));
            let name = covered.get(at + 18..at + 18 + name_bytes).ok_or(None)?;
            let topic = std::str::from_utf8(name).map_err(|_| None)?.to_owned();
            lanes.push((number(at).ok_or(None)?, number(at + 8).ok_or(None)?, topic));
            at += 18 + name_bytes;
        }
        if at != length {
            return Err(None);
        }
        let field = |at| number(at).filter(|number| *number < NUMBER_END).ok_or(None);
        let identity = bytes[16..32].try_into().expect("16 bytes");
        if field(48)? == 0 || lanes.iter().any(|(position, ..)| *position >= NUMBER_END) {
            return Err(None);
        }
        Ok(Slot { identity, generation: field(32)?, synced_up_to: field(40)?, next_segment: field(48)?, lanes })
    }
}

/// Makes every checksum in a segment hold again: its header's, its frames' and those of the records in them.
pub fn mend(segment: &mut [u8]) {
    if segment.len() >= 68 {
        let crc = crc32c::crc32c(&segment[..64]).to_le_bytes();
        segment[64..68].copy_from_slice(&crc);
    }
    for at in (BLOCK_BYTES..segment.len().saturating_sub(63)).step_by(BLOCK_BYTES) {
        if &segment[at..at + 4] == b"RBfr" {
            let crc = crc32c::crc32c(&segment[at..at + 60]).to_le_bytes();
            segment[at + 60..at + 64].copy_from_slice(&crc);
            mend_records(&mut segment[at..]);
        }
    }
    if let Some(at) = segment.len().checked_sub(64) {
        let crc = crc32c::crc32c(&segment[at..at + 60]).to_le_bytes();
        segment[at + 60..].copy_from_slice(&crc);
    }
}

fn mend_records(frame: &mut [u8]) {
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let is_list = frame[6] == 2;
    let count = u32::from_le_bytes(frame[36..40].try_into().expect("four bytes")).min(512);
    let mut position = if is_list { 0 } else { number(frame, 40) };
    let mut at = 64;
    for _ in 0..count {
        let Some(header) = frame.get(at..at + RECORD_HEADER_BYTES) else { return };
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
        let (received_at_ms, tag) = (number(header, 8), header[16..32].try_into().expect("16 bytes"));
        let Some(end) = at.checked_add(RECORD_HEADER_BYTES + length) else { return };
        let Some(payload) = frame.get(at + RECORD_HEADER_BYTES..end) else { return };
        let encoded = Record { position, received_at_ms, tag, payload }.encode();
        frame[at..end].copy_from_slice(&encoded);
        (at, position) = (end, position.wrapping_add(1));
    }
}

fn seal(bytes: &mut Vec<u8>) {
    bytes.extend(crc32c::crc32c(bytes).to_le_bytes());
}
