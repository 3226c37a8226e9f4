//! The deliveries of one lane between "everything before is settled" and "not looked at yet".
//!
//! In: positions in ascending order as they are handed to the producer, and what became of each, in any order. Out: the
//! lane's position for the checkpoint. Never happens: a position that passes an unsettled delivery; a delivery that was
//! settled and is handed out again, also when the records are read a second time.

use std::collections::{HashSet, VecDeque};

use crate::journal::{Position, Record, Tag};
use crate::planted::Bug;

/// One delivery on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub position: Position,
    pub received_at_ms: u64,
    /// For the log alone.
    tag: Tag,
    bytes: usize,
    key: Option<KeyHash>,
    fate: Fate,
}

/// Stands for a key; two keys with one hash wait for each other, no more.
pub(super) type KeyHash = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// To be sent again: it failed, or its producer ended.
    Unsent,
    Sent,
    /// To be kept as a dead letter, with its reason.
    Aside(&'static str),
    Settled,
}

/// What a lane has to do with a record of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// Nothing: it is settled or on its way.
    Passed,
    /// Send it, under this number.
    Send(u64),
    /// Keep it as a dead letter, for this reason.
    SetAside(u64, &'static str),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// In order of position and number; the first is unsettled.
    flights: VecDeque<Flight>,
    /// Number of the first flight.
    first: u64,
    /// Every delivery before it is in `flights` or settled, and none of those has to be sent.
    next: Position,
    outstanding: usize,
    outstanding_bytes: usize,
    /// Keys of what is outstanding, each once.
    keys: HashSet<KeyHash>,
}

impl Window {
    pub fn new(start: Position) -> Window {
        let (flights, keys) = (VecDeque::new(), HashSet::new());
        Window { flights, first: 0, next: start, outstanding: 0, outstanding_bytes: 0, keys }
    }

    /// What to do with the delivery at `position`.
    pub fn take(&self, position: Position) -> Take {
        if position < self.next {
            return Take::Passed;
        }
        if self.flights.back().is_none_or(|last| last.position < position) {
            return Take::Send(self.first + self.flights.len() as u64);
        }
        let Ok(index) = self.flights.binary_search_by_key(&position, |flight| flight.position) else {
            // Read as damaged before, and told as such.
            return Take::Passed;
        };
        let number = self.first + index as u64;
        match self.flights[index].fate {
            Fate::Unsent => Take::Send(number),
            Fate::Aside(reason) => Take::SetAside(number, reason),
            Fate::Sent | Fate::Settled => Take::Passed,
        }
    }

    /// Whether a delivery that [`Window::take`] numbered is not remembered yet.
    pub fn is_new(&self, number: u64) -> bool {
        self.index(number).is_none()
    }

    /// A dead letter waits to be taken again.
    pub fn has_aside(&self) -> bool {
        self.flights.iter().any(|flight| matches!(flight.fate, Fate::Aside(_)))
    }

    /// Whether a delivery with this key is on its way. The next one waits for its receipt: whatever a client or a broker
    /// does to batches that are on their way together, a key's records then stand in their order.
    pub fn holds(&self, key: Option<KeyHash>) -> bool {
        key.is_some_and(|key| self.keys.contains(&key))
    }

    /// The delivery that [`Window::take`] numbered was handed to the producer.
    pub fn sent(&mut self, number: u64, record: &Record, bytes: usize, key: Option<KeyHash>) {
        self.note(number, record, bytes, key, Fate::Sent);
        self.keys.extend(key);
        self.advance(Position(record.position.0 + 1));
        self.outstanding += 1;
        self.outstanding_bytes += bytes;
    }

    /// The delivery that [`Window::take`] numbered becomes a dead letter without having been sent; the next take of the
    /// same position says so.
    pub fn aside(&mut self, number: u64, record: &Record, reason: &'static str) {
        self.note(number, record, 0, None, Fate::Aside(reason));
    }

