//! What an update says of itself.

use std::fmt::Write as _;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::update::plan::{FAKE, Key, Plan};
use crate::update::preflight::{Kind, Note};
use nix_formats::sri::Sri;
use sys::printable::printable;
use sys::table;

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

/// What became of a pin; also the JSON line.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The names that lead to it.
    pub pin: String,
    /// `changed`, `added`, `same, rebuilt`, `same, not rebuilt`, `removed`.
    pub state: &'static str,
    /// What it was, if it changed.
    pub old: Option<String>,
    /// What it is now, if it changed.
    pub new: Option<String>,
}

/// What became of all pins: versions, then hashes in order.
pub fn rows(plan: &Plan, found: &BTreeMap<Key, Sri>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for edit in &plan.moves {
        rows.push(Row {
            pin: edit.key.join("."),
            state: "changed",
            old: Some(edit.from.clone()),
            new: edit.to.clone(),
        });
    }
    let mut hashes: Vec<Row> = Vec::new();
    for (key, old) in &plan.follow {
        let new = found.get(key).filter(|new| *new != old);
        hashes.push(Row {
            pin: key.join("."),
            state: if old.to_string() == FAKE {
                "added"
            } else if new.is_some() {
                "changed"
            } else {
                "same, rebuilt"
            },
            old: new.map(|_| old.to_string()),
            new: new.map(Sri::to_string),
        });
    }
    hashes.extend(plan.stay.iter().map(|key| Row {
        pin: key.join("."),
        state: "same, not rebuilt",
        old: None,
        new: None,
    }));
    hashes.extend(plan.go.iter().map(|(key, old)| Row {
        pin: key.join("."),
        state: "removed",
        old: Some(old.to_string()),
        new: None,
    }));
    hashes.sort_by(|one, two| one.pin.cmp(&two.pin));
    rows.extend(hashes);
    rows
}

/// The pins as a table.
pub fn pins(rows: &[Row]) -> String {
    let mut lines = vec![["pin", "state", "now"].map(str::to_owned).to_vec()];
    for row in rows {
        let now = row.new.clone().unwrap_or_default();
        lines.push(vec![row.pin.clone(), row.state.to_owned(), now]);
    }
    table::table(&lines)
}

/// What a commit says of the pins that changed.
pub fn commit(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| row.old.is_some()) {
        let new = row.new.as_deref().unwrap_or("removed");
        let old = row.old.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{}\n  old: {old}\n  new: {new}", row.pin);
    }
    text
}

/// An update as Markdown, for a pull request.
pub fn markdown(
    title: &str,
    compare: Option<&str>,
    rows: &[Row],
    found: &[Note],
    end: &str,
) -> String {
    let mut text = format!("# {title}\n\n{end}\n");
    if let Some(compare) = compare {
        let _ = writeln!(text, "\nWhat upstream changed: <{compare}>");
    }
    text.push_str("\n| pin | state | old | new |\n|---|---|---|---|\n");
    for row in rows {
        let code = |value: &Option<String>| {
            let value = value.as_ref().map(|it| it.replace(['`', '|'], ""));
            value.map_or_else(String::new, |it| format!("`{it}`"))
        };
        let (old, new) = (code(&row.old), code(&row.new));
        let _ = writeln!(text, "| `{}` | {} | {old} | {new} |", row.pin, row.state);
    }
    if !found.is_empty() {
        // Text of others: in a block it is nothing but text.
        let notes = notes(found).replace("```", "");
        let _ = write!(text, "\n```text\n{notes}```\n");
    }
    text
}
