//! Cards by path and by stem, and what a name leads to.
//!
//! Links are resolved by stem, as Obsidian and Quartz do it for `[[stem]]`: the last part of a path
//! without `.md`, in the case in which it is written.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::unicode::folded;

/// Cards, found by path and by stem, each with what is known of it.
#[derive(Debug)]
pub struct Vault<T> {
    /// The cards, in the order of the bytes of their paths.
    pub cards: Vec<Card<T>>,
    /// Cards by their stems in lower case, composed.
    by_stem: HashMap<Box<str>, Vec<u32>>,
}

/// A card.
#[derive(Debug)]
pub struct Card<T> {
    /// Its path in the vault.
    pub path: Utf8PathBuf,
    /// What is known of it.
    pub known: T,
}

/// Where a stem leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// To one card.
    Card(usize),
    /// To several: nowhere.
    Ambiguous(Vec<usize>),
    /// To cards whose stems differ in case only, or in how their characters are composed.
    Case(Vec<usize>),
    /// To nothing.
    Unknown,
}

impl<T> Card<T> {
    /// Its file's name without `.md`.
    pub fn stem(&self) -> &str {
        stem(self.path.as_str())
    }
}

/// The last part of a path, without `.md`.
pub fn stem(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.strip_suffix(".md").unwrap_or(name)
}

impl<T> Vault<T> {
    /// A vault of these cards, in the order of the bytes of their paths.
    pub fn new(cards: impl IntoIterator<Item = (Utf8PathBuf, T)>) -> Self {
        let card = |(path, known)| Card { path, known };
        let cards: Vec<Card<T>> = cards.into_iter().map(card).collect();
        debug_assert!(cards.is_sorted_by(|a, b| a.path.as_str() < b.path.as_str()));
        let mut by_stem: HashMap<Box<str>, Vec<u32>> = HashMap::with_capacity(cards.len());
        for (number, card) in (0..).zip(&cards) {
            by_stem
                .entry(folded(card.stem()).into())
                .or_default()
                .push(number);
        }
        Self { cards, by_stem }
    }

    /// The card with a path in the vault.
    pub fn at(&self, path: &str) -> Option<usize> {
        self.cards
            .binary_search_by(|card| card.path.as_str().cmp(path))
            .ok()
    }

    /// The cards with this stem, in any case.
    pub fn of_stem(&self, stem: &str) -> &[u32] {
        self.by_stem.get(&*folded(stem)).map_or(&[], Vec::as_slice)
    }

    /// Where a stem leads.
    pub fn resolve(&self, stem: &str) -> Target {
        let Some(cards) = self.by_stem.get(&*folded(stem)) else {
            return Target::Unknown;
        };
        let is_same = |card: &usize| self.cards[*card].stem() == stem;
        let cards = cards.iter().map(|card| *card as usize);
        // Nearly always there is one, and no list is needed.
        let mut same = cards.clone().filter(is_same);
        match (same.next(), same.next()) {
            (None, _) => Target::Case(cards.collect()),
            (Some(one), None) => Target::Card(one),
            _ => Target::Ambiguous(cards.filter(is_same).collect()),
        }
    }

    /// Cards whose stems are the same but for case, each group in order.
    pub fn namesakes(&self) -> impl Iterator<Item = &[u32]> {
        self.by_stem
            .values()
            .filter(|cards| cards.len() > 1)
            .map(Vec::as_slice)
    }
}

/// The card that a path without `.md` names in a wiki link: from the vault's root, or from a card if it
/// begins with `.`; or the only one whose path ends so.
pub fn by_path<T>(vault: &Vault<T>, from: &Utf8Path, path: &str) -> Option<usize> {
    if path.starts_with("./") || path.starts_with("../") {
        return vault.at(&format!("{}.md", joined(from, path)?));
    }
    let whole = vault.at(&format!("{}.md", path.trim_start_matches('/')));
    whole.or_else(|| {
        let cards = match vault.resolve(stem(path)) {
            Target::Card(card) => vec![card],
            Target::Ambiguous(cards) => cards,
            Target::Case(_) | Target::Unknown => Vec::new(),
        };
        let mut cards = cards
            .into_iter()
            .filter(|card| ends_with(vault.cards[*card].path.as_str(), path));
        cards.next().filter(|_| cards.next().is_none())
    })
}

