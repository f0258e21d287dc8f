//! What follows a card into another category: its tag, and its line on the landing page.

use std::ops::Range;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::follow::{Follower, LinkTarget};
use super::old_vault::{Among, Texts, read};
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
) -> Result<()> {
    let (was, is) = (category(old, categories), category(new, categories));
    let page = |category: Option<&str>| {
        let path = category.map(|name| Utf8PathBuf::from(format!("{name}/{name}.md")))?;
        (texts.contains_key(&path) && path != new).then_some(path)
    };
    let (from, to) = (page(was), page(is));
    let before = read(texts, among, None);
    let follower = Follower::new(&before);
    let card = before.at(new)?;
    let entries = |page: &Utf8Path, wanted: Option<usize>| -> Result<Vec<Range<usize>>> {
        let page = before.at(page)?;
        let link_targets = follower.link_targets(page);
        let links = before.references[page].iter().zip(link_targets);
        let led = links.filter(|(_, target)| {
            matches!(target, LinkTarget::Card(found, _) if wanted.is_none_or(|wanted| wanted == *found))
        });
        Ok(led
            .filter_map(|(link, _)| item(before.texts[page], link.start))
            .collect())
    };
    let mut line = format!("- [[{}]]\n", before.stem(card));
    let mut edits: Vec<(Utf8PathBuf, Edit)> = Vec::new();
    if let Some(from) = from.as_ref().filter(|_| was != is)
        && let Some(place) = entries(from, Some(card))?.first()
    {
        texts[from][place.clone()].clone_into(&mut line);
        if !line.ends_with('\n') {
            line.push('\n');
        }
        edits.push((from.clone(), (place.clone(), String::new())));
    }
    if let Some(to) = &to
        && entries(to, Some(card))?.is_empty()
    {
        let text = &texts[to];
        let at = entries(to, None)?
            .last()
            .map_or(text.len(), |place| place.end);
        if at > 0 && !text[..at].ends_with('\n') {
            line.insert(0, '\n');
        }
        edits.push((to.clone(), (at..at, line)));
    }
    edits.sort_by_key(|(_, (place, _))| place.start);
    for (path, (place, words)) in edits.into_iter().rev() {
        if let Some(text) = texts.get_mut(&path) {
            text.replace_range(place, &words);
        }
    }
    Ok(())
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
