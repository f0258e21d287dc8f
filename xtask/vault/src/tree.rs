//! The files of a vault: which there are, and what they hold.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Read as _;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::unicode::composed;

/// The paths of a vault's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Of the cards: from the vault's root, in the order of their bytes.
    pub cards: Vec<Utf8PathBuf>,
    /// Of all other files: from the vault's root, in the order of their bytes.
    paths: Vec<Box<str>>,
    /// The names of all other files.
    names: HashSet<Box<str>>,
    /// What can't be listed, and why: names that are not UTF-8, shown as well as they can be, and closed folders.
    pub faults: Vec<(Utf8PathBuf, String)>,
}

/// Cards that are larger than this, in bytes, are not read.
pub const LARGEST: u64 = 1 << 30;

impl Tree {
    /// All files below a folder. Hidden ones are left out; symbolic links to folders are not followed.
    pub fn walk(root: &Utf8Path) -> Result<Self> {
        if !root.is_dir() {
            bail!("there is no folder `{root}`");
        }
        let mut paths = Vec::new();
        let mut faults = Vec::new();
        walk(root, "", &mut paths, &mut faults)?;
        let mut tree = Self::of(paths);
        faults.sort_unstable();
        tree.faults = faults;
        Ok(tree)
    }

    /// Of these paths from the vault's root. Hidden ones are left out.
    pub fn of(paths: impl IntoIterator<Item = String>) -> Self {
        let mut tree = Self::default();
        for path in paths {
            let is_hidden = path.starts_with('.') || path.contains("/.");
            match path.strip_suffix(".md") {
                _ if is_hidden => {}
                Some(_) => tree.cards.push(path.into()),
                None => {
                    let name = path.rsplit('/').next().unwrap_or(&path);
                    tree.names.insert(name.into());
                    tree.paths.push(path.into());
                }
            }
        }
        tree.cards
            .sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        tree.paths.sort_unstable();
        tree
    }

    /// All paths, those of the cards first.
    pub fn paths(&self) -> impl Iterator<Item = &Utf8Path> {
        let cards = self.cards.iter().map(Utf8PathBuf::as_path);
        cards.chain(self.other_paths().map(Utf8Path::new))
    }

    /// The paths of files other than cards.
    pub fn other_paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| &**path)
    }

    /// Whether a file other than cards has this path from the vault's root.
    pub fn has_path(&self, path: &str) -> bool {
        let found = self.paths.binary_search_by(|known| (**known).cmp(path));
        found.is_ok()
    }

    /// Whether a file other than cards has this name, or this path from the vault's root.
    pub fn has_file(&self, name: &str) -> bool {
        self.names.contains(name) || self.has_path(name)
    }
}

/// A listed name as it is typed, if the file is found by that as well: macOS may list decomposed characters
/// whatever a file was called, and git takes such names for the composed ones.
pub fn as_typed<'n>(folder: &Utf8Path, name: &'n str) -> Cow<'n, str> {
    use std::os::unix::fs::MetadataExt as _;
    let typed = composed(name);
    if typed == name {
        return typed;
    }
    let id = |name: &str| {
        let data = fs_err::symlink_metadata(folder.join(name));
        data.ok().map(|data| (data.dev(), data.ino()))
    };
    match id(&typed) {
        Some(found) if id(name) == Some(found) => typed,
        _ => Cow::Borrowed(name),
    }
}

/// The text of a card, or why it can't be read.
pub fn read_text(path: &Utf8Path) -> Result<String, String> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    // A FIFO would be waited for, and a device may have no end.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = fs_err::OpenOptions::new();
    let opened = options.read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| error.to_string())?;
    let length = match file.metadata() {
        Ok(data) if data.is_file() => data.len(),
        _ => return Err("it is not a regular file".to_owned()),
    };
    // Where the length is known, no read is needed that finds the end.
    let most = if length == 0 { u64::MAX } else { length };
    let mut bytes = Vec::with_capacity(USUAL);
    // The file itself reads into memory that was never written; its wrapper fills it with zeros first.
    let mut start = file.file().take(most.min(LARGEST + 1));
    let read = start.read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    as_text(bytes)
}

