//! A made-up case for the judge, without a fault: three updates of one call, promised one after the other, the records
//! that they should have become, a scrape that tells the truth, and modest usage.

use std::collections::{BTreeMap, HashMap};

use support::bridge::Metrics;
use support::events::{Event, Maker, Source};
use support::judge::aside::{Aside, Letter, Quarantined};
use support::judge::lives::{Count, Life};
use support::judge::usage::Usage;
use support::judge::{Circumstances, Cut, Report, judge_all};
use support::ledger::{Entry, Ledger};
use support::records::Record;
use support::sign::{signature, unhex};

const V: u64 = 1_700_000_000_123;
const TIME: &str = "2023-11-14T22:13:20.123Z";
const BOUNDS: Usage = Usage { memory_bytes: 100 << 20, descriptors: 50 };

/// All that a judge is given.
pub struct Case {
    pub ledger: Ledger,
    pub records: Vec<Record>,
    pub aside: Aside,
    pub circumstances: Circumstances,
    pub life: Life,
    pub usage: Usage,
}

impl Case {
    pub fn faultless() -> Case {
        let source = Source::new("default", "/webhook", "t.");
        let mut maker = Maker::quietly(7);
        let id = maker.id();
        let events: Vec<Event> = (0..3).map(|_| maker.sized(&source, "call_analyzed", &id, false, 400)).collect();
        let entries: Vec<Entry> = events.into_iter().enumerate().map(|(i, event)| promised(event, i as u64)).collect();
        let records = entries.iter().enumerate().map(|(i, entry)| record(entry, i as i64)).collect();
        Case {
            ledger: Ledger { entries },
            records,
            aside: Aside::default(),
            circumstances: Circumstances::default(),
            life: life(),
            usage: Usage { memory_bytes: 50 << 20, descriptors: 20 },
        }
    }

    pub fn judge(&self) -> Report {
        let mut report = judge_all(&self.ledger, &self.records, &self.aside, &self.circumstances);
        self.life.judge(&mut report);
        self.usage.judge(BOUNDS, &mut report);
        report
    }

    /// The bridge was killed when all three were there; the checkpoint stood at the lane's position `mark`.
    pub fn kill(&mut self, mark: u64) {
        let topic = self.records[0].topic.clone();
        let ends = HashMap::from([((topic.clone(), 2), 3)]);
        self.circumstances.kills = 1;
        self.circumstances.cuts = vec![Cut { ends, marks: Ok(BTreeMap::from([(topic, mark)])), renewals: 0 }];
    }

    /// It was killed once more, after both copies of [`Case::repeat`].
    pub fn kill_again(&mut self) {
        let mut cut = self.circumstances.cuts[0].clone();
        cut.ends.values_mut().for_each(|end| *end = 5);
        self.circumstances.kills = 2;
        self.circumstances.cuts.push(cut);
    }

    /// The first record has a later place in the journal than those behind it.
    pub fn step_back(&mut self) {
        set_header(&mut self.records[0], "retell_position", "50");
    }

    /// The life was killed after its last scrape: nothing but what had happened by then is sure.
    pub fn kill_after_scrape(&mut self, answered: u64) {
        let since = |count: Count| Count { most: count.most + answered, ..count };
        let life = &mut self.life;
        life.was_killed = true;
        (life.kept, life.received) = (since(life.kept), since(life.received));
        (life.repeated, life.gained) = (since(life.repeated), Count::at_most(life.gained.most + answered));
    }

    /// The client began a new epoch with the record at this offset.
    pub fn count_anew_at(&mut self, offset: i64) {
        let first = &self.records[0];
        self.circumstances.renumbered.insert((first.topic.clone(), first.partition), vec![offset]);
    }

    /// Sends the second and third record again.
    pub fn repeat(&mut self) {
        let copies = [Record { offset: 3, ..self.records[1].clone() }, Record { offset: 4, ..self.records[2].clone() }];
        self.records.extend(copies);
    }

    /// Sends the third record again, which has no key, to a partition that was empty when the bridge was killed.
    pub fn repeat_elsewhere(&mut self) {
        self.ledger.entries[2].event.key = None;
        let third = &mut self.records[2];
        (third.key, third.java_partition) = (None, None);
        third.headers.retain(|(name, _)| name != "ce_subject");
        let copy = Record { partition: 0, offset: 0, ..third.clone() };
        self.circumstances.cuts[0].ends.insert((copy.topic.clone(), 0), 0);
        self.records.insert(0, copy);
    }

