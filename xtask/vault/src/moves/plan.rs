//! Which parts of old cards make up each card of the new vault.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::footnotes::{left_of, notes_between, other_labels};
use super::moved::Moved;
use super::old_vault::OldVault;
use crate::card::{self, Heading};
use crate::edits::{self, Edit};
use crate::place::bom;
use crate::resolve::stem;
use crate::slug::slug;

/// Which parts make up each card of the new vault.
pub(super) type Plan = BTreeMap<Utf8PathBuf, Vec<Piece>>;

/// A part of a new card.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Words of no card. With a card's number: they take the place of its beginning.
    Words(String, Option<usize>),
    /// A part of a card.
    Part(Part),
    /// A wiki link to a card.
    Link(Utf8PathBuf),
}

/// A part of an old card, which is changed where it must be.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) card: usize,
    pub(super) range: Range<usize>,
    /// By how many levels its headings go down.
    pub(super) deeper: i8,
    /// Changes beside those of links and headings.
    pub(super) edits: Vec<Edit>,
}

/// The card whose beginning a piece of a card is: the first one that begins with it, or words in its place.
pub(super) fn top(number: usize, piece: &Piece) -> Option<usize> {
    match piece {
        Piece::Words(_, card) => *card,
        Piece::Link(_) => None,
        Piece::Part(part) => (number == 0 && part.range.start == 0).then_some(part.card),
    }
}

pub(super) fn tops(pieces: &[Piece]) -> impl Iterator<Item = usize> {
    pieces
        .iter()
        .enumerate()
        .filter_map(|(number, piece)| top(number, piece))
}

pub(super) fn parts(pieces: &[Piece]) -> impl Iterator<Item = &Part> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Part(part) => Some(part),
        Piece::Words(..) | Piece::Link(_) => None,
    })
}

pub(super) fn whole(before: &OldVault<'_>, card: usize) -> Part {
    Part {
        card,
        range: 0..before.texts[card].len(),
        deeper: 0,
        edits: Vec::new(),
    }
}

/// Each card as it is.
pub(super) fn as_it_is(before: &OldVault<'_>) -> Plan {
    let cards = before.read.iter().map(|card| {
        (
            before.path(*card).to_owned(),
            vec![Piece::Part(whole(before, *card))],
        )
    });
    cards.collect()
}

/// Files at other paths: those that are neither cards nor have links matter as what links lead to.
pub(super) fn moved(before: &OldVault<'_>, moved: &Moved) -> Result<Plan> {
    let mut plan = as_it_is(before);
    let mut arrived: Vec<(&Utf8Path, usize)> = Vec::new();
    for (old, new) in &moved.files {
        let number = before.number(old);
        let is_card = number.is_some_and(|number| before.vault.cards.get(number).is_some());
        if is_card {
            // What is there may go in the same move.
            if !moved.files.contains_key(new) {
                before.check_free(new, number)?;
            }
        } else {
            let is_taken = before.files.has_path(new.as_str()) && !moved.files.contains_key(new);
            ensure!(!is_taken, "`{new}` is there already");
        }
        if let Some(number) = number {
            plan.remove(old);
            arrived.push((new, number));
        }
    }
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (new, number) in arrived {
        plan.insert(new.to_owned(), vec![Piece::Part(whole(before, number))]);
        if before.stem(number) != stem(new.as_str()) {
            names.insert(before.stem(number), stem(new.as_str()));
        }
    }
    prerequisites(before, &mut plan, &names, false)?;
    Ok(plan)
}

/// The names under `requires` of all cards, with other names for some cards. Where two cards become one,
/// no card names one twice, or itself.
fn prerequisites(
    before: &OldVault<'_>,
    plan: &mut Plan,
    others: &BTreeMap<&str, &str>,
    become_one: bool,
) -> Result<()> {
    for pieces in plan.values_mut() {
        for piece in pieces {
            let Piece::Part(part) = piece else { continue };
            let Some(front) = &before.content(part.card).front else {
                continue;
            };
            let names = front.texts("requires");
            if part.range.start > 0 || !names.iter().any(|name| others.contains_key(name)) {
                continue;
            }
            let mut now: Vec<&str> = Vec::new();
            for name in names {
                let name = others.get(name).copied().unwrap_or(name);
                let is_other = !now.contains(&name) && name != before.stem(part.card);
                if is_other || !become_one {
                    now.push(name);
                }
            }
            let text = before.texts[part.card];
            let edit = edits::list(text, front, "requires", &now)
                .with_context(|| format!("`requires` of `{}`", before.path(part.card)))?;
            part.edits.extend(edit);
        }
    }
    Ok(())
}

