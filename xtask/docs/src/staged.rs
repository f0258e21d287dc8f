//! What is staged in git, as a tree of files.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::git::Git;
use vault::resolve::joined;
use vault::tree::{LARGEST, Tree, as_text, read_text};

use crate::config::{self, Config};
use crate::source::Source;

/// How many links may lead to one another.
const MOST_LINKS: usize = 8;

/// What is staged. Paths are those of the repository.
///
/// Texts are read out of git's objects: the working tree may have others, lack some, and name filters for them.
pub struct Staged {
    git_root: Utf8PathBuf,
    /// All files, each with its object.
    files: BTreeMap<String, Entry>,
    /// The texts that were asked for, by object.
    texts: HashMap<String, Vec<u8>>,
    /// The folders of submodules, which have their own commits: their files are those of the working tree.
    submodules: Vec<Utf8PathBuf>,
}

struct Entry {
    object: String,
    is_link: bool,
}

impl Staged {
    /// Whether a file or folder is there.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let mut below = self.files.range(folder.clone()..);
        self.files.contains_key(path)
            || below
                .next()
                .is_some_and(|(next, _)| next.starts_with(&folder))
            || self.is_elsewhere(Utf8Path::new(path))
                && (self.git_root.join(path).exists()
                    || self
                        .absent("".into())
                        .any(|module| Utf8Path::new(path).starts_with(module)))
    }

    /// The files below a folder, by their paths from it.
    pub fn below(&self, folder: &Utf8Path) -> impl Iterator<Item = String> {
        let modules = self.submodules.iter().flat_map(|module| {
            let tree = Tree::walk(&self.git_root.join(module)).unwrap_or_default();
            let paths: Vec<Utf8PathBuf> = tree.paths().map(|path| module.join(path)).collect();
            paths
        });
        let files = self.files.keys().map(Utf8PathBuf::from).chain(modules);
        files.filter_map(move |path| Some(path.strip_prefix(folder).ok()?.to_string()))
    }

    /// Whether a path is in a submodule.
    pub fn is_elsewhere(&self, path: &Utf8Path) -> bool {
        self.submodules
            .iter()
            .any(|module| path.starts_with(module))
    }

    /// The submodules below a folder that are not checked out: of their files nothing is known.
    pub fn absent(&self, folder: &Utf8Path) -> impl Iterator<Item = &Utf8Path> {
        let is_absent = move |module: &&Utf8PathBuf| {
            module.starts_with(folder) && !self.git_root.join(module).join(".git").exists()
        };
        let modules = self.submodules.iter().filter(is_absent);
        modules.map(Utf8PathBuf::as_path)
    }

    /// The text of a staged file, or why it can't be read.
    pub fn text(&self, path: &Utf8Path) -> Result<String, String> {
        if self.is_elsewhere(path) {
            return read_text(&self.git_root.join(path));
        }
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let entry = self.files.get(path.as_str()).ok_or("it is not staged")?;
            let text = self.texts.get(&entry.object).ok_or("it is not staged")?;
            let text = as_text(text.clone())?;
            if !entry.is_link {
                return Ok(text);
            }
            path = joined(&path, &text).ok_or("it is a link out of the repository")?;
        }
        Err("it is a link that leads to itself".to_owned())
    }

    /// Reads those of these files, and of those below these folders, that are read as text.
    fn load(&mut self, git: &Git<'_>, paths: &[&Utf8Path]) -> Result<()> {
        let is_wanted = |path: &str| {
            let path = Utf8Path::new(path);
            paths.iter().any(|wanted| {
                path == *wanted || path.starts_with(wanted) && path.extension() == Some("md")
            })
        };
        let wanted = self
            .files
            .iter()
            .filter(|(path, entry)| is_wanted(path) || entry.is_link);
        let objects: BTreeSet<&str> = wanted.map(|(_, entry)| entry.object.as_str()).collect();
        let objects: Vec<&str> = objects
            .into_iter()
            .filter(|object| !self.texts.contains_key(*object))
            .collect();
        let texts = git.objects(&objects, LARGEST)?;
        let objects: Vec<String> = objects.into_iter().map(str::to_owned).collect();
        self.texts.extend(objects.into_iter().zip(texts));
        Ok(())
    }
}

