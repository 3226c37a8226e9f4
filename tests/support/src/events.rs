//! Made-up events: bodies as Retell writes them (and as it might), with what must become of each on Kafka.
//!
//! Everything private in them (words, numbers, ids, keys, query strings) carries a marker, so that [`super::sweep`]
//! can tell whether any of it got out.

use std::sync::Arc;

pub const TRANSCRIPT_MARKER: &str = "saffron lantern";
pub const NUMBER_MARKER: &str = "1213777";
pub const KEY_MARKER: &str = "key_made_up";
pub const CALL_MARKER: &str = "cidmk";
pub const QUERY_MARKER: &str = "querymk";

/// All documented types; each is the name of its topic.
pub const TYPES: [&str; 13] = [
    "call_started",
    "call_ended",
    "call_analyzed",
    "transcript_updated",
    "transfer_started",
    "transfer_bridged",
    "transfer_cancelled",
    "transfer_ended",
    "chat_started",
    "chat_ended",
    "chat_analyzed",
    "call_inbound",
    "chat_inbound",
];

/// Types whose bytes alone do not identify an event: the signed clock belongs to their identity.
pub const BY_CLOCK: [&str; 6] =
    ["transfer_started", "transfer_bridged", "transfer_cancelled", "transfer_ended", "call_inbound", "chat_inbound"];

/// One workspace that posts to one path.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub path: String,
    pub api_key: String,
    pub prefix: String,
}

impl Source {
    pub fn new(name: &str, path: &str, prefix: &str) -> Arc<Source> {
        Arc::new(Source {
            name: name.to_string(),
            path: path.to_string(),
            api_key: format!("{KEY_MARKER}_{name}_0123456789abcdef"),
            prefix: prefix.to_string(),
        })
    }
}

/// An event, and where its record must be found.
#[derive(Debug, Clone)]
pub struct Event {
    pub source: Arc<Source>,
    pub body: Arc<[u8]>,
    /// Full name of the topic.
    pub topic: String,
    pub key: Option<String>,
    /// The event's name as far as the bridge knows it: `ce_type` without `com.retellai.`.
    pub kind: String,
    /// Value of `retell_reason`.
    pub reason: Option<&'static str>,
    /// Value of `retell_topic`: a dead letter's proper place.
    pub meant_for: Option<String>,
    /// The signed clock is part of the identity.
    pub by_clock: bool,
}

impl Event {
    /// An event of a documented type.
    pub fn known(source: &Arc<Source>, kind: &str, key: Option<&str>, body: impl Into<Vec<u8>>) -> Event {
        Event {
            source: Arc::clone(source),
            body: body.into().into(),
            topic: format!("{}{kind}", source.prefix),
            key: key.map(str::to_string),
            kind: kind.to_string(),
            reason: None,
            meant_for: None,
            by_clock: BY_CLOCK.contains(&kind),
        }
    }

    /// An event that belongs on `unrecognized`. A type that is not known is identified by its clock, too.
    pub fn unrecognized(
        source: &Arc<Source>,
        reason: &'static str,
        key: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> Event {
        let by_clock = matches!(reason, "unknown_type" | "unreadable" | "test");
        Event { reason: Some(reason), by_clock, ..Event::known(source, "unrecognized", key, body) }
    }

    /// The same event, if it is to be set aside.
    pub fn dead_letter(self, reason: &'static str) -> Event {
        let topic = format!("{}dead_letter", self.source.prefix);
        Event { meant_for: Some(self.topic), topic, reason: Some(reason), ..self }
    }

    /// The two types that expect a JSON answer.
    pub fn is_inbound(&self) -> bool {
        matches!(self.kind.as_str(), "call_inbound" | "chat_inbound")
    }
}

/// Makes calls and chats from a seed.
pub struct Maker {
    state: u64,
    calls: u64,
}

impl Maker {
    pub fn new(seed: u64) -> Maker {
        println!("events are made from seed {seed}");
        Maker::quietly(seed)
    }

    /// As [`Maker::new`], where somebody else tells the seed.
    pub fn quietly(seed: u64) -> Maker {
        Maker { state: seed, calls: 0 }
    }

    /// SplitMix64.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    pub fn id(&mut self) -> String {
        self.calls += 1;
        let noise = self.number();
        format!("{CALL_MARKER}{:04}{noise:016x}", self.calls)
    }