/// Keys that belong to one card alone.
const OWN_KEYS: &[&str] = &[
    "title",
    "aliases",
    "requires",
    "status",
    "branch",
    "permalink",
    "last-reviewed",
];

/// The card that stays has the tags, prerequisites and other names of both, then the other's body under
/// a heading of the second level.
pub(super) fn merged(before: &OldVault<'_>, old: &Utf8Path, into: &Utf8Path) -> Result<Plan> {
    let (from, to) = (before.at(old)?, before.at(into)?);
    ensure!(from != to, "`{old}` can't be merged into itself");
    for card in [from, to] {
        let front = before.content(card).front.as_ref();
        let is_readable = front.is_none_or(|front| front.fault.is_none());
        let path = before.path(card);
        ensure!(
            is_readable,
            "the front matter of `{path}` can't be read: fix it first"
        );
    }
    let mut plan = as_it_is(before);
    plan.remove(old);
    let names = BTreeMap::from([(before.stem(from), before.stem(to))]);
    prerequisites(before, &mut plan, &names, true)?;
    let text = before.texts[from];
    let end = before.line_end(to);
    let body = edits::body(text);
    let start = text.len() - text[body..].trim_start_matches(['\r', '\n']).len();
    let headings = &before.content(from).headings;
    let mut words = String::new();
    if !before.texts[to].ends_with('\n') {
        words.push_str(end);
    }
    words.push_str(end);
    let has_title = |first: &&Heading| first.span.start() == start && first.level == 1;
    let deeper = if headings.first().as_ref().is_some_and(has_title) {
        1
    } else {
        let front = before.content(from).front.as_ref();
        let title = front.and_then(|front| front.text("title"));
        let title = title.unwrap_or_else(|| before.stem(from));
        words = format!("{words}## {title}{end}{end}");
        let least = headings.iter().map(|heading| heading.level).min();
        3_i8.saturating_sub_unsigned(least.unwrap_or(3)).max(0)
    };
    let mut stays = whole(before, to);
    stays.edits = edits::union(
        before.texts[to],
        before.content(to).front.as_ref(),
        text,
        before.content(from).front.as_ref(),
        [before.stem(from), before.stem(to)],
    )
    .with_context(|| format!("the front matter of `{old}` and `{into}`"))?;
    if before.content(to).front.is_none() {
        stays.edits.extend(front_of(before, from, to));
    }
    let mut gone = Part {
        card: from,
        range: start..text.len(),
        deeper,
        edits: Vec::new(),
    };
    gone.edits = other_labels(text, before.texts[to]);
    let pieces = vec![
        Piece::Part(stays),
        Piece::Words(words, Some(from)),
        Piece::Part(gone),
    ];
    plan.insert(into.to_owned(), pieces);
    Ok(plan)
}

/// The front matter of one card, with a title of its own, for another one that has none.
fn front_of(before: &OldVault<'_>, from: usize, to: usize) -> Option<Edit> {
    let text = before.texts[from];
    let front = before.content(from).front.as_ref()?;
    if front.entries.iter().all(|entry| entry.key == "title") {
        return None;
    }
    let mut block = text[..edits::body(text)].to_owned();
    let heading = before.content(to).headings.first();
    let title = heading.map_or(before.stem(to), |heading| &heading.text);
    if let Some((place, words)) = edits::value(text, front, "title", &edits::yaml(title)) {
        block.replace_range(place, &words);
    }
    if !block.ends_with('\n') {
        block.push_str(before.line_end(to));
    }
    let at = bom(before.texts[to]);
    Some((at..at, block.split_off(bom(text)) + before.line_end(to)))
}

/// Where the headings begin that are in no list, quotation or footnote.
fn top_headings(text: &str) -> HashSet<usize> {
    let body = edits::body(text);
    let mut depth = 0_usize;
    let mut starts = HashSet::new();
    for (event, range) in Parser::new_ext(&text[body..], card::OPTIONS).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) if depth == 0 => {
                starts.insert(body + range.start);
            }
            Event::Start(Tag::List(_) | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_)) => {
                depth += 1;
            }
            Event::End(TagEnd::List(_) | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition) => {
                depth -= 1;
            }
            _ => {}
        }
    }
    starts
}

