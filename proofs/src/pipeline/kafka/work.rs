//! What the brokers do with queued batches.

use retell_bridge::publisher::{DeliveryError, TopicState};

use super::{BAD, Cluster, FATAL, Fate, LARGE, PURGE, Queued, Receipt, UNAUTHORIZED, UNPROVEN, WAIT};

/// Most records in a batch.
const BATCH_RECORDS: u64 = 8;

impl Cluster {
    /// One batch of one partition, if any can move.
    pub(super) fn work(&mut self) {
        if !self.is_up || self.has_ended {
            return;
        }
        let can_move = |topic: &str| self.topics.get(topic).is_none_or(|topic| topic.answers);
        let movable: Vec<(String, u64)> = self
            .queues
            .iter()
            .filter(|((topic, _), queue)| !queue.is_empty() && can_move(topic))
            .map(|(place, _)| place.clone())
            .collect();
        if movable.is_empty() {
            return;
        }
        let place = movable[self.random.below(movable.len() as u64) as usize].clone();
        let most = if self.is_alone { 1 } else { self.random.between(1, BATCH_RECORDS) as usize };
        let queue = self.queues.get_mut(&place).expect("it was listed just now");
        let batch: Vec<Queued> = queue.drain(..most.min(queue.len())).collect();
        self.deliver(&place, batch);
    }

    fn deliver(&mut self, place: &(String, u64), batch: Vec<Queued>) {
        let topic = &*place.0;
        if self.state(topic) != TopicState::Known || self.failing.contains(topic) {
            return self.fail_topic(topic, batch);
        }
        if let Some(verdict) = self.verdict(topic, &batch) {
            self.tell(batch, Err(verdict));
            return self.end_producer(Some(place));
        }
        match self.script.pop_front().flatten() {
            None => {
                self.write(&batch);
                self.tell(batch, Ok(()));
            }
            Some(Fate::TimedOut) => self.fail_topic(topic, batch),
            Some(Fate::WrittenAndTimedOut) => {
                self.write(&batch);
                self.fail_topic(topic, batch);
            }
            Some(Fate::Unproven) => {
                self.tell(batch, Err(UNPROVEN));
                self.overtake(place);
            }
            Some(Fate::WrittenAndUnproven) => {
                self.write(&batch);
                self.tell(batch, Err(UNPROVEN));
            }
            Some(Fate::Fatal) => {
                self.tell(batch, Err(FATAL));
                self.end_producer(Some(place));
            }
            Some(Fate::WrittenAndFatal) => {
                self.write(&batch);
                self.tell(batch, Err(FATAL));
                self.end_producer(None);
            }
        }
    }

    /// The next batch of the partition goes past the one that was just told of.
    fn overtake(&mut self, place: &(String, u64)) {
        let most = if self.is_alone { 1 } else { BATCH_RECORDS as usize };
        let queue = self.queues.get_mut(place).expect("a batch of it has just been taken");
        let batch: Vec<Queued> = queue.drain(..most.min(queue.len())).collect();
        if self.verdict(&place.0, &batch).is_some() {
            // It stands behind what is to come again, and meets its verdict then.
            return self.tell(batch, Err(UNPROVEN));
        }
        self.write(&batch);
        self.tell(batch, Ok(()));
    }

    /// A broker's word on a whole batch: one record is enough to condemn it.
    fn verdict(&self, topic: &str, batch: &[Queued]) -> Option<DeliveryError> {
        if self.topics.get(topic).is_some_and(|topic| topic.is_write_missing) {
            return Some(UNAUTHORIZED);
        }
        let limit_bytes = self.limit_bytes(topic);
        if batch.iter().any(|queued| queued.value_bytes > limit_bytes) {
            return Some(LARGE);
        }
        batch.iter().any(|queued| queued.is_invalid && !queued.is_dead_letter).then_some(BAD)
    }