/// The bytes of a card as text, or in which line they are none.
pub fn as_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', good).count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// Most cards have fewer bytes than this: then one read gets them.
const USUAL: usize = 16 << 10;

fn walk(
    root: &Utf8Path,
    below: &str,
    paths: &mut Vec<String>,
    faults: &mut Vec<(Utf8PathBuf, String)>,
) -> Result<()> {
    let folder = if below.is_empty() {
        root.to_owned()
    } else {
        root.join(below)
    };
    let under = |name: &str| {
        if below.is_empty() {
            name.to_owned()
        } else {
            [below, "/", name].concat()
        }
    };
    let entries = match folder.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if !below.is_empty() => {
            faults.push((below.into(), format!("the folder can't be read: {error}")));
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("reading the folder `{folder}`")),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let name = error.get_ref().and_then(|error| error.downcast_ref());
                let name = name.map(|error: &camino::FromPathBufError| error.as_path());
                let name = name.and_then(|path| path.file_name()).unwrap_or_default();
                let message = "the name is not UTF-8: rename the file".to_owned();
                faults.push((under(&name.to_string_lossy()).into(), message));
                continue;
            }
        };
        let name = entry.file_name();
        if name.starts_with('.') {
            continue;
        }
        let path = under(&as_typed(&folder, name));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(root, &path, paths, faults)?,
            Ok(kind) if kind.is_file() || leads_to_file(&entry, &path) => paths.push(path),
            Ok(_) => {}
            Err(error) => faults.push((path.into(), format!("it can't be looked at: {error}"))),
        }
    }
    Ok(())
}

/// Whether a path is that of a card.
fn is_card(path: &str) -> bool {
    path.strip_suffix(".md").is_some()
}

/// Whether an entry is a link to a file, or a card's link to nothing, which reading finds.
fn leads_to_file(entry: &camino::Utf8DirEntry, path: &str) -> bool {
    match entry.path().metadata() {
        Ok(data) => data.is_file(),
        Err(_) => is_card(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::{FILES, in_parallel};
    use crate::resolve::stem;

    fn write(path: Utf8PathBuf, contents: impl AsRef<[u8]>) {
        let mut file = fs_err::File::create(path).unwrap();
        std::io::Write::write_all(&mut file, contents.as_ref()).unwrap();
    }

    #[test]
    fn a_folder_is_walked_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        for n in 0..200 {
            let path = root.join(format!("d{}/card-{n:03}.md", n % 7));
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            write(path, format!("{n}"));
        }
        write(root.join("d0/bad.md"), b"a\n\xff");
        write(root.join("d0/picture.png"), b"x");
        fs_err::create_dir(root.join(".obsidian")).unwrap();
        write(root.join(".obsidian/no.md"), b"x");
        fs_err::os::unix::fs::symlink("..", root.join("d1/loop")).unwrap();
        fs_err::os::unix::fs::symlink("self.png", root.join("self.png")).unwrap();
        fs_err::os::unix::fs::symlink("self.md", root.join("self.md")).unwrap();
        let tree = Tree::walk(root).unwrap();
        assert_eq!(tree.cards.len(), 202);
        assert_eq!(tree.cards.last().unwrap(), "self.md");
        assert!(tree.cards.is_sorted());
        assert!(tree.has_file("picture.png") && tree.has_file("d0/picture.png"));
        assert!(!tree.has_file("d0/bad.md"));
        let texts = in_parallel(&tree.cards, FILES, &|_, path| read_text(&root.join(path)));
        for (path, text) in tree.cards.iter().zip(texts) {
            match stem(path.as_str()).strip_prefix("card-") {
                Some(number) => assert_eq!(text.unwrap().parse(), number.parse::<u8>()),
                None if path == "self.md" => assert!(text.is_err()),
                None => assert_eq!(text.unwrap_err(), "line 2 is not UTF-8"),
            }
        }
        assert!(Tree::walk(&root.join("none")).is_err());
    }
}
