//! What follows a card into another category: its tag, and its line on the landing page.

use std::ops::Range;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::carry_out::carry_out;
use super::change::Links;
use super::documents::is_document;
use super::follow::{Follower, LinkTarget};
use super::moved::Moved;
use super::old_vault::{Among, OldVault, Texts};
use super::plan::{Part, Piece, Plan, as_it_is, whole};
use crate::card;
use crate::edits::{self, Edit};
use crate::resolve::category;

/// Changes the tag of a card's category where the card came from another one.
pub fn retag(
    texts: &mut Texts,
    old: &Utf8Path,
    new: &Utf8Path,
    categories: &[String],
) -> Result<()> {
    let (Some(was), Some(is)) = (category(old, categories), category(new, categories)) else {
        return Ok(());
    };
    let text = texts
        .get_mut(new)
        .with_context(|| format!("there is no card `{new}`"))?;
    let Some(front) = card::read(text).front else {
        return Ok(());
    };
    let mut now: Vec<&str> = Vec::new();
    for tag in front.texts("tags") {
        let tag = if tag == was { is } else { tag };
        if !now.contains(&tag) {
            now.push(tag);
        }
    }
    if now != front.texts("tags") {
        let edits = edits::list(text, &front, "tags", &now)?;
        let mut changed = String::with_capacity(text.len());
        edits::apply(text, &(0..text.len()), edits, &mut changed)?;
        *text = changed;
    }
    Ok(())
}

/// Puts a card's line at the end of the list of its category's landing page and takes it out of the page
/// of the category that it came from. A line is an item of a list that begins with a link to the card.
pub fn relist(
    texts: &mut Texts,
    old: &Utf8Path,
    new: &Utf8Path,
    categories: &[String],
    among: &Among<'_>,
) -> Result<Links> {
    let (was, is) = (category(old, categories), category(new, categories));
    let page = |category: Option<&str>| {
        let path = category.map(|name| Utf8PathBuf::from(format!("{name}/{name}.md")))?;
        (texts.contains_key(&path) && path != new).then_some(path)
    };
    let (from, to) = (page(was).filter(|_| was != is), page(is));
    if from.is_none() && to.is_none() {
        return Ok(Links::default());
    }
    // No other card changes.
    let is_page = |path: &Utf8PathBuf| from.as_ref() == Some(path) || to.as_ref() == Some(path);
    let pages = texts.iter().filter(|(path, _)| is_page(path));
    let mut pages: Texts = pages
        .map(|(path, text)| (path.clone(), text.clone()))
        .collect();
    let others = texts
        .keys()
        .filter(|path| !is_page(path) && !is_document(path));
    let others: Vec<Utf8PathBuf> = others.chain(among.cards).cloned().collect();
    let among = Among {
        cards: &others,
        ..*among
    };
    let links = carry_out(
        &mut pages,
        &Moved::default(),
        None,
        &among,
        |before, follower| listed(before, follower, new, (from.as_deref(), to.as_deref())),
    )?;
    texts.extend(pages);
    Ok(links)
}

/// The landing pages with a card's line in the second one.
fn listed(
    before: &OldVault<'_>,
    follower: &Follower<'_>,
    new: &Utf8Path,
    (from, to): (Option<&Utf8Path>, Option<&Utf8Path>),
) -> Result<Plan> {
    let card = before.at(new)?;
    // The lines of a page that begin with a link to this card, or to any.
    let lines = |page: usize, wanted: Option<usize>| -> Vec<Range<usize>> {
        let link_targets = follower.link_targets(page);
        let links = before.references[page].iter().zip(link_targets);
        let led = links.filter(|(_, target)| {
            matches!(target, LinkTarget::Card(found, _) if wanted.is_none_or(|wanted| wanted == *found))
        });
        led.filter_map(|(link, _)| item(before.texts[page], link.start))
            .collect()
    };
    let mut plan = as_it_is(before);
    let part = |card: usize, range: Range<usize>| Part {
        range,
        ..whole(before, card)
    };
    let mut line = None;
    if let Some(from) = from {
        let page = before.at(from)?;
        if let Some(place) = lines(page, Some(card)).into_iter().next() {
            let rest = place.end..before.texts[page].len();
            let left = [0..place.start, rest].map(|range| Piece::Part(part(page, range)));
            plan.insert(from.to_owned(), left.into());
            line = Some(part(page, place));
        }
    }
    let Some(to) = to else {
        return Ok(plan);
    };
    let page = before.at(to)?;
    if !lines(page, Some(card)).is_empty() {
        return Ok(plan);
    }
    let text = before.texts[page];
    let at = lines(page, None)
        .last()
        .map_or(text.len(), |place| place.end);
    let end = before.line_end(page);
    let words = |words: &str| Piece::Words(words.to_owned(), None);
    let mut pieces = vec![Piece::Part(part(page, 0..at))];
    if at > 0 && !text[..at].ends_with('\n') {
        pieces.push(words(end));
    }
    if let Some(mut line) = line {
        let written = before.texts[line.card];
        line.range.end = line.range.start + written[line.range.clone()].trim_end().len();
        line.edits = with_line_ends(written, &line.range, end);
        pieces.push(Piece::Part(line));
    } else {
        pieces.extend([words("- "), Piece::Link(new.to_owned())]);
    }
    pieces.extend([words(end), Piece::Part(part(page, at..text.len()))]);
    plan.insert(to.to_owned(), pieces);
    Ok(plan)
}

/// The changes that make all ends of lines in a range the same.
fn with_line_ends(text: &str, range: &Range<usize>, end: &str) -> Vec<Edit> {
    let ends = text[range.clone()].match_indices('\n');
    let ends = ends.map(|(at, _)| {
        let at = range.start + at;
        at - usize::from(text[..at].ends_with('\r'))..at + 1
    });
    ends.filter(|place| text[place.clone()] != *end)
        .map(|place| (place, end.to_owned()))
        .collect()
}

/// The lines of the list item that begins with the text at `at`.
fn item(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    if !matches!(text[start..at].trim(), "-" | "*" | "+") {
        return None;
    }
    let mut lines = text[start..].split_inclusive('\n');
    let mut length = lines.next()?.len();
    // What is indented belongs to it.
    for line in lines.take_while(|line| line.starts_with("  ") && !line.trim().is_empty()) {
        length += line.len();
    }
    Some(start..start + length)
}
