//! Which topic an event goes to, with which key, and why where it is none of its own.
//!
//! In: [`Topics`] once, then an event's source and [`Peek`]. Out: [`Route`], by the rules of the README's topics chapter:
//!
//! - Topic `<prefix><type>`, the prefix being the source's own or the default one; a source that is no longer configured
//!   uses the default. `unrecognized` and `dead_letter` stand under the same prefix, so that a team that was given a
//!   prefix finds everything of its source there. An override names a topic in full, over any prefix.
//! - The topic for all takes every event besides.
//! - An event without a topic of its own goes to `unrecognized` with one reason; where several hold, the first of `test`,
//!   `unreadable`, `unknown_type`, `not_listed`, `no_key`.
//!
//! Never happens: a topic or a header value other than key, source and clock that a sender can invent.

use std::collections::{BTreeMap, HashMap};

use crate::event::{Kind, Peek};

const KINDS: usize = Kind::KNOWN.len();
/// Goes up when the rules of this file send an event elsewhere than the release before did.
const RULES: u8 = 1;
const UNRECOGNIZED: &str = "unrecognized";
const DEAD_LETTER: &str = "dead_letter";

/// Which topic takes what; made by `config`, checked there (at most 64 topics in all).
#[derive(Debug, Clone)]
pub struct Topics {
    /// Default prefix, e.g. `retell.`.
    pub prefix: String,
    /// Prefix of a source, where it has its own.
    pub source_prefixes: BTreeMap<String, String>,
    /// The types that have a topic; the others go to `unrecognized`, reason `not_listed`.
    pub types: Vec<Kind>,
    /// Full name of the topic that takes every event of all sources.
    pub all: Option<String>,
    /// Full names, over any prefix, by short name (`call_ended`, `unrecognized`, `dead_letter`).
    pub overrides: BTreeMap<String, String>,
}

impl Topics {
    /// Full names of all topics, each once: those of the default prefix, of the other prefixes, the one for all.
    pub fn lanes(&self) -> Vec<String> {
        Router::new(self).topics.into_iter().map(String::from).collect()
    }

    /// Short names that topics have: of the types that have one, and the two others.
    pub fn short_names(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        let listed = Kind::KNOWN.into_iter().filter(|kind| self.types.contains(kind));
        listed.map(Kind::name).chain([UNRECOGNIZED, DEAD_LETTER])
    }

    /// Full names of the topics of a short name, under every prefix, each once.
    pub fn of_short(&self, short: &str) -> Vec<String> {
        let prefixes = std::iter::once(&self.prefix).chain(self.source_prefixes.values());
        let mut names = Vec::new();
        for name in prefixes.map(|prefix| self.named(prefix, short)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn named(&self, prefix: &str, short: &str) -> String {
        self.overrides.get(short).cloned().unwrap_or_else(|| format!("{prefix}{short}"))
    }
}

/// Where one event goes. Numbers are indexes into [`Router::topics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its type's topic, or `unrecognized`.
    pub own: usize,
    /// The topic for all; `None` where there is none, or where it is `own` already.
    pub all: Option<usize>,
    /// Why `own` is `unrecognized`.
    pub reason: Option<&'static str>,
    /// Where it goes when no topic takes it.
    pub dead_letter: usize,
}

/// The rules, ready to use.
pub struct Router {
    topics: Vec<Box<str>>,
    default: Plan,
    by_source: HashMap<String, Plan>,
    all: Option<usize>,
}

/// The topics under one prefix.
#[derive(Clone)]
struct Plan {
    /// By [`Kind`] as a number; `None`: not listed.
    by_kind: [Option<usize>; KINDS],
    unrecognized: usize,
    dead_letter: usize,
}

impl Router {
    /// Builds the table; every topic gets its number here and keeps it.
    pub fn new(topics: &Topics) -> Router {
        let mut names = Vec::new();
        let default = Plan::new(topics, &topics.prefix, &mut names);
        let by_source = topics
            .source_prefixes
            .iter()
            .map(|(source, prefix)| (source.clone(), Plan::new(topics, prefix, &mut names)))
            .collect();
        let all = topics.all.as_deref().map(|name| number(name, &mut names));
        Router { topics: names, default, by_source, all }
    }

