//! A record of the journal, opened: what `journal find`, `dead-letters` and their choices ask of it. Pure.
//!
//! Never happens: a body shown; this only says where it is.

use super::choice::Chosen;
use super::output::{self, rfc3339};
use crate::event::{Event, Peek};
use crate::journal::Record;

/// See the module.
pub struct Opened<'a> {
    pub record: &'a Record,
    /// `None`: an envelope that this release cannot read.
    pub event: Option<(Event, Peek)>,
}

impl<'a> Opened<'a> {
    pub fn new(record: &'a Record) -> Opened<'a> {
        let event = Event::decode(record.payload.clone()).ok();
        let event = event.map(|event| {
            let peek = event.peek();
            (event, peek)
        });
        Opened { record, event }
    }

    /// Whether its contents are meant; its place is asked separately.
    pub fn is_meant(&self, chosen: &Chosen) -> bool {
        match &self.event {
            Some((event, peek)) => chosen.takes_event(event, peek),
            None => chosen.takes_unreadable(),
        }
    }

    /// What was posted; of what cannot be read, all of the record.
    pub fn body(&self) -> &[u8] {
        self.event.as_ref().map_or(&self.record.payload, |(event, _)| event.body())
    }

    /// The body's size, for people.
    pub fn size(&self) -> String {
        output::size(self.body().len() as u64)
    }

    /// A known type, `other`, or `unreadable`.
    pub fn kind(&self) -> &'static str {
        self.event.as_ref().map_or("unreadable", |(_, peek)| peek.kind().name())
    }

    pub fn source(&self) -> Option<&str> {
        self.event.as_ref().map(|(event, _)| event.source())
    }

    pub fn key(&self) -> Option<&str> {
        self.event.as_ref().and_then(|(_, peek)| peek.key())
    }

    /// When it was received, in UTC.
    pub fn received(&self) -> String {
        rfc3339(self.record.received_at_ms).unwrap_or_else(|| "-".to_owned())
    }
}