    fn note(&mut self, number: u64, record: &Record, bytes: usize, key: Option<KeyHash>, fate: Fate) {
        let Record { position, received_at_ms, tag, .. } = *record;
        let flight = Flight { position, received_at_ms, tag, bytes, key, fate };
        match self.index(number) {
            Some(index) => self.flights[index] = flight,
            None => self.flights.push_back(flight),
        }
    }

    /// A delivery that was sent is confirmed. `None` for a number that is not on its way.
    pub fn confirmed(&mut self, number: u64) -> Option<Settled> {
        self.landed(number, Fate::Settled)?;
        Some(self.settled(number))
    }

    /// A dead letter is safe. `None` for a number that is not one.
    pub fn kept_aside(&mut self, number: u64) -> Option<Settled> {
        let flight = self.index(number).map(|index| &mut self.flights[index])?;
        if !matches!(flight.fate, Fate::Aside(_)) {
            return None;
        }
        flight.fate = Fate::Settled;
        Some(self.settled(number))
    }

    /// A delivery that was sent failed, and has to be sent again. Whether it was on its way.
    pub fn failed(&mut self, number: u64) -> bool {
        self.landed(number, Fate::Unsent).is_some()
    }

    /// A delivery that was sent will never be taken. Whether it was on its way.
    pub fn refused(&mut self, number: u64, reason: &'static str) -> bool {
        self.landed(number, Fate::Aside(reason)).is_some()
    }

    fn landed(&mut self, number: u64, fate: Fate) -> Option<()> {
        let index = self.index(number)?;
        let flight = &mut self.flights[index];
        if flight.fate != Fate::Sent {
            return None;
        }
        flight.fate = fate;
        self.outstanding -= 1;
        self.outstanding_bytes -= flight.bytes;
        if let Some(key) = flight.key {
            self.keys.remove(&key);
        }
        Some(())
    }

    fn settled(&mut self, number: u64) -> Settled {
        let flight = &self.flights[(number - self.first) as usize];
        let Flight { position, received_at_ms, tag, .. } = *flight;
        let settled = Settled { position, received_at_ms, tag };
        let has_gap = |first: u64| first <= number && Bug::CheckpointWithAGap.is_planted();
        while let Some(flight) = self.flights.front()
            && (flight.fate == Fate::Settled || has_gap(self.first))
        {
            // After a rewind it may be looked at again, and nothing would remember that it is settled.
            self.next = self.next.max(Position(flight.position.0 + 1));
            self.flights.pop_front();
            self.first += 1;
        }
        settled
    }

    fn index(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (index < self.flights.len()).then_some(index)
    }

    /// Goes back to the first unsettled delivery: what is neither settled nor on its way is taken again.
    pub fn rewind(&mut self) {
        self.next = self.position();
    }

    /// The producer has ended: nothing is on its way any more.
    pub fn ground(&mut self) {
        for flight in self.flights.iter_mut().filter(|flight| flight.fate == Fate::Sent) {
            flight.fate = Fate::Unsent;
        }
        (self.outstanding, self.outstanding_bytes) = (0, 0);
        self.keys.clear();
        self.rewind();
    }

    /// Nothing before `next` is a delivery of this lane but what was taken.
    pub fn advance(&mut self, next: Position) {
        self.next = self.next.max(next);
    }

    /// The lane looks at this position next.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Everything of the lane before it is settled.
    pub fn position(&self) -> Position {
        self.flights.front().map_or(self.next, |flight| flight.position)
    }

    /// The first unsettled delivery that was taken.
    pub fn oldest(&self) -> Option<&Flight> {
        self.flights.front()
    }

    /// The last delivery that was taken, where any is not settled.
    pub fn newest(&self) -> Option<&Flight> {
        self.flights.back()
    }

    /// Sent and not answered.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Sent and not answered, bytes.
    pub fn outstanding_bytes(&self) -> usize {
        self.outstanding_bytes
    }

    /// Deliveries that are remembered.
    pub fn len(&self) -> usize {
        self.flights.len()
    }
}

