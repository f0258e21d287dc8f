//! Where a link leads in Obsidian and in Quartz, each by its own rules.
//!
//! Obsidian looks for a name in the whole vault, whatever its case: the exact path first, then a path that ends so
//! in the card's own folder, then the shortest one. Quartz (`CrawlLinks` with shortest paths) takes the only file
//! of a name, in its case, and else a path from the root. Names are compared as Quartz's slugs: blanks are `-`.

use std::collections::HashMap;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use crate::card::without_block_id;
use crate::resolve::{Card, Target, Vault, joined, stem};
use crate::tree::Tree;
use crate::unicode::folded;

/// Cards by their other names, in lower case; a name that several have leads nowhere.
pub type Aliases = HashMap<String, Option<u32>>;

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A card, by its number.
    Card(usize),
    /// Another file, by its path in the vault.
    File(Utf8PathBuf),
}

/// All files of a vault, by name.
pub struct Programs<'a, T> {
    vault: &'a Vault<T>,
    tree: &'a Tree,
    aliases: &'a Aliases,
    /// Files other than cards, by the keys of their names; made when it is needed.
    files: OnceLock<HashMap<String, Vec<&'a str>>>,
}

impl<'a, T> Programs<'a, T> {
    /// The files of a vault, and the other names of its cards.
    pub fn new(vault: &'a Vault<T>, tree: &'a Tree, aliases: &'a Aliases) -> Self {
        Self {
            vault,
            tree,
            aliases,
            files: OnceLock::new(),
        }
    }

