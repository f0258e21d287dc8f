//! The rules of what leads from a card to another.

use std::cell::OnceCell;

use camino::{Utf8Path, Utf8PathBuf};

use super::known::{Known, KnownLink, Lines};
use super::settings::{Environment, Resolve, ignores_case_of_blocks};
use crate::card::Kind;
use crate::finding::{Code, Finding, Fix};
use crate::place::Place;
use crate::programs::{Aliases, Goal, Programs, by_case, heading_of_chain, listed};
use crate::resolve::{Card, Target, Vault, by_name, by_path, joined, nearest, stem};
use crate::slug::slug;
use crate::tree::Tree;
use crate::unicode::folded;

/// Where a card leads.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The cards that it links, itself left out.
    pub(crate) leads_to: Box<[u32]>,
    /// Its prerequisites.
    pub(crate) requires: Box<[(u32, Place)]>,
    /// Each link to another card, published or not, if that is asked for.
    pub(crate) edges: Box<[(u32, Place)]>,
}

/// Findings that lack a suggestion, each with the stem that is looked for.
pub(crate) type Unresolved = Vec<(Finding, String)>;

/// The other names of all cards: aliases and permalinks.
pub(crate) fn names(vault: &Vault<Known>) -> Aliases {
    let mut names = Aliases::new();
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
    pub(crate) names: &'a Aliases,
    pub(crate) programs: &'a Programs<'a, Known>,
    pub(crate) resolve: Resolve,
    pub(crate) tree: &'a Tree,
    /// Files outside of the vault.
    pub(crate) also: &'a [Card<Known>],
    pub(crate) environment: &'a Environment<'a>,
    /// Whether each link is wanted: of very many cards it takes memory that no rule needs.
    pub(crate) wants_edges: bool,
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
        edges: Vec::new(),
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
        edges: follower.edges.into(),
    };
    (outgoing, follower.findings, follower.unresolved)
}

