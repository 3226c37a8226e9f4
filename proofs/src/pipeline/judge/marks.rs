//! Checkpoints and recoveries, and that nothing is missing at the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use retell_bridge::event::Event;
use retell_bridge::journal::{LaneMark, Tag};
use retell_bridge::publisher::{Router, Topics};

use super::{Judge, Record};

/// What a recovery gave.
pub struct Found<'a> {
    pub lanes: &'a [LaneMark],
    pub oldest: u64,
    /// Every record that a reader sees: position, tag, received-at, bytes.
    pub records: Vec<(u64, Tag, u64, Bytes)>,
    /// Names of the dead letters on the disk.
    pub dead_letters: BTreeSet<String>,
}

impl Judge {
    /// Marks that lie in a checkpoint of the present process.
    pub fn marked(&mut self, marks: &[LaneMark]) {
        self.count.marks += 1;
        self.note(|| {
            format!("marked: {:?}", marks.iter().map(|mark| (&*mark.topic, mark.position.0)).collect::<Vec<_>>())
        });
        for mark in marks {
            // One of earlier settings was judged when they were in force.
            if takes(&self.life().router, &mark.topic) != Some(mark.takes) {
                continue;
            }
            let from = self.verified.get(&mark.topic).copied().unwrap_or(0);
            self.check_mark(mark, from);
            self.verified.insert(mark.topic.clone(), from.max(mark.position.0));
        }
    }

    fn check_mark(&mut self, mark: &LaneMark, from: u64) {
        let (topic, until) = (&mark.topic, mark.position.0);
        if until <= from {
            return;
        }
        let is_owed = |record: &Record| self.topics_of(self.life(), record).contains(topic);
        let owed: Vec<u64> =
            self.records.range(from..until).filter(|(_, record)| is_owed(record)).map(|(at, _)| *at).collect();
        let ahead = owed.iter().find(|position| !self.is_settled(topic, **position));
        let is_gap = owed.last().is_some_and(|last| self.is_settled(topic, *last));
        if let Some(position) = ahead {
            let how = if is_gap { "has passed over a gap" } else { "is ahead of a receipt" };
            let wrong =
                format!("the checkpoint {how}: {topic} is marked at {until}, position {position} is not settled");
            return self.is_wrong(wrong);
        }
        let files = self.on_disk.iter().filter(|(_, (lane, at))| lane == topic && (from..until).contains(at));
        let in_topic = |at: &u64| self.settled.get(topic).is_some_and(|settled| settled.contains(at));
        let relied: Vec<String> = files.filter(|(_, (_, at))| !in_topic(at)).map(|(name, _)| name.clone()).collect();
        self.relied.extend(relied);
    }

    /// The lowest position that some lane has not settled, as far as is known here.
    pub fn lowest_unsettled(&self) -> Option<u64> {
        let life = self.life();
        let start = life.starts.values().min().copied().unwrap_or(0);
        let mut waiting = self.records.range(start..).filter(|(position, record)| {
            let topics = self.topics_of(life, record);
            let is_owed = |topic: &String| life.starts.get(topic).is_none_or(|start| *position >= start);
            topics.iter().any(|topic| is_owed(topic) && !self.is_settled(topic, **position))
        });
        waiting.next().map(|(position, _)| *position)
    }

    /// A process has died, and the next one has recovered; it runs with `topics`.
    pub fn recovered(&mut self, found: &Found<'_>, topics: &Topics, jumps: u64) {
        if !self.lives.is_empty() {
            self.check_dead_letters(found);
            // By the settings under which they were made.
            self.marked(found.lanes);
        }
        self.check_records(found, jumps);
        let router = Router::new(topics);
        let lowest = found.lanes.iter().map(|mark| mark.position.0).min().unwrap_or(found.oldest);
        let mut starts = BTreeMap::new();
        for (number, topic) in router.topics().iter().enumerate() {
            let same = |mark: &&LaneMark| *mark.topic == **topic && mark.takes == router.takes(number);
            let mark = found.lanes.iter().find(same);
            let before = self.lives.last().and_then(|life| takes(&life.router, topic));
            if mark.is_none() || before != Some(router.takes(number)) {
                // It reads from the lowest place on, behind what it may have published under other settings.
                self.newest.retain(|(on, _), _| *on != **topic);
            }
            starts.insert(topic.to_string(), mark.map_or(lowest, |mark| mark.position.0));
        }
        self.verified = starts.clone();
        let positions = found.records.iter().map(|(position, ..)| *position).collect();
        self.begin_life(topics, starts, positions);
    }

