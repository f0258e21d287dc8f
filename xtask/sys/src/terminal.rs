//! What the program writes: human-readable lines to stderr, machine-readable ones to stdout.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

use crate::printable;

/// What errors of stdout begin with.
const WRITING: &str = "writing to stdout";

/// Writes human-readable text to stderr, colours and weights included; other sequences that a terminal would
/// obey are shown as escapes. A closed stderr does not stop a build.
pub fn say(text: impl AsRef<[u8]>) {
    let text = String::from_utf8_lossy(text.as_ref());
    let mut bytes = printable::styled(&text).into_owned().into_bytes();
    bytes.push(b'\n');
    let _ = io::stderr().lock().write_all(&bytes);
}

/// Writes text to stderr, unless it is empty.
pub fn say_if_any(text: &str) {
    if !text.is_empty() {
        say(text);
    }
}

/// Writes a result to stdout: lines of text, with what a terminal would obey shown as escapes.
pub fn emit(text: &str) -> Result<()> {
    write_line(&printable::lines(text))
}

fn write_line(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").context(WRITING)
}

/// Whether an error is that nobody reads what is written to stdout any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    let is_broken = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    is_broken && error.to_string() == WRITING
}

/// Whether stderr takes escape sequences: a terminal that supports them, unless `NO_COLOR` is set.
pub fn stderr_takes_escapes() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| takes_escapes(&io::stderr()))
}

/// Whether stdout takes escape sequences.
pub fn stdout_takes_escapes() -> bool {
    takes_escapes(&io::stdout())
}

fn takes_escapes(stream: &impl io::IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|value| value.is_empty() || value == "dumb");
    !refused && !dumb && stream.is_terminal()
}

/// A temporary line on a terminal; nothing elsewhere.
#[derive(Debug)]
pub struct Note;

impl Note {
    /// Shows the line until the value is dropped.
    pub fn new(text: &str) -> Self {
        if stderr_takes_escapes() {
            let _ = write!(io::stderr().lock(), "{}\r", printable::printable(text));
        }
        Self
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if stderr_takes_escapes() {
            let _ = write!(io::stderr().lock(), "\u{1b}[K");
        }
    }
}

/// A JSON line on stdout.
pub fn emit_json(value: &impl serde::Serialize) -> Result<()> {
    write_line(&serde_json::to_string(value).context("writing JSON")?)
}
