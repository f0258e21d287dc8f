//! The rules for which no other card is needed.

use std::borrow::Cow;
use std::collections::BTreeSet;

use camino::Utf8Path;

use super::known::{Headings, Known, KnownLink, Lines};
use super::settings::{Environment, Resolve, Rules, ignores_case_of_blocks, is_unpublished};
use super::suppressions::{suppressions, unknown_words};
use crate::card::{self, Code as CodeText, Content, Help, Kind, Link, SyntaxIssue};
use crate::date::Date;
use crate::finding::{Code, Finding, Fix};
use crate::front_matter::{FrontMatter, Value};
use crate::place::Place;
use crate::resolve::{category, nearest};
use crate::unicode::folded;

/// Checks a card by itself; a file that is not a card has no categories, and no rules for front matter.
pub(crate) fn check(
    path: &Utf8Path,
    text: &str,
    content: &Content,
    rules: &Rules,
    categories: Option<&Vec<&str>>,
    environment: &Environment<'_>,
) -> (Known, Vec<Finding>) {
    let mut checker = Checker {
        path,
        rules,
        categories: categories.map_or(&[], Vec::as_slice),
        environment,
        findings: Vec::new(),
    };
    checker.syntax_issues(content);
    for (words, place) in &content.controls {
        for message in unknown_words(words) {
            checker.add(*place, Code::IgnoreUnknown, message);
        }
    }
    if categories.is_some() {
        checker.front_matter(content);
    }
    // Obsidian follows them, and Quartz shows no properties.
    let properties = match rules.resolve {
        Resolve::Obsidian | Resolve::Either => content.properties.as_slice(),
        Resolve::Quartz | Resolve::Both => &[],
    };
    let links = content
        .links
        .iter()
        .chain(properties)
        .filter_map(|link| checker.link(link))
        .collect();
    for code in &content.codes {
        checker.code(code);
    }
    for help in &content.helps {
        checker.help(text, help);
    }
    let front = content.front.as_ref().filter(|front| front.fault.is_none());
    let scalar = |key: &str| front.and_then(|front| front.text(key));
    let texts = |keys: &[&str]| -> Box<[(Box<str>, Place)]> {
        let entries = keys
            .iter()
            .filter_map(|key| front.and_then(|front| front.get(key)));
        entries
            .flat_map(|entry| entry.value.texts())
            .map(|(text, place)| (text.into(), place))
            .collect()
    };
    let blocks = block_ids(text, content, rules.resolve);
    let known = Known {
        // To Obsidian a draft is a card as any other.
        is_hidden: matches!(scalar("draft"), Some("true" | "True" | "TRUE"))
            && matches!(rules.resolve, Resolve::Quartz | Resolve::Both)
            || is_unpublished(path, rules),
        permalink: scalar("permalink").map(|path| path.trim_matches('/').into()),
        links,
        slugs: Lines::of(content.headings.iter().map(|heading| &*heading.slug)),
        headings: Headings::of(text, &content.headings),
        blocks: Lines::of(blocks.iter().map(|id| &**id)),
        anchors: Lines::of(content.anchors.iter().map(|anchor| &**anchor)),
        requires: texts(&["requires"]),
        aliases: texts(&["aliases", "alias"]),
        suppressions: suppressions(content).into(),
    };
    (known, checker.findings)
}

