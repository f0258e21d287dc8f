//! Files that change together: all of them or none, also where a run is killed between two.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::repo::Repo;
use nix_formats::json;
use sys::files;
use sys::terminal;

/// A file that changes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// Its path.
    pub path: Utf8PathBuf,
    /// What is in it.
    pub from: String,
    /// What will be.
    pub to: String,
}

impl Changed {
    /// Whether the file is what this says.
    fn is(&self, text: &str) -> Result<bool> {
        Ok(fs_err::read(&self.path)? == text.as_bytes())
    }

    fn write(&self, text: &str) -> Result<()> {
        let path = self.path.canonicalize_utf8()?;
        let mode = std::os::unix::fs::MetadataExt::mode(&fs_err::metadata(&path)?);
        files::write_atomically(&path, text.as_bytes(), mode & 0o7777)
    }
}

/// Where it is noted, as long as it goes on.
fn note(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join("writing.json")
}

/// Writes the files, unless one is not as it was. The folder is one that only one run uses at a time; with
/// [`put_back`] the next one puts back what a run that was killed had written of them.
pub fn write(repo: &Repo, folder: &Utf8Path, files: &[Changed]) -> Result<()> {
    let _lock = files::lock(&repo.lock())?;
    for file in files {
        if !file.is(&file.from)? {
            bail!(
                "{} was changed meanwhile: update again",
                repo.shown(&file.path)
            );
        }
    }
    let text = serde_json::to_string(files).context("noting what is written")?;
    files::write_atomically(&note(folder), text.as_bytes(), 0o644)?;
    if let Err(error) = files.iter().try_for_each(|file| file.write(&file.to)) {
        // The first error is the one to tell.
        let _ = put_back(repo, folder);
        return Err(error);
    }
    fs_err::remove_file(note(folder))?;
    Ok(())
}

/// Puts back what a run that did not come to its end had written; what somebody changed since stays.
pub fn put_back(repo: &Repo, folder: &Utf8Path) -> Result<()> {
    let note = note(folder);
    let text = match fs_err::read_to_string(&note) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let files: Vec<Changed> = json::from_json(&text, &note)?;
    let mut written = Vec::new();
    for file in &files {
        if file.is(&file.to).unwrap_or(false) {
            written.push(file);
        }
    }
    // With all of them it had come to its end.
    if written.len() < files.len() {
        for file in written {
            file.write(&file.from)?;
            terminal::say(format!(
                "{} is as it was before an update that did not come to its end",
                repo.shown(&file.path)
            ));
        }
    }
    fs_err::remove_file(&note)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Utf8Path, text: &str) {
        files::write_atomically(path, text.as_bytes(), 0o644).unwrap();
    }

    fn folder_with(names: &[&str]) -> (tempfile::TempDir, Repo) {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        for name in names {
            put(&root.join(name), "old");
        }
        (folder, Repo { root })
    }

    fn changed(repo: &Repo, names: &[&str]) -> Vec<Changed> {
        let changed = |name: &&str| Changed {
            path: repo.root.join(name),
            from: "old".to_owned(),
            to: "new".to_owned(),
        };
        names.iter().map(changed).collect()
    }

    fn texts(repo: &Repo, names: &[&str]) -> Vec<String> {
        let text = |name: &&str| fs_err::read_to_string(repo.root.join(name)).unwrap();
        names.iter().map(text).collect()
    }

    #[test]
    fn all_or_none() {
        let names = ["a", "b", "c"];
        let (_guard, repo) = folder_with(&names);
        let mut all = changed(&repo, &names);
        write(&repo, &repo.root, &all).unwrap();
        assert_eq!(texts(&repo, &names), ["new"; 3]);
        // One is another meanwhile.
        let error = write(&repo, &repo.root, &all).unwrap_err();
        assert_eq!(error.to_string(), "a was changed meanwhile: update again");
        // One can't be written: its folder is a file system of the kernel's.
        all = changed(&repo, &names);
        for file in &mut all {
            (file.from, file.to) = ("new".to_owned(), "newer".to_owned());
        }
        let path = Utf8PathBuf::from("/proc/sys/kernel/ostype");
        all.push(Changed {
            from: fs_err::read_to_string(&path).unwrap(),
            to: "newer".to_owned(),
            path,
        });
        write(&repo, &repo.root, &all).unwrap_err();
        assert_eq!(texts(&repo, &names), ["new"; 3]);
        assert!(!note(&repo.root).exists());
    }

    #[test]
    fn what_was_killed_is_put_back() {
        let names = ["a", "b", "c"];
        for (now, then) in [
            (["new", "old", "old"], ["old", "old", "old"]),
            (["new", "mine", "old"], ["old", "mine", "old"]),
            (["new", "new", "new"], ["new", "new", "new"]),
        ] {
            let (_guard, repo) = folder_with(&names);
            let text = serde_json::to_string(&changed(&repo, &names)).unwrap();
            put(&note(&repo.root), &text);
            for (name, text) in names.iter().zip(now) {
                put(&repo.root.join(name), text);
            }
            put_back(&repo, &repo.root).unwrap();
            assert_eq!(texts(&repo, &names), then);
            assert!(!note(&repo.root).exists());
            put_back(&repo, &repo.root).unwrap();
        }
    }
}
