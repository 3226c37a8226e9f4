//! What is measured about room: bytes, how long they last, and the backlog.
//!
//! In: the folders, the disk, what was written lately. Out: metrics. Never happens: a guess above what is there.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Position;
use super::segment::SEGMENT_HEADER_BYTES;
use super::shared::{SegmentMeta, Shared, lock};
use super::spares::{self, SPARES_WANTED};

/// The rate is that of the last minutes.
const WINDOW_MS: u64 = 300_000;
const SAMPLE_EVERY_MS: u64 = 10_000;
/// What is told where nothing was written lately: a year.
const LASTS_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How fast the journal grows.
#[derive(Default)]
pub struct Rate {
    /// {uptime, bytes written so far}, oldest first.
    samples: VecDeque<(u64, u64)>,
}

impl Rate {
    /// Takes in how much was written so far; bytes per second over the last minutes.
    pub fn sample(&mut self, uptime_ms: u64, written_bytes: u64) -> f64 {
        if self.samples.back().is_none_or(|(at, _)| uptime_ms.saturating_sub(*at) >= SAMPLE_EVERY_MS) {
            self.samples.push_back((uptime_ms, written_bytes));
        }
        while self.samples.len() > 1 && self.samples.front().is_some_and(|(at, _)| uptime_ms - *at > WINDOW_MS) {
            self.samples.pop_front();
        }
        let (at, before) = self.samples.front().copied().unwrap_or((uptime_ms, written_bytes));
        let elapsed_ms = uptime_ms.saturating_sub(at).max(1_000);
        written_bytes.saturating_sub(before) as f64 * 1_000.0 / elapsed_ms as f64
    }
}

/// Sets the metrics.
pub fn measure(shared: &Shared, rate: &mut Rate, uptime_ms: u64) {
    let segments = shared.segments();
    let lowest = lock(&shared.marks).lanes.iter().map(|lane| lane.position).min();
    shared.metrics.set_backlog_bytes(backlog_bytes(&segments, lowest.unwrap_or_default()));
    let per_second = rate.sample(uptime_ms, shared.written_bytes.load(Ordering::Relaxed));
    match room_bytes(shared, &segments) {
        Ok(room) => {
            let lasts = Duration::try_from_secs_f64(room as f64 / per_second).unwrap_or(LASTS_MAX).min(LASTS_MAX);
            shared.metrics.set_room(room, lasts);
        }
        Err(error) => tracing::warn!(%error, "journal: room cannot be measured"),
    }
}

/// Room for whole segments more, the spares but the last, the rest of the segment at hand, and what is settled and can
/// go.
fn room_bytes(shared: &Shared, segments: &[SegmentMeta]) -> std::io::Result<u64> {
    let options = &shared.options;
    let (ready, settled) = {
        let spares = lock(&shared.spares);
        (spares.ready.len(), spares.settled)
    };
    let settled = settled.unwrap_or_default();
    let freeable = segments.iter().take_while(|meta| meta.closed && meta.end <= settled).map(|meta| meta.data_end);
    let current = segments.iter().filter(|meta| !meta.closed);
    let current = current.map(|meta| options.segment_bytes.saturating_sub(meta.data_end)).sum::<u64>();
    let left = spares::room_bytes(shared.storage.as_ref(), options)?.saturating_sub(spares::aside_bytes(options));
    let new = (left + freeable.sum::<u64>()) / options.segment_bytes + ready as u64;
    Ok(new.saturating_sub(SPARES_WANTED as u64 - 1) * options.segment_bytes + current)
}

/// Bytes of frames from `lowest` on; in the segment where it lies, as if records were of one size.
fn backlog_bytes(segments: &[SegmentMeta], lowest: Position) -> u64 {
    let of = |meta: &SegmentMeta| {
        let bytes = meta.data_end.saturating_sub(SEGMENT_HEADER_BYTES);
        let (all, waiting) = (meta.end.0 - meta.begin.0, meta.end.0.saturating_sub(lowest.0.max(meta.begin.0)));
        if all == 0 { 0 } else { (u128::from(bytes) * u128::from(waiting) / u128::from(all)) as u64 }
    };
    segments.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_minutes() {
        let mut rate = Rate::default();
        assert_eq!(rate.sample(0, 0), 0.0);
        assert_eq!(rate.sample(60_000, 60_000), 1_000.0);
        for minute in 2..20 {
            rate.sample(minute * 60_000, 60_000);
        }
        assert_eq!(rate.sample(1_200_000, 60_000), 0.0);
    }

    #[test]
    fn the_backlog_counts_from_the_lowest_lane_on() {
        let meta = |number, begin, end| SegmentMeta {
            number,
            identity: None,
            begin: Position(begin),
            end: Position(end),
            data_end: 4096 + 1_000,
            closed: true,
            newest_ms: 0,
        };
        let segments = [meta(1, 1, 11), meta(2, 11, 21)];
        assert_eq!(backlog_bytes(&segments, Position(0)), 2_000);
        assert_eq!(backlog_bytes(&segments, Position(6)), 1_500);
        assert_eq!(backlog_bytes(&segments, Position(21)), 0);
    }
}