    fn files(&self) -> &HashMap<String, Vec<&'a str>> {
        self.files.get_or_init(|| {
            let mut files: HashMap<String, Vec<&str>> = HashMap::new();
            for path in self.tree.other_paths() {
                let name = path.rsplit('/').next().unwrap_or(path);
                files.entry(file_key(name)).or_default().push(path);
            }
            files
        })
    }

    /// Whether cards are below a folder: Quartz makes a page of it.
    fn has_folder(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let cards = &self.vault.cards;
        let first = cards.partition_point(|card| card.path.as_str() < below.as_str());
        let card = cards.get(first);
        card.is_some_and(|card| card.path.as_str().starts_with(&below))
    }

    /// Where a target without anchor leads in Obsidian; `from` is the card's path.
    pub fn obsidian(&self, from: &Utf8Path, target: &str) -> Option<Goal> {
        self.obsidian_or_tied(from, target).map(|(goal, _)| goal)
    }

    /// Where a target leads in Obsidian, and whether its rules prefer no other file as much: of these it takes any.
    pub fn obsidian_or_tied(&self, from: &Utf8Path, target: &str) -> Option<(Goal, bool)> {
        // Nearly always it is the name of one card.
        if !target.contains(['/', '.'])
            && let [card] = self.vault.of_stem(target)
            && !self.files().contains_key(&file_key(target))
        {
            return Some((Goal::Card(*card as usize), false));
        }
        let is_relative = target.starts_with("./") || target.starts_with("../");
        let path = if is_relative {
            joined(from, target)?.into_string()
        } else {
            target
                .trim_start_matches('/')
                .trim_end_matches('/')
                .to_owned()
        };
        if path.is_empty() {
            return None;
        }
        let path = folded(&path);
        let name = path.rsplit('/').next().unwrap_or(&path);
        let ends = |candidate: &str, path: &str| {
            let candidate = folded(candidate);
            let before = candidate.strip_suffix(path);
            before.is_some_and(|before| before.is_empty() || !is_relative && before.ends_with('/'))
        };
        if let Some(files) = self.files().get(&file_key(name)) {
            let paths = files.iter().copied().filter(|file| ends(file, &path));
            if let Some((best, is_tied)) = best(from, paths.map(|file| (file, file)), &path) {
                return Some((Goal::File(best.into()), is_tied));
            }
        }
        let path = path.strip_suffix(".md").unwrap_or(&path);
        let cards = self.vault.of_stem(stem(path));
        let cards = cards.iter().map(|card| *card as usize).filter_map(|card| {
            let whole = self.vault.cards[card].path.as_str();
            let whole = whole.strip_suffix(".md").unwrap_or(whole);
            ends(whole, path).then_some((whole, card))
        });
        best(from, cards, path).map(|(card, is_tied)| (Goal::Card(card), is_tied))
    }

    /// Where a target without anchor leads in Quartz. It takes no path from the card: one that climbs begins at the root.
    pub fn quartz(&self, target: &str) -> Option<Goal> {
        let is_name = |part: &&str| !matches!(*part, "" | "." | "..");
        let parts: Vec<&str> = target.split('/').filter(is_name).collect();
        let climbs = target.split('/').any(|part| part == "..");
        let path = parts.join("/");
        let path = path.strip_suffix(".md").unwrap_or(&path);
        if path.is_empty() {
            return None;
        }
        if !path.contains('/') && !climbs && !target.ends_with('/') {
            let slug = sluggish(path);
            let cards = self.vault.of_stem(path).iter();
            let hyphened = path.replace(' ', "-");
            let others = if hyphened == path {
                &[][..]
            } else {
                self.vault.of_stem(&hyphened)
            };
            let mut cards = cards.chain(others).map(|card| *card as usize);
            let mut same = cards
                .by_ref()
                .filter(|card| sluggish(self.vault.cards[*card].stem()) == slug);
            // A file without an ending has the page's name, too: `LICENSE`.
            let is_file = |file: &&str| {
                let name = file.rsplit('/').next().unwrap_or(file);
                sluggish(name) == slug
            };
            let files = self.files().get(&file_key(path));
            let has_file = files.is_some_and(|files| files.iter().any(is_file));
            match (same.next(), same.next()) {
                (Some(card), None) if !has_file => return Some(Goal::Card(card)),
                (None, _) => {
                    if let Some(Some(card)) = self.aliases.get(&path.to_lowercase()) {
                        return Some(Goal::Card(*card as usize));
                    }
                }
                _ => {}
            }
        }
        let card = ["", "/index", "/README", "/_index"]
            .iter()
            .find_map(|page| {
                let page = format!("{path}{page}.md");
                self.vault.at(page.trim_start_matches('/'))
            });
        if let Some(card) = card {
            return Some(Goal::Card(card));
        }
        if let Some(Some(card)) = self.aliases.get(&path.to_lowercase()) {
            return Some(Goal::Card(*card as usize));
        }
        if self.tree.has_path(path) || self.has_folder(path) {
            return Some(Goal::File(path.into()));
        }
        // Images are found by name alone.
        let name = path.rsplit('/').next().unwrap_or(path);
        let files = self.files().get(&file_key(name))?;
        let mut same = files.iter().filter(|file| {
            let file = file.rsplit('/').next().unwrap_or(file);
            !path.contains('/') && sluggish(file) == sluggish(name)
        });
        match (same.next(), same.next()) {
            (Some(file), None) => Some(Goal::File((*file).into())),
            _ => None,
        }
    }

    /// Whether a link may be written in another way: in neither program it leads elsewhere than before, and where it
    /// led nowhere it leads to one place in both, or to this one.
    pub fn is_certain(
        &self,
        from: &Utf8Path,
        before: &str,
        after: &str,
        to: Option<usize>,
    ) -> bool {
        let was = [self.obsidian(from, before), self.quartz(before)];
        let is = [self.obsidian(from, after), self.quartz(after)];
        let goal = to.map(Goal::Card);
        let same = was.iter().zip(&is).all(|(was, is)| match was {
            Some(was) => is.as_ref() == Some(was),
            None => is.is_none() || goal.is_none() || *is == goal,
        });
        let meant = goal.is_none_or(|goal| is.iter().any(|is| *is == Some(goal.clone())));
        same && meant
    }
}

/// Of candidates, each a path whose name is found, the one that Obsidian takes, and whether another is as good.
fn best<'p, V>(
    from: &Utf8Path,
    candidates: impl Iterator<Item = (&'p str, V)>,
    wanted: &str,
) -> Option<(V, bool)> {
    let folder = from.parent().map(Utf8Path::as_str).unwrap_or_default();
    let rank = |path: &str| {
        let own = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        (
            folded(path) != wanted,
            own != folder,
            path.matches('/').count(),
            // As JavaScript counts.
            path.encode_utf16().count(),
        )
    };
    let mut found: Option<((_, &str), V)> = None;
    let mut is_tied = false;
    for (path, value) in candidates {
        let ranked = (rank(path), path);
        match &found {
            Some((best, _)) if best.0 < ranked.0 => {}
            Some((best, _)) if best.0 == ranked.0 => {
                is_tied = true;
                if ranked < *best {
                    found = Some((ranked, value));
                }
            }
            _ => {
                is_tied = false;
                found = Some((ranked, value));
            }
        }
    }
    found.map(|(_, value)| (value, is_tied))
}

