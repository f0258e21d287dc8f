//! The rules: a vault in, findings out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use camino::{Utf8Path, Utf8PathBuf};

use crate::card::{Code as CodeText, Content, Kind, Link, Oddity};
use crate::date::Date;
use crate::front_matter::{FrontMatter, Value};
use crate::slug::slug;
use crate::{Place, Target, Vault};

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
    pub path_exists: &'a dyn Fn(&str) -> Option<bool>,
    /// What is wrong with a `cargo xtask` line.
    pub command_fault: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a file below the vault's folder, or beside it, exists: the path is from the vault's root.
    pub file_exists: &'a dyn Fn(&Utf8Path) -> bool,
    /// The stem that a card has now whose stem was this one, according to git.
    pub renamed: &'a dyn Fn(&str) -> Option<String>,
    /// The day of a card's last change in git, if that is asked for and known.
    pub changed: &'a dyn Fn(&Utf8Path) -> Option<Date>,
}

/// Checks a vault. The findings are in order of path, place and code.
pub fn check(vault: &Vault, rules: &Rules, world: &World<'_>) -> Vec<Finding> {
    let mut checker = Checker {
        vault,
        rules,
        world,
        findings: Vec::new(),
        leads_to: vec![Vec::new(); vault.cards.len()],
        requires: vec![Vec::new(); vault.cards.len()],
        suggestions: MOST_SUGGESTIONS,
    };
    for index in 0..vault.cards.len() {
        checker.card(index);
    }
    checker.names();
    checker.landing_pages();
    checker.orphans();
    checker.cycles();
    let mut findings = checker.findings;
    findings.retain(|finding| !rules.off.iter().any(|off| off == finding.code.name()));
    let ignored = Ignored::of(vault, &findings);
    findings.retain(|finding| !ignored.covers(finding));
    findings.sort_by(|a, b| (&a.path, a.place, a.code).cmp(&(&b.path, b.place, b.code)));
    findings.dedup();
    findings
}

struct Checker<'a> {
    vault: &'a Vault,
    rules: &'a Rules,
    world: &'a World<'a>,
    findings: Vec<Finding>,
    /// The cards that each card links, itself left out.
    leads_to: Vec<Vec<usize>>,
    /// Its prerequisites, with their places.
    requires: Vec<Vec<(usize, Place)>>,
    /// How many more times a name may be compared with all stems.
    suggestions: usize,
}

/// How many unknown stems get a suggestion: with many cards each takes a while.
const MOST_SUGGESTIONS: usize = 200;

impl<'a> Checker<'a> {
    fn add(&mut self, card: usize, place: Place, code: Code, message: String, fix: Option<Fix>) {
        self.findings.push(Finding {
            path: self.vault.cards[card].path.clone(),
            place,
            code,
            message,
            fix,
        });
    }

    fn card(&mut self, card: usize) {
        let vault = self.vault;
        let content = match &vault.cards[card].content {
            Ok(content) => content,
            Err(error) => {
                let message = format!("the card can't be read: {error}");
                return self.add(card, Place::new(1, 1), Code::NotReadable, message, None);
            }
        };
        for (oddity, place) in &content.oddities {
            let (code, message) = match oddity {
                Oddity::PipeInTable => (
                    Code::PipeInTable,
                    "the `|` ends the table's cell, and there is no link",
                ),
                Oddity::EmptyLink => (Code::LinkEmpty, "`[[]]` leads nowhere"),
                Oddity::OpenFence => (Code::FenceOpen, "the fence is never closed"),
                Oddity::OpenComment => (Code::CommentOpen, "the comment is never closed"),
                Oddity::OpenFrontMatter => {
                    (Code::FrontMatterInvalid, "the front matter never ends")
                }
            };
            self.add(card, *place, code, message.to_owned(), None);
        }
        self.front_matter(card, content);
        for link in &content.links {
            match link.kind {
                Kind::Wiki | Kind::Embed => self.wiki_link(card, content, link),
                Kind::Markdown | Kind::Image => self.markdown_link(card, link),
            }
        }
        for code in &content.codes {
            self.truth(card, code);
        }
    }

