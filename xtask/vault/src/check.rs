//! The rules: a vault in, findings out.
//!
//! First each card alone is read and judged, then, when all stems are known, its links; both by all
//! processors. What concerns the vault as a whole comes last. Of each card no more is kept than others ask
//! for: there may be very many.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use camino::{Utf8Path, Utf8PathBuf};

use crate::card::{self, Content};
use crate::date::Date;
use crate::rules_of_card::{self, Known};
use crate::rules_of_links::{self, Loose};
use crate::{Place, Tree, Vault, in_parallel, rules_of_vault};

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

            /// The name that people read.
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
    /// Front matter that is no mapping in YAML, or never ends
    FrontMatterInvalid = "front-matter-invalid", "mend the YAML";
    /// A key that stands twice
    KeyDuplicate = "key-duplicate", "remove one of them";
    /// A required key that lacks, or has no value
    KeyMissing = "key-missing", "add it";
    /// A key that is allowed in other folders only
    KeyMisplaced = "key-misplaced", "remove it";
    /// A date that is none
    DateInvalid = "date-invalid", "write a day as `YYYY-MM-DD`";
    /// A day that has not come yet
    DateFuture = "date-future", "write today's date";
    /// A `modified` that is older than the last change in git
    DateStale = "date-stale", "set `modified`";
    /// A card that was not reviewed for too long
    ReviewOverdue = "review-overdue", "review the card and set `last-reviewed`";
    /// A tag that is not on the list
    TagUnknown = "tag-unknown", "use a tag of the list, or add it there";
    /// A title that is not the first heading
    TitleDiffers = "title-differs", "make them the same";
    /// A prerequisite that is no card
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
    /// A landing page that lacks
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
    /// A block that shows what `--help` prints, and it prints something else
    HelpStale = "help-stale", "`cargo xtask docs-check --fix` writes it anew";
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
    /// How it is mended, where that is certain.
    pub fix: Option<Fix>,
}

/// A change that mends a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Other bytes in the place of these, in the card of the finding.
    Replace(std::ops::Range<usize>, String),
    /// A line at the end of a card.
    Append(Utf8PathBuf, String),
    /// The value of a key of the front matter, on its line.
    Value(Place, String),
}

/// The rules of the house. Keys are those of the configuration.
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
    /// Folders, from the vault's root, that are not published: cards there are not judged.
    pub unpublished: Vec<String>,
    /// Codes that are switched off.
    pub off: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self {
            required: words(&["title", "modified", "tags"]),
            tags: Vec::new(),
            how_to_only: words(&["status", "requires", "branch"]),
            categories: words(&["tutorials", "how-to", "reference", "explanation"]),
            title_is_heading: false,
            unpublished: Vec::new(),
            off: Vec::new(),
        }
    }
}

/// What the rules ask the world.
pub struct World<'a> {
    /// Today.
    pub today: Date,
    /// After how many days a review is overdue.
    pub max_age: Option<i64>,
    /// Whether a path of the repository exists; `None` where it is none that can be judged.
    pub path_exists: &'a (dyn Fn(&str) -> Option<bool> + Sync),
    /// What is wrong with a `cargo xtask` line.
    pub command_fault: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// What a `cargo xtask` line that asks for help prints.
    pub help: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Whether a file below the vault's folder, or beside it, exists: the path is from the vault's root.
    pub file_exists: &'a (dyn Fn(&Utf8Path) -> bool + Sync),
    /// The stem that a card has now whose stem was this one, according to git.
    pub renamed: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The day of a card's last change in git, if that is asked for and known.
    pub changed: &'a (dyn Fn(&Utf8Path) -> Option<Date> + Sync),
}

/// Checks a vault whose cards are read by `read`. The findings are in order of path, place and code.
pub fn check(
    tree: &Tree,
    read: &(dyn Fn(&Utf8Path) -> Result<String, String> + Sync),
    rules: &Rules,
    world: &World<'_>,
) -> Vec<Finding> {
    let categories = present(&tree.cards, rules);
    let judged = in_parallel(&tree.cards, &|_, path| match read(path) {
        Ok(text) => {
            rules_of_card::judge(path, &text, &card::read(&text), rules, &categories, world)
        }
        Err(error) => {
            let message = format!("the card can't be read: {error}");
            let finding = Finding::new(path, Place::new(1, 1), Code::NotReadable, message);
            (Known::default(), vec![finding])
        }
    });
    let mut findings = Vec::new();
    let vault = Vault::new(tree.cards.iter().cloned().zip(judged.into_iter().map(
        |(known, found)| {
            findings.extend(found);
            known
        },
    )));
    let names = rules_of_links::names(&vault);
    let followed = in_parallel(&vault.cards, &|number, _| {
        rules_of_links::follow(&vault, &names, tree, number, world)
    });
    let mut ways = Vec::with_capacity(followed.len());
    let mut lost = Vec::new();
    for (way, found, loose) in followed {
        ways.push(way);
        findings.extend(found);
        lost.extend(loose);
    }
    rules_of_vault::judge(&vault, &ways, rules, &mut findings);
    let is_reported = |finding: &Finding| {
        !rules.off.iter().any(|off| off == finding.code.name())
            && !is_unpublished(&finding.path, rules)
            && !is_ignored(&vault, finding)
    };
    findings.retain(is_reported);
    lost.retain(|(finding, _)| is_reported(finding));
    findings.extend(with_suggestions(&vault, lost));
    findings.sort_by(|a, b| {
        (a.path.as_str(), a.place, a.code).cmp(&(b.path.as_str(), b.place, b.code))
    });
    findings.dedup();
    // With very many cards giving back each piece takes a tenth of the time, and the process ends soon.
    std::mem::forget(vault);
    findings
}

