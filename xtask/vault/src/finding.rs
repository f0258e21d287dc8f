//! What the rules find: a code, a place, a message, and the fix where it is certain.

use camino::{Utf8Path, Utf8PathBuf};

use crate::place::Place;

/// Makes the enumeration of codes, with their names and what to do about each.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $name:literal, $remedy:literal;)+) => {
        /// What is wrong. The names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $code,)+
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$code => $remedy,)+ }
            }

            /// What is wrong, as a sentence of the reference card.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$code => concat!($($doc),+),)+ }
            }
        }
    };
}

codes! {
    /// The file can't be read, or is not UTF-8
    NotReadable = "not-readable", "save the file as UTF-8 text";
    /// A fence that nothing closes: the rest of the card is code
    FenceOpen = "fence-open", "close the fence";
    /// A comment that nothing closes: the rest of the card is hidden
    CommentOpen = "comment-open", "close the comment";
    /// A wiki link to no card
    LinkUnknown = "link-unknown", "name a card that exists, or write it";
    /// A wiki link to a stem that several cards have
    LinkAmbiguous = "link-ambiguous", "rename one of the cards";
    /// A wiki link that differs from the card's stem in case
    LinkCase = "link-case", "write the stem as the file is named";
    /// A wiki link by path or with `.md`
    LinkByPath = "link-by-path", "name the card by its stem alone";
    /// A wiki link by an alias or a permalink: Quartz follows it, Obsidian does not
    LinkByAlias = "link-by-alias", "write `[[stem|alias]]`";
    /// A wiki link to a draft, or into a folder that is not published
    LinkUnpublished = "link-unpublished", "remove the link, or publish the card";
    /// A wiki link with blanks around its target
    LinkSpaces = "link-spaces", "remove the blanks";
    /// A wiki link to the card itself
    LinkSelf = "link-self", "remove the link, or name a heading";
    /// A wiki link without a target
    LinkEmpty = "link-empty", "name a card";
    /// A wiki link that is shown as plain text or leads elsewhere in one of Obsidian and Quartz
    LinkRendersAsText = "link-renders-as-text", "write it so that both understand it";
    /// A raw pipe of a wiki link in a table, which ends the cell
    PipeInTable = "pipe-in-table", "write `\\|`";
    /// A heading that the card does not have
    AnchorUnknown = "anchor-unknown", "name a heading of the card";
    /// A block id that the card does not have
    BlockUnknown = "block-unknown", "name a block id of the card";
    /// A link, image or embed of a file that does not exist
    FileUnknown = "file-unknown", "name a file that exists";
    /// No front matter at all
    FrontMatterMissing = "front-matter-missing", "begin the card with `---`, `title:`, ... and `---`";
    /// Front matter that is not a YAML mapping, or never ends
    FrontMatterInvalid = "front-matter-invalid", "fix the YAML";
    /// A duplicate key
    KeyDuplicate = "key-duplicate", "remove one of them";
    /// A required key that is missing or has no value
    KeyMissing = "key-missing", "add it";
    /// A key that is allowed in other folders only
    KeyMisplaced = "key-misplaced", "remove it";
    /// An invalid date
    DateInvalid = "date-invalid", "write a date as `YYYY-MM-DD`";
    /// A date in the future
    DateFuture = "date-future", "write today's date";
    /// A `modified` that is older than the last change in git
    DateStale = "date-stale", "set `modified`";
    /// A card that was not reviewed for too long
    ReviewOverdue = "review-overdue", "review the card and set `last-reviewed`";
    /// A tag that is not on the list
    TagUnknown = "tag-unknown", "use a tag of the list, or add it there";
    /// A title that is not the first heading
    TitleDiffers = "title-differs", "make them the same";
    /// A prerequisite that is not a card
    RequiresUnknown = "requires-unknown", "name a card that exists";
    /// Prerequisites that lead in a circle
    RequiresCycle = "requires-cycle", "remove one of the prerequisites";
    /// An active goal without prerequisites
    GoalWithoutCards = "goal-without-cards", "name the cards that lead to it in `requires`, or end it";
    /// An alias that is the stem of another card
    AliasClash = "alias-clash", "choose another alias";
    /// Several cards with one stem
    StemDuplicate = "stem-duplicate", "rename one of them";
    /// Stems that differ in case only
    StemCase = "stem-case", "rename one of them";
    /// A file name that is not in kebab case
    NameNotKebab = "name-not-kebab", "use lower-case letters, digits and `-`";
    /// A missing landing page
    LandingMissing = "landing-missing", "write it, with a link to each card of its folder";
    /// A card that its folder's landing page does not link
    NotListed = "not-listed", "link it there";
    /// A card that no chain of links from the index reaches
    Orphan = "orphan", "link it from a card that is reached";
    /// A card whose tags name another category than its folder
    CategoryDiffers = "category-differs", "move the card, or change its tags";
    /// A path of this repository that does not exist
    PathUnknown = "path-unknown", "name a path that exists";
    /// A `cargo xtask` line that its own command line refuses
    CommandInvalid = "command-invalid", "write a command that runs";
    /// A comment `docs-check:` with a word or a code that there is not
    IgnoreUnknown = "ignore-unknown", "write `ignore`, `ignore-file`, `off` or `on`, and codes that exist";
    /// A block that shows what `--help` prints, and it prints something else
    HelpStale = "help-stale", "`cargo xtask docs-check --fix` updates it";
}

