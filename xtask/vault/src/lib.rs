//! A vault: a folder of Markdown cards tied by wiki links. Reads it, and says what leads where.
//!
//! Links are resolved by stem, as Obsidian and Quartz do it for `[[stem]]`: the last part of a path
//! without `.md`, in the case in which it is written.

pub mod card;
pub mod check;
pub mod date;
pub mod front_matter;
pub mod slug;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::card::Content;

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

/// A folder of cards.
#[derive(Debug, Default)]
pub struct Vault {
    /// The cards, in order of their paths.
    pub cards: Vec<Card>,
    /// All other files below the vault, by their paths in it.
    pub files: Vec<Utf8PathBuf>,
    /// Cards in order of their stems.
    by_stem: Vec<usize>,
    /// Cards with their stems in lower case, in order of those.
    by_folded_stem: Vec<(Box<str>, usize)>,
}

/// A card.
#[derive(Debug)]
pub struct Card {
    /// Its path in the vault.
    pub path: Utf8PathBuf,
    /// What it holds, or why it can't be read.
    pub content: Result<Content, String>,
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

impl Card {
    /// Its file's name without `.md`.
    pub fn stem(&self) -> &str {
        self.path.file_stem().unwrap_or_default()
    }
}

/// Cards that are larger than this, in bytes, are not read.
pub const LARGEST: u64 = 1 << 30;

impl Vault {
    /// Reads all cards below a folder, with two threads or more. Files and folders whose names begin with
    /// a dot are left out, and so is what `ignored` knows by its path in the vault; links to folders are
    /// not followed.
    pub fn read(root: &Utf8Path, ignored: &(dyn Fn(&Utf8Path) -> bool + Sync)) -> Result<Self> {
        if !root.is_dir() {
            bail!("there is no folder `{root}`");
        }
        let mut paths = Vec::new();
        walk(root, Utf8Path::new(""), ignored, &mut paths)?;
        paths.sort_unstable();
        let (cards, files): (Vec<_>, Vec<_>) = paths
            .into_iter()
            .partition(|path| path.extension() == Some("md"));
        let read_one = |path: &Utf8PathBuf| read_card(&root.join(path));
        Ok(Self::new(cards, &read_one, files))
    }

    /// A vault of these cards, in order of their paths, each read by `read_one`.
    pub fn new(
        paths: Vec<Utf8PathBuf>,
        read_one: &(dyn Fn(&Utf8PathBuf) -> Result<Content, String> + Sync),
        files: Vec<Utf8PathBuf>,
    ) -> Self {
        debug_assert!(paths.is_sorted());
        let contents = in_parallel(&paths, read_one);
        let cards = paths
            .into_iter()
            .zip(contents)
            .map(|(path, content)| Card { path, content })
            .collect();
        let mut vault = Self {
            cards,
            files,
            ..Self::default()
        };
        let cards = &vault.cards;
        vault.by_stem = (0..cards.len()).collect();
        vault.by_stem.sort_by_key(|card| cards[*card].stem());
        let folded = |(index, card): (usize, &Card)| (card.stem().to_lowercase().into(), index);
        vault.by_folded_stem = cards.iter().enumerate().map(folded).collect();
        vault.by_folded_stem.sort_unstable();
        vault
    }

    /// The card with a path in the vault.
    pub fn at(&self, path: &Utf8Path) -> Option<usize> {
        let by_path = |card: &Card| card.path.as_path().cmp(path);
        self.cards.binary_search_by(by_path).ok()
    }

    /// Where a stem leads.
    pub fn resolve(&self, stem: &str) -> Target {
        let of = |card: &usize| self.cards[*card].stem();
        let first = self.by_stem.partition_point(|card| of(card) < stem);
        let same = self.by_stem[first..]
            .iter()
            .take_while(|card| of(card) == stem);
        match same.copied().collect::<Vec<_>>()[..] {
            [] => {}
            [one] => return Target::Card(one),
            ref several => return Target::Ambiguous(several.to_vec()),
        }
        let folded = stem.to_lowercase();
        let first = self
            .by_folded_stem
            .partition_point(|(known, _)| **known < *folded);
        let same = self.by_folded_stem[first..]
            .iter()
            .take_while(|(known, _)| **known == *folded);
        let cards: Vec<usize> = same.map(|(_, card)| *card).collect();
        if cards.is_empty() {
            Target::Unknown
        } else {
            Target::Case(cards)
        }
    }

    /// The cards of each stem, in order of the stems.
    pub fn stems(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let groups = self
            .by_stem
            .chunk_by(|a, b| self.cards[*a].stem() == self.cards[*b].stem());
        groups.map(|cards| (self.cards[cards[0]].stem(), cards))
    }