/// The ids of blocks. Obsidian compares them in lower case, and may have made one at the end of a line whose block goes on
/// now; Quartz has none there.
fn block_ids<'t>(text: &'t str, content: &'t Content, resolve: Resolve) -> Vec<Cow<'t, str>> {
    let ids = content.blocks.iter().map(|(id, _)| &**id);
    if !text.contains('^') || !ignores_case_of_blocks(resolve) {
        return ids.map(Cow::Borrowed).collect();
    }
    let of_lines = text.lines().filter_map(|line| {
        let (before, id) = line.trim_end().rsplit_once('^')?;
        let is_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_whole = !id.is_empty() && id.bytes().all(is_id);
        (is_whole && (before.is_empty() || before.ends_with([' ', '\t', '>']))).then_some(id)
    });
    let mut ids: Vec<Cow<'_, str>> = ids.chain(of_lines).map(folded).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

struct Checker<'a> {
    path: &'a Utf8Path,
    rules: &'a Rules,
    /// The categories of which there are cards.
    categories: &'a [&'a str],
    environment: &'a Environment<'a>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn add(&mut self, place: Place, code: Code, message: String) {
        self.findings
            .push(Finding::new(self.path, place, code, message));
    }

    fn add_fixable(&mut self, place: Place, code: Code, message: String, fix: Fix) {
        let finding = Finding::new(self.path, place, code, message);
        self.findings.push(Finding {
            fix: Some(fix),
            ..finding
        });
    }

    fn syntax_issues(&mut self, content: &Content) {
        for (issue, place) in &content.syntax_issues {
            let (code, message) = match issue {
                // Quartz makes a link of it.
                SyntaxIssue::PipeInTable
                    if matches!(self.rules.resolve, Resolve::Quartz | Resolve::Either) =>
                {
                    continue;
                }
                SyntaxIssue::PipeInTable => (
                    Code::PipeInTable,
                    "the `|` ends the table's cell, and there is no link",
                ),
                SyntaxIssue::EmptyLink => (Code::LinkEmpty, "the link leads nowhere"),
                SyntaxIssue::OpenFence => (Code::FenceOpen, "the fence is never closed"),
                SyntaxIssue::OpenComment => (Code::CommentOpen, "the comment is never closed"),
                SyntaxIssue::OpenFrontMatter => {
                    (Code::FrontMatterInvalid, "the front matter never ends")
                }
            };
            self.add(*place, code, message.to_owned());
        }
    }

    /// The link, if there is something to follow.
    fn link(&mut self, link: &Link) -> Option<KnownLink> {
        let is_wiki = matches!(link.kind, Kind::Wiki | Kind::Embed);
        let target = if is_wiki {
            link.target.trim()
        } else {
            &link.target
        };
        let start = u32::try_from(link.target_span.start()).unwrap_or(u32::MAX);
        if is_wiki {
            if let Some(why) = renders_as_text(link) {
                match self.rules.resolve {
                    // Obsidian does not take it for a link either.
                    _ if self.rules.resolve != Resolve::Both && link.target.contains('\n') => {
                        return None;
                    }
                    Resolve::Obsidian | Resolve::Either => {}
                    Resolve::Quartz | Resolve::Both => {
                        self.add(link.place, Code::LinkRendersAsText, why);
                        return None;
                    }
                }
            }
            let is_spaced = target != link.target && (!target.is_empty() || link.anchor.is_some());
            if is_spaced {
                let message = if target.is_empty() {
                    "blanks before the `#`".to_owned()
                } else {
                    format!("blanks around `{target}`")
                };
                let fix = Fix::Replace(link.target_span.range(), target.to_owned());
                self.add_fixable(link.place, Code::LinkSpaces, message, fix);
            }
            if let Some(anchor) = &link.anchor
                && anchor.trim() != anchor
            {
                let anchor_start = link.target_span.range().end + 1;
                let message = format!("blanks around `#{}`", anchor.trim());
                let range = anchor_start..anchor_start + anchor.len();
                let fix = Fix::Replace(range, anchor.trim().to_owned());
                self.add_fixable(link.place, Code::LinkSpaces, message, fix);
            }
        }
        let blanks = link.target.len() - link.target.trim_start().len();
        Some(KnownLink {
            kind: link.kind,
            target: target.into(),
            anchor: link.anchor.as_deref().map(Into::into),
            place: link.place,
            start: start.saturating_add(u32::try_from(blanks).unwrap_or(0)),
        })
    }

    fn front_matter(&mut self, content: &Content) {
        let mut issues = content.syntax_issues.iter();
        if issues.any(|(issue, _)| *issue == SyntaxIssue::OpenFrontMatter) {
            return;
        }
        let Some(front) = &content.front else {
            let message = "the card has no front matter".to_owned();
            return self.add(Place::new(1, 1), Code::FrontMatterMissing, message);
        };
        if let Some(fault) = &front.fault {
            let message = format!("the front matter can't be read: {}", fault.message);
            return self.add(fault.place, Code::FrontMatterInvalid, message);
        }
        let mut seen = BTreeSet::new();
        for entry in &front.entries {
            if !seen.insert(&entry.key) {
                let message = format!("duplicate key `{}`", entry.key);
                self.add(entry.place, Code::KeyDuplicate, message);
            }
        }
        for (key, place) in &front.duplicates {
            let message = format!("duplicate key `{key}` in one mapping");
            self.add(*place, Code::KeyDuplicate, message);
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
                self.add(place, Code::KeyMissing, message);
            }
        }
        if let Some(entry) = front
            .get("requires")
            .filter(|entry| entry.value == Value::Other)
        {
            let message = "`requires` is not a list of cards".to_owned();
            self.add(entry.place, Code::RequiresUnknown, message);
        }
        self.keys_of_folders(front);
        self.dates(front);
        self.tags(front);
        self.title(front, content);
        self.goal(front);
    }

    fn keys_of_folders(&mut self, front: &FrontMatter) {
        if self.path.as_str().starts_with("how-to/") {
            return;
        }
        for key in &self.rules.how_to_only {
            if let Some(entry) = front.get(key) {
                let message = format!("`{key}` is for cards below `how-to/`");
                self.add(entry.place, Code::KeyMisplaced, message);
            }
        }
    }

    fn dates(&mut self, front: &FrontMatter) {
        for key in ["modified", "last-reviewed", "date", "created"] {
            let Some(entry) = front.get(key) else {
                continue;
            };
            let Value::Text(text, place) = &entry.value else {
                let message = format!("`{key}` is not a date");
                self.add(entry.place, Code::DateInvalid, message);
                continue;
            };
            // A template fills it in.
            if text.is_empty() || text.contains("{{") || text.contains("<%") {
                continue;
            }
            let Some(date) = Date::of_text(text) else {
                let message = format!("`{key}: {text}` is not a date");
                self.add(*place, Code::DateInvalid, message);
                continue;
            };
            if date > self.environment.today {
                let message = format!("`{key}: {text}` is in the future");
                self.add(*place, Code::DateFuture, message);
            }
            if key == "modified"
                && let Some(changed) = (self.environment.changed)(self.path)
                && date < changed
            {
                let message = format!("`modified: {text}`, but the card was changed on {changed}");
                // The fix is a change as well, committed today.
                let fix = Fix::Value(*place, self.environment.today.to_string());
                self.add_fixable(*place, Code::DateStale, message, fix);
            }
            if key == "last-reviewed"
                && let Some(max_age) = self.environment.max_age
                && self.environment.today.days() - date.days() > max_age
            {
                let age = self.environment.today.days() - date.days();
                let message = format!("reviewed {age} days ago");
                self.add(*place, Code::ReviewOverdue, message);
            }
        }
    }

    fn tags(&mut self, front: &FrontMatter) {
        let Some(entry) = front.get("tags") else {
            return;
        };
        let folder = category(self.path, &self.rules.categories);
        for (tag, place) in entry.value.texts() {
            if tag.bytes().all(|b| b.is_ascii_digit()) {
                let message = format!("`{tag}` is a number, and a tag has a letter in it");
                self.add(place, Code::TagUnknown, message);
                continue;
            }
            if !self.rules.tags.is_empty() && !self.rules.tags.iter().any(|known| known == tag) {
                let mut message = format!("`{tag}` is not among the tags");
                if let Some(near) = nearest(tag, self.rules.tags.iter().map(String::as_str)) {
                    message = message + ": did you mean `" + near + "`?";
                }
                self.add(place, Code::TagUnknown, message);
            }
            let is_category = self.rules.categories.iter().any(|category| category == tag);
            let message = match folder {
                Some(folder) if is_category && folder != tag => {
                    format!("the tag `{tag}` on a card of `{folder}/`")
                }
                // Without cards there the word is a tag like any other.
                None if self.categories.contains(&tag) => {
                    format!("the tag `{tag}` on a card that is not in `{tag}/`")
                }
                _ => continue,
            };
            self.add(place, Code::CategoryDiffers, message);
        }
    }

    fn title(&mut self, front: &FrontMatter, content: &Content) {
        let title = front.get("title").map(|entry| &entry.value);
        if self.rules.title_is_heading
            && let Some(Value::Text(title, _)) = title
            && let Some(heading) = content.headings.first()
            && heading.text.trim() != title.trim()
            && heading.text.trim() != shown(title)
        {
            let message = format!(
                "the title is `{title}`, the first heading `{}`",
                heading.text
            );
            self.add(heading.place, Code::TitleDiffers, message);
        }
    }

    fn goal(&mut self, front: &FrontMatter) {
        let is = |key: &str, value: &str| {
            front
                .get(key)
                .is_some_and(|entry| matches!(&entry.value, Value::Text(text, _) if text == value))
        };
        let has_cards = front
            .get("requires")
            .is_some_and(|entry| !entry.value.texts().is_empty());
        if let Some(branch) = front.get("branch")
            && is("status", "active")
            && !has_cards
        {
            let message = "an active goal without prerequisites".to_owned();
            self.add(branch.place, Code::GoalWithoutCards, message);
        }
    }

    fn code(&mut self, code: &CodeText) {
        if code.block || code.text.contains("cargo xtask") {
            if let Some(fault) = (self.environment.command_fault)(&code.text) {
                let message = format!("`{}`: {fault}", code.text);
                self.add(code.place, Code::CommandInvalid, message);
            }
        } else if let Some(path) = as_path(&code.text)
            && (self.environment.path_exists)(path) == Some(false)
        {
            let message = format!("there is no `{}` in the repository", code.text);
            self.add(code.place, Code::PathUnknown, message);
        }
    }

    /// What a card says that a command prints, with `...` for lines that it leaves out.
    fn help(&mut self, text: &str, help: &Help) {
        let said = &text[help.span.range()];
        if said.lines().any(|line| line.trim_end() == "...") {
            return;
        }
        let Some(printed) = (self.environment.help)(&help.command) else {
            return;
        };
        let same = printed.lines().map(str::trim_end);
        if same.eq(said.lines().map(str::trim_end)) {
            return;
        }
        let message = format!("`{}` prints something else", help.command);
        let end = if said.contains("\r\n") { "\r\n" } else { "\n" };
        let lines = printed.lines().map(|line| line.trim_end().to_owned() + end);
        let fix = Fix::Replace(help.span.range(), lines.collect());
        self.add_fixable(help.place, Code::HelpStale, message, fix);
    }
}