/// A file's name as the program compares it that is the least strict: screenshots of macOS have narrow blanks in theirs.
fn file_key(name: &str) -> String {
    folded(name).replace(char::is_whitespace, " ")
}

/// A name as Quartz's slugs have it, as far as names differ by it.
pub(crate) fn sluggish(name: &str) -> String {
    name.replace(char::is_whitespace, "-")
        .replace('&', "-and-")
        .replace('%', "-percent")
        .replace(['?', '#'], "")
}

/// Whether a card is the page of its folder: links can name the folder.
pub(crate) fn is_page(path: &Utf8Path) -> bool {
    matches!(stem(path.as_str()), "index" | "_index" | "README")
}

/// A heading as Obsidian compares it: case and punctuation don't count.
pub fn heading_key(text: &str) -> String {
    heading_letters(text).collect()
}

fn heading_letters(text: &str) -> impl Iterator<Item = char> {
    const DROPPED: &str = "!\"#$%&()*+,.:;<=>?@^`{|}~/[]\\\r\n";
    let words = text.split(|c: char| c.is_whitespace() || DROPPED.contains(c));
    let words = words.filter(|word| !word.is_empty()).enumerate();
    words.flat_map(|(number, word)| {
        let blank = (number > 0).then_some(' ');
        let letters = word.chars().flat_map(char::to_lowercase);
        // The last one of a word in capitals is a `ς` in lower case.
        let letters = letters.map(|c| if c == 'ς' { 'σ' } else { c });
        blank.into_iter().chain(letters)
    })
}

/// The heading, by its number, that Obsidian finds, of headings with their levels, their texts and how these are written:
/// of `a#b` the first `b` behind the first `a` that is on a deeper level. Obsidian compares what is written.
pub fn heading_of_chain<'h>(
    anchor: &str,
    headings: &(impl Iterator<Item = (u8, &'h str, &'h str)> + Clone),
) -> Option<usize> {
    let mut above: Option<(usize, u8)> = None;
    for part in anchor.split('#').filter(|part| !part.trim().is_empty()) {
        let key = heading_key(part);
        let is_meant = |text: &str| heading_letters(without_block_id(text)).eq(key.chars());
        let start = above.map_or(0, |(number, _)| number + 1);
        let least = above.map_or(0, |(_, level)| level);
        let rest = headings.clone().enumerate().skip(start);
        let mut below = rest.filter(|(_, (level, ..))| *level > least);
        let found = below
            .find(|(_, (_, text, source))| is_meant(text) || source != text && is_meant(source));
        let (number, (level, ..)) = found?;
        above = Some((number, level));
    }
    above.map(|(number, _)| number)
}

/// The card that a link means whose name differs in case only.
pub fn by_case<T>(vault: &Vault<T>, target: &str) -> Option<usize> {
    match vault.resolve(stem(target)) {
        Target::Case(cards) if cards.len() == 1 => Some(cards[0]),
        _ => None,
    }
}