/// The card without the section, and the section as a card.
pub(super) fn extracted(
    before: &OldVault<'_>,
    old: &Utf8Path,
    heading: &str,
    new: &Utf8Path,
) -> Result<Plan> {
    let card = before.at(old)?;
    before.check_free(new, None)?;
    let text = before.texts[card];
    let headings = &before.content(card).headings;
    // `Example 1` may have the slug of the second `Example`.
    let words = card::without_block_id(heading.trim());
    let by_words = |heading: &Heading| card::without_block_id(&heading.text) == words;
    let wanted = slug(words);
    let number = headings.iter().position(by_words);
    let number = number.or_else(|| headings.iter().position(|heading| heading.slug == wanted));
    let Some(number) = number else {
        let known: Vec<String> = headings
            .iter()
            .map(|heading| format!("`{}`", heading.text))
            .collect();
        bail!(
            "there is no heading `{heading}`: it has {}",
            known.join(", ")
        );
    };
    let found = &headings[number];
    let line = |heading: &Heading| {
        let end = text[..heading.span.start()].rfind('\n');
        end.map_or(bom(text), |end| end + 1)
    };
    let tops = top_headings(text);
    let is_top = |heading: &Heading| tops.contains(&heading.span.start());
    ensure!(
        is_top(found),
        "the heading `{heading}` is in a list or a quotation: move it out first"
    );
    ensure!(
        number > 0 || found.level > 1,
        "`{heading}` is the card's title: rename the card"
    );
    let start = line(found);
    let next = headings[number + 1..]
        .iter()
        .find(|next| next.level <= found.level && is_top(next));
    let stop = next.map_or(text.len(), line);
    let end = before.line_end(card);
    let mut front = String::new();
    if let Some(known) = &before.content(card).front {
        let title = edits::yaml(card::without_block_id(&found.text));
        front = format!("---{end}title: {title}{end}");
        for (number, entry) in known.entries.iter().enumerate() {
            if !OWN_KEYS.contains(&entry.key.as_str()) {
                front.push_str(&text[edits::entry(text, known, number)]);
            }
        }
        front.push_str(&["---", end, end].concat());
    }
    let section = &text[start..stop];
    let length = section.trim_end_matches(['\r', '\n']).len();
    let gap = if next.is_some() { end } else { "" };
    let part = |range: Range<usize>| Part {
        range,
        ..whole(before, card)
    };
    let mut plan = as_it_is(before);
    let notes = notes_between(text, &(start..stop))?;
    let words = |words: &str| Piece::Words(words.to_owned(), None);
    let parts = |range: Range<usize>, deeper: i8| -> Vec<Piece> {
        let left = left_of(text, range.clone(), &notes, range.end > start).into_iter();
        left.map(|range| {
            Piece::Part(Part {
                deeper,
                ..part(range)
            })
        })
        .collect()
    };
    let added = |to_section: bool| -> Vec<Piece> {
        let added = notes.iter().filter(|note| note.to_section == to_section);
        let pieces = added.flat_map(|note| {
            let length = text[note.whole.clone()].trim_end().len();
            let note = part(note.whole.start..note.whole.start + length);
            [words(end), Piece::Part(note), words(end)]
        });
        pieces.collect()
    };
    let mut left = parts(0..start, 0);
    left.extend([Piece::Link(new.to_owned()), words(&[end, gap].concat())]);
    if stop < text.len() {
        left.extend(parts(stop..text.len(), 0));
        let is_cut = notes
            .iter()
            .any(|note| note.goes && note.whole.end == text.len());
        if is_cut || !text.ends_with('\n') && notes.iter().any(|note| !note.to_section) {
            left.push(words(end));
        }
    }
    left.extend(added(false));
    let mut taken = vec![words(&front)];
    taken.extend(parts(
        start..start + length,
        1_i8.saturating_sub_unsigned(found.level),
    ));
    taken.push(words(end));
    taken.extend(added(true));
    plan.insert(old.to_owned(), left);
    plan.insert(new.to_owned(), taken);
    Ok(plan)
}
