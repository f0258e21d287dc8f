//! Where the cards are: the vault's folder, and the repository that holds it.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::git::Git;
use sys::process::Processes;

/// A vault on disk.
pub struct Source<'a> {
    /// Starts git.
    pub processes: &'a Processes,
    /// The folder from which paths are shown: the root of the repository that was named.
    pub shown_from: &'a Utf8Path,
    /// The vault's folder, absolute.
    pub root: Utf8PathBuf,
    /// The git repository of the vault; without one the vault's folder.
    pub git_root: Utf8PathBuf,
}

/// The folder of the cards: the one that was named, or `docs` of this repository.
pub fn vault_root(repository: &Utf8Path, named: Option<&Utf8Path>) -> Result<Utf8PathBuf> {
    let root = named.map_or_else(|| repository.join("docs"), Utf8Path::to_owned);
    root.canonicalize_utf8()
        .with_context(|| format!("looking for the vault `{root}`; `--vault DIR` names another"))
}

/// The vault that a folder is in, up to a repository's root: the nearest folder of Obsidian, else of a configuration,
/// else the `content` of Quartz, else one with a folder `docs`, which is the vault then.
pub fn vault_around(here: &Utf8Path) -> Option<Utf8PathBuf> {
    let is_root = |folder: &Utf8Path| folder.join(".git").exists();
    let root = here.ancestors().position(is_root).unwrap_or(0);
    let folder_with = |name: &str| {
        let mut folders = here.ancestors().take(root + 1);
        folders.find(|folder| folder.join(name).exists())
    };
    if let Some(vault) = folder_with(".obsidian") {
        return Some(vault.to_owned());
    }
    let has_settings = folder_with("docs-check.toml");
    // Its own documentation is in `docs` there.
    let pages = folder_with("quartz.config.ts").map(|folder| folder.join("content"));
    if has_settings.is_none()
        && let Some(pages) = pages.filter(|pages| pages.is_dir())
    {
        return Some(pages);
    }
    let folder = has_settings.or_else(|| folder_with("docs"))?;
    let docs = folder.join("docs");
    // A configuration may be that of the folder below.
    Some(if docs.is_dir() {
        docs
    } else {
        folder.to_owned()
    })
}

/// A path as it is shown: relative to a folder when it is below.
pub fn shown<'p>(from: &Utf8Path, path: &'p Utf8Path) -> &'p Utf8Path {
    path.strip_prefix(from).unwrap_or(path)
}

impl<'a> Source<'a> {
    /// The vault in `root`, which is absolute.
    pub fn new(processes: &'a Processes, shown_from: &'a Utf8Path, root: Utf8PathBuf) -> Self {
        let git_root = root.ancestors().find(|folder| folder.join(".git").exists());
        Self {
            processes,
            shown_from,
            git_root: git_root.unwrap_or(&root).to_owned(),
            root,
        }
    }

    /// Git in the repository of the vault.
    pub fn git(&self) -> Git<'_> {
        Git::new(self.processes, &self.git_root)
    }

    /// The vault's folder from the root of its git repository; empty where they are the same.
    pub fn below_git(&self) -> &Utf8Path {
        shown(&self.git_root, &self.root)
    }

    /// The folder that paths in code are relative to; a vault outside of repositories has none.
    pub fn base(&self) -> Option<&Utf8Path> {
        if self.git_root.join(".git").exists() {
            Some(&self.git_root)
        } else {
            Some(self.shown_from).filter(|folder| self.root.starts_with(folder))
        }
    }

    /// The vault's folder, from the root of the repository.
    pub fn folder(&self) -> &Utf8Path {
        self.base()
            .map_or(Utf8Path::new(""), |base| shown(base, &self.root))
    }

    /// A path of the repository, from the vault's root: `../README.md`.
    pub fn seen_from_vault(&self, path: &Utf8Path) -> Utf8PathBuf {
        if let Ok(below) = path.strip_prefix(self.folder()) {
            return below.to_owned();
        }
        let up = self.folder().components().map(|_| "..");
        up.collect::<Utf8PathBuf>().join(path)
    }

    /// These paths, from the vault's root; they are below it, or among the files that are checked as well.
    pub fn below_vault(
        &self,
        paths: &[Utf8PathBuf],
        also: &[Utf8PathBuf],
    ) -> Result<Vec<Utf8PathBuf>> {
        let below = |path: &Utf8PathBuf| {
            let full = path
                .canonicalize_utf8()
                .with_context(|| format!("looking for `{path}`"))?;
            let outside = self.base().and_then(|base| full.strip_prefix(base).ok());
            let outside = outside.map(|path| self.seen_from_vault(path));
            match (full.strip_prefix(&self.root), outside) {
                (Ok(below), _) => Ok(below.to_owned()),
                (_, Some(path)) if also.contains(&path) => Ok(path),
                _ => bail!("`{path}` is outside of the vault `{}`", self.root),
            }
        };
        paths.iter().map(below).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vault_around_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let around = |below: &str| {
            let vault = vault_around(&root.join(below));
            vault.map(|vault| shown(root, &vault).to_string())
        };
        for path in [".git", "a/b/docs", "notes/.obsidian", "notes/docs", "set/x"] {
            fs_err::create_dir_all(root.join(path)).unwrap();
        }
        assert_eq!(around("a"), None);
        assert_eq!(around("a/b").as_deref(), Some("a/b/docs"));
        assert_eq!(around("a/b/docs").as_deref(), Some("a/b/docs"));
        assert_eq!(around("notes/docs").as_deref(), Some("notes"));
        fs_err::File::create(root.join("set/docs-check.toml")).unwrap();
        assert_eq!(around("set/x").as_deref(), Some("set"));
        fs_err::create_dir_all(root.join("site/content/x")).unwrap();
        fs_err::create_dir(root.join("site/docs")).unwrap();
        fs_err::File::create(root.join("site/quartz.config.ts")).unwrap();
        for folder in ["site", "site/content/x"] {
            assert_eq!(around(folder).as_deref(), Some("site/content"));
        }
        fs_err::create_dir(root.join("set/docs")).unwrap();
        assert_eq!(around("set/x").as_deref(), Some("set/docs"));
    }
}
