//! A source tree of others, read without leaving it: a link in it may lead anywhere.

use std::collections::BTreeSet;
use std::fs::FileType;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::inside::{Inside, LONGEST_TEXT};
use sys::scratch::Scratch;

/// The most entries of a tree.
const MOST: usize = 1_000_000;
/// Folders that are not part of a release, or hold what its tools put there.
const PASSED_OVER: [&str; 3] = [".git", "node_modules", "__pycache__"];

/// A source tree.
#[derive(Debug)]
pub struct Tree {
    root: Utf8PathBuf,
    files: BTreeSet<Utf8PathBuf>,
    links: BTreeSet<Utf8PathBuf>,
    /// Whether there are folders that are no part of a release.
    has_more: bool,
}

impl Tree {
    /// Reads the names of all that is in a tree.
    pub fn open(root: &Utf8Path) -> Result<Self> {
        let mut tree = Self {
            root: root
                .canonicalize_utf8()
                .with_context(|| format!("cannot use `{root}` as a source tree"))?,
            files: BTreeSet::new(),
            links: BTreeSet::new(),
            has_more: false,
        };
        let mut folders = vec![Utf8PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(tree.root.join(&folder))? {
                let entry = entry?;
                // What has a name of other bytes is nothing that is asked for here.
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let path = folder.join(name);
                let kind: FileType = entry.file_type()?;
                if kind.is_symlink() {
                    tree.links.insert(path);
                } else if kind.is_dir() {
                    if PASSED_OVER.contains(&name) {
                        tree.has_more = true;
                    } else {
                        folders.push(path);
                    }
                } else if kind.is_file() {
                    tree.files.insert(path);
                }
            }
            if tree.files.len() + tree.links.len() > MOST {
                bail!("`{root}` holds more than {MOST} files: it is no source tree");
            }
        }
        Ok(tree)
    }

    /// Its absolute path.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// All regular files, relative to the root and in order.
    pub fn files(&self) -> impl Iterator<Item = &Utf8Path> {
        self.files.iter().map(Utf8PathBuf::as_path)
    }

    /// Whether there is such a file, link or folder.
    pub fn has(&self, path: &Utf8Path) -> bool {
        self.files.contains(path) || self.links.contains(path) || self.below(path).next().is_some()
    }

    /// The files below a folder.
    pub fn below<'s>(&'s self, folder: &'s Utf8Path) -> impl Iterator<Item = &'s Utf8Path> {
        let from = self.files.range(folder.join("")..);
        from.map(Utf8PathBuf::as_path)
            .take_while(move |path| path.starts_with(folder))
            .filter(move |path| *path != folder)
    }

    /// The text of a file, if there is one: nothing of a link, nor of what is beyond the root.
    pub fn text(&self, path: &Utf8Path) -> Result<Option<String>> {
        if !self.files.contains(path) {
            return Ok(None);
        }
        let bytes = Inside::open(&self.root)?.read(path, LONGEST_TEXT)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What `hash` says of the tree as a release has it: of a copy, if there is more in it.
    pub fn hashed<T>(&self, hash: impl FnOnce(&Utf8Path) -> Result<T>) -> Result<T> {
        if !self.has_more {
            return hash(&self.root);
        }
        let scratch = Scratch::new()?;
        let copy = scratch.path().join("tree");
        fs_err::create_dir(&copy)?;
        for path in self.files.iter().chain(&self.links) {
            let to = copy.join(path);
            if let Some(folder) = to.parent() {
                fs_err::create_dir_all(folder)?;
            }
            let from = self.root.join(path);
            if self.links.contains(path) {
                fs_err::os::unix::fs::symlink(fs_err::read_link(&from)?, &to)?;
            } else {
                fs_err::copy(&from, &to)?;
            }
        }
        hash(&copy)
    }

    /// The links in a folder that lead out of it, each with its target.
    pub fn links_out_of(&self, folder: &Utf8Path) -> Result<Vec<(Utf8PathBuf, String)>> {
        let mut found = Vec::new();
        for link in self.links.iter().filter(|link| link.starts_with(folder)) {
            let target = fs_err::read_link(self.root.join(link))?;
            let target = target.to_string_lossy().into_owned();
            let at = link.parent().unwrap_or(Utf8Path::new(""));
            let leads = sys::files::normalized(at.join(&target));
            if !leads.starts_with(folder) {
                found.push((link.clone(), target));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::files::write_atomically;

    #[test]
    fn a_tree_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let secret = root.join("secret");
        write_atomically(&secret, b"secret", 0o644).unwrap();
        let tree = root.join("tree");
        fs_err::create_dir_all(tree.join("web/packages")).unwrap();
        fs_err::create_dir_all(tree.join("node_modules")).unwrap();
        write_atomically(&tree.join("web/a.txt"), b"a", 0o644).unwrap();
        write_atomically(&tree.join("web-b.txt"), b"b", 0o644).unwrap();
        write_atomically(&tree.join("node_modules/x"), b"x", 0o644).unwrap();
        for (to, link) in [
            (secret.as_str(), "go.mod"),
            ("../../packages/client-ts", "web/packages/client-ts"),
            ("../a.txt", "web/packages/inside"),
        ] {
            fs_err::os::unix::fs::symlink(to, tree.join(link)).unwrap();
        }
        let tree = Tree::open(&tree).unwrap();
        let hashed = tree.hashed(|copy| {
            assert!(!copy.join("node_modules").exists() && copy.join("web/a.txt").is_file());
            Ok(fs_err::read_link(copy.join("web/packages/inside"))?)
        });
        assert_eq!(hashed.unwrap().to_str(), Some("../a.txt"));
        assert_eq!(tree.text("go.mod".into()).unwrap(), None);
        assert_eq!(tree.text("web/a.txt".into()).unwrap().as_deref(), Some("a"));
        assert!(tree.has("web".into()) && tree.has("go.mod".into()) && !tree.has("we".into()));
        assert_eq!(tree.files().collect::<Vec<_>>(), ["web/a.txt", "web-b.txt"]);
        assert_eq!(tree.below("web".into()).collect::<Vec<_>>(), ["web/a.txt"]);
        let links = tree.links_out_of("web".into()).unwrap();
        let expected = (
            "web/packages/client-ts".into(),
            "../../packages/client-ts".to_owned(),
        );
        assert_eq!(links, [expected]);
    }
}
