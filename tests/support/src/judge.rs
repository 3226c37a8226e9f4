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
//! judge ─▶ content (one record), places (copies and their order), aside (quarantine, dead letters, checkpoint),
//!          lives ◀─ truth (metrics against answers), usage (memory, descriptors)
//! ```

pub mod aside;
mod content;
pub mod lives;
mod places;
pub mod truth;
pub mod usage;

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
    /// Where the client began to count anew, by partition: what it had no receipt for it sent again by itself. The bridge is
    /// not told, and does not have to be: of a key one event at most is on its way.
    pub renumbered: HashMap<(String, i32), Vec<i64>>,
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
#[derive(Debug, Clone)]
pub struct Cut {
    /// End of each partition.
    pub ends: HashMap<(String, i32), i64>,
    /// The first position that each lane still needs, by topic, as the checkpoint says; or why it cannot be read.
    pub marks: Marks,
    /// Producers that the bridge had given up by then, in all its lives.
    pub renewals: usize,
}

/// What [`aside::marks`] found.
pub type Marks = Result<BTreeMap<String, u64>, String>;

/// What was found wrong, by kind. Empty kinds do not appear.
#[derive(Debug, Default)]
pub struct Report {
    pub wrong: BTreeMap<&'static str, Vec<String>>,
    pub promised: usize,
    pub found: usize,
    /// Records that a kill, a renewed producer or a client that counts anew excuses.
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
    check_aside_counts(&mut report, aside, circumstances);
    check_marks(&mut report, &circumstances.cuts);
    places::check_copies(&mut report, &copies, circumstances);
    places::check_positions(&mut report, records, circumstances);
    places::check_order(&mut report, &entries, &copies);
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
            let position = elsewhere.clone().find_map(|record| places::place(record)).map(|(_, position)| position);
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

fn check_aside_counts(report: &mut Report, aside: &Aside, circumstances: &Circumstances) {
    aside.unread.iter().for_each(|what| report.add_line("unread", what.clone()));
    for (kind, found, expected) in [
        ("quarantined", report.quarantined, circumstances.quarantined),
        ("dead letter", report.dead_letters, circumstances.dead_letters),
    ] {
        if found != expected {
            report.add_line(kind, format!("{found} promised events were set aside, {expected} expected"));
        }
    }
}

/// Without its marks a cut excuses what came from before the checkpoint, too: they must be there where a life before it
/// has published, and lanes that were marked once are marked at every later cut.
fn check_marks(report: &mut Report, cuts: &[Cut]) {
    let mut was_marked = false;
    for (number, cut) in cuts.iter().enumerate() {
        match &cut.marks {
            Err(why) if cut.ends.values().any(|end| *end > 0) => {
                report.add_line("no marks", format!("at cut {number}: {why}"));
            }
            Ok(marks) if was_marked && marks.is_empty() => {
                report.add_line("no marks", format!("at cut {number}, and there were some at an earlier one"));
            }
            Ok(marks) => was_marked |= !marks.is_empty(),
            Err(_) => {}
        }
    }
}
