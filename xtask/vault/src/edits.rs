//! Changes of a card's text that leave the rest as it is.

use std::ops::Range;

use anyhow::{Result, bail, ensure};

use crate::card::{self, Heading};
use crate::date::Date;
use crate::front_matter::{self, Entry, FrontMatter, Value};
use crate::place::{Place, bom, offset};

/// The text that replaces a range of bytes.
pub type Edit = (Range<usize>, String);

/// Appends a range of a text to `out`, with changes made.
pub fn apply(
    text: &str,
    range: &Range<usize>,
    mut edits: Vec<Edit>,
    out: &mut String,
) -> Result<()> {
    edits.sort_by_key(|(place, _)| (place.start, place.end));
    let mut done = range.start;
    for (place, words) in edits {
        if place.start < done || place.end > range.end {
            bail!(
                "two changes of the same words: {:?}",
                text.get(place).unwrap_or_default()
            );
        }
        out.push_str(&text[done..place.start]);
        out.push_str(&words);
        done = place.end;
    }
    out.push_str(&text[done..range.end]);
    Ok(())
}

/// Where the body begins, behind front matter.
pub fn body(text: &str) -> usize {
    let bom = bom(text);
    match front_matter::split(&text[bom..]) {
        Some(Ok((_, end))) => bom + end,
        _ => bom,
    }
}

/// Where the line begins that ends the front matter.
fn close(text: &str) -> usize {
    let body = body(text);
    let line = text[..body].trim_end_matches(['\r', '\n']);
    line.rfind('\n').map_or(0, |end| end + 1)
}

/// The lines of an entry of the front matter.
pub fn entry(text: &str, front: &FrontMatter, number: usize) -> Range<usize> {
    let line = |entry: &Entry| {
        offset(
            text,
            Place {
                column: 1,
                ..entry.place
            },
        )
    };
    let next = front.entries.get(number + 1);
    line(&front.entries[number])..next.map_or_else(|| close(text), line)
}

/// The changes that make these the values of a list in the front matter.
///
/// If the number of values does not change, only those that differ are replaced.
pub fn list(text: &str, front: &FrontMatter, key: &str, values: &[&str]) -> Result<Vec<Edit>> {
    let edits = list_as_written(text, front, key, values)?;
    let now = front_after(text, edits.clone());
    ensure!(
        now.is_some_and(|now| now.texts(key) == values && same_but_for(key, front, &now)),
        "the list `{key}` is written in a way that can't be changed: write it as `{key}: [a, b]` first"
    );
    Ok(edits)
}

/// Whether all entries but those of a key are the same.
fn same_but_for(key: &str, one: &FrontMatter, other: &FrontMatter) -> bool {
    let texts = |entry: &Entry| -> Vec<String> {
        let texts = entry.value.texts().into_iter();
        texts.map(|(text, _)| text.to_owned()).collect()
    };
    let others = |front: &FrontMatter| -> Vec<(String, Vec<String>)> {
        let entries = front.entries.iter().filter(|entry| entry.key != key);
        entries
            .map(|entry| (entry.key.clone(), texts(entry)))
            .collect()
    };
    one.fault == other.fault && others(one) == others(other)
}

/// The front matter as it is read when these changes are made.
fn front_after(text: &str, edits: Vec<Edit>) -> Option<FrontMatter> {
    let mut new = String::with_capacity(text.len());
    apply(text, &(0..text.len()), edits, &mut new).ok()?;
    card::read(&new).front
}

fn list_as_written(
    text: &str,
    front: &FrontMatter,
    key: &str,
    values: &[&str],
) -> Result<Vec<Edit>> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let quoted: Vec<String> = values.iter().map(|value| yaml(value)).collect();
    let count = front
        .entries
        .iter()
        .filter(|entry| entry.key == key)
        .count();
    ensure!(count < 2, "duplicate key `{key}`: remove one of them first");
    let Some(number) = front.entries.iter().position(|entry| entry.key == key) else {
        let at = close(text);
        return Ok(vec![(
            at..at,
            format!("{key}: [{}]{end}", quoted.join(", ")),
        )]);
    };
    let old = front.entries[number].value.texts();
    if old.len() == values.len() {
        let places: Option<Vec<Edit>> = old
            .iter()
            .zip(values)
            .filter(|((old, _), new)| old != *new)
            .map(|((old, place), new)| Some((find_scalar(text, *place, old)?, (*new).to_owned())))
            .collect();
        if let Some(edits) = places {
            return Ok(edits);
        }
    }
    let range = entry(text, front, number);
    let lines = &text[range.clone()];
    ensure!(
        !lines.contains('#'),
        "the list `{key}` contains a comment: remove it first"
    );
    let is_block = lines.trim_end().contains('\n') && !lines.contains('[');
    let words = if values.is_empty() {
        String::new()
    } else if is_block {
        let item = lines.lines().nth(1).unwrap_or("  -");
        let indent = &item[..item.len() - item.trim_start().len()];
        let items: String = quoted
            .iter()
            .map(|value| format!("{indent}- {value}{end}"))
            .collect();
        format!("{key}:{end}{items}")
    } else {
        format!("{key}: [{}]{end}", quoted.join(", "))
    };
    Ok(vec![(range, words)])
}