/// What is shown of a title with markup in it.
fn shown(title: &str) -> String {
    let headings = card::read(&format!("# {title}\n")).headings;
    let shown = headings.into_iter().next().map(|heading| heading.text);
    shown.unwrap_or_default().trim().to_owned()
}

/// Why a wiki link is shown as text, or leads elsewhere, in Obsidian or Quartz.
fn renders_as_text(link: &Link) -> Option<String> {
    if link.target.contains('\\') {
        return Some("a `\\` in the target".to_owned());
    }
    if link.target.contains(['[', ']']) {
        return Some("`[` or `]` in the target: Quartz shows it as text".to_owned());
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
    if link
        .text
        .as_ref()
        .is_some_and(|text| text.trim().is_empty())
    {
        return Some("nothing behind the `|`".to_owned());
    }
    if let Some(text) = &link.text
        && text.contains(['#', '[', ']'])
    {
        return Some("`#`, `[` or `]` in the text: Quartz shows it as text".to_owned());
    }
    None
}

/// The path of a file or folder of the repository, if that is what inline code is: parts with `/` between
/// them, none of them a place-holder. A line's number may follow. From where `../` leads is not said.
fn as_path(code: &str) -> Option<&str> {
    let path = code.trim_start_matches("./");
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let path = match path.split_once(':') {
        Some((path, line)) if line.split(':').all(is_number) => path,
        _ => path,
    };
    let is_part = |part: &str| {
        let place_holder =
            part.len() > 1 && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        !place_holder
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
            && !matches!(part, "..." | "..")
    };
    let is_path = path.contains('/') && !path.starts_with('/') && path.split('/').all(is_part);
    is_path.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_is_none() {
        for (code, path) in [
            ("xtask/src/main.rs", "xtask/src/main.rs"),
            ("containers/authentik/", "containers/authentik/"),
            ("./a/b.c", "a/b.c"),
            ("a/b.c:12", "a/b.c"),
            ("a/b.c:12:3", "a/b.c"),
        ] {
            assert_eq!(as_path(code), Some(path));
        }
        for code in [
            "main.rs",
            "/nix/store",
            "a/b c",
            "target/COMPONENT",
            "a/<b>",
            "a/...",
            "a/*.rs",
            "../a/b.c",
            "a/b:c",
        ] {
            assert_eq!(as_path(code), None);
        }
    }
}