    fn wiki_link(&mut self, card: usize, content: &Content, link: &Link) {
        let vault = self.vault;
        let place = link.place;
        if let Some(why) = renders_as_text(link) {
            return self.add(card, place, Code::LinkRendersAsText, why, None);
        }
        let target = link.target.trim();
        if target != link.target {
            let message = format!("blanks around `{target}`");
            let fix = Fix::Replace(link.target_span.range(), target.to_owned());
            self.add(card, place, Code::LinkSpaces, message, Some(fix));
        }
        if target.is_empty() {
            match link.anchor.as_deref().map(str::trim) {
                Some(anchor) if !anchor.is_empty() => {
                    self.anchor(card, place, card, content, anchor, false);
                }
                _ => self.add(
                    card,
                    place,
                    Code::LinkEmpty,
                    "the link leads nowhere".to_owned(),
                    None,
                ),
            }
            return;
        }
        let Some(to) = self.resolve(card, link, target) else {
            return;
        };
        if to == card && link.anchor.is_none() {
            let message = format!("`{target}` is this card");
            return self.add(card, place, Code::LinkSelf, message, None);
        }
        if to != card {
            self.leads_to[card].push(to);
        }
        if let (Some(anchor), Ok(content)) = (link.anchor.as_deref(), &vault.cards[to].content) {
            self.anchor(card, place, to, content, anchor.trim(), false);
        }
    }

    /// The card that a wiki link leads to. What is wrong with it is found.
    fn resolve(&mut self, card: usize, link: &Link, target: &str) -> Option<usize> {
        let vault = self.vault;
        let place = link.place;
        let without = target.strip_suffix(".md").unwrap_or(target);
        let stem = without.rsplit('/').next().unwrap_or(without);
        let mend = |to: &str| Some(Fix::Replace(link.target_span.range(), to.to_owned()));
        let is_other_file = Utf8Path::new(target)
            .extension()
            .is_some_and(|ending| ending != "md")
            && vault.resolve(target) == Target::Unknown;
        if is_other_file {
            let found = vault.file(target).is_some();
            // A stem may have a dot in it, too: `release-1.2`.
            if found {
                return None;
            }
            if link.kind == Kind::Embed {
                let message = format!("there is no file `{target}`");
                self.add(card, place, Code::FileUnknown, message, None);
                return None;
            }
        }
        match vault.resolve(stem) {
            Target::Card(to) => {
                if target != stem {
                    let path = Utf8PathBuf::from(format!("{without}.md"));
                    let is_there = !without.contains('/') || vault.cards[to].path.ends_with(&path);
                    let message = format!("`{target}` is a path; the stem `{stem}` is enough");
                    if !is_there {
                        let message =
                            format!("there is no card `{target}`: did you mean `{stem}`?");
                        self.add(card, place, Code::LinkUnknown, message, None);
                        return None;
                    }
                    self.add(card, place, Code::LinkByPath, message, mend(stem));
                }
                Some(to)
            }
            Target::Ambiguous(cards) => {
                let message = format!("`{target}` can be {}", self.listed(&cards));
                self.add(card, place, Code::LinkAmbiguous, message, None);
                None
            }
            Target::Case(cards) => {
                let &[to] = &cards[..] else {
                    let message = format!("`{target}` can be {}", self.listed(&cards));
                    self.add(card, place, Code::LinkAmbiguous, message, None);
                    return None;
                };
                let real = vault.cards[to].stem();
                let message = format!("`{target}` is written `{real}`");
                self.add(card, place, Code::LinkCase, message, mend(real));
                Some(to)
            }
            Target::Unknown => {
                let mut message = format!("there is no card `{target}`");
                if let Some(now) = (self.world.renamed)(stem)
                    && matches!(vault.resolve(&now), Target::Card(_))
                {
                    message = message + ": it was renamed to `" + &now + "`";
                    self.add(card, place, Code::LinkUnknown, message, mend(&now));
                    return None;
                }
                if let Some(near) = self.nearest_stem(stem) {
                    message = message + ": did you mean `" + near + "`?";
                }
                self.add(card, place, Code::LinkUnknown, message, None);
                None
            }
        }
    }