    /// Body sizes as in life: most small, few large, a very few at 2 MiB.
    pub fn size(&mut self) -> usize {
        let (from, to) = match self.below(1000) {
            0..=849 => (300, 4 << 10),
            850..=969 => (4 << 10, 60 << 10),
            970..=995 => (60 << 10, 500 << 10),
            _ => (500 << 10, 2 << 20),
        };
        (from + self.below(to - from)) as usize
    }

    /// All events of one call, chat or inbound question, in the order in which they happen.
    pub fn story(&mut self, source: &Arc<Source>) -> Vec<Event> {
        let id = self.id();
        let types: &[&str] = match self.below(10) {
            0..=2 => &["call_started", "transcript_updated", "transcript_updated", "call_ended", "call_analyzed"],
            3 | 4 => &[
                "call_started",
                "transfer_started",
                "transfer_bridged",
                "transfer_ended",
                "call_ended",
                "call_analyzed",
            ],
            5 => &[
                "call_started",
                "transfer_started",
                "transfer_cancelled",
                "call_ended",
                "call_analyzed",
                "call_analyzed",
            ],
            6 | 7 => &["chat_started", "transcript_updated", "chat_ended", "chat_analyzed"],
            8 => &["call_inbound"],
            _ => &["chat_inbound"],
        };
        let about_chat = types.iter().any(|kind| kind.starts_with("chat"));
        types.iter().map(|kind| self.event(source, kind, &id, about_chat)).collect()
    }

    /// One event of `kind` about call (or chat) `id`, of a size as in life.
    pub fn event(&mut self, source: &Arc<Source>, kind: &str, id: &str, about_chat: bool) -> Event {
        let size = self.size();
        self.sized(source, kind, id, about_chat, size)
    }

    pub fn sized(&mut self, source: &Arc<Source>, kind: &str, id: &str, about_chat: bool, size: usize) -> Event {
        // The two inbound events may lack an id.
        let id = (!kind.ends_with("inbound") || self.below(2) == 0).then_some(id);
        let (object, id_name) = match (kind, about_chat) {
            ("call_inbound", _) => ("call_inbound", "call_id"),
            ("chat_inbound", _) => ("chat_inbound", "chat_id"),
            (_, true) => ("chat", "chat_id"),
            (_, false) if self.below(20) == 0 => ("data", "call_id"),
            (_, false) => ("call", "call_id"),
        };
        let body = self.body(kind, object, id_name, id, size);
        Event::known(source, kind, id, body)
    }

    fn body(&mut self, kind: &str, object: &str, id_name: &str, id: Option<&str>, size: usize) -> String {
        let id = id.map(|id| format!(r#""{id_name}":"{id}","#)).unwrap_or_default();
        let number = self.below(9000) + 1000;
        let facts = format!(
            r#""from_number":"+{NUMBER_MARKER}{number}","to_number":"+12137770000","cost": 0.10,"rate":1.0,"path":"a\/b","name":"Andr\u00e9 👋🏽","metadata":{{}},"turn":{}"#,
            self.number()
        );
        let (spaced, late, last) = (self.below(4) == 0, self.below(8) == 0, self.below(8) == 0);
        let words = self.words(size.saturating_sub(facts.len() + id.len() + 80));
        let inner = match last {
            true => format!(r#"{facts},"transcript":"{words}",{id}"agent_id":"agent""#),
            false => format!(r#"{id}{facts},"transcript":"{words}""#),
        };
        match (spaced, late) {
            (true, _) => format!("{{ \"event\" : \"{kind}\",\n  \"{object}\" : {{ {inner} }} }}\n"),
            (false, true) => format!(r#"{{"{object}":{{{inner}}},"event":"{kind}"}}"#),
            (false, false) => format!(r#"{{"event":"{kind}","{object}":{{{inner}}}}}"#),
        }
    }

    /// Text of `length` bytes that does not compress well, marked as a transcript.
    pub fn words(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
        let mut text = format!("User: {TRANSCRIPT_MARKER} ");
        while text.len() < length {
            let bits = self.number();
            for shift in 0..10 {
                text.push(LETTERS[(bits >> (6 * shift) & 63) as usize] as char);
            }
        }
        text
    }
}
