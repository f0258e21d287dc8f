//! The rules of what leads from a card to another.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::known::{Known, KnownLink, Lines};
use super::settings::Environment;
use crate::card::Kind;
use crate::finding::{Code, Finding, Fix};
use crate::place::Place;
use crate::resolve::{Card, Target, Vault, by_name, by_path, joined, nearest, stem};
use crate::slug::slug;
use crate::tree::Tree;

/// Where a card leads.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The cards that it links, itself left out.
    pub(crate) leads_to: Box<[u32]>,
    /// Its prerequisites.
    pub(crate) requires: Box<[(u32, Place)]>,
}

/// Findings that lack a suggestion, each with the stem that is looked for.
pub(crate) type Unresolved = Vec<(Finding, String)>;

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

/// What links can lead to.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) vault: &'a Vault<Known>,
    pub(crate) names: &'a Names,
    pub(crate) tree: &'a Tree,
    /// Files outside of the vault.
    pub(crate) also: &'a [Card<Known>],
    pub(crate) environment: &'a Environment<'a>,
}

/// Follows the links of a card, or of a file outside of the vault, which has no number.
pub(crate) fn follow<'a>(
    surroundings: Surroundings<'a>,
    card: &'a Card<Known>,
    number: Option<usize>,
) -> (Outgoing, Vec<Finding>, Unresolved) {
    let mut follower = Follower {
        vault: surroundings.vault,
        surroundings,
        number,
        card,
        leads_to: Vec::new(),
        findings: Vec::new(),
        unresolved: Vec::new(),
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
    let outgoing = Outgoing {
        leads_to: follower.leads_to.into(),
        requires,
    };
    (outgoing, follower.findings, follower.unresolved)
}

struct Follower<'a> {
    vault: &'a Vault<Known>,
    surroundings: Surroundings<'a>,
    number: Option<usize>,
    card: &'a Card<Known>,
    leads_to: Vec<u32>,
    findings: Vec<Finding>,
    unresolved: Unresolved,
    /// How many bytes of headings and block ids may still be compared for suggestions.
    comparisons: usize,
}

/// How many bytes of headings and block ids are compared for one card: then the rest gets no suggestion.
const MOST_COMPARISONS: usize = 1 << 18;

impl<'a> Follower<'a> {
    fn add(&mut self, place: Place, code: Code, message: String) {
        self.findings
            .push(Finding::new(&self.card.path, place, code, message));
    }

    fn add_fixable(&mut self, place: Place, code: Code, message: String, fix: Fix) {
        let finding = Finding::new(&self.card.path, place, code, message);
        self.findings.push(Finding {
            fix: Some(fix),
            ..finding
        });
    }

    fn add_unknown(&mut self, place: Place, code: Code, target: &str, stem: &str) {
        let message = format!("there is no card `{target}`");
        let finding = Finding::new(&self.card.path, place, code, message);
        self.unresolved.push((finding, stem.to_owned()));
    }

    fn lead_to(&mut self, to: usize) {
        if Some(to) != self.number {
            self.leads_to.extend(u32::try_from(to));
        }
    }

    fn wiki_link(&mut self, link: &KnownLink) {
        let place = link.place;
        let anchor = link.anchor.as_deref().map(str::trim);
        if link.target.is_empty() {
            return match anchor {
                Some(anchor) if !anchor.is_empty() => {
                    self.anchor(place, self.card, anchor);
                }
                _ => self.add(place, Code::LinkEmpty, "the link leads nowhere".to_owned()),
            };
        }
        let Some(to) = self.resolve(link) else {
            return;
        };
        if Some(to) == self.number && anchor.is_none() {
            let message = format!("`{}` is this card", link.target);
            return self.add(place, Code::LinkSelf, message);
        }
        if self.is_hidden(to, link) {
            return;
        }
        self.lead_to(to);
        if let Some(anchor) = anchor {
            self.anchor(place, &self.vault.cards[to], anchor);
        }
    }

    /// Whether a link leads to a card that is not published, which is found.
    fn is_hidden(&mut self, to: usize, link: &KnownLink) -> bool {
        let is_hidden = self.vault.cards[to].known.is_hidden;
        if is_hidden {
            let message = format!("`{}` is not published", link.target);
            self.add(link.place, Code::LinkUnpublished, message);
        }
        is_hidden
    }

