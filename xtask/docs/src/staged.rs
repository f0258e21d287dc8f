//! What is staged in git, as a tree of files.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::git::Git;
use sys::scratch::Scratch;

use crate::config::{self, Config};
use crate::source::Source;

/// How many paths are given to git at once.
const PATHS: usize = 500;

/// What is staged. Paths are those of the repository.
pub struct Staged {
    folder: Scratch,
    /// Files that differ in the working tree, and are laid out in `folder`.
    differ: BTreeSet<String>,
    /// All files.
    paths: BTreeSet<String>,
}

impl Staged {
    /// Whether a file or folder is there.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.paths.contains(path)
            || self
                .paths
                .range(folder.clone()..)
                .next()
                .is_some_and(|next| next.starts_with(&folder))
    }

    /// The files below a folder, by their paths from it.
    pub fn below(&self, folder: &Utf8Path) -> impl Iterator<Item = String> {
        self.paths.iter().filter_map(move |path| {
            let below = Utf8Path::new(path).strip_prefix(folder).ok()?;
            Some(below.to_string())
        })
    }

    /// Where a staged file can be read.
    pub fn place_of(&self, git: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
        let folder = if self.differ.contains(path.as_str()) {
            self.folder.path()
        } else {
            git
        };
        folder.join(path)
    }

    /// Lays out those of these files and folders, paths of the repository, that differ in the working tree.
    fn lay_out(&mut self, git: &Git<'_>, paths: &[&str]) -> Result<()> {
        let changes =
            git.output(&[&["diff-files", "--name-status", "-z", "--"], paths].concat())?;
        let mut changes = changes.split_terminator('\0');
        let mut differ = Vec::new();
        while let (Some(status), Some(path)) = (changes.next(), changes.next()) {
            match status {
                // Only announced, by `git add -N`: a commit will not hold it.
                "A" => drop(self.paths.remove(path)),
                "U" => bail!("`{path}` has conflicts: resolve them, and `git add` it"),
                _ => differ.push(path),
            }
        }
        let prefix = format!("--prefix={}/", self.folder.path());
        for chunk in differ.chunks(PATHS) {
            let mut arguments = vec!["checkout-index", "--force", "--quiet", &prefix, "--"];
            arguments.extend(chunk);
            git.output(&arguments)?;
        }
        self.differ.extend(differ.into_iter().map(str::to_owned));
        Ok(())
    }
}

impl Source<'_> {
    /// What is staged, with its configuration.
    pub fn staged(&self) -> Result<(Staged, Config)> {
        let git = self.git();
        let listed = git.output(&["ls-files", "-z"])?;
        let mut staged = Staged {
            folder: Scratch::new()?,
            differ: BTreeSet::new(),
            paths: listed.split_terminator('\0').map(str::to_owned).collect(),
        };
        let places = config::places(&self.root);
        let mut paths = vec![self.root.as_str()];
        paths.extend(places.iter().map(|path| path.as_str()));
        staged.lay_out(&git, &paths)?;
        let mut places = places
            .iter()
            .filter_map(|path| path.strip_prefix(&self.git_root).ok());
        let config = match places.find(|path| staged.has(path.as_str())) {
            Some(path) => Config::read(&staged.place_of(&self.git_root, path))?,
            None => Config::default(),
        };
        let also: Vec<&str> = config.also.iter().map(|path| path.as_str()).collect();
        if !also.is_empty() {
            staged.lay_out(&git, &also)?;
        }
        Ok((staged, config))
    }
}
