//! Where links lead, in each program that counts.

use camino::{Utf8Path, Utf8PathBuf};

use super::old_vault::OldVault;
use super::references::{Form, Reference, from_root, is_relative};
use crate::card::{Content, source};
use crate::programs::{self, Goal, Programs};
use crate::resolve::{by_name, stem};
use crate::rules::settings::Resolve;
use crate::slug::slug;

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkTarget {
    /// To an anchor of a card.
    Card(usize, Anchor),
    /// To a file that is not a card, by its path from the vault's root; it need not exist.
    File(Utf8PathBuf),
    /// To nothing, to several cards, or to what does not depend on the folder of the card.
    Nothing,
}

/// What a link leads to within a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Anchor {
    /// Its beginning.
    Top,
    /// A heading, by its number.
    Heading(usize),
    /// A block with an id, by its number.
    Block(usize),
    /// An anchor that the card does not have.
    Broken,
}

/// Where a link leads in each program: in Obsidian, then in Quartz and on forges; of a program that does not count, nothing.
pub(crate) type Goals = [Option<Goal>; 2];

/// Finds out where links lead.
pub(crate) struct Follower<'a> {
    /// The cards and files among which links lead.
    pub(crate) among: &'a OldVault<'a>,
    /// Each program's rules, over these.
    pub(crate) programs: Programs<'a, ()>,
    /// Whether a link leads nowhere that could as well lead elsewhere.
    pub(crate) is_strict: bool,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(among: &'a OldVault<'a>) -> Self {
        Self {
            among,
            programs: Programs::new(&among.vault, &among.files, &among.no_aliases),
            is_strict: false,
        }
    }

    /// One that knows the other names of cards as well.
    pub(crate) fn with_aliases(among: &'a OldVault<'a>) -> Self {
        Self {
            programs: Programs::new(&among.vault, &among.files, &among.aliases),
            ..Self::new(among)
        }
    }

    /// What the links of a card lead to.
    pub(crate) fn link_targets(&self, from: usize) -> Vec<LinkTarget> {
        let references = self.among.references[from].iter();
        references
            .map(|reference| self.link_target(from, reference))
            .collect()
    }

    /// Where a target leads that is not empty, by a link in the file at `from`.
    pub(crate) fn goals(&self, from: &Utf8Path, form: Form, target: &str) -> Goals {
        let target = target.trim();
        let resolve = self.among.resolve;
        let obsidian = |target| {
            let found = self.programs.obsidian_or_tied(from, target);
            let found = found.filter(|(_, is_tied)| !(self.is_strict && *is_tied));
            found.map(|(goal, _)| goal)
        };
        match (form, resolve) {
            (Form::Path, _) => {
                let path = Utf8Path::new(target.trim_matches('/'));
                [self.at(path), None]
            }
            (Form::Wiki, Resolve::Obsidian) => [obsidian(target), None],
            (Form::Wiki, Resolve::Quartz) => [None, self.programs.quartz(target)],
            (Form::Wiki, _) => [obsidian(target), self.programs.quartz(target)],
            (Form::Markdown, Resolve::Obsidian) => [
                obsidian(target).or_else(|| self.on_forges(from, target)),
                None,
            ],
            (Form::Markdown, Resolve::Quartz) => {
                [self.on_forges(from, target), self.programs.quartz(target)]
            }
            (Form::Markdown, _) => [obsidian(target), self.on_pages(from, target)],
        }
    }

    /// The name by which a wiki link leads to a card: its stem, or its path if the stem leads elsewhere.
    pub(crate) fn name<'p>(&self, from: &Utf8Path, to: &'p Utf8Path) -> &'p str {
        let path = to.as_str();
        let path = path.strip_suffix(".md").unwrap_or(path);
        let stem = stem(path);
        let goals = self.goals(from, Form::Wiki, stem);
        let card = self.among.vault.at(to.as_str()).map(Goal::Card);
        let mut goals = goals.iter().flatten().peekable();
        let is_enough = goals.peek().is_some() && goals.all(|goal| Some(goal) == card.as_ref());
        if is_enough { stem } else { path }
    }

    /// Of the programs the one whose goal counts first: for a path in a Markdown link a forge, which follows it from the
    /// card; else Obsidian where one of them is enough.
    pub(crate) fn first(&self, form: Form, goals: &Goals) -> Option<usize> {
        let order = match (form, self.among.resolve) {
            (Form::Wiki, Resolve::Either) => [0, 1],
            _ => [1, 0],
        };
        order.into_iter().find(|program| goals[*program].is_some())
    }

    /// The card or file at a path from the vault's root.
    fn at(&self, path: &Utf8Path) -> Option<Goal> {
        let among = self.among;
        let card = among.vault.at(path.as_str());
        card.map(Goal::Card)
            .or_else(|| (among.exists(path)).then(|| Goal::File(path.to_owned())))
    }

    /// The path that a Markdown link names, from the card or from the site's root.
    fn path(from: &Utf8Path, target: &str) -> Utf8PathBuf {
        match target.strip_prefix('/') {
            Some(target) => Utf8PathBuf::from(target),
            None => from_root(from, target),
        }
    }

    /// Where a Markdown link leads on forges, which follow paths.
    fn on_forges(&self, from: &Utf8Path, target: &str) -> Option<Goal> {
        let path = Self::path(from, target);
        let vault = &self.among.vault;
        let card = vault
            .at(path.as_str())
            .or_else(|| vault.at(&format!("{path}.md")));
        let is_file = || !target.starts_with('/') && self.among.exists(&path);
        // A page as it is rendered.
        let page = || {
            let page = path.as_str().strip_suffix(".html")?;
            vault
                .at(&format!("{page}.md"))
                .filter(|_| self.among.resolve != Resolve::Both)
        };
        card.map(Goal::Card)
            .or_else(|| is_file().then(|| Goal::File(path.clone())))
            .or_else(|| page().map(Goal::Card))
    }

    /// Where a Markdown link leads on forges, or else in Quartz, which finds names as well.
    fn on_pages(&self, from: &Utf8Path, target: &str) -> Option<Goal> {
        let on_forge = self.on_forges(from, target);
        match on_forge {
            Some(Goal::Card(_)) => on_forge,
            // A name means a card first.
            _ => by_name(&self.among.vault, target)
                .map(Goal::Card)
                .or(on_forge)
                .or_else(|| self.programs.quartz(target)),
        }
    }

    /// Whether Obsidian's rules prefer no other goal of a link as much.
    pub(crate) fn is_tied(&self, from: usize, reference: &Reference) -> bool {
        let target = reference.target.trim();
        let found = self
            .programs
            .obsidian_or_tied(self.among.path(from), target);
        found.is_some_and(|(_, is_tied)| is_tied)
    }

    /// Where a link of a card leads in each program.
    pub(crate) fn goals_of(&self, from: usize, reference: &Reference) -> Goals {
        if reference.target.trim().is_empty() {
            return [0, 1].map(|_| Some(Goal::Card(from)));
        }
        self.goals(self.among.path(from), reference.form, &reference.target)
    }

    fn link_target(&self, from: usize, reference: &Reference) -> LinkTarget {
        let target = reference.target.trim();
        // `![]()` names nothing, not even its own card.
        if target.is_empty() && reference.anchor.is_none() {
            return LinkTarget::Nothing;
        }
        let goals = self.goals_of(from, reference);
        let card = match self
            .first(reference.form, &goals)
            .and_then(|first| goals[first].clone())
        {
            Some(Goal::Card(card)) => card,
            Some(Goal::File(path)) => return LinkTarget::File(path),
            None => {
                let path = from_root(self.among.path(from), target);
                // The renderer resolves paths from the site's root; other programs find names in the whole vault.
                return if is_relative(target) && reference.form != Form::Path {
                    LinkTarget::File(path)
                } else {
                    LinkTarget::Nothing
                };
            }
        };
        let content = self.among.content(card);
        let text = self.among.texts[card];
        LinkTarget::Card(card, anchor(text, content, reference, self.among.resolve))
    }
}

