//! What an update says of itself.

use std::fmt::Write as _;

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The container.
    pub container: String,
    /// The names that lead to it.
    pub pin: String,
    /// `changed`, `added`, `same, rebuilt`, `same, not rebuilt`, `removed`; before anything is built also
    /// `to be found`.
    pub state: &'static str,
    /// What it was, if it changed.
    pub old: Option<String>,
    /// What it is now, if it changed.
    pub new: Option<String>,
}

/// What became of all pins of a container: versions, then hashes in order.
pub fn rows(container: &str, plan: &Plan, found: &BTreeMap<Key, Sri>) -> Vec<Row> {
    let row = |key: &Key, state, old: Option<&str>, new: Option<&str>| Row {
        container: container.to_owned(),
        pin: key.join("."),
        state,
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
    };
    let moves = plan.moves.iter().map(|edit| {
        let (from, to) = (Some(edit.from.as_str()), edit.to.as_deref());
        row(&edit.key, "changed", from, to)
    });
    let mut rows: Vec<Row> = moves.collect();
    let mut hashes: Vec<Row> = Vec::new();
    for (key, old) in &plan.follow {
        let old = old.to_string();
        let new = found.get(key).map(Sri::to_string);
        let state = match &new {
            None => "to be found",
            Some(_) if old == FAKE => "added",
            Some(new) if *new == old => "same, rebuilt",
            Some(_) => "changed",
        };
        let new = new.filter(|new| *new != old);
        let old = new.as_ref().filter(|_| old != FAKE).map(|_| old.as_str());
        hashes.push(row(key, state, old, new.as_deref()));
    }
    let stay = plan.stay.iter();
    hashes.extend(stay.map(|key| row(key, "same, not rebuilt", None, None)));
    let go = plan.go.iter();
    hashes.extend(go.map(|(key, old)| row(key, "removed", Some(&old.to_string()), None)));
    hashes.sort_by(|one, two| one.pin.cmp(&two.pin));
    rows.extend(hashes);
    rows
}

/// The name of a pin, with that of its container where there are several.
fn shown(rows: &[Row], row: &Row) -> String {
    if rows.iter().all(|it| it.container == row.container) {
        row.pin.clone()
    } else {
        format!("{}/{}", row.container, row.pin)
    }
}

/// The pins as a table.
pub fn pins(rows: &[Row]) -> String {
    let mut lines = vec![["pin", "state", "now"].map(str::to_owned).to_vec()];
    for row in rows {
        let now = row.new.clone().unwrap_or_default();
        lines.push(vec![shown(rows, row), row.state.to_owned(), now]);
    }
    table::table(&lines)
}

/// What a commit says of the pins that changed.
pub fn commit(rows: &[Row]) -> String {
    let mut text = String::new();
    let changed = |row: &&Row| row.old.is_some() || row.new.is_some();
    for row in rows.iter().filter(changed) {
        let new = row.new.as_deref().unwrap_or("removed");
        let old = row.old.as_deref().unwrap_or("none");
        let pin = shown(rows, row);
        let _ = writeln!(text, "{pin}\n  old: {old}\n  new: {new}");
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
    builds: &[(String, Duration)],
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
        let pin = shown(rows, row);
        let _ = writeln!(text, "| `{pin}` | {} | {old} | {new} |", row.state);
    }
    if !builds.is_empty() {
        text.push_str("\n| build | time |\n|---|---|\n");
        for (label, time) in builds {
            let seconds = table::human_seconds(time.as_secs_f64());
            let _ = writeln!(text, "| {label} | {seconds} |");
        }
    }
    if !found.is_empty() {
        // Text of others: in a block it is nothing but text.
        let notes = notes(found).replace("```", "");
        let _ = write!(text, "\n```text\n{notes}```\n");
    }
    text
}
