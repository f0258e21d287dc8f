//! A vault: a folder of Markdown cards tied by wiki links. Reads it, and says what leads where.
//!
//! Links are resolved by stem, as Obsidian and Quartz do it for `[[stem]]`: the last part of a path
//! without `.md`, in the case in which it is written.

pub mod card;
pub mod check;
pub mod date;
pub mod edits;
pub mod front_matter;
pub mod moves;
mod references;
mod rules_of_card;
mod rules_of_links;
mod rules_of_vault;
pub mod slug;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};

pub use crate::rules_of_links::joined;

/// A place in a file: line and column, from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A range of bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

/// The paths of a vault's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Of the cards: from the vault's root, in the order of their bytes.
    pub cards: Vec<Utf8PathBuf>,
    /// Of all other files: names, and paths from the vault's root.
    files: HashSet<Box<str>>,
}

/// Cards, found by path and by stem, each with what is known of it.
#[derive(Debug)]
pub struct Vault<T> {
    /// The cards, in the order of the bytes of their paths.
    pub cards: Vec<Card<T>>,
    /// Cards by their stems in lower case.
    by_stem: HashMap<Box<str>, Vec<u32>>,
}

/// A card.
#[derive(Debug)]
pub struct Card<T> {
    /// Its path in the vault.
    pub path: Utf8PathBuf,
    /// What is known of it.
    pub known: T,
}

/// Where a stem leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// To one card.
    Card(usize),
    /// To several: nowhere.
    Ambiguous(Vec<usize>),
    /// To cards whose stems differ in case only.
    Case(Vec<usize>),
    /// To nothing.
    Unknown,
}

impl Place {
    /// A place.
    pub fn new(line: usize, column: usize) -> Self {
        Self {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Span {
    /// Its first byte.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// As a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether a byte is in it.
    pub fn contains(self, at: usize) -> bool {
        self.range().contains(&at)
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let short = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: short(range.start),
            end: short(range.end),
        }
    }
}

impl<T> Card<T> {
    /// Its file's name without `.md`.
    pub fn stem(&self) -> &str {
        stem(self.path.as_str())
    }
}

/// The last part of a path, without `.md`.
pub fn stem(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.strip_suffix(".md").unwrap_or(name)
}

/// Cards that are larger than this, in bytes, are not read.
pub const LARGEST: u64 = 1 << 30;

impl Tree {
    /// All that lies below a folder. What begins with a dot is left out; links to folders are not followed.
    pub fn walk(root: &Utf8Path) -> Result<Self> {
        if !root.is_dir() {
            bail!("there is no folder `{root}`");
        }
        let mut paths = Vec::new();
        walk(root, "", &mut paths)?;
        Ok(Self::of(paths))
    }

    /// Of these paths from the vault's root. What begins with a dot is left out.
    pub fn of(paths: impl IntoIterator<Item = String>) -> Self {
        let mut tree = Self::default();
        for path in paths {
            let is_hidden = path.starts_with('.') || path.contains("/.");
            match path.strip_suffix(".md") {
                _ if is_hidden => {}
                Some(_) => tree.cards.push(path.into()),
                None => {
                    tree.files
                        .insert(path.rsplit('/').next().unwrap_or(&path).into());
                    tree.files.insert(path.into());
                }
            }
        }
        tree.cards
            .sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        tree
    }

    /// Whether a file that is no card has this name, or this path from the vault's root.
    pub fn has_file(&self, name: &str) -> bool {
        self.files.contains(name)
    }
}

impl<T> Vault<T> {
    /// A vault of these cards, in the order of the bytes of their paths.
    pub fn new(cards: impl IntoIterator<Item = (Utf8PathBuf, T)>) -> Self {
        let card = |(path, known)| Card { path, known };
        let cards: Vec<Card<T>> = cards.into_iter().map(card).collect();
        debug_assert!(cards.is_sorted_by(|a, b| a.path.as_str() < b.path.as_str()));
        let mut by_stem: HashMap<Box<str>, Vec<u32>> = HashMap::with_capacity(cards.len());
        for (number, card) in (0..).zip(&cards) {
            by_stem
                .entry(folded(card.stem()).into())
                .or_default()
                .push(number);
        }
        Self { cards, by_stem }
    }

    /// The card with a path in the vault.
    pub fn at(&self, path: &str) -> Option<usize> {
        self.cards
            .binary_search_by(|card| card.path.as_str().cmp(path))
            .ok()
    }

    /// Where a stem leads.
    pub fn resolve(&self, stem: &str) -> Target {
        let Some(cards) = self.by_stem.get(&*folded(stem)) else {
            return Target::Unknown;
        };
        let is_same = |card: &usize| self.cards[*card].stem() == stem;
        let cards = cards.iter().map(|card| *card as usize);
        // Nearly always there is one, and no list is needed.
        let mut same = cards.clone().filter(is_same);
        match (same.next(), same.next()) {
            (None, _) => Target::Case(cards.collect()),
            (Some(one), None) => Target::Card(one),
            _ => Target::Ambiguous(cards.filter(is_same).collect()),
        }
    }

    /// Cards whose stems are the same but for case, each group in order.
    pub fn namesakes(&self) -> impl Iterator<Item = &[u32]> {
        self.by_stem
            .values()
            .filter(|cards| cards.len() > 1)
            .map(Vec::as_slice)
    }
}

/// A stem in lower case.
fn folded(stem: &str) -> Cow<'_, str> {
    if stem
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        Cow::Borrowed(stem)
    } else {
        Cow::Owned(stem.to_lowercase())
    }
}