    /// Takes the second record away and puts its event's id, among noise, into the quarantine.
    pub fn quarantine(&mut self) {
        self.records.remove(1);
        let bytes = [vec![7; 30], unhex(&self.ledger.entries[1].ce_id), vec![9; 30]].concat();
        self.aside.quarantined.push(Quarantined { positions: 0..0, bytes });
    }

    /// Takes the second record away and makes a dead letter of it.
    pub fn set_aside(&mut self) {
        self.records.remove(1);
        let Entry { ce_id, sha256, event, .. } = &self.ledger.entries[1];
        let (topic, length) = (event.topic.clone(), event.body.len());
        let (ce_id, sha256) = (ce_id.clone(), sha256.clone());
        self.aside.letters.push(Letter { topic, ce_id, sha256, length, ..Letter::default() });
    }

    /// The first and second record change places in the topic, and in the journal.
    pub fn swap(&mut self) {
        for (record, offset) in self.records.iter_mut().zip([1, 0, 2]) {
            record.offset = offset;
            set_header(record, "retell_position", &(offset + 10).to_string());
        }
        self.records.sort_by_key(|record| record.offset);
    }

    /// Replaces `from` in the scrape.
    pub fn tell(&mut self, from: &str, to: &str) {
        assert!(self.life.metrics.0.contains(from), "{from} is in the scrape");
        self.life.metrics.0 = self.life.metrics.0.replace(from, to);
    }
}

pub fn set_header(record: &mut Record, name: &str, value: &str) {
    record.headers.retain(|(n, _)| n != name);
    record.headers.push((name.to_string(), value.as_bytes().to_vec()));
}

fn promised(event: Event, number: u64) -> Entry {
    let signature = signature(&event.source.api_key, &event.body, V);
    let mut entry = Entry::new(event, V, signature);
    (entry.sent_turn, entry.kept_turn) = (number * 2 + 1, Some(number * 2 + 2));
    (entry.sent_ms, entry.answered_ms) = (V, V + 10);
    entry.statuses = vec![204];
    entry
}

fn record(entry: &Entry, offset: i64) -> Record {
    let event = &entry.event;
    let mut headers = vec![
        ("ce_specversion", "1.0".to_string()),
        ("ce_id", entry.ce_id.clone()),
        ("ce_source", "/retell/default".to_string()),
        ("ce_type", format!("com.retellai.{}", event.kind)),
        ("ce_time", TIME.to_string()),
        ("content-type", "application/json".to_string()),
        ("retell_signature", entry.signature.clone()),
        ("retell_journal", "j1".to_string()),
        ("retell_position", (offset + 10).to_string()),
    ];
    headers.extend(event.key.clone().map(|key| ("ce_subject", key)));
    Record {
        topic: event.topic.clone(),
        partition: 2,
        offset,
        timestamp: V as i64 + 5,
        key: event.key.clone().map(String::into_bytes),
        headers: headers.into_iter().map(|(name, value)| (name.to_string(), value.into_bytes())).collect(),
        length: event.body.len(),
        sha256: entry.sha256.clone(),
        java_partition: Some(2),
    }
}

/// Two kept, one duplicate, one 503 and one 401, all three published.
fn life() -> Life {
    let lines = [
        "events_received_total{source=\"default\",type=\"call_analyzed\"} 2",
        "events_duplicate_total{source=\"default\"} 1",
        "events_published_total{topic=\"t.call_analyzed\"} 3",
        "events_refused_total{reason=\"late\",source=\"default\"} 0",
        "events_refused_total{reason=\"no_room\",source=\"default\"} 1",
        "events_refused_total{reason=\"stopping\",source=\"default\"} 0",
        "events_refused_total{reason=\"journal\",source=\"default\"} 0",
        "events_refused_total{reason=\"wrong\",source=\"default\"} 1",
        "journal_backlog_events{topic=\"t.call_analyzed\"} 0",
        "journal_oldest_unpublished_seconds{topic=\"t.call_analyzed\"} 0",
    ];
    Life {
        metrics: Metrics(lines.map(|line| format!("retell_bridge_{line}\n")).concat()),
        was_killed: false,
        kept: Count::exactly(3),
        received: Count::exactly(2),
        repeated: Count::exactly(1),
        refused_503: Count::exactly(1),
        refused_else: Count::exactly(1),
        gained: Count::exactly(3),
    }
}
