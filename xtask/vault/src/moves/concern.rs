//! Which texts changes can concern: of very many cards most are read once and forgotten.

use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};
use memchr::memchr2_iter;

use super::change::Change;
use super::documents::is_document;
use super::references::references;
use crate::card::{self, Heading};
use crate::programs::{is_page, sluggish};
use crate::resolve::stem;
use crate::unicode::{composed, folded};

/// What changes can concern: a card none of whose links has one of these names does not change.
#[derive(Debug)]
pub struct Concern {
    /// Names of files and folders that come or go, as [`key`] has them.
    names: HashSet<String>,
    /// The same, as they are written.
    stems: HashSet<String>,
    /// Cards that change themselves.
    paths: HashSet<Utf8PathBuf>,
    /// Letters and digits one run of which a text must have, in any case, to hold one of the names.
    runs: Option<Vec<Box<[u8]>>>,
}

/// With more names than this a search for each takes longer than reading the card.
const MANY: usize = 8;

impl Concern {
    /// What these changes can concern.
    pub fn of(changes: &[Change]) -> Self {
        let mut concern = Self {
            names: HashSet::new(),
            stems: HashSet::new(),
            paths: HashSet::new(),
            runs: None,
        };
        let mut add = |path: &Utf8Path, with_folders: bool| {
            concern.add(path, with_folders);
            concern.paths.insert(path.to_owned());
        };
        for change in changes {
            match change {
                Change::Rename { old, new } | Change::Extract { old, new, .. } => {
                    add(old, false);
                    add(new, false);
                }
                Change::Merge { old, into } => {
                    add(old, false);
                    add(into, false);
                }
                Change::Move(moved) => {
                    let has_folders = !moved.folders.is_empty();
                    for (old, new) in moved
                        .files
                        .iter()
                        .chain(moved.folders.iter().map(|(a, b)| (a, b)))
                    {
                        add(old, has_folders);
                        add(new, has_folders);
                    }
                }
            }
        }
        concern.note_runs();
        concern
    }

    /// Adds the name of a file or folder.
    fn add(&mut self, path: &Utf8Path, with_folders: bool) -> bool {
        // In Quartz a folder is its `index.md`.
        let count = match (with_folders, is_page(path)) {
            (true, _) => usize::MAX,
            (_, true) => 2,
            _ => 1,
        };
        let known = self.names.len();
        for part in path.as_str().rsplit('/').take(count) {
            self.names.insert(key(part));
            self.stems.insert(stem(part).to_owned());
        }
        self.names.len() > known
    }

    fn note_runs(&mut self) {
        let run = |name: &String| -> Option<Box<[u8]>> {
            // Of a letter with a mark the text may have the letter alone, and then the mark.
            let name = composed(name);
            let runs = name.split(|c: char| !c.is_ascii_alphanumeric());
            let longest = runs.max_by_key(|run| run.len())?;
            (longest.len() > 1).then(|| longest.to_ascii_lowercase().into_bytes().into())
        };
        let runs: Option<Vec<_>> = self.stems.iter().map(run).collect();
        self.runs = runs.filter(|runs| runs.len() <= MANY);
    }

    /// Adds the cards among these texts in whose headings a link may change: what leads to such a heading changes with it.
    /// Whether there were any.
    pub fn add_headings<'t>(
        &mut self,
        texts: impl Iterator<Item = (&'t Utf8Path, &'t str)>,
    ) -> bool {
        let mut is_new = false;
        for (path, text) in texts.filter(|(path, _)| !is_document(path)) {
            let content = card::read(text);
            let links = content.links.iter();
            let links = links.filter(|link| self.names.contains(&key(&link.target)));
            let starts: Vec<usize> = links.map(|link| link.span.start()).collect();
            let is_in = |heading: &Heading| {
                let heading = heading.span.range();
                starts.iter().any(|start| heading.contains(start))
            };
            if !starts.is_empty() && content.headings.iter().any(is_in) {
                is_new |= self.add(path, false);
            }
        }
        self.note_runs();
        is_new
    }

    /// Whether a text can be concerned.
    pub fn is_in(&self, path: &Utf8Path, text: &str) -> bool {
        if is_document(path) || self.paths.contains(path) {
            return true;
        }
        // Letters may be encoded.
        let may_hide = text.contains('%') || text.contains("&#");
        if !may_hide
            && let Some(runs) = &self.runs
            && !runs.iter().any(|run| has(text.as_bytes(), run))
        {
            return false;
        }
        let content = card::read(text);
        let is_named = |name: &str| self.names.contains(&key(name));
        let front = content.front.as_ref();
        let keys = ["requires", "aliases", "alias", "permalink"];
        let mut others = keys
            .iter()
            .flat_map(|key| front.map(|front| front.texts(key)).unwrap_or_default());
        others.any(is_named)
            || references(text, &content)
                .iter()
                .any(|reference| is_named(&reference.target))
    }
}

/// Whether a text has a word that is in lower case, in any case.
fn has(text: &[u8], word: &[u8]) -> bool {
    let first = word[0];
    memchr2_iter(first, first.to_ascii_uppercase(), text).any(|at| {
        let found = text.get(at..at + word.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// The last part of a link's target, as names are compared by the program that is the least strict.
fn key(target: &str) -> String {
    let name = target.trim().trim_end_matches('/');
    let name = name.strip_suffix(".html").unwrap_or(name);
    sluggish(&folded(stem(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_concerned() {
        let rename = Change::Rename {
            old: "a/My note.md".into(),
            new: "b/new-name.md".into(),
        };
        let concern = Concern::of(&[rename]);
        for (text, expected) in [
            ("[[my Note]]", true),
            ("[x](../a/My%20note.md#p)", true),
            ("[x](../a/%4Dy%20note.md)", true),
            ("[x](../a/&#77;y%20note.md)", true),
            ("[[my-note]]", true),
            ("[x](../a/My%20note.html)", true),
            ("[[b/]] or [[new-name|x]]", true),
            ("[[other]] my note", false),
            ("---\naliases: [New-Name]\n---\n", true),
            ("---\nup: '[[My note]]'\n---\n", true),
            ("nothing", false),
        ] {
            assert_eq!(
                concern.is_in(Utf8Path::new("x.md"), text),
                expected,
                "{text}"
            );
        }
        assert!(concern.is_in(Utf8Path::new("a/My note.md"), ""));
        assert!(concern.is_in(Utf8Path::new("x.canvas"), ""));
    }

    #[test]
    fn headings_whose_links_change_concern_others() {
        let rename = Change::Rename {
            old: "old.md".into(),
            new: "new.md".into(),
        };
        let mut concern = Concern::of(&[rename]);
        let link = |name: &str| format!("[[{name}#x]]");
        let texts = [("a.md", "## See [[old]]\n"), ("b.md", "# B\n\n[[old]]\n")];
        let texts = texts.map(|(path, text)| (Utf8Path::new(path), text));
        assert!(!concern.is_in(Utf8Path::new("l.md"), &link("a")));
        assert!(concern.add_headings(texts.into_iter()));
        assert!(!concern.add_headings(texts.into_iter()));
        assert!(concern.is_in(Utf8Path::new("l.md"), &link("a")));
        assert!(!concern.is_in(Utf8Path::new("l.md"), &link("b")));
    }
}
