//! Cards renamed, merged and split: all texts in, all texts out, links mended.
//!
//! A new card is put together from parts of old ones. Where each link led is known before; it is written
//! anew where it must be, the result is read again, and a link that would lead elsewhere is an error.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::card::{self, Content, Heading};
use crate::edits::{self, Edit};
use crate::references::{Goal, Reference, Spot, Way, goals, is_by_name, references, written};
use crate::slug::slug;
use crate::{Target, Vault, in_parallel, stem};

/// The texts of all cards, by their paths in the vault.
pub type Texts = BTreeMap<Utf8PathBuf, String>;

/// What is to be done; paths are those of cards in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A card gets another path.
    Rename {
        /// The card.
        old: Utf8PathBuf,
        /// Its new path.
        new: Utf8PathBuf,
    },
    /// A card's body is put at the end of another one.
    Merge {
        /// The card that goes.
        old: Utf8PathBuf,
        /// The card that stays.
        into: Utf8PathBuf,
    },
    /// A section becomes a card, and a link to it stays in its place.
    Extract {
        /// The card that holds the section.
        old: Utf8PathBuf,
        /// The section's heading, or its anchor.
        heading: String,
        /// The new card's path.
        new: Utf8PathBuf,
    },
}

/// What was done about links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Written anew.
    pub mended: usize,
    /// Led nowhere before, and lead somewhere now.
    pub found: usize,
}

/// Makes a change; on errors the texts are as they were.
pub fn apply(texts: &mut Texts, change: &Change) -> Result<Links> {
    let olds = read(texts);
    let goals: Vec<Vec<Goal>> = numbers(&olds.vault)
        .map(|card| goals(&olds.vault, card, &olds.references[card]))
        .collect();
    let plan = match change {
        Change::Rename { old, new } => renamed(&olds, old, new)?,
        Change::Merge { old, into } => merged(&olds, old, into)?,
        Change::Extract { old, heading, new } => extracted(&olds, old, heading, new)
            .with_context(|| format!("taking a section out of `{old}`"))?,
    };
    let mut composer = Composer {
        olds: &olds,
        goals: &goals,
        plan: &plan,
        tops: HashMap::new(),
        section: match change {
            Change::Merge { old, .. } => Some(olds.at(old)?),
            Change::Rename { .. } | Change::Extract { .. } => None,
        },
        homes: HashMap::new(),
    };
    // The anchors of moved headings are known when they are read in their new cards.
    composer.note_homes(None);
    let drafts = composer.compose()?;
    composer.note_homes(Some(&drafts));
    let new = composer.compose()?;
    let found = composer.verify(&new)?;
    for path in olds.vault.cards.iter().map(|card| &card.path) {
        if !plan.contains_key(path) {
            texts.remove(path);
        }
    }
    let mended = new.values().map(|composed| composed.mended).sum();
    let changed = new
        .into_iter()
        .map(|(path, composed)| (path, composed.text));
    texts.extend(changed);
    Ok(Links { mended, found })
}

/// The category that a path lies in.
fn category<'c>(path: &Utf8Path, categories: &'c [String]) -> Option<&'c str> {
    let (first, _) = path.as_str().split_once('/')?;
    let category = categories.iter().find(|category| *category == first);
    category.map(String::as_str)
}

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
) -> Result<()> {
    let (was, is) = (category(old, categories), category(new, categories));
    let page = |category: Option<&str>| {
        let path = category.map(|name| Utf8PathBuf::from(format!("{name}/{name}.md")))?;
        (texts.contains_key(&path) && path != new).then_some(path)
    };
    let (from, to) = (page(was), page(is));
    let olds = read(texts);
    let card = olds.at(new)?;
    let entries = |page: &Utf8Path, wanted: Option<usize>| -> Result<Vec<Range<usize>>> {
        let page = olds.at(page)?;
        let goals = goals(&olds.vault, page, &olds.references[page]);
        let links = olds.references[page].iter().zip(goals);
        let led = links.filter(|(_, goal)| {
            matches!(goal, Goal::Card(found, _) if wanted.is_none_or(|wanted| wanted == *found))
        });
        Ok(led
            .filter_map(|(link, _)| item(olds.texts[page], link.start))
            .collect())
    };
    let mut line = format!("- [[{}]]\n", olds.stem(card));
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

/// The lines of a list's item that begins with what stands at `at`.
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

/// Cards as they are now.
struct Olds<'a> {
    vault: Vault<Content>,
    texts: Vec<&'a str>,
    references: Vec<Vec<Reference>>,
}

/// Which parts make up each card of the new vault.
type Plan = BTreeMap<Utf8PathBuf, Vec<Piece>>;

/// A part of a new card.
#[derive(Clone, Debug)]
enum Piece {
    /// Words of no card. With a card's number: they take the place of its beginning.
    Words(String, Option<usize>),
    /// A part of a card.
    Part(Part),
}

/// A part of an old card, which is changed where it must be.
#[derive(Clone, Debug)]
struct Part {
    card: usize,
    range: Range<usize>,
    /// By how many levels its headings go down.
    deeper: i8,
    /// Changes beside those of links and headings.
    edits: Vec<Edit>,
}

/// A new text.
#[derive(Debug, Default)]
struct Composed {
    text: String,
    /// Parts of old cards, with where they are now.
    parts: Vec<(Part, Range<usize>)>,
    /// Old cards whose beginnings are in it, with where.
    tops: Vec<(usize, usize)>,
    mended: usize,
}

fn read(texts: &Texts) -> Olds<'_> {
    let cards: Vec<(&Utf8PathBuf, &String)> = texts.iter().collect();
    let read = in_parallel(&cards, &|_, (_, text)| {
        let content = card::read(text);
        let references = references(text, &content);
        (content, references)
    });
    let (contents, references): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let mut cards: Vec<_> = cards.into_iter().zip(contents).zip(references).collect();
    // Paths are in the order of their parts, a vault's cards in that of their bytes.
    cards.sort_by(|((a, _), _), ((b, _), _)| a.0.as_str().cmp(b.0.as_str()));
    let mut olds = (Vec::new(), Vec::new(), Vec::new());
    for (((path, text), content), references) in cards {
        olds.0.push((path.clone(), content));
        olds.1.push(text.as_str());
        olds.2.push(references);
    }
    Olds {
        vault: Vault::new(olds.0),
        texts: olds.1,
        references: olds.2,
    }
}

