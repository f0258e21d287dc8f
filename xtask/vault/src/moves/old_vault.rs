//! The cards as they are before a change, read for rewriting.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::documents;
use super::moved::Moved;
use super::references::{Exists, Reference, references};
use crate::card::{self, Content};
use crate::parallel::{FILES, in_parallel};
use crate::programs::Aliases;
use crate::resolve::{Target, Vault, stem};
use crate::rules::settings::Resolve;
use crate::tree::Tree;

/// The texts of cards and of other files with links, by their paths in the vault.
pub type Texts = BTreeMap<Utf8PathBuf, String>;

/// What else is in the vault in which texts change.
#[derive(Clone, Copy)]
pub struct Among<'a> {
    /// Cards none of whose links can be concerned: their paths are enough.
    pub cards: &'a [Utf8PathBuf],
    /// The paths of files other than cards.
    pub files: &'a [String],
    /// Whether there is a file other than cards at a path from the vault's root: a hidden one, a folder, one outside.
    pub exists: Exists<'a>,
    /// By which program's rules links are followed.
    pub resolve: Resolve,
}

impl Among<'static> {
    /// No other cards; all files that links name are there.
    pub fn nothing() -> Self {
        Self {
            cards: &[],
            files: &[],
            exists: &|_| true,
            resolve: Resolve::Both,
        }
    }
}

/// Cards as they are now. Each has a number, in order of their paths; other files with links come after them.
pub(crate) struct OldVault<'a> {
    pub(crate) vault: Vault<()>,
    /// The paths of other files with links.
    documents: Vec<Utf8PathBuf>,
    /// The texts, by number; empty where only the path is known.
    pub(crate) texts: Vec<&'a str>,
    contents: Vec<Option<Box<Content>>>,
    pub(crate) references: Vec<Vec<Reference>>,
    /// The numbers of those with texts.
    pub(crate) read: Vec<usize>,
    /// Files other than cards.
    pub(crate) files: Tree,
    /// Other names of cards go with them: links by these are not written anew.
    pub(crate) no_aliases: Aliases,
    /// The other names of those with texts.
    pub(crate) aliases: Aliases,
    exists: Exists<'a>,
    /// What was moved away from where `exists` finds it, and to where.
    moved: Option<&'a Moved>,
    pub(crate) resolve: Resolve,
}

/// Reads texts among the rest of a vault; `moved` says which files `among` knows at other places.
pub(crate) fn read<'a>(
    texts: &'a Texts,
    among: &Among<'a>,
    moved: Option<&'a Moved>,
) -> OldVault<'a> {
    let (documents, cards): (Vec<_>, Vec<_>) = texts
        .iter()
        .partition(|(path, _)| documents::is_document(path));
    let mut cards: Vec<(&Utf8PathBuf, Option<&String>)> = cards
        .into_iter()
        .map(|(path, text)| (path, Some(text)))
        .chain(among.cards.iter().map(|path| (path, None)))
        .collect();
    // Paths are in the order of their parts, a vault's cards in that of their bytes.
    cards.sort_unstable_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    let vault = Vault::new(cards.iter().map(|(path, _)| ((*path).clone(), ())));
    let all = cards
        .into_iter()
        .chain(documents.iter().map(|(path, text)| (*path, Some(*text))));
    let all: Vec<(&Utf8PathBuf, &str)> = all
        .map(|(path, text)| (path, text.map_or("", String::as_str)))
        .collect();
    let read: Vec<usize> = (0..all.len())
        .filter(|number| texts.contains_key(all[*number].0))
        .collect();
    let parsed = in_parallel(&read, FILES, &|_, number| {
        let (path, text) = all[*number];
        if documents::is_document(path) {
            return (None, documents::links(path, text));
        }
        let content = card::read(text);
        let references = references(text, &content);
        (Some(Box::new(content)), references)
    });
    let mut contents: Vec<Option<Box<Content>>> = Vec::new();
    let mut found: Vec<Vec<Reference>> = Vec::new();
    contents.resize_with(all.len(), || None);
    found.resize_with(all.len(), Vec::new);
    for (number, (content, references)) in read.iter().zip(parsed) {
        contents[*number] = content;
        found[*number] = references;
    }
    let mut aliases = Aliases::new();
    for (number, content) in (0..).zip(&contents) {
        for name in content.iter().flat_map(|content| names(content)) {
            let same = aliases.entry(name.to_lowercase()).or_insert(Some(number));
            if *same != Some(number) {
                *same = None;
            }
        }
    }
    let files = among.files.iter().map(|path| {
        let now = moved.and_then(|moved| moved.now(Utf8Path::new(path)));
        now.map_or_else(|| path.clone(), Utf8PathBuf::into_string)
    });
    OldVault {
        texts: all.into_iter().map(|(_, text)| text).collect(),
        documents: documents
            .into_iter()
            .map(|(path, _)| path.clone())
            .collect(),
        vault,
        contents,
        references: found,
        read,
        files: Tree::of(files),
        no_aliases: Aliases::new(),
        aliases,
        exists: among.exists,
        moved,
        resolve: among.resolve,
    }
}

