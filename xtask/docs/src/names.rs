//! How cards, other files and folders are named on the command line.

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use sys::files::normalized;
use vault::resolve::{self, Target, Vault, joined, nearest, stem};
use vault::unicode::composed;

use crate::spelling::Spelling;

/// What a name on the command line means; paths are those in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A card.
    Card(Utf8PathBuf),
    /// Another file.
    File(Utf8PathBuf),
    /// A folder.
    Folder(Utf8PathBuf),
}

/// Resolves names on the command line to cards.
pub struct Names<'a, T = ()> {
    /// The cards.
    pub vault: &'a Vault<T>,
    /// The paths of other files.
    pub files: &'a [String],
    /// The vault's folder.
    pub root: &'a Utf8Path,
    /// The current folder.
    pub here: Utf8PathBuf,
}

impl<T> Names<'_, T> {
    /// A path from the current folder or, if that leads out of the vault, from the vault's root.
    fn below_root(&self, path: &str) -> Result<Utf8PathBuf> {
        let from_here = normalized(self.here.join(path));
        if let Ok(below) = from_here.strip_prefix(self.root) {
            return Ok(below.to_owned());
        }
        match joined(Utf8Path::new("card"), path) {
            Some(below) if !path.starts_with('/') => Ok(below),
            _ => bail!("`{path}` is outside of the vault `{}`", self.root),
        }
    }

    /// The card with this stem or path, if there is one. A name that macOS completed has decomposed characters.
    pub fn known(&self, name: &str) -> Result<Option<Utf8PathBuf>> {
        let typed = composed(name);
        match self.known_just_so(name)? {
            None if typed != name => self.known_just_so(&typed),
            found => Ok(found),
        }
    }

    fn known_just_so(&self, name: &str) -> Result<Option<Utf8PathBuf>> {
        if name.ends_with('/') {
            return Ok(None);
        }
        let path = |card: usize| self.vault.cards[card].path.clone();
        let below = self.below_root(name)?;
        let by_path = [
            below.to_string(),
            format!("{below}.md"),
            name.to_owned(),
            format!("{name}.md"),
        ];
        if let Some(card) = by_path.iter().find_map(|path| self.vault.at(path)) {
            return Ok(Some(path(card)));
        }
        if name.contains('/') {
            return Ok(None);
        }
        match self.vault.resolve(stem(name)) {
            Target::Card(card) => Ok(Some(path(card))),
            Target::Ambiguous(cards) => {
                let paths: Vec<String> = cards
                    .into_iter()
                    .map(|card| format!("`{}`", path(card)))
                    .collect();
                bail!(
                    "`{name}` can be {}: name it by its path",
                    paths.join(" or ")
                )
            }
            Target::Case(_) | Target::Unknown => Ok(None),
        }
    }

    /// The card with this stem or path.
    pub fn card(&self, name: &str) -> Result<Utf8PathBuf> {
        if let Some(path) = self.known(name)? {
            return Ok(path);
        }
        let stems = self.vault.cards.iter().map(resolve::Card::stem);
        match nearest(stem(name), stems) {
            Some(near) => bail!("there is no card `{name}`: did you mean `{near}`?"),
            None => bail!("there is no card `{name}` in `{}`", self.root),
        }
    }

    /// The card, file or folder with this name or path; `/` at the end names a folder, and a stem is a card's first.
    pub fn named(&self, name: &str) -> Result<Named> {
        let typed = composed(name);
        match self.named_just_so(&typed) {
            Err(_) if typed != name => self.named_just_so(name),
            found => found,
        }
    }

    fn named_just_so(&self, name: &str) -> Result<Named> {
        let below = self.below_root(name)?;
        let folder = || -> Option<Named> {
            let mut places = [below.clone(), name.trim_matches('/').into()].into_iter();
            // In another case it would be none of those that cards are in.
            let is_there = |path: &Utf8Path| {
                let full = self.root.join(path);
                full.is_dir() && Spelling::below(self.root).exists(&full)
            };
            places
                .find(|path| !path.as_str().is_empty() && is_there(path))
                .map(Named::Folder)
        };
        if name.ends_with('/') {
            return folder()
                .with_context(|| format!("there is no folder `{name}` in `{}`", self.root));
        }
        if let Some(card) = self.known(name)? {
            return Ok(Named::Card(card));
        }
        let at = |path: &str| self.files.iter().find(|file| *file == path);
        if let Some(file) = at(below.as_str()).or_else(|| at(name)) {
            return Ok(Named::File(file.into()));
        }
        let is_named = |file: &&String| file.rsplit('/').next() == Some(name);
        let mut same = self.files.iter().filter(is_named);
        match (same.next(), same.next()) {
            (Some(file), None) => return Ok(Named::File(file.into())),
            (Some(one), Some(other)) => {
                bail!("`{name}` can be `{one}` or `{other}`: name it by its path")
            }
            _ => {}
        }
        match folder() {
            Some(folder) => Ok(folder),
            None => self.card(name).map(Named::Card),
        }
    }

    /// The folder that a name on the command line means, whether it is there or not.
    pub fn folder(&self, name: &str) -> Result<Utf8PathBuf> {
        self.below_root(name)
    }

    /// The path that another file or a folder gets.
    pub fn new_place(&self, name: &str, old: &Utf8Path, is_file: bool) -> Result<Utf8PathBuf> {
        let name = &*composed(name);
        let below = self.below_root(name)?;
        let is_there = self.root.join(&below).is_dir();
        let path = if is_there || is_file && name.ends_with('/') {
            below.join(old.file_name().unwrap_or_default())
        } else if !is_file || name.contains('/') {
            below
        } else {
            old.with_file_name(name)
        };
        let path = match (path.extension(), old.extension()) {
            (None, Some(ending)) if is_file => format!("{path}.{ending}").into(),
            _ => path,
        };
        check_name(&path, old)?;
        Ok(path)
    }

    /// The path of a card that `old` becomes.
    pub fn new_path(&self, name: &str, old: &Utf8Path) -> Result<Utf8PathBuf> {
        let name = &*composed(name);
        let below = self.below_root(name)?;
        let is_folder = name.ends_with('/') || self.root.join(&below).is_dir();
        let path = if is_folder {
            below.join(old.file_name().unwrap_or_default())
        } else if name.contains('/') {
            below
        } else {
            old.with_file_name(name)
        };
        let path = match path.as_str().strip_suffix(".md") {
            Some(_) => path,
            None => format!("{path}.md").into(),
        };
        check_name(&path, old)?;
        Ok(path)
    }
}

