//! Deliveries, receipts, what stands on the topics, dead letters.

use retell_bridge::event::{Event, Peek};

use super::{Judge, Signed};
use crate::pipeline::marks::DeadLetter;

/// A delivery as the producer got it.
pub struct Handed<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    pub position: u64,
    pub ce_id: &'a str,
    pub reason: Option<&'a str>,
    /// Of a dead letter: where it should have gone.
    pub meant_for: Option<&'a str>,
}

impl Judge {
    /// The publisher hands a delivery to the producer.
    pub fn handed(&mut self, handed: &Handed<'_>) {
        self.count.deliveries += 1;
        let position = handed.position;
        self.note(|| format!("handed: {position} for {} ({:?})", handed.topic, handed.meant_for));
        let Some(record) = self.records.get(&position).cloned() else {
            return self.is_wrong(format!("position {position} was published before its sync"));
        };
        let signed = &self.signed[&record.tag];
        if let Some(wrong) = altered(handed, signed, &record.tag) {
            return self.is_wrong(format!("position {position} on {} is altered: {wrong}", handed.topic));
        }
        let lane = handed.meant_for.unwrap_or(handed.topic);
        let life = self.life();
        if !self.topics_of(life, &record).iter().any(|topic| topic == lane) {
            return self.is_wrong(format!("position {position} was sent to {lane}, which is none of its topics"));
        }
        if life.starts.get(lane).is_some_and(|start| position < *start) {
            return self.is_wrong(format!("position {position} was sent to {lane} again from before its mark"));
        }
        if self.confirmed.contains(&(lane.to_owned(), position)) {
            return self.is_wrong(format!("position {position} was sent to {lane} again after its receipt"));
        }
        let Some(meant_for) = handed.meant_for else { return };
        let plan = life.router.route(&signed.source, &Peek::at(&signed.body));
        if *life.router.topics()[plan.dead_letter] != *handed.topic {
            return self.is_wrong(format!("a dead letter of position {position} was sent to {}", handed.topic));
        }
        let (reason, value) = (handed.reason.unwrap_or_default(), handed.value);
        self.check_reason(meant_for, position, reason, value);
    }

    fn check_reason(&mut self, topic: &str, position: u64, reason: &str, value: &[u8]) {
        if !self.limits.bars(value, reason) {
            let bytes = value.len();
            self.is_wrong(format!(
                "a dead letter ({reason}) of a record that fits: position {position}, {bytes} bytes, for {topic}"
            ));
        }
    }

    /// A broker has written it.
    pub fn wrote(&mut self, topic: &str, key: Option<&str>, position: u64) {
        self.note(|| format!("written: {position} on {topic}"));
        let is_first = self.written.entry(topic.to_owned()).or_default().insert(position);
        let Some(key) = key.filter(|_| is_first) else { return };
        let newest = self.newest.entry((topic.to_owned(), key.to_owned())).or_default();
        let before = *newest;
        *newest = before.max(position);
        if before > position {
            self.is_wrong(format!("out of order on {topic}: {before} stands before {position} of the same key"));
        }
    }

    /// The publisher has taken a confirmation.
    pub fn confirmed(&mut self, lane: &str, position: u64, is_dead_letter: bool) {
        self.note(|| format!("confirmed: {position} for {lane}"));
        self.count.dead_letters += u64::from(is_dead_letter);
        self.settled.entry(lane.to_owned()).or_default().insert(position);
        if !is_dead_letter {
            // A dead letter whose word came late is made again.
            self.confirmed.insert((lane.to_owned(), position));
        }
    }

    /// A file that stands in `<dir>/dead/` now. Whether the publisher was told that it is synced shows only where a mark
    /// passes it.
    pub fn kept_on_disk(&mut self, name: &str, letter: &DeadLetter) {
        let known = self.on_disk.insert(name.to_owned(), (letter.topic.clone(), letter.position));
        if known.is_some() {
            return;
        }
        self.count.dead_letters += 1;
        let position = letter.position;
        let Some(record) = self.records.get(&position) else {
            return self.is_wrong(format!("a dead letter was made of position {position} before its sync"));
        };
        let signed = self.signed[&record.tag].clone();
        match Event::decode(letter.envelope.clone().into()) {
            Ok(event) if event.body() == &signed.body && letter.tag == record.tag => {
                self.check_reason(&letter.topic, position, &letter.reason, &signed.body);
            }
            _ => self.is_wrong(format!("the dead letter {name} is altered")),
        }
    }
}

fn altered(handed: &Handed<'_>, signed: &Signed, tag: &[u8; 16]) -> Option<&'static str> {
    let id: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    if handed.value != &signed.body[..] {
        return Some("the value");
    }
    if handed.key != signed.key.as_deref().map(str::as_bytes) {
        return Some("the key");
    }
    (handed.ce_id != id).then_some("ce_id")
}
