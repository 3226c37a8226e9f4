//! What `dev` shows while it runs: one line for each record as it arrives on its topic, and for each refused request and
//! duplicate what happened and what to do.
//!
//! In: [`Happening`]s from any thread, through a bounded channel that never makes a request wait. Out: lines on stdout,
//! coloured on a terminal, and the [`Tally`] at the end. Never happens: a key of the user's or a signed body on the
//! screen; a control character of a sender's on the terminal.

use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use super::explain;
use crate::cli::output::{self, printable};

/// Happenings that wait to be shown; what comes faster than a terminal takes it is counted, not shown.
const WAITING_MAX: usize = 4_096;
/// Longest part of a key that is shown.
const KEY_SHOWN_CHARS: usize = 32;
/// Of the `ce_id`: enough to find it in a log.
const ID_SHOWN_CHARS: usize = 7;

/// Something to show.
pub enum Happening {
    /// A record came out of its topic.
    Arrived(Arrival),
    /// An event was answered 2xx for the first time.
    Kept,
    /// A request was refused.
    Refused(explain::Refused),
    /// A body that was kept already was answered as the first time.
    Duplicate { kind: &'static str, age: Duration },
    /// Lines of `dev` itself.
    Note(String),
    /// Nothing more will come.
    End,
}

/// A record as it came out of its topic; of the body only the size.
pub struct Arrival {
    /// Unix milliseconds.
    pub now_ms: u64,
    pub topic: String,
    pub key: Option<String>,
    /// Last part of `ce_type`.
    pub kind: String,
    /// `retell_reason`, where it has one.
    pub reason: Option<String>,
    pub body_bytes: usize,
    /// From the request's head to now.
    pub way: Duration,
    /// `ce_id`.
    pub id: String,
}

/// What was shown, by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub kept: u64,
    pub arrived: u64,
    pub refused: u64,
    pub duplicates: u64,
}

/// The way in, for any thread.
#[derive(Clone)]
pub struct Teller(mpsc::SyncSender<Happening>);

impl Teller {
    /// Shows a happening soon, or not at all where thousands wait already.
    pub fn tell(&self, happening: Happening) {
        // A lost line is all that a full or closed console may cost.
        let _ = self.0.try_send(happening);
    }

    /// Shows it however many wait; for the parts of `dev` that may wait themselves.
    pub fn tell_surely(&self, happening: Happening) {
        let _ = self.0.send(happening);
    }
}

/// The screen's side.
pub struct Console {
    pub happenings: mpsc::Receiver<Happening>,
    pub style: Style,
    pub explainer: explain::Explainer,
}

/// The way in, and where it leads.
pub fn channel() -> (Teller, mpsc::Receiver<Happening>) {
    let (teller, happenings) = mpsc::sync_channel(WAITING_MAX);
    (Teller(teller), happenings)
}

impl Console {
    /// Shows what is told until [`Happening::End`]. An error is one of `out`, and ends the showing.
    pub fn run(self, mut out: impl Write) -> io::Result<Tally> {
        let mut tally = Tally::default();
        for happening in &self.happenings {
            let lines = match happening {
                Happening::Arrived(arrival) => {
                    tally.arrived += 1;
                    self.style.arrival(&arrival)
                }
                Happening::Refused(refused) => {
                    tally.refused += 1;
                    self.style.refusal(&self.explainer.lines(&refused))
                }
                Happening::Duplicate { kind, age } => {
                    tally.duplicates += 1;
                    self.style.duplicate(kind, age)
                }
                Happening::Kept => {
                    tally.kept += 1;
                    continue;
                }
                Happening::Note(text) => text,
                Happening::End => break,
            };
            writeln!(out, "{lines}")?;
            out.flush()?;
        }
        Ok(tally)
    }
}

/// With or without colour.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub colour: bool,
}