/// The other names of a card.
fn names(content: &Content) -> impl Iterator<Item = &str> {
    let keys = ["aliases", "alias", "permalink"].into_iter();
    let front = content.front.iter();
    front.flat_map(move |front| {
        let names = keys.clone().flat_map(|key| front.texts(key));
        names.map(|name| name.trim_matches('/'))
    })
}

impl OldVault<'_> {
    /// Whether there is a file other than cards at a path.
    pub(crate) fn exists(&self, path: &Utf8Path) -> bool {
        match self.moved {
            None => (self.exists)(path),
            Some(moved) => match moved.was(path) {
                Some(was) => (self.exists)(&was),
                None => moved.now(path).is_none() && (self.exists)(path),
            },
        }
    }

    pub(crate) fn content(&self, card: usize) -> &Content {
        static UNKNOWN: LazyLock<Content> = LazyLock::new(Content::default);
        self.contents[card].as_deref().unwrap_or(&UNKNOWN)
    }

    pub(crate) fn path(&self, card: usize) -> &Utf8Path {
        match self.vault.cards.get(card) {
            Some(card) => &card.path,
            None => &self.documents[card - self.vault.cards.len()],
        }
    }

    pub(crate) fn stem(&self, card: usize) -> &str {
        stem(self.path(card).as_str())
    }

    /// The number of a card or of another file with links.
    pub(crate) fn number(&self, path: &Utf8Path) -> Option<usize> {
        let document = || self.documents.iter().position(|other| other == path);
        let card = self.vault.at(path.as_str());
        card.or_else(|| Some(self.vault.cards.len() + document()?))
    }

    pub(crate) fn at(&self, path: &Utf8Path) -> Result<usize> {
        let card = self.vault.at(path.as_str());
        card.with_context(|| format!("there is no card `{path}`"))
    }

    pub(crate) fn line_end(&self, card: usize) -> &'static str {
        if self.texts[card].contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// That a card's path is free, and its stem, but for one card.
    pub(crate) fn check_free(&self, new: &Utf8Path, but: Option<usize>) -> Result<()> {
        ensure!(
            self.vault.at(new.as_str()).is_none() || but.is_some_and(|but| self.path(but) == new),
            "`{new}` is there already"
        );
        let stem = stem(new.as_str());
        let taken = match self.vault.resolve(stem) {
            Target::Card(card) => vec![card],
            Target::Ambiguous(cards) | Target::Case(cards) => cards,
            Target::Unknown => Vec::new(),
        };
        // Several may have it already: links to them have paths.
        if but.is_some_and(|card| self.stem(card) == stem) {
            return Ok(());
        }
        let is_other = |card: &usize| Some(*card) != but && self.resolve == Resolve::Both;
        if let Some(card) = taken.into_iter().find(is_other) {
            bail!(
                "the stem `{stem}` is taken by `{}`, and links name cards by their stems: choose another",
                self.path(card)
            );
        }
        let is_called_so = |card: &&usize| {
            names(self.content(**card)).any(|name| name == stem) && Some(**card) != but
        };
        let called = self.read.iter().find(is_called_so);
        if let Some(card) = called.filter(|_| self.resolve != Resolve::Obsidian) {
            bail!(
                "`{stem}` is another name of `{}`, which links may mean: choose another",
                self.path(*card)
            );
        }
        Ok(())
    }
}
