//! Log lines on stderr: text on a terminal, JSON elsewhere, unless the settings say which.
//!
//! A JSON line has `timestamp`, `level`, `target`, `message` and the event's own fields beside them, so that a collector
//! finds `{"message":"intake listening","address":"…"}` without digging.

use std::borrow::Cow;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};
use crate::event;

/// Starts logging for the process's life. The first call counts.
pub fn start(log: &Log) {
    let is_terminal = io::stderr().is_terminal();
    // Fails where logging runs already, in tests.
    let _ = tracing::subscriber::set_global_default(subscriber(log, is_terminal, io::stderr));
}

fn subscriber<W>(log: &Log, is_terminal: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // The settings were checked; what cannot be read would be a slip here and must not silence the log.
    let filter = EnvFilter::builder().parse(filter(log)).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // A closed stderr is no reason to panic.
        .log_internal_errors(false);
    let is_text = match log.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if is_text {
        let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Box::new(builder.with_ansi(colours).finish())
    } else {
        Box::new(builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
    }
}

/// Lines for single events by `log.events` alone, unless the level names them; all others by the level.
fn filter(log: &Log) -> String {
    let events = if log.events { "info" } else { "off" };
    format!("{}={events},{}", event::LOG_TARGET, level(&log.level))
}

/// Up to `info` without the HTTP server's own account of its threads, and without its ERROR for every scanner that sends
/// what is no HTTP; who names it, or asks for more, gets it.
fn level(given: &str) -> Cow<'_, str> {
    let is_one_of = |levels: &[&str]| given.split(',').any(|part| levels.contains(&&*part.trim().to_ascii_lowercase()));
    let quiet = if is_one_of(&["info"]) {
        "actix_server=warn,actix_http=off"
    } else if is_one_of(&["warn", "error"]) {
        "actix_http=off"
    } else {
        return given.into();
    };
    format!("{quiet},{given}").into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, is_terminal: bool) -> String {
        logged_with(false, format, level, is_terminal)
    }

    fn logged_with(events: bool, format: LogFormat, level: &str, is_terminal: bool) -> String {
        let written = Written::default();
        let writer = written.clone();
        let log = Log { format, level: level.to_owned(), events };
        tracing::subscriber::with_default(subscriber(&log, is_terminal, move || writer.clone()), || {
            tracing::info!(address = "127.0.0.1:1", events = 2, "intake listening");
            tracing::debug!("not of interest");
            tracing::info!(target: event::LOG_TARGET, "event kept");
            tracing::info!(target: "actix_server::accept", "accept thread stopped");
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
        });
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn away_from_a_terminal_each_line_is_json_with_its_fields_at_the_top() {
        let text = logged(LogFormat::Auto, "info", false);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["address"]), (&"intake listening".into(), &"127.0.0.1:1".into()));
        assert_eq!((&line["level"], &line["events"]), (&"INFO".into(), &2.into()));
        assert!(line["timestamp"].is_string(), "{text}");
    }

    #[test]
    fn on_a_terminal_it_is_text_unless_json_is_asked_for() {
        assert!(!logged(LogFormat::Auto, "info", true).starts_with('{'));
        assert!(!logged(LogFormat::Text, "info", false).contains('\u{1b}'), "no colour off a terminal");
        assert!(logged(LogFormat::Json, "info", true).starts_with('{'));
    }

    #[test]
    fn lines_for_single_events_come_where_they_are_asked_for_whatever_the_level() {
        let count = |events, level| logged_with(events, LogFormat::Json, level, false).matches("event kept").count();
        assert_eq!(["info", "trace", "error"].map(|level| count(false, level)), [0, 0, 0]);
        assert_eq!(["info", "trace", "error"].map(|level| count(true, level)), [1, 1, 1]);
        assert_eq!(count(false, "info,retell_bridge::events=info"), 1);
        assert_eq!(count(true, "info,retell_bridge::events=off"), 0);
    }

    #[test]
    fn the_level_may_name_modules() {
        assert_eq!(logged(LogFormat::Json, "error", false), "");
        assert_eq!(logged(LogFormat::Json, "info,actix_server=info", false).lines().count(), 2);
        assert_eq!(logged(LogFormat::Json, "error,actix_http=error", false).lines().count(), 1);
        let level = "error,retell_bridge::cli=debug";
        assert_eq!(logged(LogFormat::Json, level, false).lines().count(), 2);
    }
}
