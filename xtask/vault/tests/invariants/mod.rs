//! What has to hold whatever stands in the cards. Property tests ask it of vaults that bytes make up, and
//! so does fuzzing.
//!
//! Where links lead is found out here by other means than in the crate, so that both have to agree.

use std::collections::BTreeMap;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use vault::card::{self, Content, Kind, Link, SyntaxIssue};
use vault::edits;
use vault::front_matter::{self, FrontMatter};
use vault::moves::{self, Change, Moved, Texts};
use vault::place::Place;
use vault::resolve::{joined, stem};
use vault::slug::slug;

/// What a byte stands for, so that few bytes make up links, fences and front matter.
const SNIPPETS: &[&str] = &[
    "[[c1]]",
    "[[c2]]",
    "[[c3]]",
    "[[c4]]",
    "[[a b]]",
    "[[c1|text]]",
    "[[c2#Details]]",
    "[[c3#^fact]]",
    "[[#Details]]",
    "[[#Part]]",
    "[[#^fact]]",
    "![[c2]]",
    "![[c2#Part]]",
    "![[pic.png]]",
    "[[d/c2]]",
    "[[d/c3.md#Part]]",
    "[[./c2]]",
    "[[../c1|x]]",
    "[[/d/c3]]",
    "![[../pic.png]]",
    "[[ c4 ]]",
    "[[C4]]",
    "[[nowhere]]",
    "[[c2\\|text]]",
    "[[index]]",
    "[x](c1.md)",
    "[x](../c1.md#part)",
    "[x](c2.md)",
    "[x](c3.md#details)",
    "[x](d/c2.md)",
    "[x](../d/c2)",
    "[x](<../e/a b.md>)",
    "[x](e/a%20b.md)",
    "[x](/d/c3.md)",
    "![x](pic.png)",
    "![x](../pic.png \"title\")",
    "[![x](pic.png)](c2.md)",
    "[[1]](c2.md)",
    "[x][r]",
    "\n\n[r]: c2.md\n\n",
    "\n\n[r]: <../d/c3.md> 'title'\n\n",
    "\n\n# Title\n\n",
    "\n\n## Details\n\n",
    "\n\n## Part\n\n",
    "\n\n### Notes\n\n",
    "\n\n### Notes\n\n",
    "\n\nSet\n===\n\n",
    "\n\nSet\n---\n\n",
    "\n\n## To [[c2]]\n\n",
    "\n\n> ## Quoted\n\n",
    " ^fact\n\n",
    "\n\n- ",
    "\n  - ",
    "\n\n1. ",
    "\n    ",
    "\n> ",
    "\n\n```\n",
    "\n~~~\n",
    "\n````\n",
    "`",
    "``",
    "<!--",
    "-->",
    "<div>",
    "%%",
    "\n%%\n",
    "$$",
    "$",
    "\n\n| a | b |\n|---|---|\n| ",
    " | ",
    " |\n",
    "\r\n",
    "\n",
    "\n\n",
    "\\",
    "[",
    "]",
    "[[",
    "]]",
    "(",
    ")",
    "|",
    "#",
    "^",
    "!",
    "*",
    "**",
    "_",
    " ",
    "word ",
    "\u{e9}",
    "e\u{301}",
    "\u{1f680}",
    "---\n",
    "---\ntitle: A\nmodified: 2026-01-02\ntags: [x]\n---\n",
    "---\nrequires: [c1, c2]\n---\n",
    "---\ntitle: 'B'\nrequires:\n  - c2\n  - c3\ntags: y\n---\n",
    "---\r\ntitle: C\r\nrequires: [\"c1\"]\r\n---\r\n",
    "\u{feff}",
    "[^1]",
    "\n\n[^1]: note\n\n",
    "- [ ] ",
    "\t",
];

/// Where the cards lie.
const PATHS: &[&str] = &[
    "index.md", "c1.md", "d/c2.md", "d/c3.md", "e/c4.md", "e/a b.md",
];

