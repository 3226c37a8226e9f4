//! The batches of a partition as they lie on a node's disk: which producer wrote them, which no consumer is told.
//!
//! In: the bytes of a partition's log. Out: where a producer began to count its batches anew. The format is Kafka's record
//! batch, version 2, <https://kafka.apache.org/documentation/#recordbatch>: numbers are big-endian. Never happens: a panic
//! over bytes that are cut off.

use std::collections::HashMap;

/// From the batch's first byte to its records.
const HEADER_BYTES: usize = 61;
/// Of the first offset and of the length itself, which the length does not count.
const BEFORE_LENGTH_BYTES: usize = 12;

/// What a batch's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    first: i64,
    producer: i64,
    epoch: i16,
}

/// The offsets of the batches with which a producer began a new epoch: the client does so by itself when a node has refused a
/// number in the sequence, and sends everything again of which it has no receipt, written or not.
pub fn renumbered(log: &[u8]) -> Vec<i64> {
    let mut epochs: HashMap<i64, i16> = HashMap::new();
    let mut begins = Vec::new();
    for batch in batches(log).filter(|batch| batch.producer >= 0) {
        let epoch = epochs.entry(batch.producer).or_insert(batch.epoch);
        if batch.epoch > *epoch {
            *epoch = batch.epoch;
            begins.push(batch.first);
        }
    }
    begins
}

fn batches(log: &[u8]) -> impl Iterator<Item = Batch> {
    let mut rest = log;
    std::iter::from_fn(move || {
        let header = rest.get(..HEADER_BYTES)?;
        let batch = Batch {
            first: i64::from_be_bytes(*header[0..].first_chunk()?),
            producer: i64::from_be_bytes(*header[43..].first_chunk()?),
            epoch: i16::from_be_bytes(*header[51..].first_chunk()?),
        };
        let length = u32::from_be_bytes(*header[8..].first_chunk()?) as usize;
        rest = rest.get(BEFORE_LENGTH_BYTES + length..).unwrap_or_default();
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: i64, producer: i64, epoch: i16) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + 7];
        bytes[0..8].copy_from_slice(&first.to_be_bytes());
        bytes[8..12].copy_from_slice(&((HEADER_BYTES + 7 - BEFORE_LENGTH_BYTES) as u32).to_be_bytes());
        bytes[43..51].copy_from_slice(&producer.to_be_bytes());
        bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
        bytes
    }

    #[test]
    fn a_new_epoch_of_the_same_producer_is_seen_and_another_producer_is_none() {
        let log = [batch(0, 7, 0), batch(3, 7, 0), batch(5, 8, 1), batch(6, 7, 1), batch(9, 7, 1), batch(11, -1, 5)];
        assert_eq!(renumbered(&log.concat()), [6]);
        let all = log.concat();
        assert_eq!(renumbered(&all[..all.len() - 3 * (HEADER_BYTES + 7) + 20]), [] as [i64; 0], "it is cut off there");
        assert_eq!(renumbered(&[]), [] as [i64; 0]);
    }
}