/// How many stems are compared with unknown ones: then the rest gets no suggestion.
const MOST_COMPARISONS: usize = 500_000;

/// The findings, the first of which say what may have been meant.
fn with_suggestions(vault: &Vault<Known>, lost: Loose) -> impl Iterator<Item = Finding> {
    let stems = if lost.is_empty() {
        Vec::new()
    } else {
        stems_of(vault)
    };
    let most = MOST_COMPARISONS / stems.len().max(1);
    lost.into_iter()
        .enumerate()
        .map(move |(number, (mut finding, stem))| {
            let stems = stems.iter().copied();
            if number < most
                && let Some(near) = nearest(&stem, stems)
            {
                finding.message = finding.message + ": did you mean `" + near + "`?";
            }
            finding
        })
}

fn stems_of(vault: &Vault<Known>) -> Vec<&str> {
    let stems: BTreeSet<&str> = vault.cards.iter().map(crate::Card::stem).collect();
    stems.into_iter().collect()
}

impl Finding {
    /// Something wrong that is not mended for certain.
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

/// The categories of which there are cards.
fn present<'r>(cards: &[Utf8PathBuf], rules: &'r Rules) -> Vec<&'r str> {
    let is_there = |name: &&String| cards.iter().any(|card| category(card, rules) == Some(name));
    let present = rules.categories.iter().filter(is_there);
    present.map(String::as_str).collect()
}

/// The category's folder that a card lies in.
pub(crate) fn category<'r>(path: &Utf8Path, rules: &'r Rules) -> Option<&'r str> {
    let (first, _) = path.as_str().split_once('/')?;
    let category = rules.categories.iter().find(|category| *category == first);
    category.map(String::as_str)
}

/// Whether a card lies in a folder that is not published.
pub(crate) fn is_unpublished(path: &Utf8Path, rules: &Rules) -> bool {
    rules
        .unpublished
        .iter()
        .any(|folder| path.starts_with(folder))
}

/// The name that is most like one that does not exist.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    // One letter in the place of another is another name.
    let mut most = (length / 3 + 1).min(length.saturating_sub(1));
    let letters = letters(name);
    let mut nearest = None;
    for known in names {
        // To compare takes a while: in ASCII an edit adds a byte at most, and two letters come or go.
        let differ = (self::letters(known) ^ letters).count_ones() as usize;
        if known.len().abs_diff(name.len()) > most || differ > 2 * most {
            continue;
        }
        let distance = strsim::osa_distance(known, name);
        if distance <= most && nearest.is_none_or(|best| (distance, known) < best) {
            most = distance;
            nearest = Some((distance, known));
        }
    }
    nearest.map(|(_, known)| known)
}

/// A bit for each byte that is in a name, but for its upper bits.
fn letters(name: &str) -> u64 {
    name.bytes().fold(0, |letters, b| letters | 1 << (b & 63))
}

/// A range of lines, and the codes that are switched off in it; no codes: all.
pub(crate) type Silence = (RangeInclusive<u32>, Vec<String>);

fn is_ignored(vault: &Vault<Known>, finding: &Finding) -> bool {
    let card = vault.at(finding.path.as_str());
    card.is_some_and(|card| {
        vault.cards[card]
            .known
            .silences
            .iter()
            .any(|(lines, codes)| {
                lines.contains(&finding.place.line)
                    && (codes.is_empty() || codes.iter().any(|code| code == finding.code.name()))
            })
    })
}

/// What comments in a card switch off.
///
/// `ignore CODE...`: its own line and the next; `off CODE...` to `on`, or to the end;
/// `ignore-file CODE...`: all of the card.
pub(crate) fn silences(content: &Content) -> Vec<Silence> {
    let mut ranges = Vec::new();
    let mut open: Option<(u32, Vec<String>)> = None;
    for (words, place) in &content.controls {
        let mut words = words.split([' ', ',']).filter(|word| !word.is_empty());
        let verb = words.next().unwrap_or_default();
        let codes: Vec<String> = words.map(str::to_owned).collect();
        match verb {
            "ignore" => ranges.push((place.line..=place.line + 1, codes)),
            "ignore-file" => ranges.push((0..=u32::MAX, codes)),
            "off" => open = Some((place.line, codes)),
            "on" => {
                if let Some((first, codes)) = open.take() {
                    ranges.push((first..=place.line, codes));
                }
            }
            _ => {}
        }
    }
    if let Some((first, codes)) = open {
        ranges.push((first..=u32::MAX, codes));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        for (name, expected) in [
            ("cady", Some("caddy")),
            ("caddz", Some("caddy")),
            ("acddy", Some("caddy")),
            ("grafana-imag", Some("grafana-image")),
            ("zzzzz", None),
            ("d", None),
        ] {
            let names = ["candy-cane", "caddy", "grafana-image", "caddies", "c"];
            assert_eq!(nearest(name, names.into_iter()), expected, "{name}");
        }
    }

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
