//! Composes the new cards from parts of old ones, with every link rewritten.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::documents::in_json;
use super::follow::{Anchor, Follower, Goals, LinkTarget};
use super::moved::Moved;
use super::old_vault::OldVault;
use super::plan::{Part, Piece, Plan, parts, top, tops};
use super::references::{Form, LinkPath, Reference, Style, decoded_target, style, written};
use crate::card::{self, Content, Heading};
use crate::edits::{self, Edit};
use crate::place::offset;
use crate::programs::{Goal, heading_key};
use crate::slug::slug;

/// A new text.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) text: String,
    /// Parts of old cards, with where they are now.
    pub(super) parts: Vec<(Part, Range<usize>)>,
    /// Old cards whose beginnings are in it, with where.
    pub(super) tops: Vec<(usize, usize)>,
    pub(super) rewritten: usize,
}

/// A place in the new vault: the card's path and an anchor in it.
pub(super) type Home = (Utf8PathBuf, Option<String>);

/// An anchor in a heading's words as they are shown, and as they are written.
pub(super) type Words = [String; 2];

pub(super) struct Composer<'a> {
    pub(super) before: &'a OldVault<'a>,
    /// How links are followed as they are, and when all files are where they will be.
    pub(super) was: &'a Follower<'a>,
    pub(super) is: &'a Follower<'a>,
    pub(super) link_targets: &'a [Vec<LinkTarget>],
    pub(super) plan: &'a Plan,
    /// Files that get other paths.
    pub(super) moved: &'a Moved,
    /// Where each old card's beginning is; the anchor is that of the first heading behind it.
    pub(super) tops: HashMap<usize, Home>,
    /// The card that becomes a section of another: links to it lead to its heading.
    pub(super) section: Option<usize>,
    /// Where each heading and block is now, if in another card or with another anchor.
    pub(super) homes: HashMap<(usize, Anchor), (Utf8PathBuf, Option<Words>)>,
}