/// How much a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It fails the check.
    Error,
    /// It is reported, and fails nothing.
    Warning,
    /// It is not reported.
    Off,
}

impl Level {
    /// The name in settings and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Off => "off",
        }
    }
}

/// The level of each code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(Vec<Level>);

impl Levels {
    /// All codes are errors, but for reviews that are overdue.
    pub fn all() -> Self {
        let mut levels = Self(vec![Level::Error; Code::ALL.len()]);
        levels.set(Code::ReviewOverdue, Level::Warning);
        levels
    }

    /// What is wrong with links is an error, front matter that is not read a warning; of the rest only what is asked for by an
    /// argument counts.
    pub fn of_links() -> Self {
        let mut levels = Self(vec![Level::Off; Code::ALL.len()]);
        for code in [
            Code::NotReadable,
            Code::LinkUnknown,
            Code::LinkAmbiguous,
            Code::LinkCase,
            Code::LinkByAlias,
            Code::LinkUnpublished,
            Code::LinkEmpty,
            Code::LinkRendersAsText,
            Code::PipeInTable,
            Code::AnchorUnknown,
            Code::BlockUnknown,
            Code::FileUnknown,
            Code::IgnoreUnknown,
            Code::DateStale,
        ] {
            levels.set(code, Level::Error);
        }
        // It may hold other names of the card.
        levels.set(Code::FrontMatterInvalid, Level::Warning);
        levels.set(Code::ReviewOverdue, Level::Warning);
        levels
    }

    /// Sets the level of a code.
    pub fn set(&mut self, code: Code, level: Level) {
        self.0[code as usize] = level;
    }

    /// The level of a code.
    pub fn of(&self, code: Code) -> Level {
        self.0[code as usize]
    }
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The card's path in the vault.
    pub path: Utf8PathBuf,
    /// Where in it.
    pub place: Place,
    /// What kind.
    pub code: Code,
    /// What exactly.
    pub message: String,
    /// The fix, where it is certain.
    pub fix: Option<Fix>,
}

/// A change that fixes a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Other bytes in the place of these, in the card of the finding.
    Replace(std::ops::Range<usize>, String),
    /// A line at the end of a card.
    Append(Utf8PathBuf, String),
    /// The value of a key of the front matter, on its line.
    Value(Place, String),
}

impl Finding {
    /// A finding without a certain fix.
    pub fn new(path: &Utf8Path, place: Place, code: Code, message: String) -> Self {
        Self {
            path: path.to_owned(),
            place,
            code,
            message,
            fix: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_codes_are_unique_and_in_kebab_case() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
    }
}