/// The objects of empty files, by SHA-1 and by SHA-256.
const EMPTY: [&str; 2] = [
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
];
/// The flag of files that are only announced, by `git add -N`: a commit will not hold them.
const ANNOUNCED: u32 = 1 << 29;

/// The paths that are only announced. Each is followed by lines, the last of which ends in flags.
fn announced(listed: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut pieces = listed.split('\0');
    let mut path = pieces.next().unwrap_or_default();
    for piece in pieces {
        let end = piece
            .match_indices('\n')
            .nth(4)
            .map_or(piece.len(), |(at, _)| at);
        let flags = piece[..end]
            .rsplit_once("flags: ")
            .map(|(_, flags)| flags.trim());
        let flags = flags.and_then(|flags| u32::from_str_radix(flags, 16).ok());
        if flags.is_some_and(|flags| flags & ANNOUNCED != 0) {
            paths.insert(path.to_owned());
        }
        path = piece.get(end + 1..).unwrap_or_default();
    }
    paths
}

impl Source<'_> {
    /// What is staged, with its configuration.
    pub fn staged(&self) -> Result<(Staged, Config)> {
        let git = self.git();
        let listed = git.output(&["ls-files", "--stage", "-z"])?;
        let mut staged = Staged {
            git_root: self.git_root.clone(),
            files: BTreeMap::new(),
            texts: HashMap::new(),
            submodules: Vec::new(),
        };
        let mut conflicts = Vec::new();
        for line in listed.split_terminator('\0') {
            let Some((head, path)) = line.split_once('\t') else {
                continue;
            };
            match &head.split(' ').collect::<Vec<_>>()[..] {
                ["160000", ..] => staged.submodules.push(path.into()),
                [mode, object, "0"] => {
                    let is_link = *mode == "120000";
                    let object = (*object).to_owned();
                    staged
                        .files
                        .insert(path.to_owned(), Entry { object, is_link });
                }
                _ => conflicts.push(path),
            }
        }
        if staged
            .files
            .values()
            .any(|entry| EMPTY.contains(&entry.object.as_str()))
        {
            let announced = announced(&git.output(&["ls-files", "--debug", "-z"])?);
            staged.files.retain(|path, _| !announced.contains(path));
        }
        let places = config::places(&self.root);
        let places: Vec<&Utf8Path> = places
            .iter()
            .filter_map(|path| path.strip_prefix(&self.git_root).ok())
            .collect();
        let mut paths = vec![self.below_git()];
        paths.extend(&places);
        staged.load(&git, &paths)?;
        let config = match places.iter().find(|path| staged.has(path.as_str())) {
            Some(path) => {
                let text = staged
                    .text(path)
                    .map_err(|error| anyhow::anyhow!("reading `{path}`: {error}"))?;
                Config::of_text(&text, path)?
            }
            None => Config::default(),
        };
        let config = config.for_vault(&self.root);
        let also: Vec<&Utf8Path> = config.also.iter().map(Utf8PathBuf::as_path).collect();
        staged.load(&git, &also)?;
        paths.extend(also);
        let is_read = |path: &&&str| {
            paths
                .iter()
                .any(|read| Utf8Path::new(path).starts_with(read))
        };
        if let Some(path) = conflicts.iter().find(is_read) {
            bail!("`{path}` has conflicts: resolve them, and `git add` it");
        }
        Ok((staged, config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_only_announced() {
        let entry = |path: &str, flags: &str| {
            format!(
                "{path}\0  ctime: 0:0\n  mtime: 0:0\n  dev: 0\tino: 0\n  uid: 0\tgid: 0\n  size: 0\tflags: {flags}\n"
            )
        };
        let listed = [
            entry("a", "20004000"),
            entry("b\nc", "0"),
            entry("d\n", "20004000"),
        ]
        .concat();
        let paths = announced(&listed);
        assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["a", "d\n"]);
    }
}
