//! Which events a command is about: the arguments that several commands share.
//!
//! In: what was typed. Out: [`Chosen`], which says of an event whether it is meant, and of what lies where on disk whether
//! it need be read at all. Never happens: a choice that can match nothing taken without a word.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Usage;
use crate::config::{nearest, topic_name_trouble};
use crate::event::{Event, Identity, Kind, Peek};
use crate::journal::Position;
use crate::journal::browse::Wanted;

/// No option: every event. An option given twice takes either; different options must all hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Choice {
    /// Events with this key: a call_id or chat_id. May be repeated.
    #[arg(long = "key", value_name = "ID")]
    keys: Vec<String>,
    /// The event with this id: its ce_id, or the X-Event-Id of its answer; six digits of its start are enough, as `tail`
    /// shows them. May be repeated.
    #[arg(long = "id", value_name = "HEX", value_parser = parse_id)]
    event_ids: Vec<IdStart>,
    /// Events of this type; `other`: of none that is known. May be repeated.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_kind)]
    kinds: Vec<Kind>,
    /// Events that this source took. May be repeated.
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Received since: an age (90m, 3d) or a time in UTC (2026-01-31, 2026-01-31T23:59:00Z).
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
    /// Received before: an age or a time in UTC.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Moment>,
    /// At these positions of the journal: N, N.. or N..M (M is one of them).
    #[arg(long = "position", value_name = "N..M", value_parser = parse_positions)]
    positions: Option<Positions>,
}

/// Every option of a choice, for what cannot go with one: `--all` beside a choice would say two things.
pub const OPTIONS: [&str; 7] = ["keys", "event_ids", "kinds", "sources", "since", "until", "positions"];

/// Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// First and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Positions(u64, u64);

/// A choice that was checked.
#[derive(Debug, Clone)]
pub struct Chosen {
    choice: Choice,
    received_ms: Range<u64>,
    positions: Range<Position>,
}

/// A name that a topic can have.
pub fn parse_topic(text: &str) -> Result<String, String> {
    topic_name_trouble(text).map_or_else(|| Ok(text.to_owned()), |trouble| Err(trouble.to_owned()))
}

impl Choice {
    /// Whether nothing at all was typed.
    pub fn is_everything(&self) -> bool {
        let Choice { keys, event_ids, kinds, sources, since, until, positions } = self;
        let no_names = keys.is_empty() && event_ids.is_empty() && kinds.is_empty() && sources.is_empty();
        no_names && since.is_none() && until.is_none() && positions.is_none()
    }

    /// The choice, ready to judge; wrong usage where no event can be meant.
    pub fn check(&self) -> Result<Chosen, Usage> {
        let received_ms = self.since.map_or(0, |since| since.0)..self.until.map_or(u64::MAX, |until| until.0);
        if received_ms.is_empty() {
            return Err(Usage("--since is not before --until: no event was received between them".to_owned()));
        }
        if self.keys.iter().any(String::is_empty) {
            return Err(Usage("--key is empty: name a call_id or chat_id, or leave it out".to_owned()));
        }
        let positions = self.positions.map_or(0..u64::MAX, |Positions(first, last)| first..last.saturating_add(1));
        let positions = Position(positions.start)..Position(positions.end);
        Ok(Chosen { choice: self.clone(), received_ms, positions })
    }
}

impl Chosen {
    /// What need be read of a journal.
    pub fn wanted(&self) -> Wanted {
        Wanted { positions: self.positions.clone(), received_ms: self.received_ms.clone() }
    }

    /// Whether what lies there is meant, as far as that can be told without its contents.
    pub fn takes_place(&self, position: Position, received_at_ms: u64) -> bool {
        self.positions.contains(&position) && self.received_ms.contains(&received_at_ms)
    }

    /// Whether an event is meant; `peek` is its own. Its place is asked separately.
    pub fn takes_event(&self, event: &Event, peek: &Peek) -> bool {
        let Choice { keys, kinds, sources, event_ids, .. } = &self.choice;
        let has_key = || peek.key().is_some_and(|own| keys.iter().any(|key| key == own));
        (keys.is_empty() || has_key())
            && (kinds.is_empty() || kinds.contains(&peek.kind()))
            && (sources.is_empty() || sources.iter().any(|source| source == event.source()))
            // Last: it takes a hash of the body.
            && (event_ids.is_empty() || is_one_of(event_ids, event.identity(peek)))
    }

    /// Whether a record that is no readable event is meant: only where nothing is asked of its contents.
    pub fn takes_unreadable(&self) -> bool {
        let Choice { keys, kinds, sources, event_ids, .. } = &self.choice;
        keys.is_empty() && kinds.is_empty() && sources.is_empty() && event_ids.is_empty()
    }
}

/// A known type, or `other`.
pub fn parse_kind(text: &str) -> Result<Kind, String> {
    let kind = Kind::named(text);
    if kind != Kind::Other || text == Kind::Other.name() {
        return Ok(kind);
    }
    let names = Kind::KNOWN.into_iter().chain([Kind::Test, Kind::Other]).map(Kind::name);
    let nearest = nearest(text, names).unwrap_or_default();
    Err(format!("no type that is known; did you mean {nearest}? All that are not known: other"))
}

/// The start of an event's id, or all of it, as lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IdStart(String);

fn is_one_of(starts: &[IdStart], id: Identity) -> bool {
    let id = id.to_string();
    starts.iter().any(|start| id.starts_with(&start.0))
}

fn parse_id(text: &str) -> Result<IdStart, String> {
    // As it is copied from a line of `tail`.
    let digits = text.strip_suffix('…').unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digits.len() {
        6..=32 if is_hex => Ok(IdStart(digits.to_ascii_lowercase())),
        _ => Err("no id: they are 32 hex digits, of which the first six are enough".to_owned()),
    }
}