/// The text of a card, or why it can't be read.
pub fn read_text(path: &Utf8Path) -> Result<String, String> {
    let file = fs_err::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(USUAL);
    // The file itself reads into memory that was never written; its wrapper fills it with zeros first.
    let read = file.file().take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', good).count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// Most cards have fewer bytes than this: then one read gets them.
const USUAL: usize = 16 << 10;

/// Each item's value, in order, by all processors.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], f: &(dyn Fn(usize, &T) -> R + Sync)) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    // Starting threads costs more than a few cards do.
    if items.len() < 2 * CHUNK || threads == 1 {
        return items
            .iter()
            .enumerate()
            .map(|(n, item)| f(n, item))
            .collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else {
                return done;
            };
            let chunk = rest.iter().take(CHUNK).enumerate();
            done.push((
                start,
                chunk
                    .map(|(n, item)| f(start + n, item))
                    .collect::<Vec<R>>(),
            ));
        }
    };
    let mut all: Vec<(usize, Vec<R>)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(start, _)| *start);
    all.into_iter().flat_map(|(_, values)| values).collect()
}

/// How many items a thread takes at once.
const CHUNK: usize = 32;

fn walk(root: &Utf8Path, below: &str, paths: &mut Vec<String>) -> Result<()> {
    let folder = if below.is_empty() {
        root.to_owned()
    } else {
        root.join(below)
    };
    let reading = || format!("reading the folder `{folder}`");
    for entry in folder.read_dir_utf8().with_context(reading)? {
        let entry = entry.map_err(|error| match error.kind() {
            ErrorKind::InvalidData => anyhow!("{error}: rename the file"),
            _ => anyhow!(error),
        });
        let entry = entry.with_context(reading)?;
        let name = entry.file_name();
        if name.starts_with('.') {
            continue;
        }
        let path = if below.is_empty() {
            name.to_owned()
        } else {
            [below, "/", name].concat()
        };
        let kind = entry
            .file_type()
            .with_context(|| format!("looking at `{}`", entry.path()))?;
        if kind.is_dir() {
            walk(root, &path, paths)?;
        } else if kind.is_file() || leads_to_file(&entry, &path) {
            paths.push(path);
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

    #[test]
    fn where_stems_lead() {
        let paths = ["a/one.md", "a/two.md", "b/Three.md", "b/two.md"];
        let vault = Vault::new(paths.map(|path| (path.into(), ())));
        assert_eq!(vault.resolve("one"), Target::Card(0));
        assert_eq!(vault.resolve("two"), Target::Ambiguous(vec![1, 3]));
        assert_eq!(vault.resolve("three"), Target::Case(vec![2]));
        assert_eq!(vault.resolve("a/one"), Target::Unknown);
        assert_eq!(vault.at("b/Three.md"), Some(2));
        assert_eq!(vault.namesakes().collect::<Vec<_>>(), [[1, 3]]);
    }

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
        let texts = in_parallel(&tree.cards, &|_, path| read_text(&root.join(path)));
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