/// A delivery that was settled just now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub position: Position,
    pub received_at_ms: u64,
    pub tag: Tag,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::JournalId;

    fn record(position: u64) -> Record {
        let (journal, payload) = (JournalId([0; 16]), Bytes::new());
        Record { position: Position(position), journal, tag: [0; 16], received_at_ms: 0, payload }
    }

    fn send(window: &mut Window, position: u64) -> u64 {
        match window.take(Position(position)) {
            Take::Send(number) => {
                window.sent(number, &record(position), 10, None);
                number
            }
            other => panic!("position {position}: {other:?}"),
        }
    }

    #[test]
    fn receipts_in_any_order_move_the_position_only_over_what_is_settled() {
        let mut window = Window::new(Position(1));
        let numbers = [1, 4, 9].map(|position| send(&mut window, position));
        window.advance(Position(12));
        assert!(window.confirmed(numbers[1]).is_some());
        assert_eq!(window.position(), Position(1));
        window.confirmed(numbers[0]);
        assert_eq!(window.position(), Position(9));
        window.confirmed(numbers[2]);
        assert_eq!((window.position(), window.outstanding_bytes()), (Position(12), 0));
    }

    #[test]
    fn what_was_confirmed_above_a_failure_is_not_sent_again() {
        let mut window = Window::new(Position(1));
        let numbers = [1, 2, 3].map(|position| send(&mut window, position));
        window.confirmed(numbers[1]);
        window.ground();
        assert_eq!(window.next(), Position(1));
        assert_eq!(send(&mut window, 1), numbers[0]);
        assert_eq!(window.take(Position(2)), Take::Passed);
        assert_eq!(send(&mut window, 3), numbers[2]);
        assert_eq!(window.take(Position(4)), Take::Send(3));
    }

    #[test]
    fn a_dead_letter_settles_only_when_it_is_kept() {
        let mut window = Window::new(Position(5));
        let number = send(&mut window, 5);
        assert!(window.refused(number, "too_large"));
        window.rewind();
        assert_eq!(window.take(Position(5)), Take::SetAside(number, "too_large"));
        assert_eq!(window.confirmed(number), None);
        assert_eq!(window.position(), Position(5));
        assert!(window.kept_aside(number).is_some());
        window.advance(Position(6));
        assert_eq!(window.position(), Position(6));
    }

    #[test]
    fn what_settles_after_a_rewind_is_not_sent_again() {
        let mut window = Window::new(Position(5));
        let numbers = [5, 6].map(|position| send(&mut window, position));
        window.confirmed(numbers[1]);
        window.refused(numbers[0], "too_large");
        // The dead letter's own refusal ends the producer while it is being kept.
        window.ground();
        window.kept_aside(numbers[0]);
        assert_eq!([5, 6].map(|position| window.take(Position(position))), [Take::Passed, Take::Passed]);
        assert_eq!(window.position(), Position(7));
    }

    #[test]
    fn a_key_is_held_from_its_delivery_to_its_receipt() {
        let mut window = Window::new(Position(1));
        window.sent(0, &record(1), 10, Some(7));
        window.sent(1, &record(2), 10, None);
        assert!(window.holds(Some(7)) && !window.holds(Some(8)) && !window.holds(None));
        assert!(window.failed(0) && !window.holds(Some(7)));
        window.sent(0, &record(1), 10, Some(7));
        assert!(window.confirmed(0).is_some() && !window.holds(Some(7)));
        window.sent(2, &record(3), 10, Some(7));
        window.ground();
        assert!(!window.holds(Some(7)), "nothing is on its way behind an end of the producer");
    }

    #[test]
    fn a_receipt_for_nothing_on_its_way_changes_nothing() {
        let mut window = Window::new(Position(1));
        let number = send(&mut window, 1);
        assert!(window.confirmed(number).is_some());
        assert!(window.confirmed(number).is_none() && !window.failed(number) && !window.failed(99));
        assert_eq!((window.outstanding(), window.len()), (0, 0));
    }
}
