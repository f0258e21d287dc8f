//! Settings of the rules, and the interface by which rules ask about the repository and its commands.

use camino::{Utf8Path, Utf8PathBuf};

use crate::date::Date;
use crate::finding::Levels;

/// The settings of a vault. Names are those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Keys that each card's front matter has.
    pub required: Vec<String>,
    /// The tags that there are; none: any.
    pub tags: Vec<String>,
    /// Keys that only cards of the folder `how-to` may have.
    pub how_to_only: Vec<String>,
    /// The folders of cards at the top of the vault, each with a landing page of its name.
    pub categories: Vec<String>,
    /// Whether the first heading is the title.
    pub title_is_heading: bool,
    /// Folders, from the vault's root, that are not published: cards there are not checked.
    pub unpublished: Vec<String>,
    /// How much each code counts.
    pub levels: Levels,
    /// The program whose links these are.
    pub resolve: Resolve,
}

/// By which program's rules links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Obsidian's.
    Obsidian,
    /// Quartz's.
    Quartz,
    /// As both do; what they do differently is found.
    Both,
    /// As one of them does.
    Either,
}

impl Rules {
    /// The rules for links, anchors and embeds alone.
    pub fn of_links() -> Self {
        Self {
            required: Vec::new(),
            how_to_only: Vec::new(),
            categories: Vec::new(),
            levels: Levels::of_links(),
            resolve: Resolve::Either,
            ..Self::of_diataxis()
        }
    }

    /// The rules for a vault whose folders are Diátaxis's categories.
    pub fn of_diataxis() -> Self {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self {
            required: words(&["title", "modified", "tags"]),
            tags: Vec::new(),
            how_to_only: words(&["status", "requires", "branch"]),
            categories: words(&["tutorials", "how-to", "reference", "explanation"]),
            title_is_heading: false,
            unpublished: Vec::new(),
            levels: Levels::all(),
            resolve: Resolve::Both,
        }
    }
}

/// What the rules ask of their surroundings.
pub struct Environment<'a> {
    /// Today.
    pub today: Date,
    /// After how many days a review is overdue.
    pub max_age: Option<i64>,
    /// Whether a path of the repository exists; `None` where that is not known.
    pub path_exists: &'a (dyn Fn(&str) -> Option<bool> + Sync),
    /// What is wrong with a `cargo xtask` line.
    pub command_fault: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// What a `cargo xtask` line that asks for help prints.
    pub help: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Whether a file below the vault's folder, or beside it, exists: the path is from the vault's root.
    pub file_exists: &'a (dyn Fn(&Utf8Path) -> bool + Sync),
    /// The stem that a card has now whose stem was this one, according to git.
    pub renamed: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Files outside of the vault that are checked as well, by their paths from its root: `../README.md`.
    pub also: &'a [Utf8PathBuf],
    /// The vault's folder, from the root of the repository.
    pub folder: &'a Utf8Path,
    /// The day of a card's last change in git, if that is asked for and known.
    pub changed: &'a (dyn Fn(&Utf8Path) -> Option<Date> + Sync),
}

/// Whether a card is in a folder that is not published.
pub fn is_unpublished(path: &Utf8Path, rules: &Rules) -> bool {
    rules
        .unpublished
        .iter()
        .any(|folder| path.starts_with(folder))
}

/// Whether ids of blocks count in any case: Obsidian is enough.
pub(crate) fn ignores_case_of_blocks(resolve: Resolve) -> bool {
    matches!(resolve, Resolve::Obsidian | Resolve::Either)
}