/// The card that a Markdown link names by its stem or file name alone: both Obsidian and Quartz follow it
/// in any folder.
pub fn by_name<T>(vault: &Vault<T>, target: &str) -> Option<usize> {
    match vault.resolve(stem(target)) {
        Target::Card(card) if !target.contains('/') => Some(card),
        _ => None,
    }
}

/// Whether a card's path ends with these parts, written without `.md`.
fn ends_with(path: &str, parts: &str) -> bool {
    let path = path.strip_suffix(".md").unwrap_or(path);
    let parts = parts.trim_start_matches('/');
    let before = path.strip_suffix(parts);
    before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// A path with `..` resolved, from the folder of a card; `None` where it leaves the vault.
pub fn joined(from: &Utf8Path, target: &str) -> Option<Utf8PathBuf> {
    let mut parts: Vec<&str> = from
        .parent()?
        .components()
        .map(|part| part.as_str())
        .collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.into_iter().collect())
}

/// The category folder that a path is in.
pub fn category<'c>(path: &Utf8Path, categories: &'c [String]) -> Option<&'c str> {
    let (first, _) = path.as_str().split_once('/')?;
    let category = categories.iter().find(|category| *category == first);
    category.map(String::as_str)
}

/// The name that is most like one that does not exist.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    // One letter in the place of another is another name.
    let mut most = (length / 3 + 1).min(length.saturating_sub(1));
    let letters = letters(name);
    let mut nearest = None;
    for known in names {
        // To compare takes a while: in ASCII an edit adds a byte at most, and two letters come or go.
        let differ = (self::letters(known) ^ letters).count_ones() as usize;
        if known.len().abs_diff(name.len()) > most || differ > 2 * most {
            continue;
        }
        let distance = strsim::osa_distance(known, name);
        if distance <= most && nearest.is_none_or(|best| (distance, known) < best) {
            most = distance;
            nearest = Some((distance, known));
        }
    }
    nearest.map(|(_, known)| known)
}

/// A bit for each byte that is in a name, but for its upper bits.
fn letters(name: &str) -> u64 {
    name.bytes().fold(0, |letters, b| letters | 1 << (b & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths() {
        let from = Utf8Path::new("a/b/card.md");
        assert_eq!(joined(from, "../c.md").unwrap(), "a/c.md");
        assert_eq!(joined(from, "./x/d.md").unwrap(), "a/b/x/d.md");
        assert_eq!(joined(from, "../../../x.md"), None);
    }

    #[test]
    fn ends_of_paths() {
        assert!(ends_with("a/b/c.md", "b/c") && ends_with("a/b/c.md", "/a/b/c"));
        assert!(!ends_with("a/b/c.md", "x/c") && !ends_with("ab/c.md", "b/c"));
    }

    #[test]
    fn where_stems_lead() {
        let paths = ["a/one.md", "a/two.md", "b/Three.md", "b/two.md"];
        let vault = Vault::new(paths.map(|path| (path.into(), ())));
        assert_eq!(vault.resolve("one"), Target::Card(0));
        assert_eq!(vault.resolve("two"), Target::Ambiguous(vec![1, 3]));
        assert_eq!(vault.resolve("three"), Target::Case(vec![2]));
        assert_eq!(vault.resolve("a/one"), Target::Unknown);
        assert_eq!(vault.at("b/Three.md"), Some(2));
        assert_eq!(vault.namesakes().collect::<Vec<_>>(), [[1, 3]]);
    }

    #[test]
    fn the_nearest_name() {
        for (name, expected) in [
            ("cady", Some("caddy")),
            ("caddz", Some("caddy")),
            ("acddy", Some("caddy")),
            ("grafana-imag", Some("grafana-image")),
            ("zzzzz", None),
            ("d", None),
        ] {
            let names = ["candy-cane", "caddy", "grafana-image", "caddies", "c"];
            assert_eq!(nearest(name, names.into_iter()), expected, "{name}");
        }
    }
}
