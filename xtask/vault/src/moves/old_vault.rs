//! The cards as they are before a change, read for rewriting.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::references::{Exists, LinkTarget, Reference, link_targets, references};
use crate::card::{self, Content};
use crate::parallel::in_parallel;
use crate::resolve::{Target, Vault, stem};

/// The texts of all cards, by their paths in the vault.
pub type Texts = BTreeMap<Utf8PathBuf, String>;

/// Cards as they are now.
pub(super) struct OldVault<'a> {
    pub(super) vault: Vault<Content>,
    pub(super) texts: Vec<&'a str>,
    pub(super) references: Vec<Vec<Reference>>,
    pub(super) exists: Exists<'a>,
}

pub(super) fn read<'a>(texts: &'a Texts, exists: Exists<'a>) -> OldVault<'a> {
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
    let mut before = (Vec::new(), Vec::new(), Vec::new());
    for (((path, text), content), references) in cards {
        before.0.push((path.clone(), content));
        before.1.push(text.as_str());
        before.2.push(references);
    }
    OldVault {
        vault: Vault::new(before.0),
        texts: before.1,
        references: before.2,
        exists,
    }
}

pub(super) fn numbers<T>(vault: &Vault<T>) -> Range<usize> {
    0..vault.cards.len()
}

impl OldVault<'_> {
    /// What a card's links lead to.
    pub(super) fn link_targets(&self, card: usize) -> Vec<LinkTarget> {
        link_targets(&self.vault, card, &self.references[card], self.exists)
    }

    pub(super) fn content(&self, card: usize) -> &Content {
        &self.vault.cards[card].known
    }

    pub(super) fn path(&self, card: usize) -> &Utf8Path {
        &self.vault.cards[card].path
    }

    pub(super) fn stem(&self, card: usize) -> &str {
        self.vault.cards[card].stem()
    }

    pub(super) fn at(&self, path: &Utf8Path) -> Result<usize> {
        let card = self.vault.at(path.as_str());
        card.with_context(|| format!("there is no card `{path}`"))
    }

    pub(super) fn line_end(&self, card: usize) -> &'static str {
        if self.texts[card].contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// That a path is free, and its stem, but for one card.
    pub(super) fn check_free(&self, new: &Utf8Path, but: Option<usize>) -> Result<()> {
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
        let has_it_already = but.is_some_and(|card| self.stem(card) == stem);
        // Several may have it already: links to them have paths.
        if let Some(card) = taken
            .into_iter()
            .find(|card| Some(*card) != but && !has_it_already)
        {
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
