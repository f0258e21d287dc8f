//! Which files get which paths.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

/// Files and folders that get other paths; all paths are those in the vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Each file's new path, by its old one.
    pub files: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    /// The folders that move with all that is in them: the old path, then the new one.
    pub folders: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

impl Moved {
    /// A file alone.
    pub fn file(old: &Utf8Path, new: &Utf8Path) -> Self {
        Self {
            files: BTreeMap::from([(old.to_owned(), new.to_owned())]),
            folders: Vec::new(),
        }
    }

    /// The path that a file or folder has then, if that is another one.
    pub fn now(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        if let Some(new) = self.files.get(path) {
            return Some(new.clone());
        }
        let mut folders = self.folders.iter();
        folders.find_map(|(old, new)| Some(beside(new, path.strip_prefix(old).ok()?)))
    }

    /// The path that what is at a path then had before, if that was another one.
    pub fn was(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        let mut files = self.files.iter();
        if let Some((old, _)) = files.find(|(_, new)| *new == path) {
            return Some(old.clone());
        }
        let mut folders = self.folders.iter();
        folders.find_map(|(old, new)| Some(beside(old, path.strip_prefix(new).ok()?)))
    }
}

/// A path below a folder; of an empty one the folder itself, without a slash at its end.
fn beside(folder: &Utf8Path, rest: &Utf8Path) -> Utf8PathBuf {
    if rest.as_str().is_empty() {
        folder.to_owned()
    } else {
        folder.join(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_before_and_after() {
        let path = Utf8Path::new;
        let moved = Moved {
            files: BTreeMap::from([("a/x.md".into(), "b/y.md".into())]),
            folders: vec![("a".into(), "b".into())],
        };
        for (old, new) in [("a/x.md", "b/y.md"), ("a/p.png", "b/p.png"), ("a", "b")] {
            assert_eq!(moved.now(path(old)).unwrap(), new);
            assert_eq!(moved.was(path(new)).unwrap(), old);
        }
        assert_eq!(moved.now(path("ab/x.md")), None);
    }
}
