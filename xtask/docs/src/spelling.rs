//! Whether a file is there by just this name. macOS finds it whatever the case and however the characters are
//! composed; a forge, and Linux, do not.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use sys::files::normalized;
use vault::unicode::composed;

/// Looks for files below a folder.
pub struct Spelling {
    top: Utf8PathBuf,
    ignores_case: bool,
    /// The names in the folders that were asked for, composed.
    listed: Mutex<HashMap<Utf8PathBuf, HashSet<String>>>,
}

impl Spelling {
    /// The folder, which is absolute; what leads out of it is looked for as the file system does.
    pub fn below(top: &Utf8Path) -> Self {
        Self {
            top: top.to_owned(),
            ignores_case: ignores_case(top),
            listed: Mutex::default(),
        }
    }

    /// Whether a file or folder is there, by this name and no other.
    pub fn exists(&self, path: &Utf8Path) -> bool {
        // Nearly always this is all.
        path.exists() && (!self.ignores_case || self.is_listed(&normalized(path)))
    }

    fn is_listed(&self, path: &Utf8Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.top) else {
            return true;
        };
        let mut folder = self.top.clone();
        below.components().all(|part| {
            let is_there = self.has(&folder, part.as_str());
            folder.push(part);
            is_there
        })
    }

    fn has(&self, folder: &Utf8Path, name: &str) -> bool {
        let Ok(mut listed) = self.listed.lock() else {
            return false;
        };
        if let Some(names) = listed.get(folder) {
            return names.contains(name);
        }
        let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
        let names: HashSet<String> = entries
            .map(|entry| composed(entry.file_name()).into_owned())
            .collect();
        let is_there = names.contains(name);
        listed.insert(folder.to_owned(), names);
        is_there
    }
}

/// Whether a file of a folder is found by its name in the other case.
fn ignores_case(folder: &Utf8Path) -> bool {
    let id = |name: &str| {
        let data = fs_err::symlink_metadata(folder.join(name)).ok()?;
        Some((data.dev(), data.ino()))
    };
    let other = |name: &str| -> String {
        let swap = |c: char| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        };
        name.chars().map(swap).collect()
    };
    let mut entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let name = entries.find_map(|entry| {
        let name = entry.file_name();
        (other(name) != name).then(|| name.to_owned())
    });
    name.is_some_and(|name| id(&name).is_some_and(|found| id(&other(&name)) == Some(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its twin, on a file system that ignores case and is not the machine's own, is among the end-to-end tests.
    #[test]
    fn case_makes_a_difference() {
        let folder = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(folder.path()).unwrap();
        fs_err::create_dir(top.join("a")).unwrap();
        fs_err::File::create(top.join("a/One")).unwrap();
        let spelling = Spelling::below(top);
        // Nearly all folders of macOS ignore it.
        let is_ignored = top.join("A").exists();
        assert_eq!(spelling.ignores_case, is_ignored);
        assert!(spelling.exists(&top.join("a/One")) && !spelling.exists(&top.join("a/one")));
        if !is_ignored {
            // Both are there, and one is not the other.
            fs_err::create_dir(top.join("A")).unwrap();
            assert!(!ignores_case(top));
        }
    }

    #[test]
    fn what_is_listed_counts() {
        let folder = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(folder.path()).unwrap();
        fs_err::create_dir(top.join("a")).unwrap();
        fs_err::File::create(top.join("a/cafe\u{301}.md")).unwrap();
        let spelling = Spelling::below(top);
        assert!(spelling.is_listed(&top.join("a/caf\u{e9}.md")));
        assert!(!spelling.is_listed(&top.join("a/Caf\u{e9}.md")));
        assert!(!spelling.is_listed(&top.join("A/caf\u{e9}.md")));
        assert!(spelling.is_listed(Utf8Path::new("/elsewhere")));
    }
}
