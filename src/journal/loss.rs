//! What damage has cost: positions, and whether they were settled before. Pure.
//!
//! In: positions, the lanes of a checkpoint, what the quarantine names. Out: a verdict on them. Never happens: `Settled`
//! for a position that the quarantine names (lanes go past what is damaged, too).

use std::ops::Range;

use super::{LaneMark, Position, Quarantined};

/// What became of positions whose records are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Every lane was past them before the damage was met.
    Settled,
    /// No lane is past them.
    Unsettled,
    /// Some lanes are past them, or all are and met the damage on their way, or no checkpoint tells.
    Untold,
}

/// `lanes`: of the newest sound checkpoint, if there is one. A quarantine that was emptied by hand tells nothing.
pub fn standing(positions: &Range<u64>, lanes: Option<&[LaneMark]>, quarantined: &[Quarantined]) -> Standing {
    let Some(lanes) = lanes else { return Standing::Untold };
    let meets = |copy: &Quarantined| copy.positions.start < positions.end && copy.positions.end > positions.start;
    if lanes.iter().all(|lane| lane.position.0 <= positions.start) {
        Standing::Unsettled
    } else if lanes.iter().all(|lane| lane.position.0 >= positions.end) && !quarantined.iter().any(meets) {
        Standing::Settled
    } else {
        Standing::Untold
    }
}

/// Positions that were synced and that a lane still needs, behind the `end` of the newest segment that is left: that end
/// is lost. What all lanes are past was dropped, and what is left there could not be removed.
pub fn lost_end(end: Option<Position>, settled: Position, synced_up_to: Position) -> Option<Range<u64>> {
    let end = end.unwrap_or(Position(1));
    let is_lost = end < synced_up_to && settled < synced_up_to;
    is_lost.then(|| end.max(settled).0..synced_up_to.0)
}

/// The same positions in order, each once.
pub fn union(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
    ranges.sort_by_key(|range| range.start);
    let mut union: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match union.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => union.push(range),
        }
    }
    union
}

/// Whether all of `range` is in one of `union`, as [`union`] made it.
pub fn covers(union: &[Range<u64>], range: &Range<u64>) -> bool {
    range.is_empty() || union.iter().any(|one| one.start <= range.start && range.end <= one.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lane_met_damaged_on_its_way_is_never_called_settled() {
        let lanes = |at: &[u64]| -> Vec<LaneMark> {
            let lane = |at: &u64| LaneMark { topic: "t".into(), position: Position(*at), takes: 0 };
            at.iter().map(lane).collect()
        };
        let copy = Quarantined { segment: 1, positions: 5..7, kept_at_ms: 0, bytes: 0 };
        for (lanes, quarantined, expected) in [
            (Some(lanes(&[7, 9])), &[][..], Standing::Settled),
            (Some(lanes(&[7, 9])), std::slice::from_ref(&copy), Standing::Untold),
            (Some(lanes(&[5, 9])), &[], Standing::Untold),
            (Some(lanes(&[5, 4])), std::slice::from_ref(&copy), Standing::Unsettled),
            (Some(lanes(&[])), &[], Standing::Unsettled),
            (None, &[], Standing::Untold),
        ] {
            assert_eq!(standing(&(5..7), lanes.as_deref(), quarantined), expected, "{lanes:?} {quarantined:?}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one_and_cover_what_lies_across_them() {
        let union = union([8..9, 1..3, 3..5, 2..4, 6..6]);
        assert_eq!(union, [1..5, 8..9]);
        assert!(covers(&union, &(2..5)) && covers(&union, &(7..7)) && !covers(&union, &(4..9)));
    }

    #[test]
    fn an_end_is_lost_where_a_lane_still_needs_it() {
        let lost = |end: Option<u64>, settled, synced| lost_end(end.map(Position), Position(settled), Position(synced));
        assert_eq!(lost(Some(5), 2, 9), Some(5..9));
        assert_eq!(lost(Some(5), 7, 9), Some(7..9));
        assert_eq!(lost(None, 0, 9), Some(1..9));
        for (end, settled, synced) in [(Some(9), 2, 9), (Some(5), 9, 9), (None, 0, 1), (None, 9, 9)] {
            assert_eq!(lost(end, settled, synced), None, "{end:?} {settled} {synced}");
        }
    }
}
