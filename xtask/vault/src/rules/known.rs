//! What is kept of a card for the rules that need other cards: there may be very many.

use std::collections::HashSet;

use super::suppressions::Suppression;
use crate::card::{Heading, Kind, source};
use crate::place::Place;
use crate::programs::heading_key;

/// What is kept of a card.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Links that lead somewhere, or should.
    pub(crate) links: Box<[KnownLink]>,
    /// The anchors of its headings.
    pub(crate) slugs: Lines,
    /// Its headings.
    pub(crate) headings: Headings,
    /// Block ids without their `^`.
    pub(crate) blocks: Lines,
    /// Anchors that HTML sets.
    pub(crate) anchors: Lines,
    /// Stems of prerequisites.
    pub(crate) requires: Box<[(Box<str>, Place)]>,
    /// Other names.
    pub(crate) aliases: Box<[(Box<str>, Place)]>,
    /// Where it is shown, if its front matter says so.
    pub(crate) permalink: Option<Box<str>>,
    /// Whether it is a draft, or in a folder that is not published.
    pub(crate) is_hidden: bool,
    /// What its comments switch off.
    pub(crate) suppressions: Box<[Suppression]>,
}

/// Words, all in one piece of memory: there may be very many cards.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    words: Box<str>,
    /// The words once more, where there are many.
    index: Option<Box<Index>>,
}

/// On its own, so that the many cards without one need no room for it.
#[derive(Debug)]
struct Index(HashSet<Box<str>>);

/// More words than this are looked up in an index.
const MANY: usize = 64;

impl Lines {
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a str> + Clone) -> Self {
        let length = words.clone().map(|word| word.len() + 1).sum();
        let mut lines = String::with_capacity(length);
        let is_many = words.clone().nth(MANY).is_some();
        let index = is_many.then(|| Box::new(Index(words.clone().map(Into::into).collect())));
        for word in words {
            lines.push_str(word);
            lines.push('\n');
        }
        Self {
            words: lines.into(),
            index,
        }
    }

    /// How many bytes it takes to look at all.
    pub(crate) fn size(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        match &self.index {
            Some(index) => index.0.contains(word),
            None => self.iter().any(|known| known == word),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.words.split_terminator('\n')
    }
}

/// Headings, all in one piece of memory: a line for each, which begins with its level. Behind a zero byte is how the text
/// is written, if Obsidian knows that by other words.
#[derive(Debug, Default)]
pub(crate) struct Headings(Box<str>);

impl Headings {
    pub(crate) fn of(text: &str, headings: &[Heading]) -> Self {
        let length = headings.iter().map(|heading| heading.text.len() + 2).sum();
        let mut lines = String::with_capacity(length);
        for heading in headings {
            lines.push(char::from(b'0' + heading.level));
            lines.push_str(&heading.text);
            let source = source(text, heading);
            if source != heading.text && heading_key(source) != heading_key(&heading.text) {
                lines.push('\0');
                lines.push_str(&source.replace('\n', " "));
            }
            lines.push('\n');
        }
        Self(lines.into())
    }

    /// Their levels, their texts, and how these are written.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &str, &str)> + Clone {
        self.0.split_terminator('\n').filter_map(|line| {
            let mut chars = line.chars();
            let level = chars.next()?.to_digit(10)?;
            let text = chars.as_str();
            let (text, source) = text.split_once('\0').unwrap_or((text, text));
            Some((u8::try_from(level).ok()?, text, source))
        })
    }
}

/// What is kept of a link.
#[derive(Debug)]
pub(crate) struct KnownLink {
    pub(crate) kind: Kind,
    /// Without blanks at its ends.
    pub(crate) target: Box<str>,
    pub(crate) anchor: Option<Box<str>>,
    pub(crate) place: Place,
    /// The first byte of the target, of a wiki link.
    pub(crate) start: u32,
}