    /// The card that a wiki link leads to. What is wrong with it is found.
    fn resolve(&mut self, link: &KnownLink) -> Option<usize> {
        let vault = self.vault;
        let place = link.place;
        let target = &*link.target;
        let without = target.strip_suffix(".md").unwrap_or(target);
        let stem = stem(target);
        let range = link.start as usize..link.start as usize + target.len();
        let replace = |to: &str| Fix::Replace(range.clone(), to.to_owned());
        // A stem may have a dot in it, too: `release-1.2`.
        let ending = stem.rsplit_once('.').map(|(_, ending)| ending);
        if ending.is_some() && without == target && vault.resolve(stem) == Target::Unknown {
            if has_file(self.surroundings.tree, &self.card.path, target) {
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
                self.add_fixable(place, Code::LinkUnknown, message, replace(meant));
                return None;
            }
            // Of several cards with one stem the path names one.
            if is_alone {
                let message = format!("`{target}` is a path; the stem `{stem}` is enough");
                self.add_fixable(place, Code::LinkByPath, message, replace(stem));
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
                    self.add_fixable(place, Code::LinkByPath, message, replace(stem));
                }
                Some(to)
            }
            Target::Case(cards) if cards.len() == 1 => {
                let real = vault.cards[cards[0]].stem();
                let message = format!("`{target}` is written `{real}`");
                self.add_fixable(place, Code::LinkCase, message, replace(real));
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
                if let Some(Some(to)) = self.surroundings.names.get(&name) {
                    let to = *to as usize;
                    let real = vault.cards[to].stem();
                    let message = format!("`{target}` is another name of `{real}`");
                    self.add(place, Code::LinkByAlias, message);
                    return Some(to);
                }
                match (self.surroundings.environment.renamed)(stem) {
                    Some(now) if matches!(vault.resolve(&now), Target::Card(_)) => {
                        let message =
                            format!("there is no card `{target}`: it was renamed to `{now}`");
                        self.add_fixable(place, Code::LinkUnknown, message, replace(&now));
                    }
                    _ => self.add_unknown(place, Code::LinkUnknown, target, stem),
                }
                None
            }
        }
    }

    /// Whether the budget allows a search for the nearest of some words.
    fn may_compare(&mut self, words: &Lines) -> bool {
        let left = self.comparisons.checked_sub(words.size());
        self.comparisons = left.unwrap_or(self.comparisons);
        left.is_some()
    }

    /// That a card has a heading or block.
    fn anchor(&mut self, place: Place, to: &'a Card<Known>, anchor: &str) {
        let known = &to.known;
        let name = match to.path == self.card.path {
            true if self.number.is_some() => "this card",
            true => "this file",
            false => to.stem(),
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

    fn markdown_link(&mut self, link: &KnownLink) {
        let vault = self.vault;
        let from = &self.card.path;
        let folder = from.parent().unwrap_or(Utf8Path::new(""));
        let to = if link.target.is_empty() {
            self.number
        } else {
            let path = match self.number {
                Some(_) => joined(from, &link.target),
                None => self.below_vault(&link.target),
            };
            let card = path.and_then(|path| {
                let card = vault.at(path.as_str());
                card.or_else(|| vault.at(&format!("{path}.md")))
            });
            let is_file =
                || (self.surroundings.environment.file_exists)(&folder.join(&*link.target));
            // A forge, which shows the other files, knows paths only.
            let by_name = || self.number.and_then(|_| by_name(vault, &link.target));
            card.or_else(|| by_name().filter(|_| !is_file()))
        };
        if let Some(to) = to {
            if self.is_hidden(to, link) {
                return;
            }
            self.lead_to(to);
            let anchor = link.anchor.as_deref().filter(|anchor| !anchor.is_empty());
            if let Some(anchor) = anchor.filter(|anchor| !vault.cards[to].known.anchors.has(anchor))
            {
                self.anchor(link.place, &vault.cards[to], anchor);
            }
            return;
        }
        if let Some(file) = self.file_outside(&link.target) {
            let anchor = link.anchor.as_deref().filter(|anchor| !anchor.is_empty());
            if let Some(anchor) = anchor.filter(|anchor| !file.known.anchors.has(anchor)) {
                self.anchor(link.place, file, anchor);
            }
            return;
        }
        // The renderer resolves paths from the site's root.
        if !link.target.starts_with('/')
            && !(self.surroundings.environment.file_exists)(&folder.join(&*link.target))
            && (link.target.contains('/')
                || self.number.is_none()
                || !self.surroundings.tree.has_file(&link.target))
        {
            let message = format!("there is no file `{}`", link.target);
            self.add(link.place, Code::FileUnknown, message);
        }
    }

    /// What a relative target names, from the repository's root.
    fn in_repository(&self, target: &str) -> Option<Utf8PathBuf> {
        let folder = self.card.path.parent().unwrap_or(Utf8Path::new(""));
        let card = self.surroundings.environment.folder.join("card");
        joined(&card, folder.join(target).as_str())
    }

    /// What a relative target names, from the vault's root, if it is in the vault.
    fn below_vault(&self, target: &str) -> Option<Utf8PathBuf> {
        let path = self.in_repository(target)?;
        let below = path.strip_prefix(self.surroundings.environment.folder);
        below.ok().map(Utf8Path::to_owned)
    }

    /// The checked file outside of the vault that a relative target names.
    fn file_outside(&self, target: &str) -> Option<&'a Card<Known>> {
        let also = self.surroundings.also;
        if also.is_empty() || target.starts_with('/') {
            return None;
        }
        if target.is_empty() {
            return self.number.is_none().then_some(self.card);
        }
        let path = self.in_repository(target)?;
        let card = self.surroundings.environment.folder.join("card");
        let mut also = also.iter();
        also.find(|file| joined(&card, file.path.as_str()).as_ref() == Some(&path))
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
            if matches!(target, Target::Card(other) if Some(other) != self.number) {
                let message = format!("the alias `{alias}` is the stem of another card");
                self.add(*place, Code::AliasClash, message);
            }
        }
    }
}

/// Whether there is a file other than cards by its name, by its path, or by the path from a card.
fn has_file(tree: &Tree, from: &Utf8Path, target: &str) -> bool {
    let is_relative = target.starts_with("./") || target.starts_with("../");
    let relative = is_relative.then(|| joined(from, target)).flatten();
    let path = relative.as_ref().map_or(target, |path| path.as_str());
    tree.has_file(path.trim_start_matches('/'))
}
