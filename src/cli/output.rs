//! What a command prints: results to stdout, where a closed pipe is an ordinary end, and complaints to stderr.

use std::fmt::Display;
use std::io::{self, Write};

/// One line on stdout.
pub fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Text as it is on stdout.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// One line on stderr, `retell-bridge: …`.
pub fn complain(what: &(impl Display + ?Sized)) {
    // Who closed stderr does not want to hear it.
    let _ = writeln!(io::stderr().lock(), "retell-bridge: {what}");
}

/// Whether the error is that nobody reads stdout any more.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::BrokenPipe)
}
