//! Footnotes that follow the words that refer to them when a card is merged or split.

use std::collections::HashSet;
use std::ops::Range;

use anyhow::{Result, ensure};
use pulldown_cmark::{Event, Parser, Tag};

use crate::card;
use crate::edits::{self, Edit};

/// A footnote's label.
pub(super) struct Label {
    /// As footnotes are told apart: case does not count.
    pub(super) name: String,
    /// Its range, without `[^` and `]`.
    pub(super) place: Range<usize>,
    /// All of the footnote, where this is its text.
    pub(super) text: Option<Range<usize>>,
}

/// The labels of all footnotes and of what refers to them, in order.
pub(super) fn labels(text: &str) -> Vec<Label> {
    let body = edits::body(text);
    let events = Parser::new_ext(&text[body..], card::OPTIONS).into_offset_iter();
    let label = |(event, range): (Event<'_>, Range<usize>)| {
        let range = body + range.start..body + range.end;
        let (name, is_text) = match event {
            Event::FootnoteReference(name) => (name, false),
            Event::Start(Tag::FootnoteDefinition(name)) => (name, true),
            _ => return None,
        };
        let start = range.start + text[range.clone()].find("[^")? + 2;
        let place = start..start + name.len();
        (text.get(place.clone()) == Some(&name)).then(|| Label {
            name: name.to_lowercase(),
            place,
            text: is_text.then_some(range),
        })
    };
    events.filter_map(label).collect()
}

/// The changes that give footnotes of a text other labels where another text has these.
pub(super) fn other_labels(text: &str, other: &str) -> Vec<Edit> {
    let (ours, theirs) = (labels(text), labels(other));
    let names = |labels: &[Label]| -> HashSet<String> {
        labels.iter().map(|label| label.name.clone()).collect()
    };
    let (our_names, their_names) = (names(&ours), names(&theirs));
    let new = |label: &Label| {
        let name = &text[label.place.clone()];
        let mut names = (2..).map(|number| format!("{name}-{number}"));
        names.find(|name| {
            let name = name.to_lowercase();
            !our_names.contains(&name) && !their_names.contains(&name)
        })
    };
    let clashing = ours
        .iter()
        .filter(|label| their_names.contains(&label.name));
    clashing
        .filter_map(|label| Some((label.place.clone(), new(label)?)))
        .collect()
}

/// The names of the footnotes to which something refers at a place for which this holds.
pub(super) fn names<'l>(labels: &'l [Label], is_there: &dyn Fn(usize) -> bool) -> Vec<&'l str> {
    let references = labels.iter().filter(|label| label.text.is_none());
    let there = references.filter(|label| is_there(label.place.start));
    there.map(|label| label.name.as_str()).collect()
}

/// The footnotes: name, label, and all of each.
pub(super) fn notes(labels: &[Label]) -> impl Iterator<Item = (&str, &Label, &Range<usize>)> {
    let notes = labels
        .iter()
        .filter_map(|label| Some((label, label.text.as_ref()?)));
    notes.map(|(label, whole)| (label.name.as_str(), label, whole))
}

/// These footnotes, and those to which they refer.
pub(super) fn needed<'l>(labels: &'l [Label], mut open: Vec<&'l str>) -> HashSet<&'l str> {
    let mut needed = HashSet::new();
    while let Some(name) = open.pop() {
        if let Some((name, _, whole)) = notes(labels).find(|(note, _, _)| *note == name)
            && needed.insert(name)
        {
            open.extend(names(labels, &|at| whole.contains(&at)));
        }
    }
    needed
}

/// A footnote that is needed where it is not written: in a section, or in the rest of its card.
pub(super) struct Footnote {
    /// All of it.
    pub(super) whole: Range<usize>,
    /// Whether it is the section that needs it.
    pub(super) to_section: bool,
    /// Whether it is needed nowhere else.
    pub(super) goes: bool,
}

/// The footnotes that go from a section to the rest of its card, or from there to the section.
pub(super) fn notes_between(text: &str, section: &Range<usize>) -> Result<Vec<Footnote>> {
    let labels = labels(text);
    let is_in_note = |at: usize| notes(&labels).any(|(_, _, whole)| whole.contains(&at));
    let needed_by =
        |is_there: &dyn Fn(usize) -> bool| names(&labels, &|at| is_there(at) && !is_in_note(at));
    let by_section = needed(&labels, needed_by(&|at| section.contains(&at)));
    let by_rest = needed(&labels, needed_by(&|at| !section.contains(&at)));
    let mut between = Vec::new();
    let mut seen = HashSet::new();
    for (name, label, whole) in notes(&labels) {
        // Of several with one label the first is shown.
        if !seen.insert(name) {
            continue;
        }
        let to_section = !section.contains(&whole.start);
        let (here, there) = if to_section {
            (&by_rest, &by_section)
        } else {
            (&by_section, &by_rest)
        };
        if !there.contains(name) {
            continue;
        }
        let line = text[..whole.start].rfind('\n').map_or(0, |end| end + 1);
        ensure!(
            text[line..whole.start].trim().is_empty(),
            "the footnote `[^{}]` is written in a list or a quotation: move its text out first",
            &text[label.place.clone()]
        );
        between.push(Footnote {
            whole: whole.clone(),
            to_section,
            goes: !here.contains(name),
        });
    }
    Ok(between)
}

/// What is left of a range without the footnotes that go; where it ends a card, there are no blank lines at its
/// end instead of them.
pub(super) fn left_of(
    text: &str,
    range: Range<usize>,
    notes: &[Footnote],
    is_end: bool,
) -> Vec<Range<usize>> {
    let mut left = Vec::new();
    let mut at = range.start;
    for note in notes.iter().filter(|note| note.goes) {
        if range.contains(&note.whole.start) {
            left.push(at..note.whole.start);
            at = note.whole.end.min(range.end);
        }
    }
    if !is_end || left.is_empty() || !text[at..range.end].trim().is_empty() {
        left.push(at..range.end);
    } else if let Some(last) = left.last_mut() {
        last.end = last.start + text[last.clone()].trim_end_matches(['\r', '\n']).len();
    }
    left
}
