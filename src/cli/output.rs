//! What a command prints: results to stdout, where a closed pipe is an ordinary end, and complaints to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use bytesize::ByteSize;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::journal::loss::Standing;

/// How wide what people read may be.
pub const COLUMNS: usize = 100;

/// One line on stdout.
pub fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}").map_err(on_stdout)
}

/// Text as it is on stdout.
pub fn text(text: &str) -> io::Result<()> {
    write(&[text.as_bytes()])
}

/// A disk that is full behind a redirection is not the journal's.
fn on_stdout(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => error,
        kind => io::Error::new(kind, format!("standard output: {error}")),
    }
}

/// One line on stderr, `retell-bridge: …`.
pub fn complain(what: &(impl Display + ?Sized)) {
    // Who closed stderr does not want to hear it.
    let _ = writeln!(io::stderr().lock(), "retell-bridge: {}", without_keys(&what.to_string()));
}

/// Broken between words where it is wider than [`COLUMNS`]; `indent` stands before what follows.
pub fn wrapped(text: &str, indent: &str) -> String {
    let (mut lines, mut width) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        let wide = word.trim_end().chars().count();
        if width > 0 && width + wide > COLUMNS {
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
            lines.push_str(indent);
            width = indent.chars().count();
        }
        lines.push_str(word);
        width += word.chars().count();
    }
    lines
}

/// A size as people read it: `613 B`, `8.6 KiB`, `1.0 MiB`.
pub fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Bytes of a journal that are not what was written, and what they cost.
pub fn complain_of_damage(segment: u64, positions: &Range<u64>, what: &str, standing: Standing) {
    let lost = match positions.end.saturating_sub(positions.start) {
        0 => String::new(),
        1 => format!("; this copy of the event at position {} is lost: {}", positions.start, on_kafka(standing)),
        _ => format!("; these copies of the events at {} are lost: {}", span(positions), on_kafka(standing)),
    };
    complain(&format!("damage in segment {segment}: {what}{lost}"));
}

/// Whether Kafka has what stood at damaged positions, as far as the journal knows.
pub fn on_kafka(standing: Standing) -> &'static str {
    match standing {
        Standing::Settled => "settled before, so on Kafka",
        Standing::Unsettled => "not on Kafka",
        Standing::Untold => "may not be on Kafka",
    }
}

/// `position 5`, `positions 5 to 7`.
pub fn span(positions: &Range<u64>) -> String {
    match positions.end.saturating_sub(1) {
        last if last <= positions.start => format!("position {}", positions.start),
        last => format!("positions {} to {last}", positions.start),
    }
}

/// Several, the first of them named.
pub fn spans(all: &[Range<u64>]) -> String {
    const NAMED_MAX: usize = 3;
    let named = all.iter().take(NAMED_MAX).map(span).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more stretches"),
    }
}

/// The text without what looks like one of Retell's keys: one that was typed where a file or an address belongs is in
/// the error that quotes it.
fn without_keys(text: &str) -> String {
    const PREFIX: &str = "key_";
    const SHORTEST_BYTES: usize = 12;
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(PREFIX) {
        let (before, key) = rest.split_at(at + PREFIX.len());
        let end = key.find(|each: char| !each.is_ascii_alphanumeric()).unwrap_or(key.len());
        shown.push_str(before);
        shown.push_str(if end < SHORTEST_BYTES { &key[..end] } else { "…" });
        rest = &key[end..];
    }
    shown + rest
}

/// `text` without anything that a terminal would obey, cut to `chars_max`.
pub fn printable(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(chars_max) {
        if character.is_control() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// Bytes as they are on stdout, with a line break behind them.
pub fn raw_line(bytes: &[u8]) -> io::Result<()> {
    write(&[bytes, b"\n"])
}

/// Bytes as they are on stdout and nothing else, so that a signature over them holds; a terminal gets its line break.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let close: &[u8] = if io::stdout().is_terminal() && !bytes.ends_with(b"\n") { b"\n" } else { b"" };
    write(&[bytes, close])
}

fn write(parts: &[&[u8]]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = parts.iter().try_for_each(|part| out.write_all(part));
    written.and_then(|()| out.flush()).map_err(on_stdout)
}

/// Unix milliseconds as RFC 3339 in UTC; `None` beyond the year 9999, of which there is no such text.
pub fn rfc3339(unix_ms: u64) -> Option<String> {
    let is_known = unix_ms <= 253_402_300_799_999;
    is_known.then(|| humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string())
}

/// Whether the reader of stdout has left, for a command that has nothing to write for long.
pub fn is_stdout_closed() -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A look that fails says nothing; the next write will.
    rustix::event::poll(&mut watched, Some(&now)).is_ok() && watched[0].revents().contains(PollFlags::ERR)
}

/// Whether the error is that nobody reads stdout any more.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_is_broken_between_words_and_nothing_is_lost() {
        let text = format!("FAIL    a: {}", "word ".repeat(50));
        let wrapped = wrapped(text.trim_end(), "        ");
        assert!(wrapped.lines().all(|line| line.chars().count() <= COLUMNS && line == line.trim_end()), "{wrapped}");
        assert!(wrapped.lines().count() == 3 && wrapped.lines().skip(1).all(|line| line.starts_with("        word")));
        assert_eq!(wrapped.split_whitespace().collect::<String>(), text.split_whitespace().collect::<String>());
        let long = "x".repeat(300);
        assert_eq!(super::wrapped(&long, "  "), long, "a word is never broken");
    }

    #[test]
    fn a_key_in_a_wrong_place_is_not_shown_and_names_of_settings_are() {
        let key = "key_0123456789abcdef0123456789ab";
        for (text, shown) in [
            (format!("--key-file {key}: cannot be read"), "--key-file key_…: cannot be read"),
            (format!("`{key}` and `{key}`"), "`key_…` and `key_…`"),
            (
                "sources.default.key_file, key_files, --key-file".into(),
                "sources.default.key_file, key_files, --key-file",
            ),
            ("ends in key_".into(), "ends in key_"),
        ] {
            assert_eq!(without_keys(&text), shown);
        }
    }
}