/// That links can name what gets this path; a name that was there before may stay.
fn check_name(path: &Utf8Path, old: &Utf8Path) -> Result<()> {
    let is_kept = path.file_name() == old.file_name();
    let new = if is_kept {
        path.parent().unwrap_or(path)
    } else {
        path
    };
    let is_hidden = new.components().any(|part| part.as_str().starts_with('.'));
    let has_mark = new.as_str().contains(['#', '|', '^', '[', ']', '\\', '\n']);
    ensure!(
        !is_hidden && !has_mark,
        "no link could name `{path}`: use letters, digits and `-`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cards() {
        let vault =
            Vault::new(["a/one.md", "a/two.md", "b/two.md", "c.md"].map(|path| (path.into(), ())));
        let root = Utf8Path::new("/nowhere/docs");
        let from = |here: &str| Names {
            vault: &vault,
            files: &[],
            root,
            here: here.into(),
        };
        let outside = from("/nowhere");
        for name in [
            "one",
            "one.md",
            "a/one",
            "a/one.md",
            "docs/a/one.md",
            "./docs/a/../a/one",
        ] {
            assert_eq!(outside.card(name).unwrap(), "a/one.md", "{name}");
        }
        assert_eq!(
            from("/nowhere/docs/b").card("../a/one").unwrap(),
            "a/one.md"
        );
        assert_eq!(from("/nowhere/docs/b").card("two").unwrap(), "b/two.md");
        for (name, why) in [
            ("two", "`a/two.md` or `b/two.md`"),
            ("on", "did you mean `one`"),
            ("/x", "is outside of"),
        ] {
            let error = outside.card(name).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        for (name, path) in [
            ("new", "a/new.md"),
            ("b/", "b/one.md"),
            ("docs/b/new.md", "b/new.md"),
            ("x/y/new", "x/y/new.md"),
            ("./docs/new", "new.md"),
        ] {
            assert_eq!(
                outside.new_path(name, Utf8Path::new("a/one.md")).unwrap(),
                path,
                "{name}"
            );
        }
        assert!(outside.new_path(".new", Utf8Path::new("c.md")).is_err());
        assert!(outside.new_path("a#b", Utf8Path::new("c.md")).is_err());
    }
}