    /// What a dead letter on the disk had settled for a mark is there. Others may come back or not.
    fn check_dead_letters(&mut self, found: &Found<'_>) {
        if let Some(gone) = self.relied.iter().find(|name| !found.dead_letters.contains(*name)) {
            let wrong = format!("LOST: the dead letter {gone}, which a mark has passed, is gone after a restart");
            self.is_wrong(wrong);
        }
        self.on_disk.retain(|name, _| found.dead_letters.contains(name));
    }

    fn check_records(&mut self, found: &Found<'_>, jumps: u64) {
        let there: BTreeSet<u64> = found.records.iter().map(|(position, ..)| *position).collect();
        let needed = found.lanes.iter().map(|mark| mark.position.0).min().unwrap_or(0);
        if let Some((position, _)) = self.records.range(needed..).find(|(position, _)| !there.contains(position)) {
            let wrong = format!("LOST: position {position}, answered Ok, is not in the journal after a restart");
            self.is_wrong(wrong);
        }
        let life = self.lives.len() + 1;
        // Where the clock was ever set, nobody can say how the index sees them.
        let jumps = if jumps == 0 { 0 } else { u64::MAX };
        for (position, tag, received_at_ms, bytes) in &found.records {
            match self.records.get(position) {
                Some(known) if known.tag == *tag => continue,
                Some(_) => return self.is_wrong(format!("position {position} is another record after a restart")),
                None => {}
            }
            let body = Event::decode(bytes.clone()).map(|event| event.body().clone());
            if self.signed.get(tag).is_none_or(|signed| Ok(&signed.body) != body.as_ref()) {
                return self.is_wrong(format!("position {position} holds what nobody signed"));
            }
            let record = Record { tag: *tag, received_at_ms: *received_at_ms, life, jumps, is_recovered: true };
            self.put(*position, record);
        }
    }

    /// Everything has drained: what is kept is on a topic of its own, or a dead letter.
    pub fn end(&mut self) {
        if let Some(tag) = self.promised.iter().find(|tag| !self.by_tag.contains_key(*tag)) {
            let body = self.signed[tag].body.len();
            return self.is_wrong(format!("LOST: an event of {body} bytes, answered 2xx, is not in the journal"));
        }
        let lost = self.records.iter().find_map(|(position, record)| {
            let since = &self.lives[record.life - 1..];
            let own = |life| self.topics_of(life, record).swap_remove(0);
            let is_on_its_own = since.iter().any(|life| self.is_settled(&own(life), *position));
            let all = self.life().all.clone().filter(|all| since.iter().all(|life| life.all.as_ref() == Some(all)));
            let is_on_all = all.is_none_or(|all| self.is_settled(&all, *position));
            (!is_on_its_own || !is_on_all).then_some((*position, record.is_recovered, is_on_its_own))
        });
        if let Some((position, is_recovered, is_on_its_own)) = lost {
            let how = if is_recovered { "found by a recovery" } else { "answered Ok" };
            let which = if is_on_its_own { "the topic for all" } else { "its topic" };
            self.is_wrong(format!("LOST: position {position}, {how}, is neither on {which} nor a dead letter"));
        }
    }
}

/// Fingerprint of what goes to a topic under one life's settings.
fn takes(router: &Router, topic: &str) -> Option<u64> {
    let number = router.topics().iter().position(|known| **known == *topic)?;
    Some(router.takes(number))
}