/// The stem of cards that are new: no link names it before.
const FRESH: &str = "fresh";

/// Text from bytes: a snippet each, or itself.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match SNIPPETS.get(usize::from(*byte)) {
            Some(snippet) => text.push_str(snippet),
            None => text.push(char::from(byte & 0x7f)),
        }
    }
    text
}

/// The number of cards and a vault of them; cards end with the byte 255.
fn vault(bytes: &[u8]) -> Texts {
    let bodies = bytes
        .split(|byte| *byte == 0xff)
        .chain(std::iter::repeat(&[][..]));
    let cards = PATHS.iter().zip(bodies);
    cards
        .map(|(path, body)| (Utf8PathBuf::from(*path), text(body)))
        .collect()
}

/// What reading a card has to give.
pub fn of_reading(text: &str) {
    let content = card::read(text);
    let mut starts = Vec::new();
    for link in &content.links {
        let span = link.span.range();
        assert!(text.get(span.clone()).is_some(), "{link:?}");
        assert_eq!(link.place, place(text, span.start));
        if matches!(link.kind, Kind::Wiki | Kind::Embed) {
            assert_eq!(&text[link.target_span.range()], link.target);
            assert!(span.contains(&link.target_span.start()));
        }
        starts.push(span.start);
    }
    for heading in &content.headings {
        assert!(text.get(heading.span.range()).is_some(), "{heading:?}");
        assert_eq!(heading.place, place(text, heading.span.start()));
    }
    for place in content.syntax_issues.iter().map(|(_, place)| place) {
        assert!(place.line <= content.lines.max(1), "{place}");
    }
    // A byte order mark is no column, and line ends are as good as others.
    if !text.starts_with('\u{feff}') {
        assert_eq!(
            seen(&card::read(&format!("\u{feff}{text}"))),
            seen(&content)
        );
    }
    if !text.contains('\r') {
        let other = card::read(&text.replace('\n', "\r\n"));
        assert_eq!(seen(&other), seen(&content));
    }
}

/// What people see of a card, without bytes and with blanks as one: in code the line ends are blanks.
fn seen(content: &Content) -> Vec<String> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let links = content.links.iter().map(|link| {
        let words = [&link.anchor, &link.text].map(|text| text.as_deref().map(plain));
        let (kind, target) = (link.kind, plain(&link.target));
        format!("{kind:?} {target:?} {words:?} {}", link.place)
    });
    let headings = content.headings.iter().map(|heading| {
        format!(
            "{} {:?} {}",
            heading.level,
            plain(&heading.text),
            heading.place
        )
    });
    let codes = content
        .codes
        .iter()
        .map(|code| format!("{:?} {} {}", plain(&code.text), code.block, code.place));
    let blocks = content.blocks.iter().map(|block| format!("{block:?}"));
    let issues = content
        .syntax_issues
        .iter()
        .map(|issue| format!("{issue:?}"));
    links
        .chain(headings)
        .chain(blocks)
        .chain(issues)
        .chain(codes)
        .collect()
}

fn place(text: &str, at: usize) -> Place {
    let before = text[..at].strip_prefix('\u{feff}').unwrap_or(&text[..at]);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    Place::new(
        before.matches('\n').count() + 1,
        before[line..].chars().count() + 1,
    )
}

/// What reading front matter has to give, and changes of it.
pub fn of_front_matter(text: &str) {
    let block = match front_matter::split(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Some(Ok((block, _))) => block.to_owned(),
        _ => return drop(front_matter::parse(text)),
    };
    let front = front_matter::parse(&block);
    let lines = block.matches('\n').count() + 2;
    let places = front.entries.iter().map(|entry| entry.place);
    for place in places.chain(front.fault.as_ref().map(|fault| fault.place)) {
        assert!(place.line as usize <= lines, "{place} of {lines} lines");
    }
    if front.fault.is_some() {
        return;
    }
    let names = ["c1", "a b", "x: y"];
    for values in [&names[..0], &names[..1], &names] {
        if let Ok(edits) = edits::list(text, &front, "requires", values) {
            let now = changed(text, edits);
            assert_eq!(now.texts("requires"), values, "{text:?}");
            assert_eq!(
                others(&now, "requires"),
                others(&front, "requires"),
                "{text:?}"
            );
        }
    }
    if let Some(edit) = edits::value(text, &front, "modified", "2026-03-04") {
        let now = changed(text, vec![edit]);
        assert_eq!(now.text("modified"), Some("2026-03-04"), "{text:?}");
        assert_eq!(
            others(&now, "modified"),
            others(&front, "modified"),
            "{text:?}"
        );
    }
}

