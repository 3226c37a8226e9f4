//! The judge: what was promised (the ledger) against what is there (every record of every topic, the quarantine, the
//! dead letters).
//!
//! Every event answered 2xx is on its topic, byte for byte, with its key, its headers and the partition that Java would
//! choose, once, and in the order in which the events of its key were promised. Nothing else is there. A killed bridge
//! may send again what it had sent: the same record, from the same place in the journal, only after the kill, and from
//! no earlier place than the checkpoint that the kill left. An event in the quarantine or among the dead letters is not
//! lost; there are exactly as many as the caller says.
//!
//! ```text
//! judge ─▶ content (one record), aside (quarantine, dead letters, checkpoint), lives (metrics, memory, descriptors)
//! ```

pub mod aside;
mod content;
pub mod lives;

use std::collections::{BTreeMap, HashMap};

use super::ledger::{Entry, Ledger};
use super::records::Record;
use aside::Aside;

/// What a test did that changes the verdict.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// `kill -9` of the bridge: each may repeat what was sent and not yet marked.
    pub kills: usize,
    /// Producers that the bridge gave up (its log says so): what they had not confirmed is sent again.
    pub renewals: usize,
    /// What each kill found, in order; empty where nobody looked.
    pub cuts: Vec<Cut>,
    /// The topic that takes every event.
    pub all_topic: Option<String>,
    /// Promised events that are in the quarantine and not on their topic.
    pub quarantined: usize,
    /// Events set aside on a dead-letter topic or in a file that were not meant to be.
    pub dead_letters: usize,
    /// `ce_id` of dead letters that were sent again: they stand behind what came after them.
    pub sent_again: Vec<String>,
}

/// What lay there when a killed bridge had not yet been started again.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    /// End of each partition.
    pub ends: HashMap<(String, i32), i64>,
    /// The first position that each lane still needs, by topic, as the checkpoint says.
    pub marks: BTreeMap<String, u64>,
    /// Producers that the bridge had given up by then, in all its lives.
    pub renewals: usize,
}

/// What was found wrong, by kind. Empty kinds do not appear.
#[derive(Debug, Default)]
pub struct Report {
    pub wrong: BTreeMap<&'static str, Vec<String>>,
    pub promised: usize,
    pub found: usize,
    /// Records that a kill or a renewed producer excuses.
    pub repeated: usize,
    /// Of those, how many each cut's kill caused.
    pub repeated_after: Vec<usize>,
    pub quarantined: usize,
    pub dead_letters: usize,
}

/// Copies of an event on a topic, in order.
type Copies<'a> = HashMap<(&'a str, &'a str), Vec<&'a Record>>;

/// As [`judge_all`], where nothing was set aside.
pub fn judge(ledger: &Ledger, records: &[Record], circumstances: &Circumstances) -> Report {
    judge_all(ledger, records, &Aside::default(), circumstances)
}

pub fn judge_all(ledger: &Ledger, records: &[Record], aside: &Aside, circumstances: &Circumstances) -> Report {
    let entries = ledger.by_id();
    let mut report = Report { promised: ledger.kept(), found: records.len(), ..Report::default() };
    report.repeated_after = vec![0; circumstances.cuts.len()];
    let mut copies: Copies = HashMap::new();
    for record in records {
        match record.header("ce_id").and_then(|id| entries.get_key_value(id)) {
            Some((id, entry)) => {
                content::check_record(&mut report, entry, record, circumstances);
                copies.entry((record.topic.as_str(), id)).or_default().push(record);
            }
            None => report.add("unknown", record, "no event that was sent has this ce_id"),
        }
    }
    check_lost(&mut report, &entries, &copies, aside, circumstances);
    check_letters(&mut report, &entries, aside);
    check_aside_counts(&mut report, circumstances);
    check_copies(&mut report, &copies, circumstances);
    check_positions(&mut report, records, circumstances);
    check_order(&mut report, &entries, &copies);
    report
}

impl Report {
    fn add(&mut self, kind: &'static str, record: &Record, what: &str) {
        let place = format!("{} [{}] at {}", record.topic, record.partition, record.offset);
        self.add_line(kind, format!("{place}: {what}"));
    }

    fn add_line(&mut self, kind: &'static str, line: String) {
        self.wrong.entry(kind).or_default().push(line);
    }

    /// All that is wrong, with the first cases of each kind; `None` where nothing is.
    pub fn scene(&self) -> Option<String> {
        let Report { promised, found, .. } = self;
        let mut scene = format!("{promised} events promised, {found} records found");
        for (kind, cases) in &self.wrong {
            scene.push_str(&format!("\n{kind}: {}", cases.len()));
            cases.iter().take(8).for_each(|case| scene.push_str(&format!("\n    {case}")));
        }
        (!self.wrong.is_empty()).then_some(scene)
    }

    /// The test goes on only when nothing is wrong; if not, the whole scene is printed.
    pub fn assert_clean(&self) {
        let Report { promised, found, repeated, .. } = self;
        println!("{promised} events promised, {found} records found, {repeated} of them repeated after a kill");
        if let Some(scene) = self.scene() {
            panic!("{scene}");
        }
    }
}