impl Style {
    /// `text` in one of the terminal's colours (SGR `code`).
    pub fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn arrival(self, arrival: &Arrival) -> String {
        let key = arrival.key.as_deref().map_or("no key".to_owned(), |key| printable(key, KEY_SHOWN_CHARS));
        // The topic's name says the type, but for renamed topics, `unrecognized` and `dead_letter`.
        let mut rest = String::new();
        if !arrival.topic.ends_with(&arrival.kind) {
            rest = format!(" {}", printable(&arrival.kind, KEY_SHOWN_CHARS));
        }
        if let Some(reason) = &arrival.reason {
            rest += &format!(" ({})", printable(reason, KEY_SHOWN_CHARS));
        }
        // Padded before it is painted: an escape sequence would count as width.
        let topic = self.paint("32", &format!("{:<25}", arrival.topic));
        let size = output::size(arrival.body_bytes as u64);
        let way = format!("{} ms", arrival.way.as_millis());
        let (now, id) = (self.dim(&clock(arrival.now_ms)), self.dim(&printable(&arrival.id, ID_SHOWN_CHARS)));
        format!("{now} {topic} {key:<32} {size:>8} {way:>7} {id}{rest}")
    }

    fn refusal(self, lines: &[String]) -> String {
        let (first, rest) = lines.split_first().map_or(("", lines), |(first, rest)| (first.as_str(), rest));
        let now = self.dim(&clock(crate::cli::sign::now_ms()));
        let mut shown = format!("{now}  {}", self.paint("31", first));
        rest.iter().for_each(|line| shown.push_str(&format!("\n    {line}")));
        shown
    }

    fn duplicate(self, kind: &str, age: Duration) -> String {
        let now = self.dim(&clock(crate::cli::sign::now_ms()));
        let text = format!("{kind}: same body as {} s ago, not published again", age.as_secs());
        format!("{now}  {}", self.paint("33", &text))
    }
}

/// Time of day in UTC with milliseconds.
fn clock(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1_000 % 86_400, unix_ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::ApiKey;

    const PLAIN: Style = Style { colour: false };

    fn arrival() -> Arrival {
        Arrival {
            now_ms: 86_400_000 + 3_723_004,
            topic: "retell.call_ended".into(),
            key: Some("call_1\x1b[2J".into()),
            kind: "call_ended".into(),
            reason: None,
            body_bytes: 8_600,
            way: Duration::from_millis(12),
            id: "9f3a".into(),
        }
    }

    #[test]
    fn a_record_is_one_line_of_100_columns_with_time_topic_key_size_way_and_id() {
        let line = PLAIN.arrival(&arrival());
        for part in ["01:02:03.004Z", "retell.call_ended", "call_1", "8.4 KiB", "12 ms", "9f3a"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert_eq!(line.lines().count(), 1);
        let (topic, key, id) = ("retell.transfer_cancelled".into(), Some("k".repeat(32)), "0".repeat(32));
        let widest = PLAIN.arrival(&Arrival { topic, key, id, kind: "transfer_cancelled".into(), ..arrival() });
        assert!(widest.chars().count() <= 100, "{widest}");
        let renamed = PLAIN.arrival(&Arrival { topic: "my.topic".into(), ..arrival() });
        assert!(renamed.ends_with(" call_ended"), "{renamed}");
    }

    #[test]
    fn a_senders_control_characters_never_reach_the_terminal_and_a_pipe_gets_no_colour() {
        assert!(!PLAIN.arrival(&arrival()).contains('\x1b'));
        assert!(Style { colour: true }.arrival(&arrival()).contains("\x1b[32m"));
    }

    #[test]
    fn what_was_shown_is_counted_and_a_closed_pipe_ends_the_showing() {
        let explainer = explain::Explainer::new("http://x/webhook".into(), ApiKey::new("k"), false);
        let (teller, happenings) = channel();
        let console = Console { happenings, style: PLAIN, explainer: explainer.clone() };
        teller.tell(Happening::Arrived(arrival()));
        teller.tell(Happening::Duplicate { kind: "call_ended", age: Duration::from_secs(12) });
        teller.tell(Happening::End);
        let mut out = Vec::new();
        assert_eq!(console.run(&mut out).unwrap(), Tally { arrived: 1, duplicates: 1, ..Tally::default() });
        assert!(String::from_utf8(out).unwrap().contains("call_ended: same body as 12 s ago, not published again"));

        let (teller, happenings) = channel();
        let console = Console { happenings, style: PLAIN, explainer };
        teller.tell(Happening::Note("x".into()));
        let closed: &mut [u8] = &mut [];
        assert!(console.run(closed).is_err());
    }
}