    fn write(&mut self, batch: &[Queued]) {
        for queued in batch {
            if !queued.is_dead_letter {
                self.judge.ask().wrote(&queued.topic, queued.key.as_deref(), queued.position);
            }
        }
    }

    fn tell(&mut self, batch: Vec<Queued>, outcome: Result<(), DeliveryError>) {
        self.receipts.extend(batch.into_iter().map(|queued| (queued, outcome)));
    }

    /// Fails everything that is queued for a topic, in order.
    fn fail_topic(&mut self, topic: &str, batch: Vec<Queued>) {
        self.failing.insert(topic.to_owned());
        let queues = self.queues.iter_mut().filter(|((of, _), _)| of == topic);
        let queued: Vec<Queued> = queues.flat_map(|(_, queue)| queue.drain(..)).collect();
        self.tell(batch, Err(WAIT));
        self.tell(queued, Err(WAIT));
    }

    /// The publisher knows of all failures. What it had sent before is failed, too; a topic where that was nothing takes
    /// records again.
    pub(super) fn end_failures(&mut self) {
        for topic in std::mem::take(&mut self.failing) {
            if self.queues.iter().any(|((of, _), queue)| *of == topic && !queue.is_empty()) {
                self.fail_topic(&topic, Vec::new());
            }
        }
    }

    /// The producer has ended: its queues are purged, and not everything in them comes back by itself. Nothing behind a
    /// batch that was refused is written.
    pub(super) fn end_producer(&mut self, refused: Option<&(String, u64)>) {
        if let Some(queue) = refused.and_then(|place| self.queues.remove(place)) {
            self.tell(queue.into(), Err(PURGE));
        }
        self.write_some_unheard();
        self.has_ended = true;
        let queued: Vec<Queued> = self.queues.values_mut().flat_map(|queue| queue.drain(..)).collect();
        for queued in queued {
            if self.random.chance(50) {
                self.receipts.push((queued, Err(PURGE)));
            }
        }
    }

    /// A broker may have written the first records of a queue when the producer ended or died.
    pub(super) fn write_some_unheard(&mut self) {
        if !self.is_up {
            return;
        }
        for place in self.queues.keys().cloned().collect::<Vec<_>>() {
            if self.state(&place.0) != TopicState::Known || self.failing.contains(&place.0) || !self.random.chance(30) {
                continue;
            }
            let count = if self.is_alone { 1 } else { self.random.between(1, BATCH_RECORDS) as usize };
            let first: Vec<Queued> = self.queues[&place].iter().take(count).cloned().collect();
            if self.verdict(&place.0, &first).is_none() {
                self.write(&first);
            }
        }
    }

    /// Hands receipts over: of each partition in order, between partitions in any; some come later.
    pub(super) fn take_receipts(&mut self, all: bool, receipts: &mut Vec<Receipt>) {
        let mut ready = std::mem::take(&mut self.receipts);
        if !all && self.random.chance(40) && !ready.is_empty() {
            let place = |queued: &Queued| (queued.topic.clone(), queued.partition);
            // One partition's receipts come first, or last.
            let chosen = place(&ready[self.random.below(ready.len() as u64) as usize].0);
            let (mut first, mut last): (Vec<_>, Vec<_>) =
                ready.into_iter().partition(|(queued, _)| place(queued) == chosen);
            if self.random.chance(50) {
                std::mem::swap(&mut first, &mut last);
            }
            ready = first;
            if self.random.chance(50) {
                self.receipts = last;
            } else {
                ready.extend(last);
            }
        }
        if self.receipts.is_empty() {
            self.end_failures();
        }
        for (queued, outcome) in ready {
            if let Err(error) = &outcome {
                let line = || format!("failed: {} for {} ({})", queued.position, queued.lane, error.reason);
                self.judge.ask().note(line);
            } else {
                self.judge.ask().confirmed(&queued.lane, queued.position, queued.is_dead_letter);
            }
            receipts.push(Receipt { token: queued.token, outcome });
        }
    }
}