    fn nearest_stem(&mut self, stem: &str) -> Option<&'a str> {
        self.suggestions = self.suggestions.checked_sub(1)?;
        nearest(stem, self.vault.stems().map(|(known, _)| known))
    }

    fn listed(&self, cards: &[usize]) -> String {
        let paths: Vec<String> = cards
            .iter()
            .map(|card| format!("`{}`", self.vault.cards[*card].path))
            .collect();
        paths.join(" or ")
    }

    fn anchor(
        &mut self,
        card: usize,
        place: Place,
        to: usize,
        content: &Content,
        anchor: &str,
        is_slug: bool,
    ) {
        let vault = self.vault;
        let name = if to == card {
            "this card"
        } else {
            vault.cards[to].stem()
        };
        if let Some(id) = anchor.strip_prefix('^') {
            if !content.blocks.iter().any(|(block, _)| block == id) {
                let mut message = format!("{name} has no block `^{id}`");
                if let Some(near) = nearest(id, content.blocks.iter().map(|(id, _)| id.as_str())) {
                    message = message + ": did you mean `^" + near + "`?";
                }
                self.add(card, place, Code::BlockUnknown, message, None);
            }
            return;
        }
        let wanted = if is_slug {
            anchor.to_owned()
        } else {
            slug(anchor)
        };
        if content
            .headings
            .iter()
            .any(|heading| heading.slug == wanted)
        {
            return;
        }
        let mut message = format!("{name} has no heading `{anchor}`");
        let slugs = content.headings.iter().map(|heading| heading.slug.as_str());
        if let Some(near) = nearest(&wanted, slugs)
            && let Some(heading) = content.headings.iter().find(|heading| heading.slug == near)
        {
            let near = if is_slug {
                &heading.slug
            } else {
                &heading.text
            };
            message = message + ": did you mean `" + near + "`?";
        }
        self.add(card, place, Code::AnchorUnknown, message, None);
    }

    fn markdown_link(&mut self, card: usize, link: &Link) {
        let vault = self.vault;
        let from = &vault.cards[card].path;
        let path = if link.target.is_empty() {
            Some(from.clone())
        } else {
            joined(from, &link.target)
        };
        let to = path.as_deref().and_then(|path| {
            vault
                .at(path)
                .or_else(|| vault.at(&Utf8PathBuf::from(format!("{path}.md"))))
        });
        if let Some(to) = to {
            if to != card {
                self.leads_to[card].push(to);
            }
            if let (Some(anchor), Ok(content)) = (link.anchor.as_deref(), &vault.cards[to].content)
                && !anchor.is_empty()
            {
                self.anchor(card, link.place, to, content, anchor, true);
            }
            return;
        }
        let outside = || {
            let folder = from.parent().unwrap_or(Utf8Path::new(""));
            (self.world.file_exists)(&folder.join(&link.target))
        };
        // A path from the site's root is the renderer's affair.
        if !link.target.starts_with('/') && !outside() {
            let message = format!("there is no file `{}`", link.target);
            self.add(card, link.place, Code::FileUnknown, message, None);
        }
    }

    fn front_matter(&mut self, card: usize, content: &Content) {
        let Some(front) = &content.front else {
            let message = "the card has no front matter".to_owned();
            return self.add(
                card,
                Place::new(1, 1),
                Code::FrontMatterMissing,
                message,
                None,
            );
        };
        if content
            .oddities
            .iter()
            .any(|(oddity, _)| *oddity == Oddity::OpenFrontMatter)
        {
            return;
        }
        if let Some(fault) = &front.fault {
            let message = format!("the front matter can't be read: {}", fault.message);
            return self.add(card, fault.place, Code::FrontMatterInvalid, message, None);
        }
        let mut seen = BTreeSet::new();
        for entry in &front.entries {
            if !seen.insert(&entry.key) {
                let message = format!("`{}` stands twice", entry.key);
                self.add(card, entry.place, Code::KeyDuplicate, message, None);
            }
        }
        for key in &self.rules.required {
            let entry = front.get(key);
            if entry
                .is_none_or(|entry| entry.value.texts().is_empty() && entry.value != Value::Other)
            {
                let place = entry.map_or(Place::new(1, 1), |entry| entry.place);
                let message = match entry {
                    Some(_) => format!("`{key}` has no value"),
                    None => format!("the front matter has no `{key}`"),
                };
                self.add(card, place, Code::KeyMissing, message, None);
            }
        }
        self.keys_of_folders(card, front);
        self.dates(card, front);
        self.tags(card, front);
        self.title(card, front, content);
        self.prerequisites(card, front);
        if let Some(aliases) = front.get("aliases") {
            for (alias, place) in aliases.value.texts() {
                let taken =
                    matches!(self.vault.resolve(alias), Target::Card(other) if other != card);
                if taken {
                    let message = format!("the alias `{alias}` is the stem of another card");
                    self.add(card, place, Code::AliasClash, message, None);
                }
            }
        }
    }

    fn keys_of_folders(&mut self, card: usize, front: &FrontMatter) {
        if self.vault.cards[card].path.starts_with("how-to") {
            return;
        }
        for key in &self.rules.how_to_only {
            if let Some(entry) = front.get(key) {
                let message = format!("`{key}` is for cards below `how-to/`");
                self.add(card, entry.place, Code::KeyMisplaced, message, None);
            }
        }
    }

    fn dates(&mut self, card: usize, front: &FrontMatter) {
        for key in ["modified", "last-reviewed", "date", "created"] {
            let Some(entry) = front.get(key) else {
                continue;
            };
            let Value::Text(text, place) = &entry.value else {
                let message = format!("`{key}` is no day");
                self.add(card, entry.place, Code::DateInvalid, message, None);
                continue;
            };
            if text.is_empty() {
                continue;
            }
            let Some(date) = Date::parse(text) else {
                let message = format!("`{key}: {text}` is no day");
                self.add(card, *place, Code::DateInvalid, message, None);
                continue;
            };
            if date > self.world.today {
                let message = format!("`{key}: {text}` lies in the future");
                self.add(card, *place, Code::DateFuture, message, None);
            }
            if key == "modified"
                && let Some(changed) = (self.world.changed)(&self.vault.cards[card].path)
                && date < changed
            {
                let message = format!("`modified: {text}`, but the card was changed on {changed}");
                let fix = Fix::Value(*place, changed.to_string());
                self.add(card, *place, Code::DateStale, message, Some(fix));
            }
            if key == "last-reviewed"
                && let Some(max_age) = self.world.max_age
                && self.world.today.days() - date.days() > max_age
            {
                let age = self.world.today.days() - date.days();
                let message = format!("reviewed {age} days ago");
                self.add(card, *place, Code::ReviewOverdue, message, None);
            }
        }
    }

    fn tags(&mut self, card: usize, front: &FrontMatter) {
        let Some(entry) = front.get("tags") else {
            return;
        };
        let folder = self.category(card);
        for (tag, place) in entry.value.texts() {
            if !self.rules.tags.is_empty() && !self.rules.tags.iter().any(|known| known == tag) {
                let mut message = format!("`{tag}` is not among the tags");
                if let Some(near) = nearest(tag, self.rules.tags.iter().map(String::as_str)) {
                    message = message + ": did you mean `" + near + "`?";
                }
                self.add(card, place, Code::TagUnknown, message, None);
            }
            let is_category = self.rules.categories.iter().any(|category| category == tag);
            if let Some(folder) = folder
                && is_category
                && folder != tag
            {
                let message = format!("the tag `{tag}` on a card of `{folder}/`");
                self.add(card, place, Code::CategoryDiffers, message, None);
            }
        }
    }

    fn title(&mut self, card: usize, front: &FrontMatter, content: &Content) {
        let title = front.get("title").map(|entry| &entry.value);
        if self.rules.title_is_heading
            && let Some(Value::Text(title, _)) = title
            && let Some(heading) = content.headings.first()
            && heading.text.trim() != title.trim()
        {
            let message = format!(
                "the title is `{title}`, the first heading `{}`",
                heading.text
            );
            self.add(card, heading.place, Code::TitleDiffers, message, None);
        }
    }

    fn prerequisites(&mut self, card: usize, front: &FrontMatter) {
        let requires = front.get("requires");
        if let Some(entry) = requires {
            for (stem, place) in entry.value.texts() {
                if let Target::Card(to) = self.vault.resolve(stem) {
                    self.requires[card].push((to, place));
                    continue;
                }
                let mut message = format!("there is no card `{stem}`");
                if let Some(near) = self.nearest_stem(stem) {
                    message = message + ": did you mean `" + near + "`?";
                }
                self.add(card, place, Code::RequiresUnknown, message, None);
            }
        }
        let is = |key: &str, value: &str| {
            front
                .get(key)
                .is_some_and(|entry| matches!(&entry.value, Value::Text(text, _) if text == value))
        };
        let has_cards = requires.is_some_and(|entry| !entry.value.texts().is_empty());
        if let Some(branch) = front.get("branch")
            && is("status", "active")
            && !has_cards
        {
            let message = "an active goal that requires no card".to_owned();
            self.add(card, branch.place, Code::GoalWithoutCards, message, None);
        }
    }

    fn truth(&mut self, card: usize, code: &CodeText) {
        if code.text.starts_with("cargo xtask") {
            if let Some(fault) = (self.world.command_fault)(&code.text) {
                let message = format!("`{}`: {fault}", code.text);
                self.add(card, code.place, Code::CommandInvalid, message, None);
            }
        } else if !code.block
            && looks_like_a_path(&code.text)
            && (self.world.path_exists)(code.text.trim_start_matches("./")) == Some(false)
        {
            let message = format!("there is no `{}` in the repository", code.text);
            self.add(card, code.place, Code::PathUnknown, message, None);
        }
    }

    fn names(&mut self) {
        let vault = self.vault;
        for (stem, cards) in vault.stems() {
            if let [first, others @ ..] = cards {
                for other in others {
                    let message = format!("`{}` has this stem, too", vault.cards[*first].path);
                    self.add(*other, Place::new(1, 1), Code::StemDuplicate, message, None);
                }
            }
            let is_kebab = stem.split('-').all(|word| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
            if !is_kebab {
                for card in cards {
                    let message = format!("`{stem}` is not in kebab case");
                    self.add(*card, Place::new(1, 1), Code::NameNotKebab, message, None);
                }
            }
        }
        for cards in vault.clashes() {
            for (n, card) in cards.iter().enumerate() {
                let differs =
                    |other: &&usize| vault.cards[**other].stem() != vault.cards[*card].stem();
                if let Some(other) = cards[..n].iter().find(differs) {
                    let message = format!("`{}` differs in case only", vault.cards[*other].path);
                    self.add(*card, Place::new(1, 1), Code::StemCase, message, None);
                }
            }
        }
    }

    /// The category's folder that a card lies in.
    fn category(&self, card: usize) -> Option<&'a str> {
        let mut parts = self.vault.cards[card].path.components();
        let first = parts.next()?.as_str();
        parts.next()?;
        let rules = self.rules;
        let category = rules.categories.iter().find(|category| *category == first);
        category.map(String::as_str)
    }

    fn landing_pages(&mut self) {
        let vault = self.vault;
        let mut missing = BTreeMap::new();
        // What each landing page links, by page.
        let mut linked: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for card in 0..vault.cards.len() {
            let Some(category) = self.category(card) else {
                continue;
            };
            let page = Utf8PathBuf::from(format!("{category}/{category}.md"));
            let Some(landing) = vault.at(&page) else {
                missing.entry(page).or_insert(card);
                continue;
            };
            let leads_to = &self.leads_to[landing];
            let linked = linked
                .entry(landing)
                .or_insert_with(|| leads_to.iter().copied().collect());
            if landing != card && !linked.contains(&card) {
                let stem = vault.cards[card].stem();
                let message = format!("`{page}` does not link this card");
                let fix = Fix::Append(page, format!("- [[{stem}]]"));
                self.add(card, Place::new(1, 1), Code::NotListed, message, Some(fix));
            }
        }
        for (page, card) in missing {
            let message = format!("there is no landing page `{page}`");
            self.add(card, Place::new(1, 1), Code::LandingMissing, message, None);
        }
    }

    /// Cards that are not reached from `index.md`; without one there is nothing to start from.
    fn orphans(&mut self) {
        let vault = self.vault;
        let Some(index) = vault.at(Utf8Path::new("index.md")) else {
            if !vault.cards.is_empty() {
                let message = "the vault has no `index.md`".to_owned();
                self.add(0, Place::new(1, 1), Code::LandingMissing, message, None);
            }
            return;
        };
        let mut reached = vec![false; vault.cards.len()];
        reached[index] = true;
        let mut queue = VecDeque::from([index]);
        while let Some(card) = queue.pop_front() {
            for to in &self.leads_to[card] {
                if !reached[*to] {
                    reached[*to] = true;
                    queue.push_back(*to);
                }
            }
        }
        for (card, reached) in reached.into_iter().enumerate() {
            if !reached {
                let message = "no chain of links from `index.md` leads here".to_owned();
                self.add(card, Place::new(1, 1), Code::Orphan, message, None);
            }
        }
    }

    /// Each circle of prerequisites is found once, at the card that comes first in it.
    fn cycles(&mut self) {
        let requires = std::mem::take(&mut self.requires);
        // 0: not seen, 1: on the way, 2: done
        let mut state = vec![0_u8; requires.len()];
        for start in 0..requires.len() {
            if state[start] != 0 {
                continue;
            }
            // By hand, because a chain may be long.
            let mut way = vec![(start, 0)];
            state[start] = 1;
            while let Some((card, next)) = way.last_mut() {
                let (card, at) = (*card, *next);
                *next += 1;
                match requires[card].get(at) {
                    None => {
                        state[card] = 2;
                        way.pop();
                    }
                    Some((to, _)) if state[*to] == 0 => {
                        state[*to] = 1;
                        way.push((*to, 0));
                    }
                    Some((to, place)) if state[*to] == 1 => {
                        let from = way.iter().position(|(on, _)| on == to).unwrap_or(0);
                        let stems: Vec<&str> = way[from..]
                            .iter()
                            .map(|(card, _)| self.vault.cards[*card].stem())
                            .chain([self.vault.cards[*to].stem()])
                            .collect();
                        let message =
                            format!("the prerequisites lead in a circle: {}", stems.join(" -> "));
                        let place = *place;
                        self.add(card, place, Code::RequiresCycle, message, None);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Why a wiki link is no link, or another one, in Obsidian or Quartz.
fn renders_as_text(link: &Link) -> Option<String> {
    if link.target.contains('\\') {
        return Some("a `\\` in the target".to_owned());
    }
    let has_newline = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
    if link.target.contains('\n') || has_newline(&link.text) || has_newline(&link.anchor) {
        return Some("a line ends within the link".to_owned());
    }
    if let Some(anchor) = &link.anchor {
        if anchor.trim().is_empty() {
            return Some("nothing behind the `#`".to_owned());
        }
        if anchor.contains('#') {
            return Some("a chain of headings: Quartz shows it as text".to_owned());
        }
    }
    if let Some(text) = &link.text
        && text.contains(['#', '[', ']'])
    {
        return Some("`#`, `[` or `]` in the text: Quartz shows it as text".to_owned());
    }
    None
}

/// A path with `..` resolved, from the folder of a card; `None` where it leaves the vault.
fn joined(from: &Utf8Path, target: &str) -> Option<Utf8PathBuf> {
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

/// Whether inline code is the path of a file or folder: parts with `/` between them, and no place-holder.
fn looks_like_a_path(code: &str) -> bool {
    let is_part = |part: &str| {
        let place_holder =
            part.len() > 1 && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        !place_holder
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
            && part != "..."
    };
    code.contains('/') && !code.starts_with('/') && code.split('/').all(is_part)
}

/// The name that is most like one that does not exist.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = name.chars().count() / 3 + 1;
    names
        .filter(|known| known.len().abs_diff(name.len()) <= most)
        .map(|known| (strsim::osa_distance(known, name), known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// What comments in the cards switch off.
struct Ignored {
    /// By path: ranges of lines, and the codes; no codes: all.
    ranges: BTreeMap<Utf8PathBuf, Vec<(u32, u32, Vec<String>)>>,
}

impl Ignored {
    /// Of the cards that have findings.
    fn of(vault: &Vault, findings: &[Finding]) -> Self {
        let paths: BTreeSet<&Utf8PathBuf> = findings.iter().map(|finding| &finding.path).collect();
        let mut ranges = BTreeMap::new();
        for path in paths {
            let content = vault.at(path).map(|card| &vault.cards[card].content);
            if let Some(Ok(content)) = content
                && !content.controls.is_empty()
            {
                ranges.insert(path.clone(), switched_off(content));
            }
        }
        Self { ranges }
    }

    fn covers(&self, finding: &Finding) -> bool {
        let Some(ranges) = self.ranges.get(&finding.path) else {
            return false;
        };
        ranges.iter().any(|(first, last, codes)| {
            (*first..=*last).contains(&finding.place.line)
                && (codes.is_empty() || codes.iter().any(|code| code == finding.code.name()))
        })
    }
}

/// `ignore CODE...`: its own line and the next; `off CODE...` to `on`, or to the end;
/// `ignore-file CODE...`: all of the card.
fn switched_off(content: &Content) -> Vec<(u32, u32, Vec<String>)> {
    let mut ranges = Vec::new();
    let mut open: Option<(u32, Vec<String>)> = None;
    for (words, place) in &content.controls {
        let mut words = words.split([' ', ',']).filter(|word| !word.is_empty());
        let verb = words.next().unwrap_or_default();
        let codes: Vec<String> = words.map(str::to_owned).collect();
        match verb {
            "ignore" => ranges.push((place.line, place.line + 1, codes)),
            "ignore-file" => ranges.push((0, u32::MAX, codes)),
            "off" => open = Some((place.line, codes)),
            "on" => {
                if let Some((first, codes)) = open.take() {
                    ranges.push((first, place.line, codes));
                }
            }
            _ => {}
        }
    }
    if let Some((first, codes)) = open {
        ranges.push((first, u32::MAX, codes));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_is_none() {
        for code in ["xtask/src/main.rs", "containers/authentik/", "a/b.c"] {
            assert!(looks_like_a_path(code), "{code}");
        }
        for code in [
            "main.rs",
            "/nix/store",
            "a/b c",
            "target/COMPONENT",
            "a/<b>",
            "a/...",
            "a/*.rs",
        ] {
            assert!(!looks_like_a_path(code), "{code}");
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

    #[test]
    fn relative_paths() {
        let from = Utf8Path::new("a/b/card.md");
        assert_eq!(joined(from, "../c.md").unwrap(), "a/c.md");
        assert_eq!(joined(from, "./x/d.md").unwrap(), "a/b/x/d.md");
        assert_eq!(joined(from, "../../../x.md"), None);
    }
}
