//! What an update says of itself.

use std::fmt::Write as _;

use crate::update::preflight::{Kind, Note};
use sys::printable::printable;

/// The longest text of a place that is shown, in characters.
const LONGEST: usize = 120;

/// The notes of a preflight as text: what needs a decision, then what is worth knowing.
pub fn notes(notes: &[Note]) -> String {
    let mut text = String::new();
    for (kind, title) in [
        (Kind::Decide, "a person must decide"),
        (Kind::Information, "for information"),
    ] {
        let of_kind: Vec<&Note> = notes.iter().filter(|note| note.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}:");
        for note in of_kind {
            let _ = writeln!(text, "- {}", short(&note.what));
            for spot in &note.spots {
                let line = spot
                    .line
                    .map_or_else(String::new, |line| format!(":{line}"));
                let path = printable(spot.path.as_str());
                let _ = writeln!(
                    text,
                    "    {:4} {path}{line}: {}",
                    spot.tree,
                    short(&spot.text)
                );
            }
        }
    }
    text
}

/// Text of others in one line, not longer than a line should be.
fn short(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= LONGEST * 2 {
        return text.into_owned();
    }
    let beginning: String = text.chars().take(LONGEST * 2).collect();
    beginning + "..."
}
