//! The rules of what leads from a card to another.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::card::Kind;
use crate::check::{Code, Finding, Fix, World, nearest};
use crate::rules_of_card::{Known, Lead, Lines};
use crate::slug::slug;
use crate::{Card, Place, Target, Tree, Vault, stem};

/// Where a card leads.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// The cards that it links, itself left out.
    pub(crate) leads_to: Box<[u32]>,
    /// Its prerequisites.
    pub(crate) requires: Box<[(u32, Place)]>,
}

/// Findings that lack a suggestion, each with the stem that is looked for.
pub(crate) type Loose = Vec<(Finding, String)>;

/// Cards by their other names, in lower case; a name that several have leads nowhere.
pub(crate) type Names = HashMap<String, Option<u32>>;

/// The other names of all cards: aliases and permalinks.
pub(crate) fn names(vault: &Vault<Known>) -> Names {
    let mut names = Names::new();
    for (number, card) in (0..).zip(&vault.cards) {
        let aliases = card.known.aliases.iter().map(|(alias, _)| alias);
        for name in aliases.chain(&card.known.permalink) {
            let same = names.entry(name.to_lowercase()).or_insert(Some(number));
            if *same != Some(number) {
                *same = None;
            }
        }
    }
    names
}

/// Follows the links of a card.
pub(crate) fn follow(
    vault: &Vault<Known>,
    names: &Names,
    tree: &Tree,
    number: usize,
    world: &World<'_>,
) -> (Ways, Vec<Finding>, Loose) {
    let card = &vault.cards[number];
    let mut follower = Follower {
        vault,
        names,
        tree,
        world,
        number,
        card,
        leads_to: Vec::new(),
        findings: Vec::new(),
        loose: Vec::new(),
        comparisons: MOST_COMPARISONS,
    };
    for link in &card.known.links {
        match link.kind {
            Kind::Wiki | Kind::Embed => follower.wiki_link(link),
            Kind::Markdown | Kind::Image => follower.markdown_link(link),
        }
    }
    let requires = follower.prerequisites();
    follower.aliases();
    let ways = Ways {
        leads_to: follower.leads_to.into(),
        requires,
    };
    (ways, follower.findings, follower.loose)
}

struct Follower<'a> {
    vault: &'a Vault<Known>,
    names: &'a Names,
    tree: &'a Tree,
    world: &'a World<'a>,
    number: usize,
    card: &'a Card<Known>,
    leads_to: Vec<u32>,
    findings: Vec<Finding>,
    loose: Loose,
    /// How many bytes of headings and block ids may still be compared for suggestions.
    comparisons: usize,
}

/// How many bytes of headings and block ids are compared for one card: then the rest gets no suggestion.
const MOST_COMPARISONS: usize = 1 << 18;