struct Follower<'a> {
    vault: &'a Vault<Known>,
    surroundings: Surroundings<'a>,
    number: Option<usize>,
    card: &'a Card<Known>,
    leads_to: Vec<u32>,
    edges: Vec<(u32, Place)>,
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

    fn add_if_fixable(&mut self, place: Place, code: Code, message: String, fix: Option<Fix>) {
        let finding = Finding::new(&self.card.path, place, code, message);
        self.findings.push(Finding { fix, ..finding });
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
        let to = match self.surroundings.resolve {
            Resolve::Both => self.resolve(link),
            _ => self.resolve_as_program(link),
        };
        let Some(to) = to else {
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
        if self.surroundings.wants_edges && Some(to) != self.number {
            let edge = u32::try_from(to).map(|to| (to, link.place));
            self.edges.extend(edge);
        }
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
        let replace = |new: &str, to: usize| self.replacement(link, range.clone(), new, to);
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
                let fix = replace(meant, to);
                self.add_if_fixable(place, Code::LinkUnknown, message, fix);
                return None;
            }
            // Of several cards with one stem the path names one.
            if is_alone {
                let message = format!("`{target}` is a path; the stem `{stem}` is enough");
                let fix = replace(stem, to);
                self.add_if_fixable(place, Code::LinkByPath, message, fix);
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
                    let fix = replace(stem, to);
                    self.add_if_fixable(place, Code::LinkByPath, message, fix);
                }
                Some(to)
            }
            Target::Case(cards) if cards.len() == 1 => {
                let real = vault.cards[cards[0]].stem();
                let message = format!("`{target}` is written `{real}`");
                let fix = replace(real, cards[0]);
                self.add_if_fixable(place, Code::LinkCase, message, fix);
                Some(cards[0])
            }
            Target::Ambiguous(_) if without.contains('/') => {
                self.add_unknown(place, Code::LinkUnknown, target, stem);
                None
            }
            Target::Ambiguous(cards) | Target::Case(cards) => {
                let paths = listed(&vault.cards, &cards);
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
                self.add_lost(link);
                None
            }
        }
    }

    /// The change that gives a link another target, if it leads to that card then, and in neither program elsewhere than
    /// before.
    fn replacement(
        &self,
        link: &KnownLink,
        range: std::ops::Range<usize>,
        new: &str,
        to: usize,
    ) -> Option<Fix> {
        let programs = self.surroundings.programs;
        let is_certain = programs.is_certain(&self.card.path, &link.target, new, Some(to));
        is_certain.then(|| Fix::Replace(range, new.to_owned()))
    }

    /// A wiki link to a card that does not exist, or that git knows by another name now.
    fn add_lost(&mut self, link: &KnownLink) {
        let (target, place) = (&*link.target, link.place);
        let stem = stem(target);
        if let Some(now) = (self.surroundings.environment.renamed)(stem)
            && let Target::Card(to) = self.vault.resolve(&now)
        {
            let message = format!("there is no card `{target}`: it was renamed to `{now}`");
            let range = link.start as usize..link.start as usize + target.len();
            let fix = self.replacement(link, range, &now, to);
            return self.add_if_fixable(place, Code::LinkUnknown, message, fix);
        }
        self.add_unknown(place, Code::LinkUnknown, target, stem);
    }

    /// Where a target leads by the rules of the program that counts.
    fn goal(&self, target: &str) -> Option<Goal> {
        let programs = self.surroundings.programs;
        let from = &self.card.path;
        match self.surroundings.resolve {
            Resolve::Obsidian => programs.obsidian(from, target),
            Resolve::Quartz => programs.quartz(target),
            Resolve::Both | Resolve::Either => {
                let goal = programs.obsidian(from, target);
                goal.or_else(|| programs.quartz(target))
            }
        }
    }

    /// The card that a wiki link leads to in the program that counts. What is wrong with it is found.
    fn resolve_as_program(&mut self, link: &KnownLink) -> Option<usize> {
        let (target, place) = (&*link.target, link.place);
        // What a template or a generator fills in: Quartz makes a page of each tag.
        let is_tag = target.starts_with("tags/") && self.surroundings.resolve != Resolve::Obsidian;
        if is_template(target) || is_tag && self.goal(target).is_none() {
            return None;
        }
        match self.goal(target) {
            Some(Goal::Card(to)) => return Some(to),
            Some(Goal::File(_)) => return None,
            None => {}
        }
        let vault = self.vault;
        let range = link.start as usize..link.start as usize + target.len();
        if self.surroundings.resolve == Resolve::Quartz {
            // A path names one page, if any.
            let is_name = !target.trim_start_matches("./").contains('/');
            if let Target::Ambiguous(cards) = vault.resolve(stem(target))
                && is_name
            {
                let message = format!("`{target}` can be {}", listed(&vault.cards, &cards));
                self.add(place, Code::LinkAmbiguous, message);
                return None;
            }
            if let Some(to) = by_case(vault, target) {
                let real = vault.cards[to].stem();
                let message = format!("`{target}` is written `{real}`");
                let fix = self.replacement(link, range, real, to);
                self.add_if_fixable(place, Code::LinkCase, message, fix);
                return Some(to);
            }
        } else if let Some(Some(to)) = self.surroundings.names.get(&target.to_lowercase()) {
            let to = *to as usize;
            let real = vault.cards[to].stem();
            let message = format!("`{target}` is another name of `{real}`");
            self.add(place, Code::LinkByAlias, message);
            return Some(to);
        }
        let name = target.rsplit('/').next().unwrap_or(target);
        let is_file = name.rsplit_once('.').is_some_and(|(_, ending)| {
            (2..=5).contains(&ending.len())
                && ending != "md"
                && ending.bytes().all(|b| b.is_ascii_alphanumeric())
                && ending.bytes().any(|b| b.is_ascii_alphabetic())
        });
        // Hidden files and those outside of the vault.
        let folder = self.card.path.parent().unwrap_or(Utf8Path::new(""));
        let path = folder.join(target.trim_start_matches('/'));
        if is_file && (self.surroundings.environment.file_exists)(&path) {
            return None;
        }
        if link.kind == Kind::Embed && is_file {
            let message = format!("there is no file `{target}`");
            self.add(place, Code::FileUnknown, message);
        } else {
            self.add_lost(link);
        }
        None
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
        let name = match to.path.as_str() == self.card.path.as_str() {
            true if self.number.is_some() => "this card",
            true => "this file",
            false => to.stem(),
        };
        if let Some(id) = anchor.strip_prefix('^') {
            if !self.has_block(known, id) {
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
        // Obsidian knows no anchors of GitHub's kind; who writes them so means another program.
        let by_slug = self.surroundings.resolve != Resolve::Obsidian || wanted == anchor;
        if by_slug && known.slugs.has(&wanted) || self.has_heading_for_program(known, anchor) {
            return;
        }
        let mut message = format!("{name} has no heading `{anchor}`");
        if self.may_compare(&known.slugs)
            && let Some(near) = nearest(&wanted, known.slugs.iter())
        {
            let mut both = known.slugs.iter().zip(known.headings.iter());
            let text = both.find(|(slug, _)| *slug == near);
            let text = text
                .filter(|_| wanted != anchor)
                .map(|(_, (_, text, _))| text);
            message = message + ": did you mean `" + text.unwrap_or(near) + "`?";
        }
        self.add(place, Code::AnchorUnknown, message);
    }

    /// Whether a card has a block with an id; where case does not count, the ids are in lower case.
    fn has_block(&self, known: &Known, id: &str) -> bool {
        let ignores_case = ignores_case_of_blocks(self.surroundings.resolve);
        known.blocks.has(id) || ignores_case && known.blocks.has(&folded(id))
    }

    /// Whether the program that counts finds a heading that GitHub would not.
    fn has_heading_for_program(&self, known: &Known, anchor: &str) -> bool {
        if self.surroundings.resolve == Resolve::Both {
            return false;
        }
        let parts = anchor.split('#').filter(|part| !part.trim().is_empty());
        let Some(last) = parts.clone().next_back() else {
            return true;
        };
        let resolve = self.surroundings.resolve;
        // Of a chain Obsidian has to find each heading below the one before; Quartz shows it as text, which is a
        // finding of its own.
        let is_alone = resolve == Resolve::Quartz || parts.count() == 1;
        let mut headings = known.headings.iter();
        let id = format!("{{#{last}}}");
        last.starts_with('^') && self.has_block(known, &last[1..])
            || resolve != Resolve::Quartz && heading_of_chain(anchor, &headings).is_some()
            || is_alone
                && (resolve != Resolve::Obsidian && known.slugs.has(&slug(last))
                    || known.anchors.has(last)
                    || headings.any(|(_, text, _)| text.ends_with(&id)))
    }

    /// Where a Markdown link leads that is no path from its card: programs look in the whole vault.
    fn markdown_goal(&self, target: &str) -> Option<Goal> {
        if self.number.is_none() || self.surroundings.resolve == Resolve::Both {
            return None;
        }
        let goal = self.goal(target).or_else(|| {
            // Addresses of pages: a folder with its page, or a page as it is rendered.
            let path = joined(&self.card.path, target)?;
            let path = path.as_str().strip_suffix(".html").unwrap_or(path.as_str());
            let pages = ["", "/index", "/README", "/_index"].iter();
            let mut pages = pages.filter_map(|page| self.vault.at(&format!("{path}{page}.md")));
            pages.next().map(Goal::Card)
        });
        // By a name alone an ordinary link means a file.
        goal.filter(|_| !target.is_empty())
    }

    fn markdown_link(&mut self, link: &KnownLink) {
        let vault = self.vault;
        let from = &self.card.path;
        let found = OnceCell::new();
        let is_file = || *found.get_or_init(|| self.has_file_at(&link.target));
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
            // A forge, which shows the other files, knows paths only.
            let by_name = || self.number.and_then(|_| by_name(vault, &link.target));
            let card = card.or_else(|| by_name().filter(|_| !is_file()));
            if card.is_none() && !is_file() {
                match self.markdown_goal(&link.target) {
                    Some(Goal::Card(card)) => Some(card),
                    Some(Goal::File(_)) => return,
                    None => None,
                }
            } else {
                card
            }
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
        if self.surroundings.resolve != Resolve::Both
            && (is_template(&link.target) || self.leaves_repository(&link.target))
        {
            return;
        }
        // The renderer resolves paths from the site's root.
        if !link.target.starts_with('/')
            && !is_file()
            && (link.target.contains('/')
                || self.number.is_none()
                || !self.surroundings.tree.has_file(&link.target))
        {
            let message = format!("there is no file `{}`", link.target);
            self.add(link.place, Code::FileUnknown, message);
        }
    }

    /// Whether there is a file or folder by the path from the card. Of paths from the root nothing is known: that is
    /// the site's.
    fn has_file_at(&self, target: &str) -> bool {
        if target.starts_with('/') {
            return false;
        }
        let path = self.number.and_then(|_| joined(&self.card.path, target));
        let is_listed = |path: Utf8PathBuf| self.surroundings.tree.has_path(path.as_str());
        if !target.ends_with('/') && path.is_some_and(is_listed) {
            return true;
        }
        let folder = self.card.path.parent().unwrap_or(Utf8Path::new(""));
        (self.surroundings.environment.file_exists)(&folder.join(target))
    }

    /// Whether a relative target is outside of the repository, of which nothing is known: forges have pages there.
    fn leaves_repository(&self, target: &str) -> bool {
        self.in_repository(target).is_none()
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

/// Whether a target is what a template, a generator or a reader fills in.
fn is_template(target: &str) -> bool {
    target.starts_with('%') && target.ends_with('%')
        || target.contains("{{")
        || target.contains("{%")
        || target.contains("<%")
        || target.contains("${")
}

/// Whether there is a file other than cards by its name, by its path, or by the path from a card.
fn has_file(tree: &Tree, from: &Utf8Path, target: &str) -> bool {
    let is_relative = target.starts_with("./") || target.starts_with("../");
    let relative = is_relative.then(|| joined(from, target)).flatten();
    let path = relative.as_ref().map_or(target, |path| path.as_str());
    tree.has_file(path.trim_start_matches('/'))
}