/// The range of a scalar that begins at a place, if it is written literally.
fn find_scalar(text: &str, place: Place, words: &str) -> Option<Range<usize>> {
    let start = offset(text, place);
    let rest = &text[start..];
    let quote = usize::from(rest.starts_with(['\'', '"']));
    let behind = rest[quote..].strip_prefix(words)?;
    let ends =
        behind.is_empty() || behind.starts_with([',', ']', '}', '\'', '"', ' ', '\t', '\r', '\n']);
    ends.then(|| start + quote..start + quote + words.len())
}

/// The changes of the front matter of a card that takes in another one: the values of lists are those of
/// both, `modified` is the later one, what only the other one has is added. Prerequisites are not these.
pub fn union(
    text: &str,
    front: Option<&FrontMatter>,
    other_text: &str,
    other: Option<&FrontMatter>,
    not_required: [&str; 2],
) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    let (Some(front), Some(other)) = (front, other) else {
        return Ok(edits);
    };
    let mut keys: Vec<&str> = front
        .entries
        .iter()
        .map(|entry| entry.key.as_str())
        .collect();
    keys.extend(other.entries.iter().map(|entry| entry.key.as_str()));
    let mut seen = Vec::new();
    for key in keys {
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let number = other.entries.iter().position(|entry| entry.key == key);
        match (front.get(key), number) {
            _ if matches!(key, "tags" | "requires" | "aliases") => {
                let now = front.texts(key);
                let mut all = now.clone();
                all.extend(
                    other
                        .texts(key)
                        .into_iter()
                        .filter(|value| !now.contains(value)),
                );
                if key == "requires" {
                    all.retain(|value| !not_required.contains(value));
                }
                if all != now {
                    edits.extend(list(text, front, key, &all)?);
                }
            }
            (Some(_), Some(_)) if key == "modified" => {
                let day = |front: &FrontMatter| Date::parse(front.text(key)?);
                if let (Some(was), Some(is)) = (day(front), day(other))
                    && is > was
                {
                    edits.extend(value(text, front, key, &is.to_string()));
                }
            }
            (None, Some(number)) => {
                let at = close(text);
                edits.push((
                    at..at,
                    other_text[entry(other_text, other, number)].to_owned(),
                ));
            }
            _ => {}
        }
    }
    // What is added at the same place is one change.
    edits.sort_by_key(|(place, _)| place.start);
    edits.dedup_by(|next, edit| {
        let same = next.0 == edit.0 && edit.0.is_empty();
        if same {
            edit.1.push_str(&next.1);
        }
        same
    });
    Ok(edits)
}

/// The change that gives a key another scalar; none where its value is not on its line.
pub fn value(text: &str, front: &FrontMatter, key: &str, new: &str) -> Option<Edit> {
    let entry = front.get(key)?;
    let Value::Text(old, place) = &entry.value else {
        return None;
    };
    if old == new || old.is_empty() {
        return None;
    }
    let edit = (find_scalar(text, *place, old)?, new.to_owned());
    let now = front_after(text, vec![edit.clone()])?;
    (now.text(key) == Some(new) && same_but_for(key, front, &now)).then_some(edit)
}