impl Follower<'_> {
    fn add(&mut self, place: Place, code: Code, message: String) {
        self.findings
            .push(Finding::new(&self.card.path, place, code, message));
    }

    fn add_mended(&mut self, place: Place, code: Code, message: String, fix: Fix) {
        let finding = Finding::new(&self.card.path, place, code, message);
        self.findings.push(Finding {
            fix: Some(fix),
            ..finding
        });
    }

    fn add_unknown(&mut self, place: Place, code: Code, target: &str, stem: &str) {
        let message = format!("there is no card `{target}`");
        let finding = Finding::new(&self.card.path, place, code, message);
        self.loose.push((finding, stem.to_owned()));
    }

    fn lead_to(&mut self, to: usize) {
        if to != self.number {
            self.leads_to.extend(u32::try_from(to));
        }
    }

    fn wiki_link(&mut self, link: &Lead) {
        let place = link.place;
        let anchor = link.anchor.as_deref().map(str::trim);
        if link.target.is_empty() {
            return match anchor {
                Some(anchor) if !anchor.is_empty() => {
                    self.anchor(place, self.number, anchor);
                }
                _ => self.add(place, Code::LinkEmpty, "the link leads nowhere".to_owned()),
            };
        }
        let Some(to) = self.resolve(link) else {
            return;
        };
        if to == self.number && anchor.is_none() {
            let message = format!("`{}` is this card", link.target);
            return self.add(place, Code::LinkSelf, message);
        }
        if self.is_hidden(to, link) {
            return;
        }
        self.lead_to(to);
        if let Some(anchor) = anchor {
            self.anchor(place, to, anchor);
        }
    }

    /// Whether a link leads to a card that is not published, which is found.
    fn is_hidden(&mut self, to: usize, link: &Lead) -> bool {
        let is_hidden = self.vault.cards[to].known.is_hidden;
        if is_hidden {
            let message = format!("`{}` is not published", link.target);
            self.add(link.place, Code::LinkUnpublished, message);
        }
        is_hidden
    }

    /// The card that a wiki link leads to. What is wrong with it is found.
    fn resolve(&mut self, link: &Lead) -> Option<usize> {
        let vault = self.vault;
        let place = link.place;
        let target = &*link.target;
        let without = target.strip_suffix(".md").unwrap_or(target);
        let stem = stem(target);
        let range = link.start as usize..link.start as usize + target.len();
        let mend = |to: &str| Fix::Replace(range.clone(), to.to_owned());
        // A stem may have a dot in it, too: `release-1.2`.
        let ending = stem.rsplit_once('.').map(|(_, ending)| ending);
        if ending.is_some() && without == target && vault.resolve(stem) == Target::Unknown {
            if has_file(self.tree, &self.card.path, target) {
                return None;
            }
            if link.kind == Kind::Embed {
                let message = format!("there is no file `{target}`");
                self.add(place, Code::FileUnknown, message);
                return None;
            }
        }
        if without.contains('/')
            && let Some(to) = by_path(vault, &self.card.path, without)
        {
            let is_alone = vault.resolve(stem) == Target::Card(to);
            let whole = vault.cards[to].path.as_str();
            let whole = whole.strip_suffix(".md").unwrap_or(whole);
            // Obsidian takes the end of a path; for others it begins at the vault's root.
            if !without.starts_with('.') && without.trim_start_matches('/') != whole {
                let meant = if is_alone { stem } else { whole };
                let message = format!("there is no card `{target}`: did you mean `{meant}`?");
                self.add_mended(place, Code::LinkUnknown, message, mend(meant));
                return None;
            }
            // Of several cards with one stem the path names one.
            if is_alone {
                let message = format!("`{target}` is a path; the stem `{stem}` is enough");
                self.add_mended(place, Code::LinkByPath, message, mend(stem));
            }
            return Some(to);
        }
        match vault.resolve(stem) {
            Target::Card(_) if without.contains('/') => {
                let message = format!("there is no card `{target}`: did you mean `{stem}`?");
                self.add(place, Code::LinkUnknown, message);
                None
            }
            Target::Card(to) => {
                if target != stem {
                    let message = format!("`{target}` is a path; the stem `{stem}` is enough");
                    self.add_mended(place, Code::LinkByPath, message, mend(stem));
                }
                Some(to)
            }
            Target::Case(cards) if cards.len() == 1 => {
                let real = vault.cards[cards[0]].stem();
                let message = format!("`{target}` is written `{real}`");
                self.add_mended(place, Code::LinkCase, message, mend(real));
                Some(cards[0])
            }
            Target::Ambiguous(_) if without.contains('/') => {
                self.add_unknown(place, Code::LinkUnknown, target, stem);
                None
            }
            Target::Ambiguous(cards) | Target::Case(cards) => {
                let paths = cards
                    .iter()
                    .map(|card| format!("`{}`", vault.cards[*card].path));
                let paths = paths.collect::<Vec<_>>().join(" or ");
                self.add(
                    place,
                    Code::LinkAmbiguous,
                    format!("`{target}` can be {paths}"),
                );
                None
            }
            Target::Unknown => {
                let name = without.trim_matches('/').to_lowercase();
                if let Some(Some(to)) = self.names.get(&name) {
                    let to = *to as usize;
                    let real = vault.cards[to].stem();
                    let message = format!("`{target}` is another name of `{real}`");
                    self.add(place, Code::LinkByAlias, message);
                    return Some(to);
                }
                match (self.world.renamed)(stem) {
                    Some(now) if matches!(vault.resolve(&now), Target::Card(_)) => {
                        let message =
                            format!("there is no card `{target}`: it was renamed to `{now}`");
                        self.add_mended(place, Code::LinkUnknown, message, mend(&now));
                    }
                    _ => self.add_unknown(place, Code::LinkUnknown, target, stem),
                }
                None
            }
        }
    }

    /// Whether there is still time to look for the nearest of some words.
    fn may_compare(&mut self, words: &Lines) -> bool {
        let left = self.comparisons.checked_sub(words.size());
        self.comparisons = left.unwrap_or(self.comparisons);
        left.is_some()
    }

    /// That a card has a heading or block.
    fn anchor(&mut self, place: Place, to: usize, anchor: &str) {
        let vault = self.vault;
        let known = &vault.cards[to].known;
        let name = if to == self.number {
            "this card"
        } else {
            vault.cards[to].stem()
        };
        if let Some(id) = anchor.strip_prefix('^') {
            if !known.blocks.has(id) {
                let mut message = format!("{name} has no block `^{id}`");
                if self.may_compare(&known.blocks)
                    && let Some(near) = nearest(id, known.blocks.iter())
                {
                    message = message + ": did you mean `^" + near + "`?";
                }
                self.add(place, Code::BlockUnknown, message);
            }
            return;
        }
        let wanted = slug(anchor);
        if known.slugs.has(&wanted) {
            return;
        }
        let mut message = format!("{name} has no heading `{anchor}`");
        if self.may_compare(&known.slugs)
            && let Some(near) = nearest(&wanted, known.slugs.iter())
        {
            let mut both = known.slugs.iter().zip(known.headings.iter());
            let text = both.find(|(slug, _)| *slug == near);
            let text = text.filter(|_| wanted != anchor).map(|(_, text)| text);
            message = message + ": did you mean `" + text.unwrap_or(near) + "`?";
        }
        self.add(place, Code::AnchorUnknown, message);
    }

    fn markdown_link(&mut self, link: &Lead) {
        let vault = self.vault;
        let from = &self.card.path;
        let folder = from.parent().unwrap_or(Utf8Path::new(""));
        let to = if link.target.is_empty() {
            Some(self.number)
        } else {
            let path = joined(from, &link.target);
            let card = path.and_then(|path| {
                let card = vault.at(path.as_str());
                card.or_else(|| vault.at(&format!("{path}.md")))
            });
            let is_file = || (self.world.file_exists)(&folder.join(&*link.target));
            card.or_else(|| by_name(vault, &link.target).filter(|_| !is_file()))
        };
        if let Some(to) = to {
            if self.is_hidden(to, link) {
                return;
            }
            self.lead_to(to);
            let anchor = link.anchor.as_deref().filter(|anchor| !anchor.is_empty());
            if let Some(anchor) = anchor.filter(|anchor| !vault.cards[to].known.anchors.has(anchor))
            {
                self.anchor(link.place, to, anchor);
            }
            return;
        }
        // A path from the site's root is the renderer's affair.
        if !link.target.starts_with('/')
            && !(self.world.file_exists)(&folder.join(&*link.target))
            && (link.target.contains('/') || !self.tree.has_file(&link.target))
        {
            let message = format!("there is no file `{}`", link.target);
            self.add(link.place, Code::FileUnknown, message);
        }
    }

    fn prerequisites(&mut self) -> Box<[(u32, Place)]> {
        let mut known = Vec::new();
        for (stem, place) in &self.card.known.requires {
            match self.vault.resolve(stem) {
                Target::Card(to) => known.extend(u32::try_from(to).map(|to| (to, *place))),
                _ => self.add_unknown(*place, Code::RequiresUnknown, stem, stem),
            }
        }
        known.into()
    }

    fn aliases(&mut self) {
        for (alias, place) in &self.card.known.aliases {
            let target = self.vault.resolve(alias);
            if matches!(target, Target::Card(other) if other != self.number) {
                let message = format!("the alias `{alias}` is the stem of another card");
                self.add(*place, Code::AliasClash, message);
            }
        }
    }
}