fn numbers<T>(vault: &Vault<T>) -> Range<usize> {
    0..vault.cards.len()
}

impl Olds<'_> {
    fn content(&self, card: usize) -> &Content {
        &self.vault.cards[card].known
    }

    fn path(&self, card: usize) -> &Utf8Path {
        &self.vault.cards[card].path
    }

    fn stem(&self, card: usize) -> &str {
        self.vault.cards[card].stem()
    }

    fn at(&self, path: &Utf8Path) -> Result<usize> {
        let card = self.vault.at(path.as_str());
        card.with_context(|| format!("there is no card `{path}`"))
    }

    fn whole(&self, card: usize) -> Part {
        Part {
            card,
            range: 0..self.texts[card].len(),
            deeper: 0,
            edits: Vec::new(),
        }
    }

    /// Each card as it is.
    fn plan(&self) -> Plan {
        numbers(&self.vault)
            .map(|card| {
                (
                    self.path(card).to_owned(),
                    vec![Piece::Part(self.whole(card))],
                )
            })
            .collect()
    }

    fn line_end(&self, card: usize) -> &'static str {
        if self.texts[card].contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// That a path is free, and its stem, but for one card.
    fn check_free(&self, new: &Utf8Path, but: Option<usize>) -> Result<()> {
        ensure!(
            self.vault.at(new.as_str()).is_none(),
            "`{new}` is there already"
        );
        let stem = stem(new.as_str());
        let taken = match self.vault.resolve(stem) {
            Target::Card(card) => vec![card],
            Target::Ambiguous(cards) | Target::Case(cards) => cards,
            Target::Unknown => Vec::new(),
        };
        if let Some(card) = taken.into_iter().find(|card| Some(*card) != but) {
            bail!(
                "the stem `{stem}` is taken by `{}`, and links name cards by their stems: choose another",
                self.path(card)
            );
        }
        let is_called_so = |card: &usize| {
            let front = self.content(*card).front.as_ref();
            let names = ["aliases", "alias", "permalink"].iter();
            let names =
                names.flat_map(|key| front.map(|front| front.texts(key)).unwrap_or_default());
            names.into_iter().any(|name| name.trim_matches('/') == stem) && Some(*card) != but
        };
        let has_it_already = but.is_some_and(|card| self.stem(card) == stem);
        if let Some(card) = numbers(&self.vault)
            .find(is_called_so)
            .filter(|_| !has_it_already)
        {
            bail!(
                "`{stem}` is another name of `{}`, which links may mean: choose another",
                self.path(card)
            );
        }
        Ok(())
    }
}

fn renamed(olds: &Olds<'_>, old: &Utf8Path, new: &Utf8Path) -> Result<Plan> {
    let card = olds.at(old)?;
    olds.check_free(new, Some(card))?;
    let mut plan = olds.plan();
    plan.remove(old);
    plan.insert(new.to_owned(), vec![Piece::Part(olds.whole(card))]);
    prerequisites(olds, &mut plan, card, stem(new.as_str()), false)?;
    Ok(plan)
}