/// What a link's anchor names in a card.
fn anchor(text: &str, known: &Content, reference: &Reference, resolve: Resolve) -> Anchor {
    let Some(anchor) = reference.anchor.as_deref().map(str::trim) else {
        return Anchor::Top;
    };
    if anchor.is_empty() {
        return Anchor::Top;
    }
    let found = if let Some(id) = anchor.strip_prefix('^') {
        let mut blocks = known.blocks.iter();
        let number = blocks.position(|(known, _)| match resolve {
            Resolve::Quartz => known == id,
            _ => known.eq_ignore_ascii_case(id),
        });
        number.map(Anchor::Block)
    } else {
        let by_slug = || {
            let wanted = slug(anchor);
            let mut headings = known.headings.iter();
            headings.position(|heading| heading.slug == wanted)
        };
        let by_words = || heading_of_chain(text, known, anchor);
        // `Example 1` may have the slug of the second `Example`, which is what Quartz takes.
        let number = if resolve == Resolve::Quartz {
            by_slug().or_else(by_words)
        } else {
            by_words().or_else(by_slug)
        };
        number.map(Anchor::Heading)
    };
    found.unwrap_or(Anchor::Broken)
}

/// The heading that Obsidian finds by a chain of headings.
pub(crate) fn heading_of_chain(text: &str, known: &Content, anchor: &str) -> Option<usize> {
    let headings = known.headings.iter();
    let headings = headings.map(|heading| (heading.level, &*heading.text, source(text, heading)));
    programs::heading_of_chain(anchor, &headings)
}