/// The card that a path without `.md` names in a wiki link: from the vault's root, or from a card if it
/// begins with `.`; or the only one whose path ends so.
pub(crate) fn by_path<T>(vault: &Vault<T>, from: &Utf8Path, path: &str) -> Option<usize> {
    if path.starts_with("./") || path.starts_with("../") {
        return vault.at(&format!("{}.md", joined(from, path)?));
    }
    let whole = vault.at(&format!("{}.md", path.trim_start_matches('/')));
    whole.or_else(|| {
        let cards = match vault.resolve(stem(path)) {
            Target::Card(card) => vec![card],
            Target::Ambiguous(cards) => cards,
            Target::Case(_) | Target::Unknown => Vec::new(),
        };
        let mut cards = cards
            .into_iter()
            .filter(|card| ends_with(vault.cards[*card].path.as_str(), path));
        cards.next().filter(|_| cards.next().is_none())
    })
}

/// The card that a Markdown link names by its stem or file name alone: both Obsidian and Quartz follow it
/// wherever the card lies.
pub(crate) fn by_name<T>(vault: &Vault<T>, target: &str) -> Option<usize> {
    match vault.resolve(stem(target)) {
        Target::Card(card) if !target.contains('/') => Some(card),
        _ => None,
    }
}

/// Whether there is a file that is no card by its name, by its path, or by the path from a card.
fn has_file(tree: &Tree, from: &Utf8Path, target: &str) -> bool {
    let is_relative = target.starts_with("./") || target.starts_with("../");
    let relative = is_relative.then(|| joined(from, target)).flatten();
    let path = relative.as_ref().map_or(target, |path| path.as_str());
    tree.has_file(path.trim_start_matches('/'))
}

/// Whether a card's path ends with these parts, which lack `.md`.
fn ends_with(path: &str, parts: &str) -> bool {
    let path = path.strip_suffix(".md").unwrap_or(path);
    let parts = parts.trim_start_matches('/');
    let before = path.strip_suffix(parts);
    before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// A path with `..` resolved, from the folder of a card; `None` where it leaves the vault.
pub fn joined(from: &Utf8Path, target: &str) -> Option<Utf8PathBuf> {
    let mut parts: Vec<&str> = from
        .parent()?
        .components()
        .map(|part| part.as_str())
        .collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths() {
        let from = Utf8Path::new("a/b/card.md");
        assert_eq!(joined(from, "../c.md").unwrap(), "a/c.md");
        assert_eq!(joined(from, "./x/d.md").unwrap(), "a/b/x/d.md");
        assert_eq!(joined(from, "../../../x.md"), None);
    }

    #[test]
    fn ends_of_paths() {
        assert!(ends_with("a/b/c.md", "b/c") && ends_with("a/b/c.md", "/a/b/c"));
        assert!(!ends_with("a/b/c.md", "x/c") && !ends_with("ab/c.md", "b/c"));
    }
}