/// The names under `requires` of all cards, with another name for one card. Where two cards become one,
/// no card names one twice, or itself.
fn prerequisites(
    olds: &Olds<'_>,
    plan: &mut Plan,
    card: usize,
    new: &str,
    become_one: bool,
) -> Result<()> {
    let old = olds.stem(card);
    for pieces in plan.values_mut() {
        for piece in pieces {
            let Piece::Part(part) = piece else { continue };
            let Some(front) = &olds.content(part.card).front else {
                continue;
            };
            let names = front.texts("requires");
            if part.range.start > 0 || !names.contains(&old) {
                continue;
            }
            let mut now: Vec<&str> = Vec::new();
            for name in names {
                let name = if name == old { new } else { name };
                let is_other = !now.contains(&name) && name != olds.stem(part.card);
                if is_other || !become_one {
                    now.push(name);
                }
            }
            let text = olds.texts[part.card];
            let edit = edits::list(text, front, "requires", &now)
                .with_context(|| format!("`requires` of `{}`", olds.path(part.card)))?;
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
fn merged(olds: &Olds<'_>, old: &Utf8Path, into: &Utf8Path) -> Result<Plan> {
    let (from, to) = (olds.at(old)?, olds.at(into)?);
    ensure!(from != to, "`{old}` can't be merged into itself");
    for card in [from, to] {
        let front = olds.content(card).front.as_ref();
        let is_readable = front.is_none_or(|front| front.fault.is_none());
        let path = olds.path(card);
        ensure!(
            is_readable,
            "the front matter of `{path}` can't be read: mend it first"
        );
    }
    let mut plan = olds.plan();
    plan.remove(old);
    prerequisites(olds, &mut plan, from, olds.stem(to), true)?;
    let text = olds.texts[from];
    let end = olds.line_end(to);
    let body = edits::body(text);
    let start = text.len() - text[body..].trim_start_matches(['\r', '\n']).len();
    let headings = &olds.content(from).headings;
    let mut words = String::new();
    if !olds.texts[to].ends_with('\n') {
        words.push_str(end);
    }
    words.push_str(end);
    let has_title = |first: &&Heading| first.span.start() == start && first.level == 1;
    let deeper = if headings.first().as_ref().is_some_and(has_title) {
        1
    } else {
        let front = olds.content(from).front.as_ref();
        let title = front.and_then(|front| front.text("title"));
        let title = title.unwrap_or_else(|| olds.stem(from));
        words = format!("{words}## {title}{end}{end}");
        let least = headings.iter().map(|heading| heading.level).min();
        3_i8.saturating_sub_unsigned(least.unwrap_or(3)).max(0)
    };
    let mut stays = olds.whole(to);
    stays.edits = edits::union(
        olds.texts[to],
        olds.content(to).front.as_ref(),
        text,
        olds.content(from).front.as_ref(),
        [olds.stem(from), olds.stem(to)],
    )
    .with_context(|| format!("the front matter of `{old}` and `{into}`"))?;
    if olds.content(to).front.is_none() {
        stays.edits.extend(front_of(olds, from, to));
    }
    let mut gone = Part {
        card: from,
        range: start..text.len(),
        deeper,
        edits: Vec::new(),
    };
    gone.edits = other_labels(text, olds.texts[to]);
    let pieces = vec![
        Piece::Part(stays),
        Piece::Words(words, Some(from)),
        Piece::Part(gone),
    ];
    plan.insert(into.to_owned(), pieces);
    Ok(plan)
}

/// The front matter of one card, with a title of its own, for another one that has none.
fn front_of(olds: &Olds<'_>, from: usize, to: usize) -> Option<Edit> {
    let text = olds.texts[from];
    let front = olds.content(from).front.as_ref()?;
    let bom = |text: &str| if text.starts_with('\u{feff}') { 3 } else { 0 };
    if front.entries.iter().all(|entry| entry.key == "title") {
        return None;
    }
    let mut block = text[..edits::body(text)].to_owned();
    let heading = olds.content(to).headings.first();
    let title = heading.map_or(olds.stem(to), |heading| &heading.text);
    if let Some((place, words)) = edits::value(text, front, "title", &edits::yaml(title)) {
        block.replace_range(place, &words);
    }
    if !block.ends_with('\n') {
        block.push_str(olds.line_end(to));
    }
    let at = bom(olds.texts[to]);
    Some((at..at, block.split_off(bom(text)) + olds.line_end(to)))
}

/// How long the byte order mark is, if there is one.
fn bom(text: &str) -> usize {
    if text.starts_with('\u{feff}') { 3 } else { 0 }
}

/// A footnote's label.
struct Label {
    /// As footnotes are told apart: case does not count.
    name: String,
    /// Where it stands, without `[^` and `]`.
    place: Range<usize>,
    /// All of the footnote, where this is its text.
    text: Option<Range<usize>>,
}

/// The labels of all footnotes and of what refers to them, in order.
fn labels(text: &str) -> Vec<Label> {
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
fn other_labels(text: &str, other: &str) -> Vec<Edit> {
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
fn names<'l>(labels: &'l [Label], is_there: &dyn Fn(usize) -> bool) -> Vec<&'l str> {
    let references = labels.iter().filter(|label| label.text.is_none());
    let there = references.filter(|label| is_there(label.place.start));
    there.map(|label| label.name.as_str()).collect()
}

/// The footnotes: name, label, and all of each.
fn notes(labels: &[Label]) -> impl Iterator<Item = (&str, &Label, &Range<usize>)> {
    let notes = labels
        .iter()
        .filter_map(|label| Some((label, label.text.as_ref()?)));
    notes.map(|(label, whole)| (label.name.as_str(), label, whole))
}

/// These footnotes, and those to which they refer.
fn needed<'l>(labels: &'l [Label], mut open: Vec<&'l str>) -> HashSet<&'l str> {
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
struct Note {
    /// All of it.
    whole: Range<usize>,
    /// Whether it is the section that needs it.
    to_section: bool,
    /// Whether it is needed nowhere else.
    goes: bool,
}

/// The footnotes that go from a section to the rest of its card, or from there to the section.
fn notes_between(text: &str, section: &Range<usize>) -> Result<Vec<Note>> {
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
        between.push(Note {
            whole: whole.clone(),
            to_section,
            goes: !here.contains(name),
        });
    }
    Ok(between)
}

/// What is left of a range without the footnotes that go; where it ends a card, there are no blank lines at its
/// end instead of them.
fn left_of(text: &str, range: Range<usize>, notes: &[Note], is_end: bool) -> Vec<Range<usize>> {
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

/// The headings that stand in no list, quotation or footnote: where they begin.
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
fn extracted(olds: &Olds<'_>, old: &Utf8Path, heading: &str, new: &Utf8Path) -> Result<Plan> {
    let card = olds.at(old)?;
    olds.check_free(new, None)?;
    let text = olds.texts[card];
    let headings = &olds.content(card).headings;
    let wanted = slug(card::without_block_id(heading));
    let Some(number) = headings.iter().position(|heading| heading.slug == wanted) else {
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
        "the heading `{heading}` stands in a list or a quotation: move it out first"
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
    let end = olds.line_end(card);
    let mut front = String::new();
    if let Some(known) = &olds.content(card).front {
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
        ..olds.whole(card)
    };
    let mut plan = olds.plan();
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
    left.push(Piece::Words(
        format!("[[{}]]{end}{gap}", stem(new.as_str())),
        None,
    ));
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

/// A place in the new vault: the card's path and an anchor in it.
type Home = (Utf8PathBuf, Option<String>);

struct Composer<'a> {
    olds: &'a Olds<'a>,
    goals: &'a [Vec<Goal>],
    plan: &'a Plan,
    /// Where each old card's beginning is; the anchor is that of the first heading behind it.
    tops: HashMap<usize, Home>,
    /// The card that becomes a section of another: links to it lead to its heading.
    section: Option<usize>,
    /// Where each heading and block is now, if in another card or with another anchor.
    homes: HashMap<(usize, Spot), Home>,
}

impl Composer<'_> {
    /// Whether a new card is an old one, at its place.
    fn is_kept(&self, path: &Utf8Path, pieces: &[Piece]) -> Option<usize> {
        match pieces {
            [Piece::Part(part)] if part.edits.is_empty() && self.olds.path(part.card) == path => {
                Some(part.card)
            }
            _ => None,
        }
    }

    /// Notes where what moves is now; before the first drafts anchors are taken as they were.
    fn note_homes(&mut self, drafts: Option<&BTreeMap<Utf8PathBuf, Composed>>) {
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
                    .map(|(draft, content)| spots(&draft.text, content, &draft.parts[place].1));
                let olds = self.olds;
                let was = spots(olds.texts[part.card], olds.content(part.card), &part.range);
                for (n, (spot, anchor)) in was.into_iter().enumerate() {
                    let anchor = match &now {
                        Some(now) => now.get(n).map(|(_, anchor)| anchor.clone()),
                        None => Some(anchor),
                    };
                    self.homes.insert((part.card, spot), (path.clone(), anchor));
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
    fn home(&self, goal: &Goal) -> Option<Home> {
        let Goal::Card(card, spot) = goal else {
            return None;
        };
        if let Some(home) = self.homes.get(&(*card, *spot)) {
            return Some(home.clone());
        }
        let (path, anchor) = self.tops.get(card)?;
        let is_section = self.section == Some(*card) && *spot == Spot::Top;
        Some((path.clone(), anchor.clone().filter(|_| is_section)))
    }

    /// The texts of cards that are new or changed.
    fn compose(&self) -> Result<BTreeMap<Utf8PathBuf, Composed>> {
        let mut all = BTreeMap::new();
        for (path, pieces) in self.plan {
            let kept = self.is_kept(path, pieces);
            if let Some(card) = kept
                && !self.goals[card]
                    .iter()
                    .any(|goal| self.home(goal).is_some())
            {
                continue;
            }
            let mut composed = Composed::default();
            for (number, piece) in pieces.iter().enumerate() {
                let top = top(number, piece);
                composed
                    .tops
                    .extend(top.map(|card| (card, composed.text.len())));
                match piece {
                    Piece::Words(words, _) => composed.text.push_str(words),
                    Piece::Part(part) => {
                        let edits = self.edits(part, path, &mut composed.mended);
                        let start = composed.text.len();
                        let old = self.olds.texts[part.card];
                        edits::apply(old, &part.range, edits, &mut composed.text)
                            .with_context(|| format!("`{}`", self.olds.path(part.card)))?;
                        composed
                            .parts
                            .push((part.clone(), start..composed.text.len()));
                    }
                }
            }
            if kept.is_none_or(|card| self.olds.texts[card] != composed.text) {
                all.insert(path.clone(), composed);
            }
        }
        Ok(all)
    }

    /// All changes of a part that goes into the card at `path`.
    fn edits(&self, part: &Part, path: &Utf8Path, mended: &mut usize) -> Vec<Edit> {
        let olds = self.olds;
        let text = olds.texts[part.card];
        let mut edits = part.edits.clone();
        for (reference, goal) in olds.references[part.card]
            .iter()
            .zip(&self.goals[part.card])
        {
            let Some(place) = &reference.place else {
                continue;
            };
            if !part.range.contains(&place.start) {
                continue;
            }
            let moved = path != olds.path(part.card);
            let home = match (goal, self.home(goal)) {
                (Goal::Nothing, _) => continue,
                (_, Some(home)) => home,
                _ if !moved => continue,
                (Goal::File(file), _) => (file.clone(), None),
                (Goal::Card(card, _), None) => (olds.path(*card).to_owned(), None),
            };
            // A link between two cards that became one leads to a heading of it.
            let home = match (goal, home) {
                (Goal::Card(card, Spot::Top), (to, None)) if to == path && *card != part.card => {
                    let anchor = self.tops.get(card).and_then(|(_, anchor)| anchor.clone());
                    (to, anchor)
                }
                (_, home) => home,
            };
            let became_one =
                matches!(goal, Goal::Card(card, _) if *card != part.card) && home.0 == path;
            let was = Way {
                from: olds.path(part.card),
                to: match goal {
                    Goal::Card(card, _) => olds.path(*card),
                    Goal::File(file) => file,
                    Goal::Nothing => continue,
                },
            };
            let is_card = matches!(goal, Goal::Card(..));
            let new = written(
                &text[place.clone()],
                reference,
                was,
                Way {
                    from: path,
                    to: &home.0,
                },
                home.1.as_ref(),
                became_one,
                is_card && is_by_name(reference, was.from, was.to),
            );
            if text[place.clone()] != new {
                edits.push((place.clone(), new));
                *mended += 1;
            }
        }
        for heading in &olds.content(part.card).headings {
            if part.deeper != 0 && part.range.contains(&heading.span.start()) {
                edits.extend(edits::heading(text, heading, part.deeper));
            }
        }
        edits
    }

    /// That each link leads where it led; how many lead somewhere that led nowhere.
    fn verify(&self, new: &BTreeMap<Utf8PathBuf, Composed>) -> Result<usize> {
        let olds = self.olds;
        let text = |(path, pieces): (&Utf8PathBuf, &Vec<Piece>)| {
            let old = parts(pieces).next().map(|part| olds.texts[part.card]);
            let text = new.get(path).map(|composed| composed.text.as_str());
            (path.clone(), text.or(old).unwrap_or_default().to_owned())
        };
        let texts: Texts = self.plan.iter().map(text).collect();
        let news = read(&texts);
        // Each part of an old card, and where it is now.
        let mut places: Vec<(Part, usize, Range<usize>)> = Vec::new();
        for card in numbers(&news.vault) {
            let path = news.path(card);
            if let Some(composed) = new.get(path) {
                let parts = composed.parts.iter().cloned();
                places.extend(parts.map(|(part, now)| (part, card, now)));
            } else {
                let whole = parts(&self.plan[path]).cloned();
                places.extend(whole.map(|part| (part.clone(), card, part.range)));
            }
        }
        let mut moved: HashMap<(usize, Spot), (usize, Spot)> = HashMap::new();
        for (part, card, now) in &places {
            let was = spots(olds.texts[part.card], olds.content(part.card), &part.range);
            let is = spots(news.texts[*card], news.content(*card), now);
            ensure!(was.len() == is.len(), "{}", self.tied(part.card));
            let pairs = was.iter().zip(&is);
            moved.extend(pairs.map(|((was, _), (is, _))| ((part.card, *was), (*card, *is))));
        }
        if let Some(section) = self.section {
            let tops = new.iter().flat_map(|(path, composed)| {
                composed.tops.iter().map(move |(old, at)| (path, *old, *at))
            });
            for (path, _, at) in tops.filter(|(_, old, _)| *old == section) {
                let card = news.at(path)?;
                let headings = &news.content(card).headings;
                let heading = headings
                    .iter()
                    .position(|heading| heading.span.start() >= at);
                moved.extend(
                    heading.map(|heading| ((section, Spot::Top), (card, Spot::Heading(heading)))),
                );
            }
        }
        let mut found = 0;
        for (part, card, now) in &places {
            let goals = goals(&news.vault, *card, &news.references[*card]);
            let was = within(
                &olds.references[part.card],
                &self.goals[part.card],
                &part.range,
            );
            let is = within(&news.references[*card], &goals, now);
            ensure!(was.len() == is.len(), "{}", self.tied(part.card));
            let notes = |text: &str, range: &Range<usize>| {
                let labels = labels(text).into_iter();
                labels
                    .filter(|label| range.contains(&label.place.start))
                    .count()
            };
            if olds.texts[part.card].contains("[^") {
                let same =
                    notes(olds.texts[part.card], &part.range) == notes(news.texts[*card], now);
                ensure!(same, "{}", self.tied(part.card));
            }
            for ((link, old), (now, new)) in was.iter().zip(&is) {
                ensure!(link.is_wiki == now.is_wiki, "{}", self.tied(part.card));
                let leads = |goal: &Goal| matches!(goal, Goal::Card(..));
                found += usize::from(!leads(old) && leads(new));
                let same = match (old, new) {
                    (Goal::Card(old, spot), Goal::Card(to, is)) => {
                        let to_top = self.top(*old) == news.path(*to);
                        let became_one = *to == *card && *old != part.card && *spot == Spot::Top;
                        let stayed = to_top && (spot == is || became_one);
                        moved
                            .get(&(*old, *spot))
                            .map_or(stayed, |now| *now == (*to, *is))
                    }
                    (Goal::File(old), Goal::File(new)) => old == new,
                    // A card that there was not: the link led nowhere.
                    (Goal::File(path), Goal::Card(..)) => {
                        path.extension().is_none_or(|ending| ending == "md")
                    }
                    (Goal::Nothing, _) => true,
                    _ => false,
                };
                ensure!(
                    same,
                    "the link to `{}{}` at `{}:{}` would lead elsewhere than now: mend or remove it first",
                    link.target,
                    link.anchor
                        .as_ref()
                        .map_or(String::new(), |anchor| format!("#{anchor}")),
                    olds.path(part.card),
                    link.line,
                );
            }
        }
        Ok(found)
    }

    /// The card in which an old card's beginning is now.
    fn top(&self, card: usize) -> &Utf8Path {
        let top = self.tops.get(&card);
        top.map_or(self.olds.path(card), |(path, _)| path)
    }

    fn tied(&self, card: usize) -> String {
        format!(
            "the parts of `{}` are tied by a reference definition, a footnote or something that is not closed: \
             write the links out, or close it first",
            self.olds.path(card)
        )
    }
}

/// The card whose beginning a piece of a card is: the first one that begins with it, or words in its place.
fn top(number: usize, piece: &Piece) -> Option<usize> {
    match piece {
        Piece::Words(_, card) => *card,
        Piece::Part(part) => (number == 0 && part.range.start == 0).then_some(part.card),
    }
}

fn tops(pieces: &[Piece]) -> impl Iterator<Item = usize> {
    pieces
        .iter()
        .enumerate()
        .filter_map(|(number, piece)| top(number, piece))
}

fn parts(pieces: &[Piece]) -> impl Iterator<Item = &Part> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Part(part) => Some(part),
        Piece::Words(..) => None,
    })
}

/// Links whose beginnings lie in a range, with their goals.
fn within<'a>(
    references: &'a [Reference],
    goals: &'a [Goal],
    range: &Range<usize>,
) -> Vec<(&'a Reference, &'a Goal)> {
    let links = references.iter().zip(goals);
    links
        .filter(|(link, _)| range.contains(&link.start))
        .collect()
}

/// The headings and blocks that begin in a range of a card, with their anchors.
fn spots(text: &str, content: &Content, range: &Range<usize>) -> Vec<(Spot, String)> {
    let headings = content.headings.iter().enumerate();
    let mut spots: Vec<(Spot, String)> = headings
        .filter(|(_, heading)| range.contains(&heading.span.start()))
        .map(|(number, heading)| (Spot::Heading(number), in_words(heading)))
        .collect();
    for (number, (id, place)) in content.blocks.iter().enumerate() {
        if range.contains(&edits::offset(text, *place)) {
            spots.push((Spot::Block(number), format!("^{id}")));
        }
    }
    spots
}

/// A heading's anchor as people write it.
fn in_words(heading: &Heading) -> String {
    let is_plain = !heading
        .text
        .contains(['#', '|', '^', '[', ']', ':', '%', '\\']);
    if is_plain && slug(&heading.text) == heading.slug {
        heading.text.clone()
    } else {
        heading.slug.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cards: &[(&str, &str)]) -> Texts {
        let card = |(path, text): &(&str, &str)| ((*path).into(), (*text).to_owned());
        cards.iter().map(card).collect()
    }

    fn rename(old: &str, new: &str) -> Change {
        Change::Rename {
            old: old.into(),
            new: new.into(),
        }
    }

    fn merge(old: &str, into: &str) -> Change {
        Change::Merge {
            old: old.into(),
            into: into.into(),
        }
    }

    fn extract(old: &str, heading: &str, new: &str) -> Change {
        Change::Extract {
            old: old.into(),
            heading: heading.to_owned(),
            new: new.into(),
        }
    }

    #[test]
    fn links_of_all_forms_are_written_anew_and_back() {
        for (before, after) in [
            ("[[old]]", "[[new]]"),
            ("[[old|text]]", "[[new|text]]"),
            ("[[ old ]]", "[[ new ]]"),
            ("![[old#Part]]", "![[new#Part]]"),
            ("[[a/old.md#Part|x]]", "[[b/new.md#Part|x]]"),
            ("[[old#^id]]  \r\n", "[[new#^id]]  \r\n"),
            ("[[old#none]]", "[[new#none]]"),
            (
                "| a |\n|---|\n| [[old\\|t]] |\n",
                "| a |\n|---|\n| [[new\\|t]] |\n",
            ),
            (
                "`[[old]]` <!-- [[old]] --> $[[old]]$",
                "`[[old]]` <!-- [[old]] --> $[[old]]$",
            ),
            ("[x](old.md#part \"t\")", "[x](../b/new.md#part \"t\")"),
            ("[x](<old.md>)", "[x](<../b/new.md>)"),
            ("[[./old]] [[./old.md|x]]", "[[../b/new]] [[../b/new.md|x]]"),
            ("[[/a/old#Part]]", "[[/b/new#Part]]"),
            ("[x](./old.md)", "[x](./../b/new.md)"),
            ("[x](old)", "[x](../b/new)"),
            ("[x](/a/old.md?q#part)", "[x](/b/new.md?q#part)"),
            (
                "[x][r]\n\n[r]: old.md 'title'\n",
                "[x][r]\n\n[r]: ../b/new.md 'title'\n",
            ),
            ("[[1]](old.md)", "[[1]](../b/new.md)"),
            ("---\nrequires: [old]\n---\n", "---\nrequires: [new]\n---\n"),
            (
                "---\nrequires:\n- bold\n- 'old'\n---\n",
                "---\nrequires:\n- bold\n- 'new'\n---\n",
            ),
            (
                "---\nrequires: [old, old, two]\n---\n",
                "---\nrequires: [new, new, two]\n---\n",
            ),
            ("[[nowhere]] \u{e9}[[old]]", "[[nowhere]] \u{e9}[[new]]"),
            (
                "\u{feff}---\nx: 1\n---\n[[old]]",
                "\u{feff}---\nx: 1\n---\n[[new]]",
            ),
            (
                "## To [[old]]\n\n[[#To old]]",
                "## To [[new]]\n\n[[#To new]]",
            ),
        ] {
            let first = texts(&[
                (
                    "a/old.md",
                    "# Old\n\n[x](two.md) ![](../p.png) [[#Part]]\n\n## Part\n\nwords ^id\n",
                ),
                ("a/two.md", before),
            ]);
            let mut now = first.clone();
            apply(&mut now, &rename("a/old.md", "b/new.md")).unwrap();
            assert_eq!(now[Utf8Path::new("a/two.md")], after);
            assert!(
                now[Utf8Path::new("b/new.md")].contains("[x](../a/two.md) ![](../p.png) [[#Part]]")
            );
            apply(&mut now, &rename("b/new.md", "a/old.md")).unwrap();
            assert_eq!(now, first);
        }
    }

    #[test]
    fn what_leads_there_still_is_not_written_anew() {
        for (cards, old, new, path, after) in [
            // A card in the renamed one's folder, or the renamed one itself.
            (
                [
                    (
                        "d/a.md",
                        "[[../d/b]] [y](?q) [z](../d/b.md) [[/d/b]] [s](sub/) [f](.)",
                    ),
                    ("d/b.md", ""),
                ],
                "d/a.md",
                "d/new.md",
                "d/new.md",
                "[[../d/b]] [y](?q) [z](../d/b.md) [[/d/b]] [s](sub/) [f](.)",
            ),
            (
                [
                    ("d/a.md", ""),
                    (
                        "d/b.md",
                        "[x](./../d/./a.md) [y](../d//a.md?q) [[../d/a|t]] [[d/a]] [[/d/a.md]]",
                    ),
                ],
                "d/a.md",
                "d/new.md",
                "d/b.md",
                "[x](./../d/./new.md) [y](../d//new.md?q) [[../d/new|t]] [[d/new]] [[/d/new.md]]",
            ),
            (
                [
                    ("d/caf\u{e9}.md", ""),
                    ("l.md", "[x](d/caf%C3%A9.md) [y](d/caf\u{e9}.md)"),
                ],
                "d/caf\u{e9}.md",
                "e/caf\u{e9}.md",
                "l.md",
                "[x](e/caf%C3%A9.md) [y](e/caf\u{e9}.md)",
            ),
            (
                [
                    ("d/a.md", "[s](sub/) [f](.) [g](./) [h](..) [i](../)"),
                    ("l.md", ""),
                ],
                "d/a.md",
                "e/a.md",
                "e/a.md",
                "[s](../d/sub/) [f](../d) [g](./../d/) [h](..) [i](../)",
            ),
            (
                [("e/new.md", ""), ("l.md", "[[e/new]] [[e/new.md#none]]")],
                "e/new.md",
                "d/sub/c.md",
                "l.md",
                "[[d/sub/c]] [[d/sub/c.md#none]]",
            ),
        ] {
            let first = texts(&cards);
            let mut now = first.clone();
            apply(&mut now, &rename(old, new)).unwrap();
            assert_eq!(now[Utf8Path::new(path)], after);
            apply(&mut now, &rename(new, old)).unwrap();
            assert_eq!(now, first);
        }
    }

    #[test]
    fn links_in_another_case_are_mended_too() {
        let mut now = texts(&[("a.md", ""), ("l.md", "[[A]] [[A|x]]"), ("M.md", "")]);
        apply(&mut now, &rename("a.md", "z.md")).unwrap();
        assert_eq!(now[Utf8Path::new("l.md")], "[[z]] [[z|x]]");
    }

    #[test]
    fn other_names_of_cards_are_taken() {
        let cards = [
            ("a.md", "## S\n\n## T\n"),
            ("b.md", "---\naliases: [z]\npermalink: /y/\n---\n"),
        ];
        for change in [
            rename("a.md", "d/z.md"),
            rename("a.md", "y.md"),
            extract("a.md", "T", "z.md"),
        ] {
            let error = format!("{:#}", apply(&mut texts(&cards), &change).unwrap_err());
            assert!(error.contains("is another name of `b.md`"), "{error}");
        }
        apply(&mut texts(&cards), &rename("b.md", "z.md")).unwrap();
    }

    #[test]
    fn footnotes_go_along() {
        let note = |name: &str| {
            format!("# {name}\n\n{name}[^1] [^2]\n\n[^1]: note of {name}\n[^2]: two\n")
        };
        let (a, b) = (
            note("A"),
            note("B")
                .replace("[^2]", "[^B]")
                .replace("[^1]: ", "[^1-2]: x [^1-2]\n\n[^1]: "),
        );
        let mut now = texts(&[("a.md", &a), ("b.md", &b)]);
        apply(&mut now, &merge("b.md", "a.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\nA[^1] [^2]\n\n[^1]: note of A\n[^2]: two\n\n## B\n\nB[^1-3] [^B]\n\n[^1-2]: x [^1-2]\n\n\
             [^1-3]: note of B\n[^B]: two\n"
        );
        let a =
            "# A\n\nx[^2]\n\n## S\n\ns[^1] [^2]\n\n## End\n\n[^1]: one\n    [[b]]\n\n[^2]: two\n";
        let mut now = texts(&[("a.md", a), ("b.md", "")]);
        apply(&mut now, &extract("a.md", "S", "d/new.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\nx[^2]\n\n[[new]]\n\n## End\n\n[^2]: two\n"
        );
        assert_eq!(
            now[Utf8Path::new("d/new.md")],
            "# S\n\ns[^1] [^2]\n\n[^1]: one\n    [[b]]\n\n[^2]: two\n"
        );
        // One footnote refers to another one, which stays because of that.
        let a = "a[^2]\n\n## S\n\ns[^2] [^3]\n\n## End\n\n[^1]: one\n\n[^2]: two[^1]\n\n[^3]: three[^1]\n";
        let mut now = texts(&[("a.md", a)]);
        apply(&mut now, &extract("a.md", "S", "new.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "a[^2]\n\n[[new]]\n\n## End\n\n[^1]: one\n\n[^2]: two[^1]\n"
        );
        assert_eq!(
            now[Utf8Path::new("new.md")],
            "# S\n\ns[^2] [^3]\n\n[^1]: one\n\n[^2]: two[^1]\n\n[^3]: three[^1]\n"
        );
        let a = "## S\n\ns[^1]\n\n## End\n\n> [^1]: one\n";
        let error = apply(&mut texts(&[("a.md", a)]), &extract("a.md", "S", "new.md"));
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("`[^1]` is written in a list or a quotation"),
            "{error}"
        );
        // What is written in the section and needed in the rest stays, or is in both.
        let a = "# A\n\nx[^1] y[^2]\n\n## S\n\nz[^2]\n\n[^1]: one\n[^2]: two\n";
        let mut now = texts(&[("a.md", a)]);
        apply(&mut now, &extract("a.md", "S", "new.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\nx[^1] y[^2]\n\n[[new]]\n\n[^1]: one\n\n[^2]: two\n"
        );
        assert_eq!(now[Utf8Path::new("new.md")], "# S\n\nz[^2]\n\n[^2]: two\n");
        // What stands before the section keeps its line.
        let a = "<div>\n\n[^1]: one\n\n## S\n\ns[^1]\n";
        let mut now = texts(&[("a.md", a)]);
        apply(&mut now, &extract("a.md", "S", "new.md")).unwrap();
        assert_eq!(now[Utf8Path::new("a.md")], "<div>\n\n[[new]]\n");
        // Words that become a footnote in the other card.
        let cards = [("a.md", "a[^1]\n"), ("b.md", "b[^1]\n\n[^1]: note\n")];
        for change in [merge("a.md", "b.md"), merge("b.md", "a.md")] {
            let error = format!("{:#}", apply(&mut texts(&cards), &change).unwrap_err());
            assert!(error.contains("a footnote or something"), "{error}");
        }
        // A byte order mark is the card's.
        let mut now = texts(&[("a.md", "\u{feff}B\n---\nx\n")]);
        apply(&mut now, &extract("a.md", "B", "new.md")).unwrap();
        assert_eq!(now[Utf8Path::new("a.md")], "\u{feff}[[new]]\n");
        assert_eq!(now[Utf8Path::new("new.md")], "# B\nx\n");
    }

    #[test]
    fn a_merge_into_a_card_without_front_matter_brings_it() {
        let a = "---\ntitle: A\ntags: [x]\naliases: [Other]\n---\n\n# A\n";
        let mut now = texts(&[("a.md", a), ("b.md", "# B\n")]);
        apply(&mut now, &merge("a.md", "b.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("b.md")],
            "---\ntitle: B\ntags: [x]\naliases: [Other]\n---\n\n# B\n\n## A\n"
        );
        let broken = [("a.md", "---\ntitle: A: x\n---\n"), ("b.md", "# B\n")];
        for change in [merge("a.md", "b.md"), merge("b.md", "a.md")] {
            let error = format!("{:#}", apply(&mut texts(&broken), &change).unwrap_err());
            assert!(
                error.contains("the front matter of `a.md` can't be read"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_section_that_is_no_part_of_the_top_level_stays() {
        for text in [
            "- x\n\n  ## N\n\n  one\n\n- y\n",
            "1. ## N\n2. y\n",
            "> ## N\n",
        ] {
            let cards = [("a.md", text)];
            let error = apply(&mut texts(&cards), &extract("a.md", "N", "new.md")).unwrap_err();
            assert!(
                format!("{error:#}").contains("stands in a list or a quotation"),
                "{error:#}"
            );
        }
        let mut now = texts(&[(
            "e/a.md",
            "# A\n\n   ## N ^n\n\n[x](#sub)\n\n### Sub\n\n## true\n",
        )]);
        apply(&mut now, &extract("e/a.md", "N ^n", "e/n.md")).unwrap();
        apply(&mut now, &extract("e/a.md", "true", "e/t.md")).unwrap();
        assert_eq!(now[Utf8Path::new("e/a.md")], "# A\n\n[[n]]\n\n[[t]]\n");
        let mut now = texts(&[(
            "e/a.md",
            "---\nx: y\n---\n# A\n\n[x](#sub)\n\n## true\n\n### Sub\n",
        )]);
        apply(&mut now, &extract("e/a.md", "true", "e/new.md")).unwrap();
        assert!(now[Utf8Path::new("e/a.md")].contains("[x](new.md#sub)"));
        assert!(now[Utf8Path::new("e/new.md")].starts_with("---\ntitle: \"true\"\nx: y\n"));
    }

    #[test]
    fn a_merge_keeps_headings_and_front_matter_apart() {
        let mut now = texts(&[
            (
                "a.md",
                "---\ntitle: A\nmodified: 2026-01-01\ntags: [x]\nrequires: [b, d]\n---\n\n# A\n\n## Notes\n\na [[b]]\n",
            ),
            (
                "b.md",
                "---\ntitle: B, too\nmodified: 2026-02-02\ntags:\n- y\nowner: me\n---\n\n# B\n\n## Notes\n\n[[#Notes]] [[a|x]] [[a#Notes]]\n",
            ),
            (
                "c.md",
                "---\nrequires: [a, b]\n---\n[[b#Notes]] [[a#Notes]] [[b]]\n",
            ),
            ("d.md", ""),
        ]);
        let links = apply(&mut now, &merge("b.md", "a.md")).unwrap();
        assert_eq!(
            links,
            Links {
                mended: 6,
                found: 0
            }
        );
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "---\ntitle: A\nmodified: 2026-02-02\ntags: [x, y]\nrequires: [d]\nowner: me\n---\n\n# A\n\n## Notes\n\na [[#B]]\n\n\
             ## B\n\n### Notes\n\n[[#notes-1]] [[#A|x]] [[#Notes]]\n"
        );
        assert_eq!(
            now[Utf8Path::new("c.md")],
            "---\nrequires: [a]\n---\n[[a#notes-1]] [[a#Notes]] [[a#B]]\n"
        );
        assert!(!now.contains_key(Utf8Path::new("b.md")));
    }

    #[test]
    fn a_body_without_title_gets_a_heading() {
        let mut now = texts(&[
            ("a.md", "words"),
            ("b.md", "---\ntitle: The other\n---\n\nmore\n\n# Top\n"),
        ]);
        apply(&mut now, &merge("b.md", "a.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "words\n\n## The other\n\nmore\n\n### Top\n"
        );
    }

    #[test]
    fn a_section_becomes_a_card() {
        let mut now = texts(&[
            (
                "a.md",
                "---\ntitle: A\nmodified: 2026-01-01\ntags: [x]\n---\n\n# A\n\n## Part: one\n\n[[#End]] ^b\n\n### In\n\n## End\n\n[[#In]]\n",
            ),
            (
                "c.md",
                "[[a#In]] [[a#End]] [[a]] [[a#^b]] [x](a.md#part-one)\n",
            ),
        ]);
        apply(&mut now, &extract("a.md", "part-one", "p.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "---\ntitle: A\nmodified: 2026-01-01\ntags: [x]\n---\n\n# A\n\n[[p]]\n\n## End\n\n[[p#In]]\n"
        );
        assert_eq!(
            now[Utf8Path::new("p.md")],
            "---\ntitle: \"Part: one\"\nmodified: 2026-01-01\ntags: [x]\n---\n\n# Part: one\n\n[[a#End]] ^b\n\n## In\n"
        );
        assert_eq!(
            now[Utf8Path::new("c.md")],
            "[[p#In]] [[a#End]] [[a]] [[p#^b]] [x](p.md#part-one)\n"
        );
    }

    #[test]
    fn a_section_at_the_beginning_does_not_take_the_card_with_it() {
        let mut now = texts(&[("a.md", "## One\n\nx\n"), ("c.md", "[[a]] [[a#One]]\n")]);
        apply(&mut now, &extract("a.md", "One", "z.md")).unwrap();
        assert_eq!(now[Utf8Path::new("a.md")], "[[z]]\n");
        assert_eq!(now[Utf8Path::new("c.md")], "[[a]] [[z#One]]\n");
    }

    #[test]
    fn what_can_not_be_done_is_refused_and_changes_nothing() {
        let first = texts(&[
            (
                "old.md",
                "# Old\n\n> ## Quoted\n\n## Tied\n\n[x][r]\n\n## Rest\n\n[r]: two.md\n",
            ),
            ("two.md", "text ^id\n"),
            ("three.md", "other ^id\n\n[[#^id]]\n"),
        ]);
        for (change, why) in [
            (rename("none.md", "x.md"), "no card `none.md`"),
            (rename("old.md", "two.md"), "is there already"),
            (rename("old.md", "x/three.md"), "is taken by `three.md`"),
            (rename("old.md", "x/Two.md"), "is taken by `two.md`"),
            (merge("old.md", "old.md"), "into itself"),
            (
                merge("three.md", "two.md"),
                "the link to `#^id` at `three.md:3:1` would lead elsewhere",
            ),
            (extract("old.md", "None", "x.md"), "it has `Old`, `Quoted`"),
            (extract("old.md", "Quoted", "x.md"), "list or a quotation"),
            (extract("old.md", "Old", "x.md"), "is the card's title"),
            (extract("old.md", "Tied", "x.md"), "reference definition"),
        ] {
            let mut now = first.clone();
            let error = format!("{:#}", apply(&mut now, &change).unwrap_err());
            assert!(error.contains(why), "{change:?}: {error}");
            assert_eq!(now, first);
        }
    }

    #[test]
    fn links_that_lead_nowhere_may_find_a_card() {
        let mut now = texts(&[("old.md", ""), ("two.md", "[[new]] [[old]]")]);
        let links = apply(&mut now, &rename("old.md", "new.md")).unwrap();
        assert_eq!(
            links,
            Links {
                mended: 1,
                found: 1
            }
        );
    }

    #[test]
    fn a_card_is_listed_where_it_lies() {
        let front = |tag: &str| format!("---\ntags: [x, {tag}]\n---\n");
        let mut now = texts(&[
            (
                "how-to/how-to.md",
                "# How\n\n- [[one]]: first\n  and more\n- [[two]]\n",
            ),
            ("how-to/one.md", &front("how-to")),
            ("how-to/two.md", "see [[one]]\n"),
            ("reference/reference.md", "# Ref\n\n- [[three]]\n\nEnd.\n"),
            ("reference/three.md", ""),
        ]);
        let categories = ["how-to".to_owned(), "reference".to_owned()];
        let (old, new) = (
            Utf8Path::new("how-to/one.md"),
            Utf8Path::new("reference/uno.md"),
        );
        apply(&mut now, &rename("how-to/one.md", "reference/uno.md")).unwrap();
        retag(&mut now, old, new, &categories).unwrap();
        relist(&mut now, old, new, &categories).unwrap();
        assert_eq!(
            now[Utf8Path::new("how-to/how-to.md")],
            "# How\n\n- [[two]]\n"
        );
        assert_eq!(
            now[Utf8Path::new("reference/reference.md")],
            "# Ref\n\n- [[three]]\n- [[uno]]: first\n  and more\n\nEnd.\n"
        );
        assert_eq!(now[new], front("reference"));
        let before = now.clone();
        relist(&mut now, new, new, &categories).unwrap();
        assert_eq!(now, before);
    }
}