impl Composer<'_> {
    /// Whether a new card is an old one, at its place.
    pub(super) fn is_kept(&self, path: &Utf8Path, pieces: &[Piece]) -> Option<usize> {
        match pieces {
            [Piece::Part(part)] if part.edits.is_empty() && self.before.path(part.card) == path => {
                Some(part.card)
            }
            _ => None,
        }
    }

    /// Notes where what moves is now; before the first drafts anchors are taken as they were.
    pub(super) fn note_homes(&mut self, drafts: Option<&BTreeMap<Utf8PathBuf, Composed>>) {
        for (path, pieces) in self.plan {
            let draft = drafts.and_then(|drafts| drafts.get(path));
            // A link in a heading of a card that stays changes the heading's anchor.
            if self.is_kept(path, pieces).is_some() && draft.is_none() {
                continue;
            }
            let content = draft.map(|draft| card::read(&draft.text));
            for (card, at) in draft.map_or(&[][..], |draft| &draft.tops) {
                let headings = content.iter().flat_map(|content| &content.headings);
                let mut headings = headings.filter(|heading| heading.span.start() >= *at);
                let anchor = headings.next().map(in_words);
                self.tops.insert(*card, (path.clone(), anchor));
            }
            for (place, part) in parts(pieces).enumerate() {
                let now = draft
                    .zip(content.as_ref())
                    .map(|(draft, content)| anchors(&draft.text, content, &draft.parts[place].1));
                let before = self.before;
                let was = anchors(
                    before.texts[part.card],
                    before.content(part.card),
                    &part.range,
                );
                for (n, (was, words)) in was.into_iter().enumerate() {
                    let now = now.as_ref().and_then(|now| now.get(n));
                    // An anchor that stays may be written in many ways.
                    let words = now
                        .map(|(_, now)| now)
                        .filter(|now| **now != words)
                        .cloned();
                    self.homes.insert((part.card, was), (path.clone(), words));
                }
            }
            // Until there is a draft the path is enough.
            for card in tops(pieces) {
                self.tops
                    .entry(card)
                    .or_insert_with(|| (path.clone(), None));
            }
        }
    }

    /// Where what a link leads to is now; nothing where it did not move.
    pub(super) fn home(&self, target: &LinkTarget, reference: &Reference) -> Option<Home> {
        let (card, anchor) = match target {
            LinkTarget::Card(card, anchor) => (card, anchor),
            LinkTarget::File(path) => return Some((self.moved.now(path)?, None)),
            LinkTarget::Nothing => return None,
        };
        if let Some((path, words)) = self.homes.get(&(*card, *anchor)) {
            let by_source = reference.is_wiki() && self.is_by_source(*card, *anchor, reference);
            let words = words.as_ref().map(|words| &words[usize::from(by_source)]);
            return Some((path.clone(), words.cloned()));
        }
        let (path, heading) = self.tops.get(card)?;
        let is_section = self.section == Some(*card) && *anchor == Anchor::Top;
        Some((path.clone(), heading.clone().filter(|_| is_section)))
    }

    /// Whether a link names a heading in words that are only in its source.
    fn is_by_source(&self, card: usize, anchor: Anchor, reference: &Reference) -> bool {
        let Anchor::Heading(number) = anchor else {
            return false;
        };
        let heading = &self.before.content(card).headings[number];
        let key = heading_key(reference.anchor.as_deref().unwrap_or_default());
        let source = card::source(self.before.texts[card], heading);
        key == heading_key(source) && key != heading_key(&heading.text)
    }

    /// The texts of cards that are new or changed.
    pub(super) fn compose(&self) -> Result<BTreeMap<Utf8PathBuf, Composed>> {
        let mut all = BTreeMap::new();
        for (path, pieces) in self.plan {
            let kept = self.is_kept(path, pieces);
            let mut composed = Composed::default();
            for (number, piece) in pieces.iter().enumerate() {
                let top = top(number, piece);
                composed
                    .tops
                    .extend(top.map(|card| (card, composed.text.len())));
                match piece {
                    Piece::Words(words, _) => composed.text.push_str(words),
                    Piece::Link(to) => {
                        let name = self.is.name(path, to);
                        composed.text.push_str(&["[[", name, "]]"].concat());
                    }
                    Piece::Part(part) => {
                        let edits = self.edits(part, path, &mut composed.rewritten);
                        let start = composed.text.len();
                        let old = self.before.texts[part.card];
                        edits::apply(old, &part.range, edits, &mut composed.text)
                            .with_context(|| format!("`{}`", self.before.path(part.card)))?;
                        composed
                            .parts
                            .push((part.clone(), start..composed.text.len()));
                    }
                }
            }
            if kept.is_none_or(|card| self.before.texts[card] != composed.text) {
                all.insert(path.clone(), composed);
            }
        }
        Ok(all)
    }

    /// All changes of a part that goes into the card at `path`.
    pub(super) fn edits(&self, part: &Part, path: &Utf8Path, rewritten: &mut usize) -> Vec<Edit> {
        let before = self.before;
        let text = before.texts[part.card];
        let mut edits = part.edits.clone();
        for (reference, target) in before.references[part.card]
            .iter()
            .zip(&self.link_targets[part.card])
        {
            let Some(place) = &reference.place else {
                continue;
            };
            if !part.range.contains(&place.start) {
                continue;
            }
            let moved = path != before.path(part.card);
            let home = match (target, self.home(target, reference)) {
                (LinkTarget::Nothing, _) => continue,
                (_, Some(home)) => home,
                (LinkTarget::File(file), _) => (file.clone(), None),
                (LinkTarget::Card(card, _), None) => (before.path(*card).to_owned(), None),
            };
            // A link between two cards that became one leads to a heading of it.
            let home = match (target, home) {
                (LinkTarget::Card(card, Anchor::Top), (to, None))
                    if to == path && *card != part.card =>
                {
                    let anchor = self.tops.get(card).and_then(|(_, anchor)| anchor.clone());
                    (to, anchor)
                }
                (_, home) => home,
            };
            let home = match (target, home) {
                (LinkTarget::Card(card, Anchor::Heading(heading)), (to, Some(anchor)))
                    if is_slug(reference, &before.content(*card).headings[*heading])
                        && !self.is_by_source(*card, Anchor::Heading(*heading), reference) =>
                {
                    (to, Some(slug(&anchor)))
                }
                (_, home) => home,
            };
            let became_one =
                matches!(target, LinkTarget::Card(card, _) if *card != part.card) && home.0 == path;
            let was = LinkPath {
                from: before.path(part.card),
                to: match target {
                    LinkTarget::Card(card, _) => before.path(*card),
                    LinkTarget::File(file) => file,
                    LinkTarget::Nothing => continue,
                },
            };
            let is = LinkPath {
                from: path,
                to: &home.0,
            };
            let now = reference.now.as_deref().unwrap_or(&text[place.clone()]);
            let write =
                |style| written(now, reference, was, is, home.1.as_ref(), became_one, style);
            // What is empty names its own card, and what leaves the vault is known by its path alone.
            let new = if reference.target.trim().is_empty() {
                write(Style::Usual)
            } else {
                let is_same = !moved && self.home(target, reference).is_none();
                self.chosen(
                    part.card,
                    reference,
                    is,
                    is_same.then_some(now),
                    &write,
                    was,
                )
            };
            if now != new {
                let new = if reference.now.is_some() {
                    in_json(&new)
                } else {
                    new
                };
                edits.push((place.clone(), new));
                *rewritten += 1;
            }
        }
        for heading in &before.content(part.card).headings {
            if part.deeper != 0 && part.range.contains(&heading.span.start()) {
                edits.extend(edits::heading(text, heading, part.deeper));
            }
        }
        edits
    }
}