    /// Cards whose stems differ in case only, each group in order.
    pub fn clashes(&self) -> impl Iterator<Item = Vec<usize>> {
        let groups = self.by_folded_stem.chunk_by(|(a, _), (b, _)| a == b);
        groups
            .filter(|cards| cards.len() > 1)
            .map(|cards| cards.iter().map(|(_, card)| *card).collect())
    }

    /// The file that is no card with this name or path in the vault.
    pub fn file(&self, name: &str) -> Option<&Utf8Path> {
        let found = self.files.iter().find(|path| {
            path.as_str() == name || (!name.contains('/') && path.file_name() == Some(name))
        });
        found.map(Utf8PathBuf::as_path)
    }
}

/// Reads one card.
fn read_card(path: &Utf8Path) -> Result<Content, String> {
    let size = fs_err::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if size > LARGEST {
        return Err(format!("it has {size} bytes, more than {LARGEST}"));
    }
    let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
    read_bytes(bytes)
}

/// Reads a card's bytes.
pub fn read_bytes(bytes: Vec<u8>) -> Result<Content, String> {
    String::from_utf8(bytes)
        .map(|text| card::read(&text))
        .map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = memchr::memchr_iter(b'\n', good).count() + 1;
            format!("line {line} is not UTF-8")
        })
}

/// Each item's value, in order, by all processors.
fn in_parallel<T: Sync, R: Send>(items: &[T], f: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    // Starting threads costs more than a few cards do.
    if items.len() < 64 || threads == 1 {
        return items.iter().map(f).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return done;
            };
            done.push((index, f(item)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
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
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, value)| value).collect()
}

fn walk(
    root: &Utf8Path,
    below: &Utf8Path,
    ignored: &(dyn Fn(&Utf8Path) -> bool + Sync),
    paths: &mut Vec<Utf8PathBuf>,
) -> Result<()> {
    let folder = root.join(below);
    let entries = folder
        .read_dir_utf8()
        .with_context(|| format!("reading the folder `{folder}`"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading the folder `{folder}`"))?;
        let path = below.join(entry.file_name());
        if entry.file_name().starts_with('.') || ignored(&path) {
            continue;
        }
        let kind = entry
            .file_type()
            .with_context(|| format!("looking at `{}`", entry.path()))?;
        if kind.is_dir() {
            walk(root, &path, ignored, paths)?;
        } else if kind.is_file() || entry.path().is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(paths: &[&str]) -> Vault {
        let paths = paths.iter().map(Utf8PathBuf::from).collect();
        Vault::new(paths, &|_| Ok(Content::default()), Vec::new())
    }

    #[test]
    fn where_stems_lead() {
        let vault = vault(&["a/one.md", "a/two.md", "b/Three.md", "b/two.md"]);
        assert_eq!(vault.resolve("one"), Target::Card(0));
        assert_eq!(vault.resolve("two"), Target::Ambiguous(vec![1, 3]));
        assert_eq!(vault.resolve("three"), Target::Case(vec![2]));
        assert_eq!(vault.resolve("a/one"), Target::Unknown);
        assert_eq!(vault.at(Utf8Path::new("b/Three.md")), Some(2));
    }

    fn write(path: Utf8PathBuf, contents: impl AsRef<[u8]>) {
        let mut file = fs_err::File::create(path).unwrap();
        std::io::Write::write_all(&mut file, contents.as_ref()).unwrap();
    }

    #[test]
    fn a_folder_is_read_in_order_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        for n in 0..200 {
            let path = root.join(format!("d{}/card-{n:03}.md", n % 7));
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            write(path, format!("[[card-{:03}]]\n", (n + 1) % 200));
        }
        write(root.join("d0/bad.md"), b"a\n\xff");
        write(root.join("d0/picture.png"), b"x");
        fs_err::create_dir(root.join(".obsidian")).unwrap();
        write(root.join(".obsidian/no.md"), b"x");
        fs_err::os::unix::fs::symlink("..", root.join("d1/loop")).unwrap();
        let vault = Vault::read(root, &|path| path.starts_with("d6")).unwrap();
        assert_eq!(vault.cards.len(), 200 - 28 + 1);
        assert!(vault.cards.is_sorted_by(|a, b| a.path < b.path));
        let links = |card: &Card| {
            card.content
                .as_ref()
                .map_or(0, |content| content.links.len())
        };
        assert_eq!(vault.cards.iter().map(links).sum::<usize>(), 172);
        let bad = vault.at(Utf8Path::new("d0/bad.md")).unwrap();
        assert_eq!(
            vault.cards[bad].content.as_ref().unwrap_err(),
            "line 2 is not UTF-8"
        );
        assert_eq!(
            vault.file("picture.png"),
            Some(Utf8Path::new("d0/picture.png"))
        );
    }
}
