//! Where records stand: copies of one event, positions of the journal, the order of one key.
//!
//! In: all records, and what happened to the bridge. Out: what stands where nothing excuses it.

use std::collections::HashMap;

use super::{Circumstances, Copies, Cut, Report};
use crate::ledger::Entry;
use crate::records::Record;

/// A second copy of an event is excused only by a kill or, within one life of the bridge, by a renewed producer of that
/// life or a client that has counted anew before it, once each; and only from the same place in the journal, behind the
/// checkpoint of that kill.
pub(super) fn check_copies(report: &mut Report, copies: &Copies, circumstances: &Circumstances) {
    for records in copies.values() {
        // Without a key a copy may go to another partition, which no offset puts before or behind the first.
        let mut records = records.clone();
        records.sort_by_key(|record| cut_before(record, &circumstances.cuts));
        let first = records[0];
        let (mut life, mut of_this_life) = (cut_before(first, &circumstances.cuts), 1);
        for copy in &records[1..] {
            let cut = cut_before(copy, &circumstances.cuts);
            of_this_life = if cut == life { of_this_life + 1 } else { 1 };
            life = cut;
            let marks = cut.and_then(|cut| circumstances.cuts[cut].marks.as_ref().ok());
            let marks = marks.filter(|marks| !marks.is_empty());
            // All lanes are marked together.
            let from = marks.map(|marks| marks.get(&copy.topic).copied().unwrap_or(u64::MAX));
            if place(copy) != place(first) {
                report.add("duplicated by content", copy, &format!("{:?} and {:?}", place(first), place(copy)));
            } else if of_this_life > 1 + circumstances.excuses_before(copy) {
                report.add("duplicated by position", copy, &format!("one of {} copies", records.len()));
            } else if place(copy).is_some_and(|(_, position)| from.is_some_and(|from| position < from)) {
                report.add("repeated from before the checkpoint", copy, &format!("the lane was at {from:?}"));
            } else {
                report.repeated += 1;
                cut.iter().for_each(|cut| report.repeated_after[*cut] += 1);
            }
        }
    }
}

impl Circumstances {
    /// How often the life of the bridge that wrote this record may have repeated by then what it had sent itself: once for
    /// each producer that it gave up, and for each time that the client began to count anew before this record. Where nobody
    /// looked at the kills, all lives count as one.
    fn excuses_before(&self, record: &Record) -> usize {
        let life = cut_before(record, &self.cuts);
        let place = (record.topic.clone(), record.partition);
        let begins = self.renumbered.get(&place).map_or(&[][..], Vec::as_slice);
        let is_of_life = |offset: &&i64| **offset <= record.offset && cut_at(&place, **offset, &self.cuts) == life;
        begins.iter().filter(is_of_life).count() + self.renewals_in_life_after(life)
    }

    fn renewals_in_life_after(&self, cut: Option<usize>) -> usize {
        if self.cuts.is_empty() {
            return self.kills + self.renewals;
        }
        let next = cut.map_or(0, |cut| cut + 1);
        let began_with = cut.map_or(0, |cut| self.cuts[cut].renewals);
        let ended_with = self.cuts.get(next).map_or(self.renewals, |cut| cut.renewals);
        ended_with.saturating_sub(began_with)
    }
}

/// The last kill that had happened when this record was written.
fn cut_before(record: &Record, cuts: &[Cut]) -> Option<usize> {
    cut_at(&(record.topic.clone(), record.partition), record.offset, cuts)
}

fn cut_at(place: &(String, i32), offset: i64, cuts: &[Cut]) -> Option<usize> {
    cuts.iter().rposition(|cut| cut.ends.get(place).is_some_and(|end| *end <= offset))
}

/// No place in the journal holds two events, and each partition has them in the journal's order, but where a kill, a new
/// producer or a client that counts anew (or a dead letter, which comes when its own lane meets it, or when it is sent again) sets it back.
pub(super) fn check_positions(report: &mut Report, records: &[Record], circumstances: &Circumstances) {
    let mut holders: HashMap<(&str, u64), &str> = HashMap::new();
    let mut last: HashMap<(&str, i32, &str), Step> = HashMap::new();
    for record in records {
        let (Some((journal, position)), Some(id)) = (place(record), record.header("ce_id")) else {
            continue;
        };
        if *holders.entry((journal, position)).or_insert(id) != id {
            report.add("position used twice", record, &format!("{journal} {position}"));
        }
        let is_late = circumstances.sent_again.iter().any(|again| again == id);
        if record.header("retell_topic").is_some() || is_late {
            continue;
        }
        let cut = cut_before(record, &circumstances.cuts);
        let Some(before) = last.get_mut(&(record.topic.as_str(), record.partition, journal)) else {
            last.insert((&record.topic, record.partition, journal), Step { position, cut, back: 0 });
            continue;
        };
        // Each life begins where it has to; back within it goes a new producer or a new count alone.
        let is_back = position < before.position && cut == before.cut;
        let back = if cut == before.cut { before.back + usize::from(is_back) } else { 0 };
        if is_back && back > circumstances.excuses_before(record) {
            let from = before.position;
            report.add("stepped back", record, &format!("{position} after {from} ({back} times in one life)"));
        }
        *before = Step { position, cut, back };
    }
}

/// The record before, of one partition.
struct Step {
    position: u64,
    /// The cut with which its life began.
    cut: Option<usize>,
    /// How often that life has stepped back until then.
    back: usize,
}

/// Events of one key on one topic, to be put in the topic's order.
type EventsInPlace<'a> = Vec<(&'a Record, &'a Entry)>;

/// First copies of one key's events on one topic stand in the order in which they were promised.
pub(super) fn check_order(report: &mut Report, entries: &HashMap<&str, Entry>, copies: &Copies) {
    let mut keys: HashMap<(&str, &[u8]), EventsInPlace> = HashMap::new();
    for ((topic, id), records) in copies {
        if let Some(key) = &records[0].key {
            keys.entry((topic, key)).or_default().push((records[0], &entries[id]));
        }
    }
    for events in keys.values_mut() {
        events.sort_by_key(|(record, _)| (record.partition, record.offset));
        let mut latest = 0;
        for (record, entry) in events {
            if entry.kept_turn.is_some_and(|kept| kept < latest) {
                report.add("out of order", record, "promised before one that stands before it was sent");
            }
            latest = latest.max(entry.sent_turn);
        }
    }
}

pub(super) fn place(record: &Record) -> Option<(&str, u64)> {
    Some((record.header("retell_journal")?, record.header("retell_position")?.parse().ok()?))
}