/// A scalar as YAML.
pub fn yaml(text: &str) -> String {
    let parsed = front_matter::parse(&format!("a: {text}\n"));
    let is_same = parsed.fault.is_none()
        && matches!(&parsed.entries[..], [entry] if matches!(&entry.value, Value::Text(value, _) if value == text));
    let is_plain = !text.contains([
        ',', '[', ']', '{', '}', '#', ':', '&', '*', '!', '"', '\'', '`', '%', '@', '|', '>', '\n',
    ]);
    let is_no_text = text.parse::<f64>().is_ok()
        || ["true", "false", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    if is_same && is_plain && !is_no_text && !text.is_empty() {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// The change that puts a heading some levels down.
pub fn heading(text: &str, heading: &Heading, deeper: i8) -> Option<Edit> {
    let wanted = usize::from(heading.level.saturating_add_signed(deeper).clamp(1, 6));
    let span = heading.span.range();
    let words = &text[span.clone()];
    let rest = words.trim_start_matches('#');
    let is_marked = words.len() - rest.len() == usize::from(heading.level)
        && (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
    if is_marked {
        let marks = span.start..span.start + usize::from(heading.level);
        return Some((marks, "#".repeat(wanted)));
    }
    // An underlined heading has two levels only.
    let words = words.trim_end();
    // A line also ends with a carriage return alone.
    let ends = ['\r', '\n'];
    let (lines, _) = words.rsplit_once(ends)?;
    let lines = lines.split(ends).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let place = span.start..span.start + words.len();
    Some((place, format!("{} {}", "#".repeat(wanted), lines.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_list(front: &str, values: &[&str]) -> String {
        let text = format!("---\n{front}---\nbody\n");
        let parsed = front_matter::parse(front);
        let edits = list(&text, &parsed, "requires", values).unwrap();
        let mut out = String::new();
        apply(&text, &(0..text.len()), edits, &mut out).unwrap();
        out.strip_prefix("---\n")
            .unwrap()
            .strip_suffix("---\nbody\n")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn an_entry_begins_with_its_indentation() {
        let front = "  title: A\n  tags: [x]\n";
        let text = format!("---\n{front}---\nbody\n");
        let parsed = front_matter::parse(front);
        let entries = [0, 1].map(|number| text[entry(&text, &parsed, number)].to_owned());
        assert_eq!(entries, ["  title: A\n", "  tags: [x]\n"]);
    }

    #[test]
    fn lists_of_the_front_matter() {
        for (front, values, expected) in [
            (
                "requires: [a, b]\nx: 1\n",
                &["a", "c"][..],
                "requires: [a, c]\nx: 1\n",
            ),
            (
                "requires: ['a', \"b\"] # c\n",
                &["c", "b"],
                "requires: ['c', \"b\"] # c\n",
            ),
            (
                "requires:\n  - a\n  - b\nx: 1\n",
                &["c", "b"],
                "requires:\n  - c\n  - b\nx: 1\n",
            ),
            (
                "requires:\n  - a\n  - b\nx: 1\n",
                &["b"],
                "requires:\n  - b\nx: 1\n",
            ),
            (
                "requires: [a, b]\n",
                &["b", "c", "d"],
                "requires: [b, c, d]\n",
            ),
            ("requires: [a]\nx: 1\n", &[], "x: 1\n"),
            ("x: 1\n", &["a"], "x: 1\nrequires: [a]\n"),
        ] {
            assert_eq!(with_list(front, values), expected);
        }
        let front = "requires: [a, b] # why\n";
        let text = format!("---\n{front}---\n");
        let error = list(&text, &front_matter::parse(front), "requires", &["a"]).unwrap_err();
        assert!(error.to_string().contains("comment"), "{error}");
        let front = "requires: a\nrequires: b\n";
        let text = format!("---\n{front}---\n");
        let error = list(&text, &front_matter::parse(front), "requires", &["c"]).unwrap_err();
        assert!(error.to_string().contains("duplicate key"), "{error}");
        let front = "?\n:\nrequires: a\n\n?\n";
        let text = format!("---\n{front}---\n");
        let error = list(&text, &front_matter::parse(front), "requires", &[]).unwrap_err();
        assert!(error.to_string().contains("can't be changed"), "{error}");
    }

    #[test]
    fn places_and_bodies() {
        let text = "\u{feff}---\na: é b\n---\nbody";
        assert_eq!(offset(text, Place::new(1, 1)), 3);
        assert_eq!(&text[offset(text, Place::new(2, 6))..][..1], "b");
        assert_eq!(&text[body(text)..], "body");
        assert_eq!(&text[close(text)..], "---\nbody");
    }

    #[test]
    fn headings_go_down() {
        for (text, expected) in [
            ("## a\n", "### a"),
            ("a\n---\n", "### a"),
            ("#a\nb\n---\n", "### #a b"),
            ("a\r\nb\rc\r---\r", "### a b c"),
            ("##\n", "###"),
        ] {
            let found = &card::read(text).headings[0];
            let edit = heading(text, found, 1).unwrap();
            let mut out = String::new();
            apply(text, &(0..text.len()), vec![edit], &mut out).unwrap();
            assert_eq!(out.trim_end(), expected);
        }
    }

    #[test]
    fn scalars() {
        for (text, yaml_text) in [
            ("Plain words", "Plain words"),
            ("a: b", "\"a: b\""),
            ("C# \"x\"", "\"C# \\\"x\\\"\""),
            ("2026-01-02", "2026-01-02"),
            ("", "\"\""),
        ] {
            assert_eq!(yaml(text), yaml_text);
        }
    }
}