/// The paths of cards, for a message.
pub fn listed<T>(cards: &[Card<T>], numbers: &[usize]) -> String {
    let paths = numbers
        .iter()
        .map(|card| format!("`{}`", cards[*card].path));
    paths.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_follows_links_by_its_own_rules() {
        let cards = [
            "API.md",
            "API/command.md",
            "Command.md",
            "a/LICENSE.md",
            "a/index.md",
            "a/x.md",
            "b/c/x.md",
            "b/x.md",
            "my note.md",
            "one-word.md",
        ];
        let vault = Vault::new(cards.map(|path| (path.into(), ())));
        let others = [
            "a/Pic.png",
            "pics/pic.png",
            "b/only.pdf",
            "LICENSE",
            "b/at 6\u{202f}AM.png",
        ];
        let all = cards.iter().chain(&others).map(ToString::to_string);
        let tree = Tree::of(all);
        let aliases = Aliases::from([("other".to_owned(), Some(0))]);
        let programs = Programs::new(&vault, &tree, &aliases);
        let shown = |goal: Option<Goal>| match goal {
            Some(Goal::Card(card)) => vault.cards[card].path.to_string(),
            Some(Goal::File(path)) => path.into_string(),
            None => String::new(),
        };
        for (from, target, obsidian, quartz) in [
            ("n.md", "API/command", "API/command.md", "API/command.md"),
            ("n.md", "command", "Command.md", "API/command.md"),
            ("API/n.md", "command", "Command.md", "API/command.md"),
            ("n.md", "Command", "Command.md", "Command.md"),
            ("n.md", "x", "a/x.md", ""),
            ("b/n.md", "x", "b/x.md", ""),
            ("b/c/n.md", "x", "b/c/x.md", ""),
            ("n.md", "c/x", "b/c/x.md", ""),
            ("n.md", "/b/x.md", "b/x.md", "b/x.md"),
            ("b/n.md", "../a/x", "a/x.md", "a/x.md"),
            ("b/n.md", "./x", "b/x.md", ""),
            ("b/n.md", "../c/x", "", ""),
            ("n.md", "./one-word", "one-word.md", "one-word.md"),
            ("n.md", "./x", "", ""),
            ("n.md", "a", "", "a/index.md"),
            ("n.md", "a/", "", "a/index.md"),
            ("n.md", "b", "", "b"),
            ("n.md", "b/c/", "", "b/c"),
            ("n.md", "pics", "", ""),
            ("n.md", "My Note", "my note.md", ""),
            ("n.md", "my note", "my note.md", "my note.md"),
            ("n.md", "one word", "", "one-word.md"),
            ("n.md", "Other", "", "API.md"),
            ("n.md", "pic.png", "a/Pic.png", "pics/pic.png"),
            ("pics/n.md", "pic.png", "pics/pic.png", "pics/pic.png"),
            ("n.md", "only.pdf", "b/only.pdf", "b/only.pdf"),
            ("n.md", "at 6 AM.png", "", "b/at 6\u{202f}AM.png"),
            ("n.md", "at 6\u{202f}am.png", "b/at 6\u{202f}AM.png", ""),
            ("n.md", "none", "", ""),
            ("n.md", "LICENSE", "LICENSE", "LICENSE"),
            ("n.md", "a/LICENSE", "a/LICENSE.md", "a/LICENSE.md"),
        ] {
            let from = Utf8Path::new(from);
            assert_eq!(
                shown(programs.obsidian(from, target)),
                obsidian,
                "{from} {target}"
            );
            assert_eq!(shown(programs.quartz(target)), quartz, "{from} {target}");
        }
        let from = Utf8Path::new("n.md");
        assert!(!programs.is_certain(from, "API/command", "command", Some(1)));
        assert!(programs.is_certain(from, "b/c/x.md", "b/c/x", None));
        assert!(programs.is_certain(from, "none", "my note", Some(8)));
    }

    #[test]
    fn composed_names_lead_to_decomposed_files() {
        let cards = ["d/cafe\u{301}.md", "x/cafe\u{301}.md"];
        let vault = Vault::new(cards.map(|path| (path.into(), ())));
        let picture = "e\u{301}/e\u{301}.png";
        let tree = Tree::of([picture.to_owned()]);
        let aliases = Aliases::new();
        let programs = Programs::new(&vault, &tree, &aliases);
        let from = Utf8Path::new("x/n.md");
        for (target, goal) in [
            ("caf\u{e9}", Goal::Card(1)),
            ("caf\u{e9}.md", Goal::Card(1)),
            ("/d/Caf\u{e9}", Goal::Card(0)),
            ("../d/caf\u{e9}.md", Goal::Card(0)),
            ("\u{e9}.png", Goal::File(picture.into())),
            ("../\u{e9}/\u{e9}.png", Goal::File(picture.into())),
        ] {
            assert_eq!(programs.obsidian(from, target), Some(goal), "{target}");
        }
    }

    #[test]
    fn headings_as_obsidian_compares_them() {
        assert_eq!(heading_key("What's *new*: C++ (2.0)?"), "what's new c 2 0");
        assert_eq!(heading_key("a / b"), heading_key("A b"));
        assert_eq!(heading_key("ΟΔΟΣ"), heading_key("οδος"));
        let headings = [(1, "Top"), (2, "A ^id"), (4, "B"), (2, "C"), (3, "D")].into_iter();
        let headings = headings.map(|(level, text)| (level, text, text));
        for (anchor, number) in [
            ("a", Some(1)),
            ("#A##b", Some(2)),
            ("top#c#d", Some(4)),
            ("a#c", None),
            // It need not be below that one.
            ("a#d", Some(4)),
            ("b#d", None),
            ("none#b", None),
            ("b#a", None),
            ("#", None),
        ] {
            assert_eq!(heading_of_chain(anchor, &headings), number, "{anchor}");
        }
    }
}