impl Composer<'_> {
    /// Of the ways in which a link can be written the first that leads where it led, in each program in which it did.
    fn chosen(
        &self,
        card: usize,
        reference: &Reference,
        is: LinkPath<'_>,
        unchanged: Option<&str>,
        write: &dyn Fn(Style) -> String,
        was: LinkPath<'_>,
    ) -> String {
        let goals = self.was.goals_of(card, reference);
        let first = self.was.first(reference.form, &goals);
        let expected: Goals = [0, 1].map(|program| {
            let goal = goals[program].as_ref()?;
            // Both may lead to one card, of which an anchor is in another one now.
            if Some(program) == first || Some(goal) == first.and_then(|first| goals[first].as_ref())
            {
                return Some(self.goal_at(is.to));
            }
            Some(match goal {
                Goal::Card(card) => {
                    let top = self.tops.get(card).map(|(path, _)| path.as_path());
                    self.goal_at(top.unwrap_or_else(|| self.before.path(*card)))
                }
                Goal::File(path) => {
                    Goal::File(self.moved.now(path).unwrap_or_else(|| path.clone()))
                }
            })
        });
        // The same words lead there still, nearly always.
        let leads = |text: &str, programs: &[usize]| {
            let target = decoded_target(reference.form, text);
            if target.trim().is_empty() {
                return is.to == is.from;
            }
            let now = self.is.goals(is.from, reference.form, &target);
            programs
                .iter()
                .all(|program| expected[*program].is_none() || now[*program] == expected[*program])
        };
        if let Some(unchanged) = unchanged
            && (leads(unchanged, &[0, 1]) || self.was.is_tied(card, reference))
        {
            return unchanged.to_owned();
        }
        let usual = if reference.form == Form::Path {
            Style::Usual
        } else {
            style(reference, was.from, was.to)
        };
        let styles = [usual, Style::Usual, Style::WholePath, Style::Root];
        let ways: Vec<String> = styles.into_iter().map(write).collect();
        let both = ways.iter().find(|way| leads(way, &[0, 1]));
        let only = || {
            let first = first?;
            ways.iter().find(|way| leads(way, &[first]))
        };
        both.or_else(only).unwrap_or(&ways[0]).clone()
    }

    /// What is at a path when all files are where they will be.
    fn goal_at(&self, path: &Utf8Path) -> Goal {
        match self.is.among.vault.at(path.as_str()) {
            Some(card) => Goal::Card(card),
            None => Goal::File(path.to_owned()),
        }
    }
}

/// Whether a link names a heading by its slug, not in its words: in a word in lower case there is no difference.
fn is_slug(reference: &Reference, heading: &Heading) -> bool {
    let anchor = reference.anchor.as_deref().unwrap_or_default().trim();
    slug(anchor) == anchor && heading_key(anchor) != heading_key(&heading.text)
}

/// The headings and blocks that begin in a range of a card, with their anchors.
pub(super) fn anchors(text: &str, content: &Content, range: &Range<usize>) -> Vec<(Anchor, Words)> {
    let headings = content.headings.iter().enumerate();
    let headings = headings.filter(|(_, heading)| range.contains(&heading.span.start()));
    let mut anchors: Vec<(Anchor, Words)> = headings
        .map(|(number, heading)| {
            let source = words(card::source(text, heading));
            let words = [in_words(heading), source];
            (Anchor::Heading(number), words)
        })
        .collect();
    for (number, (id, place)) in content.blocks.iter().enumerate() {
        if range.contains(&offset(text, *place)) {
            let id = format!("^{id}");
            anchors.push((Anchor::Block(number), [id.clone(), id]));
        }
    }
    anchors
}

/// A heading's anchor in its own words, where these are unambiguous.
pub(super) fn in_words(heading: &Heading) -> String {
    let words = words(&heading.text);
    if slug(&words) == heading.slug {
        words
    } else {
        heading.slug.clone()
    }
}

/// A heading without what a link can't have in it: blanks take its place, as in Obsidian.
fn words(heading: &str) -> String {
    let is_special = |c: char| "#|^[]:%\\\n".contains(c);
    let text = card::without_block_id(heading);
    if !text.contains(is_special) {
        return text.to_owned();
    }
    let words = text.split(|c: char| is_special(c) || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
