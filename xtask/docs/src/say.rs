//! The door for text: names and texts of cards are others' words, and a terminal must not obey them.

use anyhow::{Error, anyhow};
use sys::printable::printable;
use sys::process::Interrupted;
use sys::terminal;

/// Writes a human-readable line to stderr.
pub fn say(line: impl AsRef<str>) {
    terminal::say(printable(line.as_ref()).as_bytes());
}

/// An error whose message is one line without anything that acts.
pub fn plain(error: Error) -> Error {
    if error.is::<Interrupted>() {
        return error;
    }
    anyhow!("{}", printable(&format!("{error:#}")))
}