    /// Full names of all topics, each once.
    pub fn topics(&self) -> &[Box<str>] {
        &self.topics
    }

    /// Fingerprint of what goes to a topic: which types of which sources, by which rules. Where it has changed since the
    /// checkpoint was written, the topic takes what may have waited for another one.
    pub fn takes(&self, topic: usize) -> u64 {
        let mut prefixed: Vec<(&str, &Plan)> =
            self.by_source.iter().map(|(name, plan)| (name.as_str(), plan)).collect();
        prefixed.sort_unstable_by_key(|(name, _)| *name);
        let mut text = format!("rules {RULES}\n");
        for (name, taken) in prefixed.iter().filter_map(|(name, plan)| Some((name, plan.taken_by(topic)?))) {
            text += &format!("{name}: {taken}\n");
        }
        if let Some(taken) = self.default.taken_by(topic) {
            let others: Vec<&str> = prefixed.iter().map(|(name, _)| *name).collect();
            text += &format!("all but {others:?}: {taken}\n");
        }
        if self.all == Some(topic) {
            text += "everything\n";
        }
        let hash = blake3::hash(text.as_bytes());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// Where an event of `source` goes.
    pub fn route(&self, source: &str, peek: &Peek) -> Route {
        let plan = self.by_source.get(source).unwrap_or(&self.default);
        let (own, reason) = match plan.of(peek) {
            Ok(own) => (own, None),
            Err(reason) => (plan.unrecognized, Some(reason)),
        };
        Route { own, all: self.all.filter(|all| *all != own), reason, dead_letter: plan.dead_letter }
    }

    /// The dead-letter topic for records of which not even the source can be read.
    pub fn dead_letter(&self) -> usize {
        self.default.dead_letter
    }
}

impl Plan {
    fn new(topics: &Topics, prefix: &str, names: &mut Vec<Box<str>>) -> Plan {
        let mut by_kind = [None; KINDS];
        for kind in Kind::KNOWN.into_iter().filter(|kind| topics.types.contains(kind)) {
            by_kind[kind as usize] = Some(number(&topics.named(prefix, kind.name()), names));
        }
        Plan {
            by_kind,
            unrecognized: number(&topics.named(prefix, UNRECOGNIZED), names),
            dead_letter: number(&topics.named(prefix, DEAD_LETTER), names),
        }
    }

    /// What of this plan goes to a topic, as text; `None`: nothing.
    fn taken_by(&self, topic: usize) -> Option<String> {
        let is_unrecognized = self.unrecognized == topic;
        let takes = |kind: &Kind| match self.by_kind[*kind as usize] {
            Some(own) => own == topic,
            None => is_unrecognized,
        };
        let kinds: Vec<&str> = Kind::KNOWN.iter().filter(|kind| takes(kind)).map(|kind| kind.name()).collect();
        let any = !kinds.is_empty() || is_unrecognized || self.dead_letter == topic;
        any.then(|| format!("{kinds:?} {is_unrecognized} {}", self.dead_letter == topic))
    }

    fn of(&self, peek: &Peek) -> Result<usize, &'static str> {
        match peek.kind() {
            Kind::Test => Err("test"),
            _ if !peek.is_readable() => Err("unreadable"),
            Kind::Other => Err("unknown_type"),
            kind => match self.by_kind[kind as usize] {
                None => Err("not_listed"),
                Some(_) if peek.key().is_none() && !kind.is_inbound() => Err("no_key"),
                Some(topic) => Ok(topic),
            },
        }
    }
}

fn number(name: &str, names: &mut Vec<Box<str>>) -> usize {
    names.iter().position(|known| **known == *name).unwrap_or_else(|| {
        names.push(name.into());
        names.len() - 1
    })
}

#[cfg(test)]
pub(in crate::publisher) mod tests {
    use super::*;

    pub(in crate::publisher) fn topics() -> Topics {
        Topics {
            prefix: "retell.".into(),
            source_prefixes: BTreeMap::new(),
            types: Kind::KNOWN.to_vec(),
            all: None,
            overrides: BTreeMap::new(),
        }
    }