/// Every promised event is on each of its topics, or was set aside and is counted.
fn check_lost(
    report: &mut Report,
    entries: &HashMap<&str, Entry>,
    copies: &Copies,
    aside: &Aside,
    circumstances: &Circumstances,
) {
    for (id, entry) in entries.iter().filter(|(_, entry)| entry.is_kept()) {
        let topics = [Some(&entry.event.topic), circumstances.all_topic.as_ref()];
        for topic in topics.into_iter().flatten().filter(|topic| !copies.contains_key(&(topic.as_str(), *id))) {
            let mut elsewhere = copies.iter().filter(|((_, other), _)| other == id).flat_map(|(_, records)| records);
            let position = elsewhere.clone().find_map(|record| place(record)).map(|(_, position)| position);
            let is_letter = elsewhere.any(|record| record.header("retell_topic") == Some(topic))
                || aside.letters.iter().any(|letter| letter.ce_id == *id && letter.topic == *topic);
            if is_letter {
                continue;
            }
            if aside.holds(id, position) {
                report.quarantined += 1;
                continue;
            }
            let (length, statuses) = (entry.event.body.len(), &entry.statuses);
            report.add_line(
                "lost",
                format!("{topic}: {id}, {length} bytes, key {:?}, answered {statuses:?}", entry.event.key),
            );
        }
    }
}

/// Every dead letter in a file is an event that was sent, byte for byte.
fn check_letters(report: &mut Report, entries: &HashMap<&str, Entry>, aside: &Aside) {
    for letter in &aside.letters {
        report.dead_letters += 1;
        let entry = entries.get(letter.ce_id.as_str());
        if let Some(damage) = letter.damage {
            report.add_line("altered", format!("dead letter {}: {damage}", letter.name));
        } else if let Some(entry) = entry {
            if letter.sha256 != entry.sha256 {
                report.add_line("altered", format!("dead letter {} is not the body that was sent", letter.name));
            }
        } else {
            report.add_line("unknown", format!("dead letter {}: no event that was sent", letter.name));
        }
    }
}

fn check_aside_counts(report: &mut Report, circumstances: &Circumstances) {
    for (kind, found, expected) in [
        ("quarantined", report.quarantined, circumstances.quarantined),
        ("dead letter", report.dead_letters, circumstances.dead_letters),
    ] {
        if found != expected {
            report.add_line(kind, format!("{found} promised events were set aside, {expected} expected"));
        }
    }
}

/// A second copy of an event is excused only by a kill or, within one life of the bridge, by a renewed producer of that
/// life, once each; and only from the same place in the journal, behind the checkpoint of that kill.
fn check_copies(report: &mut Report, copies: &Copies, circumstances: &Circumstances) {
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
            let mark = cut.and_then(|cut| circumstances.cuts[cut].marks.get(&copy.topic));
            if place(copy) != place(first) {
                report.add("duplicated by content", copy, &format!("{:?} and {:?}", place(first), place(copy)));
            } else if of_this_life > 1 + circumstances.excuses_in_life_after(cut) {
                report.add("duplicated by position", copy, &format!("one of {} copies", records.len()));
            } else if place(copy).is_some_and(|(_, position)| mark.is_some_and(|mark| position < *mark)) {
                report.add("repeated from before the checkpoint", copy, &format!("the lane was at {mark:?}"));
            } else {
                report.repeated += 1;
                cut.iter().for_each(|cut| report.repeated_after[*cut] += 1);
            }
        }
    }
}

impl Circumstances {
    /// How often the bridge's life that began with `cut` may repeat what it sent itself: once for each producer that it
    /// gave up. Where nobody looked at the kills, all lives count as one.
    fn excuses_in_life_after(&self, cut: Option<usize>) -> usize {
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
    let place = (record.topic.clone(), record.partition);
    cuts.iter().rposition(|cut| cut.ends.get(&place).is_some_and(|end| *end <= record.offset))
}

/// No place in the journal holds two events, and each partition has them in the journal's order, but where a kill (or a
/// dead letter, which comes when its own lane meets it, or when it is sent again) sets it back.
fn check_positions(report: &mut Report, records: &[Record], circumstances: &Circumstances) {
    let mut holders: HashMap<(&str, u64), &str> = HashMap::new();
    let mut last: HashMap<(&str, i32, &str), (u64, usize)> = HashMap::new();
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
        let (highest, steps) = last.entry((&record.topic, record.partition, journal)).or_insert((position, 0));
        if position < *highest {
            *steps += 1;
            if *steps > circumstances.kills + circumstances.renewals {
                report.add("stepped back", record, &format!("{position} after {highest} ({steps} times)"));
            }
        }
        *highest = position;
    }
}

/// Events of one key on one topic, to be put in the topic's order.
type EventsInPlace<'a> = Vec<(&'a Record, &'a Entry)>;

/// First copies of one key's events on one topic stand in the order in which they were promised.
fn check_order(report: &mut Report, entries: &HashMap<&str, Entry>, copies: &Copies) {
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

fn place(record: &Record) -> Option<(&str, u64)> {
    Some((record.header("retell_journal")?, record.header("retell_position")?.parse().ok()?))
}
