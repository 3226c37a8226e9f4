//! A place in the journal from which records are taken one by one: read, decoded and routed once, handed out until passed.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::event::{Event, Peek};
use crate::journal::{Item, Position, Record};

use super::routing::{Route, Router};
use super::source::{Read, ReadNext, Source};
use super::window::KeyHash;

/// A record as read.
pub(super) struct Arrived {
    pub record: Record,
    pub content: Content,
    /// Of the key that its deliveries have.
    pub key: Option<KeyHash>,
}

/// What is in a record.
pub(super) enum Content {
    Event {
        event: Event,
        peek: Peek,
        route: Route,
    },
    /// An envelope that this release cannot read: a dead letter.
    Unreadable,
}

impl Arrived {
    /// The same record once more, without copying its bytes.
    pub fn share(&self, router: &Router) -> Arrived {
        let Record { position, journal, tag, received_at_ms, ref payload } = self.record;
        Arrived::new(Record { position, journal, tag, received_at_ms, payload: payload.clone() }, router)
    }

    pub fn new(record: Record, router: &Router) -> Arrived {
        let content = match Event::decode(Bytes::clone(&record.payload)) {
            Ok(event) => {
                let peek = event.peek();
                let route = router.route(event.source(), &peek);
                Content::Event { event, peek, route }
            }
            Err(_) => Content::Unreadable,
        };
        let key = match &content {
            Content::Event { peek, .. } => peek.key().map(hashed),
            Content::Unreadable => None,
        };
        Arrived { record, content, key }
    }

    /// The lanes that it belongs to.
    pub fn lanes(&self, router: &Router) -> impl Iterator<Item = usize> + use<> {
        let (own, all) = match &self.content {
            Content::Event { route, .. } => (route.own, route.all),
            Content::Unreadable => (router.dead_letter(), None),
        };
        std::iter::once(own).chain(all)
    }

    /// The topic for its dead letter.
    pub fn dead_letter(&self, router: &Router) -> usize {
        match &self.content {
            Content::Event { route, .. } => route.dead_letter,
            Content::Unreadable => router.dead_letter(),
        }
    }

    /// Why it goes to `lane`, where that is not its type's topic.
    pub fn reason_on(&self, lane: usize) -> Option<&'static str> {
        match &self.content {
            Content::Event { route, .. } if route.own == lane => route.reason,
            _ => None,
        }
    }
}

fn hashed(key: &str) -> KeyHash {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A reading place. Holds no reader, and so no buffer, before the first read and after [`Cursor::seek`].
pub(super) struct Cursor {
    next: Position,
    reader: Option<ReadNext>,
    arrived: Option<Arrived>,
}

impl Cursor {
    pub fn new(next: Position) -> Cursor {
        Cursor { next, reader: None, arrived: None }
    }

    /// Everything before it was passed.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Goes on from `next`; nothing changes where that is the present place.
    pub fn seek(&mut self, next: Position) {
        if next != self.next {
            *self = Cursor::new(next);
        }
    }

    /// Gives reader and buffer back; the next read makes a new one.
    pub fn rest(&mut self) {
        *self = Cursor::new(self.next);
    }

    /// The record at this place, the same one until [`Cursor::pass`]. Damaged ranges are passed here: the journal has
    /// quarantined and told them.
    pub fn peek(&mut self, source: &Source, router: &Router) -> Result<Option<&Arrived>, String> {
        if self.arrived.is_none() {
            self.arrived = self.read(source)?.map(|record| Arrived::new(record, router));
        }
        Ok(self.arrived.as_ref())
    }

    fn read(&mut self, source: &Source) -> Result<Option<Record>, String> {
        if self.next >= (source.synced)() {
            return Ok(None);
        }
        loop {
            let reader = self.reader.get_or_insert_with(|| (source.reader)(self.next));
            match reader().inspect_err(|_| self.reader = None)? {
                Read::End(end) => {
                    self.next = self.next.max(end);
                    return Ok(None);
                }
                Read::Item(Item::Damaged { until, .. }) => self.next = self.next.max(until),
                // A reader may begin at the start of a batch.
                Read::Item(Item::Record(record)) if record.position < self.next => {}
                Read::Item(Item::Record(record)) => {
                    self.next = record.position;
                    return Ok(Some(record));
                }
            }
        }
    }

    /// Goes back to a record that was passed just now.
    pub fn put_back(&mut self, arrived: Arrived) {
        self.next = arrived.record.position;
        self.arrived = Some(arrived);
    }

    /// Passes the record that was peeked at, and gives it away.
    pub fn pass(&mut self) -> Option<Arrived> {
        let arrived = self.arrived.take()?;
        self.next = Position(arrived.record.position.0 + 1);
        Some(arrived)
    }
}