    fn goes(topics: &Topics, source: &str, body: &str) -> (String, Option<&'static str>) {
        let router = Router::new(topics);
        let route = router.route(source, &Peek::at(body.as_bytes()));
        (router.topics()[route.own].to_string(), route.reason)
    }

    #[test]
    fn every_known_type_with_its_key_has_the_topic_of_its_name() {
        for kind in Kind::KNOWN {
            let name = kind.name();
            let body = format!(r#"{{"event":"{name}","call":{{"call_id":"c"}},"chat":{{"chat_id":"c"}}}}"#);
            assert_eq!(goes(&topics(), "default", &body), (format!("retell.{name}"), None));
        }
    }

    #[test]
    fn what_has_no_topic_of_its_own_is_unrecognized_and_says_why() {
        let mut topics = topics();
        topics.types.retain(|kind| *kind != Kind::CallStarted);
        for (body, reason) in [
            (r#"{"event":"retell_bridge_test"}"#, "test"),
            ("not json", "unreadable"),
            ("[]", "unreadable"),
            (r#"{"event":"brand_new","call":{"call_id":"c"}}"#, "unknown_type"),
            (r#"{"call":{"call_id":"c"}}"#, "unknown_type"),
            (r#"{"event":"call_started","call":{"call_id":"c"}}"#, "not_listed"),
            (r#"{"event":"call_started"}"#, "not_listed"),
            (r#"{"event":"call_ended","call":{"call_id":""}}"#, "no_key"),
        ] {
            assert_eq!(goes(&topics, "default", body), ("retell.unrecognized".into(), Some(reason)), "{body}");
        }
    }

    #[test]
    fn the_two_inbound_events_need_no_key() {
        for name in ["call_inbound", "chat_inbound"] {
            let body = format!(r#"{{"event":"{name}","{name}":{{}}}}"#);
            assert_eq!(goes(&topics(), "default", &body), (format!("retell.{name}"), None));
        }
    }

    #[test]
    fn a_source_with_a_prefix_has_all_its_topics_there_and_an_override_beats_every_prefix() {
        let mut topics = topics();
        topics.source_prefixes.insert("team".into(), "team.".into());
        topics.overrides.insert("call_ended".into(), "ends".into());
        let ended = r#"{"event":"call_ended","call":{"call_id":"c"}}"#;
        let analyzed = r#"{"event":"call_analyzed","call":{"call_id":"c"}}"#;
        assert_eq!(goes(&topics, "team", analyzed).0, "team.call_analyzed");
        assert_eq!(goes(&topics, "team", "?").0, "team.unrecognized");
        assert_eq!(goes(&topics, "gone", analyzed).0, "retell.call_analyzed");
        assert_eq!((goes(&topics, "team", ended).0, goes(&topics, "x", ended).0), ("ends".into(), "ends".into()));
        let router = Router::new(&topics);
        let team = router.route("team", &Peek::at(b"?"));
        assert_eq!(&*router.topics()[team.dead_letter], "team.dead_letter");
        assert_eq!(topics.lanes().len(), 15 + 14, "call_ended is one topic for both");
    }

    #[test]
    fn the_topics_of_a_short_name_are_those_of_every_prefix() {
        let mut topics = topics();
        topics.source_prefixes.insert("team".into(), "team.".into());
        topics.overrides.insert("call_ended".into(), "ends".into());
        assert_eq!(topics.of_short("unrecognized"), ["retell.unrecognized", "team.unrecognized"]);
        assert_eq!(topics.of_short("call_ended"), ["ends"]);
        topics.types = vec![Kind::CallEnded];
        assert_eq!(topics.short_names().collect::<Vec<_>>(), ["call_ended", "unrecognized", "dead_letter"]);
    }

    #[test]
    fn the_topic_for_all_takes_every_event_once() {
        let mut topics = topics();
        topics.all = Some("everything".into());
        let router = Router::new(&topics);
        let route = router.route("default", &Peek::at(b"?"));
        assert_eq!(route.all.map(|all| &*router.topics()[all]), Some("everything"));
        topics.all = Some("retell.unrecognized".into());
        assert_eq!(Router::new(&topics).route("default", &Peek::at(b"?")).all, None);
    }
}
