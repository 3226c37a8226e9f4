//! Answers and repeats.

use retell_bridge::journal::Tag;

use super::{Judge, Queued, Record, Signed};

impl Judge {
    /// A sender has signed this.
    pub fn signs(&mut self, tag: Tag, signed: Signed) {
        self.signed.insert(tag, signed);
    }

    /// The clerk queues a first copy, at the wall clock's present time.
    pub fn admitted(&mut self, tag: Tag, received_at_ms: u64, jumps: u64) {
        let life = self.lives.len();
        let window_ms = self.window_ms;
        let is_near = |at_ms: u64, when: u64| when == jumps && at_ms.abs_diff(received_at_ms) <= window_ms;
        if self.queued.iter().any(|queued| queued.tag == tag && is_near(queued.received_at_ms, queued.jumps)) {
            self.is_wrong("a repeat is queued beside its first copy".to_owned());
        }
        let known = self.by_tag.get(&tag).into_iter().flatten().copied().find(|position| {
            let record = &self.records[position];
            let is_known = record.life == life || self.life().found.contains(position);
            is_known && is_near(record.received_at_ms, record.jumps)
        });
        if let Some(position) = known {
            self.is_wrong(format!("a repeat within the window is kept a second time; the first is at {position}"));
        }
        self.queued.push(Queued { tag, received_at_ms, jumps });
    }

    /// The journal said what became of a first copy; `None` where it was not even queued.
    pub fn answered(&mut self, tag: Tag, received_at_ms: u64, position: Option<u64>, has_power: bool) {
        let at = self.queued.iter().position(|queued| queued.tag == tag && queued.received_at_ms == received_at_ms);
        let Some(queued) = at.map(|at| self.queued.remove(at)) else { return };
        let Some(position) = position else {
            self.count.refused += 1;
            return;
        };
        if !has_power {
            self.is_wrong(format!("position {position} was answered Ok when the power was off"));
        }
        if self.records.contains_key(&position) {
            self.is_wrong(format!("position {position} is used twice"));
        }
        let life = self.lives.len();
        self.put(position, Record { tag, received_at_ms, life, jumps: queued.jumps, is_recovered: false });
    }

    pub(super) fn put(&mut self, position: u64, record: Record) {
        self.by_tag.entry(record.tag).or_default().push(position);
        self.records.insert(position, record);
    }

    /// A sender was answered 2xx; `is_repeat`: as a duplicate of what is kept.
    pub fn promised(&mut self, tag: Tag, is_repeat: bool) {
        self.count.promised += 1;
        self.count.repeats += u64::from(is_repeat);
        if !self.by_tag.contains_key(&tag) {
            let is_queued = self.queued.iter().any(|queued| queued.tag == tag);
            self.is_wrong(match (is_repeat, is_queued) {
                (true, true) => "a duplicate was answered 2xx before its first copy was synced".to_owned(),
                (true, false) => "a refused copy left its entry: its retry was answered 2xx and is not kept".to_owned(),
                (false, _) => "a first copy was answered 2xx before it was synced".to_owned(),
            });
        }
        self.promised.insert(tag);
    }
}