fn changed(text: &str, changes: Vec<edits::Edit>) -> FrontMatter {
    let mut new = String::new();
    edits::apply(text, &(0..text.len()), changes, &mut new).unwrap();
    assert_eq!(
        new[edits::body(&new)..],
        text[edits::body(text)..],
        "{text:?}"
    );
    let front = card::read(&new).front.unwrap();
    assert_eq!(front.fault, None, "{text:?} became {new:?}");
    front
}

/// Keys and texts of all entries but those of a key.
fn others<'a>(front: &'a FrontMatter, key: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let others = front.entries.iter().filter(|entry| entry.key != key);
    others
        .map(|entry| {
            let texts = entry.value.texts().into_iter().map(|(text, _)| text);
            (entry.key.as_str(), texts.collect())
        })
        .collect()
}

/// What renaming, merging and splitting cards have to keep.
pub fn of_moves(bytes: &[u8]) {
    let Some((&[what, from, to], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let first = vault(rest);
    let path = |number: u8| Utf8PathBuf::from(PATHS[usize::from(number) % PATHS.len()]);
    let folder = ["", "d/", "e/", "f/g/"][usize::from(to) % 4];
    let new = Utf8PathBuf::from(format!("{folder}{FRESH}.md"));
    let old = path(from);
    let change = match what % 3 {
        0 => Change::Rename { old, new },
        1 => Change::Merge {
            old,
            into: path(to),
        },
        // Every fourth of the rest moves a folder.
        _ if what % 4 == 3 => folder_moves(&first, ["d", "e"][usize::from(from) % 2], to),
        _ => {
            let headings = card::read(&first[&old]).headings;
            let Some(heading) = headings.get(usize::from(what / 3) % headings.len().max(1)) else {
                return;
            };
            let heading = heading.slug.clone();
            Change::Extract { old, heading, new }
        }
    };
    let mut now = first.clone();
    if moves::apply(&mut now, &change).is_err() {
        assert_eq!(now, first);
        return;
    }
    let _told = Told(&first, &now, &change);
    match &change {
        Change::Rename { old, new } => renamed(&first, &now, old, new),
        Change::Move(moved) => moved_folder(&first, &now, moved),
        Change::Merge { old, into } => merged(&first, &now, old, into),
        Change::Extract { old, heading, new } => extracted(&first, &now, old, heading, new),
    }
}

/// A folder that moves with its cards.
fn folder_moves(first: &Texts, old: &str, to: u8) -> Change {
    let new = ["f", "f/g", "h", "d/f"][usize::from(to) % 4];
    let inside = first.keys().filter(|path| path.starts_with(old));
    let files = inside.map(|path| {
        let rest = path.strip_prefix(old).unwrap();
        (path.clone(), Utf8PathBuf::from(new).join(rest))
    });
    Change::Move(Moved {
        files: files.collect(),
        folders: vec![(old.into(), new.into())],
    })
}

fn moved_folder(first: &Texts, now: &Texts, moved: &Moved) {
    let is = |path: &Utf8Path| moved.now(path).unwrap_or_else(|| path.to_owned());
    let (was_leads, is_leads) = (leads(first), leads(now));
    for (path, links) in &was_leads {
        let wanted = links.iter().map(|lead| match lead {
            Lead::File(file) => Lead::File(is(file)),
            lead => lead.moved(&is),
        });
        same(&wanted.collect::<Vec<_>>(), &is_leads[&is(path)], path);
        assert_eq!(masked(&first[path]), masked(&now[&is(path)]), "{path}");
    }
}

fn renamed(first: &Texts, now: &Texts, old: &Utf8Path, new: &Utf8Path) {
    let is = |path: &Utf8Path| {
        if path == old {
            new.to_owned()
        } else {
            path.to_owned()
        }
    };
    let (was_leads, is_leads) = (leads(first), leads(now));
    for (path, links) in &was_leads {
        let wanted = links.iter().map(|lead| lead.moved(&is));
        same(&wanted.collect::<Vec<_>>(), &is_leads[&is(path)], path);
        assert_eq!(masked(&first[path]), masked(&now[&is(path)]), "{path}");
    }
    let mut back = now.clone();
    let change = Change::Rename {
        old: new.to_owned(),
        new: old.to_owned(),
    };
    moves::apply(&mut back, &change).unwrap();
    // What climbs needlessly does not do so afterwards, at the root no folder can be named, and what is
    // named alone in one place is a path in another.
    let is_deep = new.as_str().contains('/');
    let in_wrong_case = stem(old.as_str()) == "c4";
    let is_lossy = |(path, text): (&Utf8PathBuf, &String)| {
        climbs_needlessly(path, text)
            || (!is_deep && text.contains("[[d/"))
            || (in_wrong_case && text.contains("[[C4"))
            // Quartz finds the name of a path from the card that others don't follow.
            || text.contains("[[.")
    };
    if !first.iter().any(is_lossy) && !names_alone(first) && !names_alone(now) {
        assert_eq!(&back, first);
    }
}

/// Whether a card is named by a Markdown link or image that has no folder, and lies in another one.
fn names_alone(texts: &Texts) -> bool {
    texts.iter().any(|(path, text)| {
        let content = card::read(text);
        let mut links = content.links.iter();
        text.contains("]:")
            || links.any(|link| {
                let target = &link.target;
                let is_wiki = matches!(link.kind, Kind::Wiki | Kind::Embed);
                let beside = path.with_file_name(format!("{}.md", stem(target)));
                let mut cards = texts.keys();
                !is_wiki
                    && !target.contains('/')
                    && !texts.contains_key(&beside)
                    && cards.any(|card| stem(card.as_str()) == stem(target))
            })
    })
}

/// Whether a card has a path that climbs out of a folder and into it again.
fn climbs_needlessly(from: &Utf8Path, text: &str) -> bool {
    let folder = from.parent().map_or("", Utf8Path::as_str);
    let mut paths = text.split(['(', '<', ' ']);
    paths.any(|path| {
        path.matches("..").count() > 1
            || path
                .strip_prefix("../")
                .is_some_and(|path| folder.is_empty() || path.starts_with(folder))
    })
}

fn merged(first: &Texts, now: &Texts, old: &Utf8Path, into: &Utf8Path) {
    let count = |texts: &Texts, path: &Utf8Path| card::read(&texts[path]).headings.len();
    let (gone, all) = (count(first, old), count(now, into));
    let is = |lead: &Lead| match lead {
        Lead::Card(path, spot) if path == old => Lead::Card(
            into.to_owned(),
            match spot {
                Spot::Heading(number) => Spot::Heading(all - gone + number),
                // The heading that its beginning has now.
                Spot::Top => Spot::Any,
                other => other.clone(),
            },
        ),
        // A link between two cards that became one leads to a heading of it.
        Lead::Card(path, Spot::Top) if path == into => Lead::Card(path.clone(), Spot::Any),
        other => other.clone(),
    };
    let (mut was_leads, is_leads) = (leads(first), leads(now));
    let more = was_leads.remove(old).unwrap_or_default();
    was_leads.get_mut(into).unwrap().extend(more);
    for (path, links) in &was_leads {
        let wanted: Vec<Lead> = links.iter().map(is).collect();
        same(&wanted, &is_leads[path], path);
    }
    for path in first.keys().filter(|path| *path != old && *path != into) {
        assert_eq!(masked(&first[path]), masked(&now[path]), "{path}");
    }
    // Footnotes of both have other labels now.
    let whole = masked(&now[into]).replace("[^1-2", "[^1");
    // Front matter gets what only the other card has.
    let body = edits::body(&first[into])..first[into].len();
    let kept = masked_part(&first[into], body);
    assert!(whole.contains(kept.trim_end()), "{whole}");
    let body = edits::body(&first[old])..first[old].len();
    let added = letters(&masked_part(&first[old], body));
    assert!(letters(&whole).ends_with(&added), "{whole}");
}

fn extracted(first: &Texts, now: &Texts, old: &Utf8Path, heading: &str, new: &Utf8Path) {
    let taken = card::read(&now[new]);
    let was = card::read(&first[old]);
    let at = was
        .headings
        .iter()
        .position(|known| known.slug == heading)
        .unwrap();
    let section = at..at + taken.headings.len();
    let is = |lead: &Lead| match lead {
        Lead::Card(path, Spot::Heading(number)) if path == old && section.contains(number) => {
            Lead::Card(new.to_owned(), Spot::Heading(number - at))
        }
        Lead::Card(path, Spot::Heading(number)) if path == old && *number >= section.end => {
            Lead::Card(old.to_owned(), Spot::Heading(number - section.len()))
        }
        Lead::Card(path, Spot::Block(id)) if path == old => {
            let (_, place) = was.blocks.iter().find(|(known, _)| known == id).unwrap();
            let is_taken = *place >= was.headings[at].place
                && was
                    .headings
                    .get(section.end)
                    .is_none_or(|next| *place < next.place);
            Lead::Card(
                if is_taken { new } else { old }.to_owned(),
                Spot::Block(id.clone()),
            )
        }
        other => other.clone(),
    };
    if first[old].contains("[^1]:") {
        return; // footnotes were taken along, or are in both with their links
    }
    let mut is_leads = leads(now);
    // The link that stays in the section's place.
    let left = card::read(&now[old]).links;
    let is_left =
        |link: &Link| link.target == FRESH && link.anchor.is_none() && link.text.is_none();
    let place = left.iter().position(is_left).unwrap();
    assert_eq!(is_leads[old][place], Lead::Card(new.to_owned(), Spot::Top));
    let in_section = is_leads.remove(new).unwrap();
    is_leads
        .get_mut(old)
        .unwrap()
        .splice(place..=place, in_section);
    for (path, links) in leads(first) {
        let wanted: Vec<Lead> = links.iter().map(is).collect();
        same(&wanted, &is_leads[&path], &path);
        if path != old {
            assert_eq!(masked(&first[&path]), masked(&now[&path]), "{path}");
        }
    }
    // What stays is what it was, and so is what was taken but for the levels of its headings.
    let span = left[place].span.range();
    let (before, after) = (
        masked_part(&now[old], 0..span.start),
        masked_part(&now[old], span.end..now[old].len()),
    );
    let text = masked(&first[old]);
    assert!(text.starts_with(&before), "{text:?} {before:?}");
    let after = after.trim_start_matches(['\r', '\n']);
    assert!(text.ends_with(after), "{text:?} {after:?}");
    let middle = &text[before.len()..text.len() - after.len()];
    let body = edits::body(&now[new])..now[new].len();
    assert_eq!(letters(middle), letters(&masked_part(&now[new], body)));
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq)]
enum Lead {
    Card(Utf8PathBuf, Spot),
    File(Utf8PathBuf),
    Nowhere,
}

#[derive(Clone, Debug, PartialEq)]
enum Spot {
    Top,
    Heading(usize),
    Block(String),
    Broken,
    Any,
}

impl Lead {
    fn moved(&self, is: &dyn Fn(&Utf8Path) -> Utf8PathBuf) -> Self {
        match self {
            Self::Card(path, spot) => Self::Card(is(path), spot.clone()),
            other => other.clone(),
        }
    }
}

/// That links lead where they led; those that led nowhere may lead anywhere.
fn same(was: &[Lead], is: &[Lead], path: &Utf8Path) {
    assert_eq!(was.len(), is.len(), "{path}: {was:?} {is:?}");
    for (was, is) in was.iter().zip(is) {
        let same = match (was, is) {
            (Lead::Nowhere, _) => true,
            (Lead::Card(was, Spot::Any | Spot::Broken), Lead::Card(is, _)) => was == is,
            // A card that there was not.
            (Lead::File(was), Lead::Card(..)) => {
                was.extension().is_none_or(|ending| ending == "md")
            }
            (was, is) => was == is,
        };
        assert!(same, "{path}: {was:?} became {is:?}");
    }
}

/// Where the links of all cards lead.
fn leads(texts: &Texts) -> BTreeMap<Utf8PathBuf, Vec<Lead>> {
    let contents: BTreeMap<&Utf8Path, Content> = texts
        .iter()
        .map(|(path, text)| (path.as_path(), card::read(text)))
        .collect();
    let of_card = |(from, content): (&&Utf8Path, &Content)| {
        let links = content.links.iter().map(|link| lead(&contents, from, link));
        ((*from).to_owned(), links.collect())
    };
    contents.iter().map(of_card).collect()
}

/// The only card with a stem.
fn only(contents: &BTreeMap<&Utf8Path, Content>, target: &str) -> Option<Utf8PathBuf> {
    let mut named = contents
        .keys()
        .filter(|path| stem(path.as_str()) == stem(target));
    let one = named.next()?;
    named.next().is_none().then(|| (*one).to_owned())
}

/// Where Quartz follows a path from the card: it begins at the root, or is a name.
fn on_pages(contents: &BTreeMap<&Utf8Path, Content>, path: &str) -> Option<Utf8PathBuf> {
    let is_name = |part: &&str| !matches!(*part, "." | "..");
    let parts: Vec<&str> = path.split('/').filter(is_name).collect();
    let whole = Utf8PathBuf::from(parts.join("/") + ".md");
    let by_name = || only(contents, parts.first()?);
    let is_name = parts.len() == 1 && !path.contains("..");
    let found = is_name.then(by_name).flatten();
    found.or_else(|| contents.contains_key(whole.as_path()).then_some(whole))
}

fn lead(contents: &BTreeMap<&Utf8Path, Content>, from: &Utf8Path, link: &Link) -> Lead {
    let is_wiki = matches!(link.kind, Kind::Wiki | Kind::Embed);
    let target = link.target.trim();
    let without = target.strip_suffix(".md").unwrap_or(target);
    let to = if target.is_empty() {
        from.to_owned()
    } else if is_wiki {
        let is_relative = target.starts_with("./") || target.starts_with("../");
        let path = if is_relative {
            joined(from, without)
        } else {
            Some(without.trim_start_matches('/').into())
        };
        let Some(path) = path else {
            return on_pages(contents, without)
                .map_or(Lead::Nowhere, |card| spot(contents, card, link));
        };
        let whole = Utf8PathBuf::from(format!("{path}.md"));
        let ends = |one: &Utf8Path| format!("/{one}").ends_with(&format!("/{path}.md"));
        if without.contains('/') && contents.contains_key(whole.as_path()) {
            whole
        } else if is_relative && let Some(card) = on_pages(contents, without) {
            card
        } else if is_relative {
            return Lead::File(joined(from, target).unwrap_or_default());
        } else if let Some(one) = only(contents, target).filter(|one| ends(one)) {
            one
        } else {
            return Lead::Nowhere;
        }
    } else {
        let rooted = target.strip_prefix('/');
        let path = match rooted {
            Some(target) => Some(Utf8PathBuf::from(target)),
            None => joined(from, &link.target),
        };
        // What lies outside of the vault is not known here.
        let Some(path) = path else {
            return Lead::Nowhere;
        };
        let with = Utf8PathBuf::from(format!("{path}.md"));
        if contents.contains_key(path.as_path()) {
            path
        } else if contents.contains_key(with.as_path()) {
            with
        } else if rooted.is_some() {
            return Lead::Nowhere;
        } else if let Some(one) = only(contents, target).filter(|_| !target.contains('/')) {
            one
        } else {
            return Lead::File(path);
        }
    };
    spot(contents, to, link)
}

fn spot(contents: &BTreeMap<&Utf8Path, Content>, to: Utf8PathBuf, link: &Link) -> Lead {
    let content = &contents[to.as_path()];
    let spot = match link.anchor.as_deref().map(str::trim) {
        None | Some("") => Spot::Top,
        Some(anchor) => match anchor.strip_prefix('^') {
            Some(id) if content.blocks.iter().any(|(known, _)| known == id) => {
                Spot::Block(id.to_owned())
            }
            Some(_) => Spot::Broken,
            None => {
                let number = content
                    .headings
                    .iter()
                    .position(|heading| heading.slug == slug(anchor));
                number.map_or(Spot::Broken, Spot::Heading)
            }
        },
    };
    Lead::Card(to, spot)
}

/// A card's text without what links lead to, and without prerequisites.
fn masked(text: &str) -> String {
    masked_part(text, 0..text.len())
}

fn masked_part(text: &str, part: Range<usize>) -> String {
    let content = card::read(text);
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for link in &content.links {
        let span = link.span.range();
        if matches!(link.kind, Kind::Wiki | Kind::Embed) {
            let start = link.target_span.start();
            let anchor = link.anchor.as_ref().map_or(0, |anchor| anchor.len() + 1);
            hidden.push(start..start + link.target.len() + anchor);
        } else if text[span.clone()].starts_with("[[") && text[span.end..].starts_with('(') {
            let end = text[span.end..]
                .find(')')
                .map_or(text.len(), |end| span.end + end);
            hidden.push(span.end..end);
        } else if let Some(at) = text[span.clone()].rfind("](") {
            hidden.push(span.start + at..span.end);
        }
    }
    // Links whose raw pipe ended a cell: to Quartz they are links.
    for (issue, place) in &content.syntax_issues {
        if *issue != SyntaxIssue::PipeInTable {
            continue;
        }
        let line = usize::try_from(place.line).unwrap() - 1;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let line = text[start..].lines().next().unwrap_or_default();
        for (at, _) in line.match_indices("[[") {
            if let Some(length) = line[at..].find('|') {
                hidden.push(start + at..start + at + length);
            }
        }
    }
    // Definitions of links, to the end of the line or of the next one.
    for (at, _) in text.match_indices("]:") {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = text[line..].trim_start_matches([' ', '>']);
        if !line.starts_with('[') || line.starts_with("[[") {
            continue;
        }
        let rest = &text[at + 2..];
        let blank = rest.len() - rest.trim_start().len();
        let end = rest[blank..]
            .find('\n')
            .map_or(text.len(), |end| at + 2 + blank + end);
        hidden.push(at..end);
    }
    let body = edits::body(text);
    if let Some(front) = &content.front
        && front.get("requires").is_some()
    {
        hidden.push(0..body);
    }
    hidden.sort_by_key(|range| range.start);
    let mut left = String::new();
    let mut at = part.start;
    for range in hidden {
        let start = range.start.clamp(at, part.end);
        left.push_str(&text[at..start]);
        at = range.end.clamp(start, part.end);
    }
    left.push_str(&text[at..part.end]);
    left
}

/// A text without what changes when a heading's level does.
fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !"#=->".contains(*c))
        .collect()
}

/// Shows what was changed when an assertion fails: the bytes alone say little.
struct Told<'a>(&'a Texts, &'a Texts, &'a Change);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}\nbefore: {:?}\nafter: {:?}", self.2, self.0, self.1);
        }
    }
}