/// An age or a time in UTC, not in the future.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    let now = SystemTime::now();
    let day = || humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok();
    let moment = match humantime::parse_duration(text) {
        Ok(age) => now.checked_sub(age).filter(|moment| *moment >= UNIX_EPOCH).ok_or("longer ago than 1970")?,
        Err(_) => humantime::parse_rfc3339(text).ok().or_else(day).ok_or("neither an age nor a time in UTC")?,
    };
    if moment > now {
        return Err("lies in the future".to_owned());
    }
    let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(Moment(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
}

fn parse_positions(text: &str) -> Result<Positions, String> {
    let number = |text: &str| match text.parse::<u64>() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no position: they count from 1")),
        Ok(position) => Ok(position),
    };
    let (first, last) = match text.split_once("..") {
        None => (number(text)?, number(text)?),
        Some((first, "")) => (number(first)?, u64::MAX),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    if first > last { Err("the first is behind the last".to_owned()) } else { Ok(Positions(first, last)) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        choice: Choice,
    }

    fn chosen(words: &str) -> Result<Chosen, String> {
        let words = std::iter::once("x").chain(words.split_whitespace());
        let typed = Typed::try_parse_from(words).map_err(|error| error.to_string())?;
        typed.choice.check().map_err(|error| error.to_string())
    }

    fn takes(words: &str, body: &'static str) -> bool {
        let event = Event::unsigned("default", 5, Bytes::from_static(body.as_bytes()));
        chosen(words).unwrap().takes_event(&event, &event.peek())
    }

    const ENDED: &str = r#"{"event":"call_ended","call":{"call_id":"c1"}}"#;
    const NEW: &str = r#"{"event":"brand_new","call":{"call_id":"c1"}}"#;

    #[test]
    fn an_option_given_twice_takes_either_and_different_ones_must_all_hold() {
        for (words, ended, new) in [
            ("", true, true),
            ("--key c1", true, true),
            ("--key c2 --key c1", true, true),
            ("--key c2", false, false),
            ("--type call_ended", true, false),
            ("--type call_started --type other", false, true),
            ("--key c1 --type other", false, true),
            ("--source default", true, true),
            ("--source team --key c1", false, false),
        ] {
            assert_eq!((takes(words, ENDED), takes(words, NEW)), (ended, new), "{words}");
        }
    }

    #[test]
    fn an_event_is_chosen_by_its_id_as_it_is_shown() {
        let event = Event::unsigned("default", 5, Bytes::from_static(ENDED.as_bytes()));
        let id = event.identity(&event.peek()).to_string();
        for shown in [id.as_str(), &id.to_uppercase(), &id[..6], &format!("{}…", &id[..6])] {
            assert!(takes(&format!("--id {shown}"), ENDED) && !takes(&format!("--id {shown}"), NEW), "{shown}");
        }
        assert!(!chosen(&format!("--id {id}")).unwrap().takes_unreadable());
    }

    #[test]
    fn a_record_that_is_no_event_is_meant_where_nothing_is_asked_of_its_contents() {
        assert!(chosen("--position 3..").unwrap().takes_unreadable());
        assert!(!chosen("--key c1").unwrap().takes_unreadable());
    }

    #[test]
    fn places_are_chosen_by_position_and_by_the_time_of_their_receipt() {
        let choice = chosen("--position 3..5").unwrap();
        let taken: Vec<u64> = (1..9).filter(|position| choice.takes_place(Position(*position), 7)).collect();
        assert_eq!(taken, [3, 4, 5]);
        assert!(chosen("--position 3").unwrap().takes_place(Position(3), 7));
        assert!(chosen("--position 3..").unwrap().takes_place(Position(u64::MAX - 1), 7));
        let day = chosen("--since 2026-01-31 --until 2026-01-31T12:00:00Z").unwrap();
        assert_eq!(day.wanted().received_ms, 1_769_817_600_000..1_769_860_800_000);
        assert!(day.takes_place(Position(1), 1_769_817_600_000) && !day.takes_place(Position(1), 1_769_860_800_000));
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let age = chosen("--since 2h").unwrap().wanted().received_ms.start;
        // Between the two looks at the clock some time has passed.
        assert!((now_ms - 7_200_000..now_ms - 7_140_000).contains(&age), "{age}");
    }

    #[test]
    fn what_can_match_nothing_is_refused_with_the_reason() {
        for (words, told) in [
            ("--type call_end", "did you mean call_ended?"),
            ("--since 1h --until 2h", "--since is not before --until"),
            ("--since 2999-01-01", "lies in the future"),
            ("--since yesterday", "neither an age nor a time in UTC"),
            ("--id 12", "32 hex digits"),
            ("--position 5..3", "the first is behind the last"),
            ("--position 0", "`0` is no position"),
            ("--position ..3", "`` is no position"),
            ("--key=", "--key is empty"),
        ] {
            let error = chosen(words).unwrap_err();
            assert!(error.contains(told), "{words}: {error}");
        }
    }

    #[test]
    fn every_option_of_a_choice_is_listed_by_name() {
        let command = <Typed as clap::CommandFactory>::command();
        let names: Vec<&str> = command.get_arguments().map(|each| each.get_id().as_str()).collect();
        assert_eq!(names, OPTIONS);
    }

    #[test]
    fn nothing_typed_is_everything_and_one_word_is_not() {
        assert!(Choice::default().is_everything());
        let typed = Typed::try_parse_from(["x", "--until", "1s"]).unwrap();
        assert!(!typed.choice.is_everything());
    }
}
