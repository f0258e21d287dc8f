//! Links as a rewriter sees them: where their targets are in the text, and how a
//! target is written when it changes.

use std::collections::HashSet;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use pulldown_cmark::{Options, Parser};

use crate::card::{self, Content, Kind, Link, SyntaxIssue};
use crate::edits;
use crate::place::{Place, offset};
use crate::programs::{heading_key, is_page};
use crate::resolve::{joined, stem};
use crate::slug::{percent_encoded, slug};

/// How a link names what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As wiki links do.
    Wiki,
    /// As Markdown links do, percent-encoded.
    Markdown,
    /// By its path from the vault's root.
    Path,
}

/// A link, or the definition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// How it is written.
    pub(crate) form: Form,
    /// What it leads to, decoded.
    pub(crate) target: String,
    /// What follows `#`, decoded.
    pub(crate) anchor: Option<String>,
    /// Its first byte.
    pub(crate) start: usize,
    /// Where it begins, for messages.
    pub(crate) line: Place,
    /// The range of the target with its anchor; none where a definition holds it.
    pub(crate) place: Option<Range<usize>>,
    /// Whether the target is enclosed in `<` and `>`.
    pub(crate) is_bracketed: bool,
    /// What is at its place, decoded, where that is in a string of JSON.
    pub(crate) now: Option<String>,
}

impl Reference {
    /// Whether it is a wiki link.
    pub(crate) fn is_wiki(&self) -> bool {
        self.form == Form::Wiki
    }
}

/// The links of a card, then the definitions of links.
pub(crate) fn references(text: &str, content: &Content) -> Vec<Reference> {
    let mut all: Vec<Reference> = content
        .links
        .iter()
        .map(|link| reference(text, link))
        .collect();
    all.extend(content.properties.iter().map(|link| reference(text, link)));
    all.extend(raw_pipes(text, content));
    all.sort_by_key(|reference| reference.start);
    if text.contains("]:") {
        all.extend(definitions(text));
    }
    all
}

/// Wiki links in tables whose pipe is not escaped: they end a cell, and Quartz makes links of them. A row with such
/// links has more cells than its table, and what is in these is no link elsewhere.
fn raw_pipes(text: &str, content: &Content) -> Vec<Reference> {
    let issues = content.syntax_issues.iter();
    let issues = issues.filter(|(issue, _)| *issue == SyntaxIssue::PipeInTable);
    let known: HashSet<usize> = content
        .links
        .iter()
        .map(|link| link.target_span.start())
        .collect();
    let mut found = Vec::new();
    let mut last = 0;
    for (_, place) in issues {
        // All that follow in a row are found with the first one.
        if place.line == last {
            continue;
        }
        last = place.line;
        let start = offset(text, *place);
        let line = text[start..].lines().next().unwrap_or_default();
        let (mut done, mut column) = (0, place.column as usize);
        for (at, _) in line.match_indices("[[") {
            column += line[done..at].chars().count();
            done = at;
            let inside = start + at + 2;
            let Some(length) = text[inside..start + line.len()].find('|') else {
                continue;
            };
            let link = &text[inside..inside + length];
            if known.contains(&inside) || link.contains("]]") {
                continue;
            }
            let link = link.strip_suffix('\\').unwrap_or(link);
            let (target, anchor) = match link.split_once('#') {
                Some((target, anchor)) => (target, Some(anchor.to_owned())),
                None => (link, None),
            };
            found.push(Reference {
                form: Form::Wiki,
                target: target.to_owned(),
                anchor,
                start: inside - 2,
                line: Place::new(place.line as usize, column),
                place: Some(inside..inside + link.len()),
                is_bracketed: false,
                now: None,
            });
        }
    }
    found
}

fn reference(text: &str, link: &Link) -> Reference {
    let is_wiki = matches!(link.kind, Kind::Wiki | Kind::Embed);
    let place = if is_wiki {
        let start = link.target_span.start();
        let anchor = link.anchor.as_ref().map_or(0, |anchor| anchor.len() + 1);
        Some(start..start + link.target.len() + anchor)
    } else {
        destination(text, link)
    };
    Reference {
        form: if is_wiki { Form::Wiki } else { Form::Markdown },
        now: None,
        target: link.target.clone(),
        anchor: link.anchor.clone(),
        start: link.span.start(),
        line: link.place,
        is_bracketed: place
            .as_ref()
            .is_some_and(|place| is_bracketed(text, place)),
        place,
    }
}

fn is_bracketed(text: &str, place: &Range<usize>) -> bool {
    text[..place.start].ends_with('<') && text[place.end..].starts_with('>')
}

/// The range of an inline link's destination; none for a reference to a definition.
fn destination(text: &str, link: &Link) -> Option<Range<usize>> {
    let span = link.span.range();
    // `[[1]](url)` is read as a wiki link that ends before the bracket.
    if text[span.clone()].starts_with("[[") && text[span.end..].starts_with('(') {
        return bare_destination(text, span.end + 1, text.len());
    }
    let inside = &text[span.clone()];
    inside.rmatch_indices("](").find_map(|(at, _)| {
        let place = bare_destination(text, span.start + at + 2, span.end)?;
        let same = meant(text, &place)?;
        (same.target == link.target && same.anchor == link.anchor).then_some(place)
    })
}

/// The destination that begins behind blanks at `start`, without angle brackets.
fn bare_destination(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let rest = text.get(start..end)?;
    let start = start + (rest.len() - rest.trim_start().len());
    let rest = &text[start..end];
    if let Some(inner) = rest.strip_prefix('<') {
        return Some(start + 1..start + 1 + inner.find('>')?);
    }
    let mut depth = 0_u32;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(start..start + at),
            ')' => depth -= 1,
            c if c.is_whitespace() => return Some(start..start + at),
            _ => {}
        }
    }
    Some(start..end)
}

/// The link with its destination in this range, if it leads to a local file.
fn meant(text: &str, place: &Range<usize>) -> Option<Link> {
    let destination = &text[place.clone()];
    let sample = if is_bracketed(text, place) {
        format!("[x](<{destination}>)")
    } else {
        format!("[x]({destination})")
    };
    let links = card::read(&sample).links;
    let mut links = links.into_iter();
    links.find(|link| link.kind == Kind::Markdown && link.span.start() == 0)
}

/// Definitions such as `[name]: path`, where they lead to local files.
fn definitions(text: &str) -> Vec<Reference> {
    let body = edits::body(text);
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let parser = Parser::new_ext(&text[body..], options);
    let definitions = parser.reference_definitions().iter();
    let mut found: Vec<Reference> = definitions
        .filter_map(|(_, definition)| {
            let span = body + definition.span.start..body + definition.span.end;
            let colon = text[span.clone()].find("]:")?;
            let place = bare_destination(text, span.start + colon + 2, span.end)?;
            let link = meant(text, &place)?;
            let lines = text[..span.start].matches('\n').count();
            Some(Reference {
                form: Form::Markdown,
                now: None,
                target: link.target,
                anchor: link.anchor,
                start: span.start,
                line: Place::new(lines + 1, 1),
                is_bracketed: is_bracketed(text, &place),
                place: Some(place),
            })
        })
        .collect();
    found.sort_by_key(|reference| reference.start);
    found
}

/// Whether there is a file other than cards at a path from the vault's root.
pub type Exists<'a> = &'a (dyn Fn(&Utf8Path) -> bool + Sync);

/// Whether a wiki link's target is a path from the card.
pub(crate) fn is_relative(target: &str) -> bool {
    target.starts_with("./") || target.starts_with("../")
}

/// How a link in the card at `from` names the card at `to`: by a path from the card, if there is such a path.
pub(crate) fn style(reference: &Reference, from: &Utf8Path, to: &Utf8Path) -> Style {
    let target = &reference.target;
    let path = from_root(from, target);
    let is = |path: &str| {
        let page = path.strip_suffix(".html").unwrap_or(path);
        path == to || to.as_str().strip_suffix(".md") == Some(page)
    };
    if reference.form != Form::Markdown || target.is_empty() || is(path.as_str()) {
        Style::Usual
    } else if names_folder(target, to) {
        let folder = to.parent().map(Utf8Path::as_str);
        let is_whole =
            folder == Some(target.trim_end_matches('/')) && folder != Some(path.as_str());
        if is_whole { Style::Root } else { Style::Usual }
    } else if !target.contains('/') {
        Style::Name
    } else if !target.starts_with('/') && is(target) {
        Style::Root
    } else {
        Style::Usual
    }
}

/// Whether a link to a page names the folder that the page is of.
fn names_folder(target: &str, to: &Utf8Path) -> bool {
    let name = target.trim_end_matches('/').rsplit('/').next();
    let name = stem(name.unwrap_or_default());
    is_page(to) && name.strip_suffix(".html").unwrap_or(name) != stem(to.as_str())
}

/// Where a link that names a folder leads now, if what it leads to is still a folder's page.
fn folder_now<'p>(target: &str, was: LinkPath<'_>, is: LinkPath<'p>) -> Option<&'p str> {
    let is_folder = names_folder(target, was.to) && is_page(is.to);
    is.to.parent().map(Utf8Path::as_str).filter(|_| is_folder)
}

/// A relative path seen from the vault's root; what leaves the vault begins with `..`.
pub(crate) fn from_root(from: &Utf8Path, target: &str) -> Utf8PathBuf {
    if let Some(path) = joined(from, target) {
        return path;
    }
    let folder = from.parent().map(Utf8Path::as_str).unwrap_or_default();
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/").into()
}

/// From where to where a link leads, as paths from the vault's root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkPath<'a> {
    /// The card that holds it.
    pub(crate) from: &'a Utf8Path,
    /// The card or file that it leads to.
    pub(crate) to: &'a Utf8Path,
}

/// How a link names a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is written: a wiki link by stem or path, a Markdown link by its path from the card.
    Usual,
    /// A Markdown link by the name alone.
    Name,
    /// A Markdown link by the path from the vault's root, without `/`.
    Root,
    /// By the whole path from the vault's root, whatever it was before: another file has the name.
    WholePath,
}

/// How a link's target with its anchor is written when the link's path changes and, where one is given, its
/// anchor. `now` is the present text; of two cards that `became_one`, links between them need no name.
pub(crate) fn written(
    now: &str,
    reference: &Reference,
    was: LinkPath<'_>,
    is: LinkPath<'_>,
    anchor: Option<&String>,
    became_one: bool,
    style: Style,
) -> String {
    if reference.form == Form::Path {
        return is.to.to_string();
    }
    let (target, old_anchor) = match now.split_once('#') {
        Some((target, anchor)) => (target, Some(anchor)),
        None => (now, None),
    };
    let anchor = match (anchor, old_anchor) {
        (Some(new), Some(old)) => {
            let meant = reference.anchor.as_deref().unwrap_or(old);
            let same = slug(meant) == slug(new)
                || meant.trim() == new
                || !meant.starts_with('^') && heading_key(meant) == heading_key(new);
            Some(if same { old } else { new })
        }
        (Some(new), None) => Some(new.as_str()),
        (None, old) => old,
    };
    let anchor = anchor.map(|anchor| match old_anchor {
        Some(old) if old == anchor => anchor.to_owned(),
        _ if anchor.starts_with('^') => anchor.to_owned(),
        _ if reference.is_wiki() => anchor.to_owned(),
        _ => slug(anchor),
    });
    let meant = reference.target.trim();
    let depends_on_folder = match style {
        Style::Name | Style::Root => false,
        Style::Usual | Style::WholePath => !reference.is_wiki() || is_relative(meant),
    };
    let same_folder = was.from.parent() == is.from.parent() || !depends_on_folder;
    // A stem does not depend on the card's folder.
    let is_by_stem = reference.is_wiki()
        && !meant.contains('/')
        && !names_folder(meant, was.to)
        && style != Style::WholePath;
    let same_goal =
        was.to == is.to || (is_by_stem && stem(was.to.as_str()) == stem(is.to.as_str()));
    let is_as_it_was = if meant.is_empty() {
        is.to == is.from
    } else {
        same_folder && same_goal
    };
    let target = if is.to == is.from && became_one && anchor.is_some() {
        String::new()
    } else if is_as_it_was && style != Style::WholePath {
        target.to_owned()
    } else if reference.is_wiki() && matches!(style, Style::WholePath | Style::Root) {
        let ending = if is_file(meant) { ".md" } else { "" };
        let path = is.to.as_str();
        let path = path.strip_suffix(".md").unwrap_or(path).to_owned() + ending;
        if style == Style::Root {
            format!("/{path}")
        } else {
            path
        }
    } else if reference.is_wiki() {
        wiki_target(target, was, is)
    } else if matches!(style, Style::Root | Style::WholePath) {
        let path = is.to.as_str();
        let bare = path.strip_suffix(".md").unwrap_or(path);
        let folder = folder_now(meant, was, is).filter(|_| style == Style::Root);
        let end = if folder.is_some() && meant.ends_with('/') {
            "/"
        } else {
            ""
        };
        let path = if is_file(meant) {
            path
        } else {
            folder.unwrap_or(bare)
        };
        encoded(&format!("{path}{end}"), target, reference)
    } else if style == Style::Name {
        let (stem, name) = (stem(is.to.as_str()), is.to.file_name().unwrap_or_default());
        let is_whole = is_file(&reference.target);
        encoded(if is_whole { name } else { stem }, target, reference)
    } else {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (target, String::new()),
        };
        path_target(path, reference, was, is) + &query
    };
    match anchor {
        Some(anchor) => format!("{target}#{anchor}"),
        None => target,
    }
}

/// The target that a link has which is written so.
pub(crate) fn decoded_target(form: Form, text: &str) -> String {
    if form == Form::Path {
        return text.to_owned();
    }
    let target = text.split_once('#').map_or(text, |(target, _)| target);
    match form {
        Form::Markdown => {
            let path = target.split_once('?').map_or(target, |(path, _)| path);
            card::decoded(path)
        }
        _ => target.to_owned(),
    }
}

/// Whether the card that holds a link stays in its folder, and what the link leads to gets another name in
/// its own: then only the name is written anew.
fn only_renamed(was: LinkPath<'_>, is: LinkPath<'_>) -> bool {
    was.from.parent() == is.from.parent() && was.to.parent() == is.to.parent()
}

/// By stem or by path, with `.md` or without, and with its blanks, as it was.
fn wiki_target(now: &str, was: LinkPath<'_>, is: LinkPath<'_>) -> String {
    let name = now.trim();
    let folder = folder_now(name, was, is).filter(|folder| !folder.is_empty());
    let is_folder = folder.is_some() || !is_file(was.to.as_str());
    let (name, ending) = match name.strip_suffix('/') {
        Some(name) => (name, if is_folder { "/" } else { "" }),
        None => (name, if is_file(name) { ".md" } else { "" }),
    };
    let bare = |path: &'_ Utf8Path| {
        path.as_str()
            .strip_suffix(".md")
            .unwrap_or(path.as_str())
            .to_owned()
    };
    let path = folder.map_or_else(|| bare(is.to), str::to_owned);
    let path = if folder.is_some() {
        // Quartz takes folders from the root.
        let start = if name.starts_with('/') { "/" } else { "" };
        format!("{start}{path}")
    } else if let Some((folder, _)) = name.rsplit_once('/').filter(|_| only_renamed(was, is)) {
        format!("{folder}/{}", stem(&path))
    } else if is_relative(name) {
        let path = relative(is.from, &path, 0);
        let dot = if is_relative(&path) { "" } else { "./" };
        format!("{dot}{path}")
    } else if name.starts_with('/') {
        format!("/{path}")
    } else if name.contains('/') && bare(Utf8Path::new(name)) == bare(was.to) {
        // All of the path, not its end alone.
        path
    } else {
        let depth = name.matches('/').count();
        let parts: Vec<&str> = path.split('/').collect();
        parts[parts.len().saturating_sub(depth + 1)..].join("/")
    };
    let path = path + ending;
    if name.is_empty() {
        return path;
    }
    let before = now.len() - now.trim_start().len();
    let after = now.trim_end().len();
    format!("{}{path}{}", &now[..before], &now[after..])
}

/// Whether the name of a card's file is written in full.
fn is_file(name: &str) -> bool {
    name.strip_suffix(".md").is_some()
}

/// As a path from the card, or from the vault's root where it was one.
fn path_target(now: &str, reference: &Reference, was: LinkPath<'_>, is: LinkPath<'_>) -> String {
    let meant = reference.target.as_str();
    let bare = meant.rsplit('/').next().unwrap_or(meant);
    let without_ending = is_file(is.to.as_str()) && !is_file(bare) && !meant.is_empty();
    let folder = folder_now(meant, was, is);
    let is_rendered = bare.strip_suffix(".html").is_some() && is_file(was.to.as_str());
    let to = match is.to.as_str().strip_suffix(".md") {
        Some(path) if is_rendered => &format!("{path}.html"),
        Some(path) if without_ending => folder.unwrap_or(path),
        _ => is.to.as_str(),
    };
    let last = now.rfind('/').map_or(0, |at| at + 1);
    let has_name = !bare.is_empty() && !names_folder(meant, was.to);
    // Whether brackets need encoding depends on the whole path.
    if only_renamed(was, is) && has_name && !meant.contains(['(', ')']) {
        let name = to.rsplit('/').next().unwrap_or(to);
        return now[..last].to_owned() + &encoded(name, now, reference);
    }
    let path = if meant.starts_with('/') {
        format!("/{to}")
    } else {
        let dot = if meant.starts_with("./") { "./" } else { "" };
        format!("{dot}{}", relative(is.from, to, detour(was.from, meant)))
    };
    // A trailing slash is kept or left out as before, but for a folder's page that is none any more.
    let path = path.strip_suffix("/.").unwrap_or(&path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let may_end = folder.is_some() || !names_folder(meant, was.to);
    let end = if may_end && meant.ends_with('/') {
        "/"
    } else {
        ""
    };
    encoded(&format!("{path}{end}"), now, reference)
}

/// How many folders more a path climbs than it must.
fn detour(from: &Utf8Path, target: &str) -> usize {
    let climbs = target.split('/').filter(|part| *part == "..").count();
    let direct = relative(from, from_root(from, target).as_str(), 0);
    climbs
        - direct
            .split('/')
            .filter(|part| *part == "..")
            .count()
            .min(climbs)
}

/// The path from a card to a file; both are seen from the vault's root. It climbs so many folders more
/// than it must, if there are as many.
fn relative(from: &Utf8Path, to: &str, detour: usize) -> String {
    let folder = from.parent().map(Utf8Path::as_str).unwrap_or_default();
    let from: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').collect();
    let folders = &to[..to.len().saturating_sub(1)];
    let shared = from
        .iter()
        .zip(folders)
        .take_while(|(a, b)| a == b && **a != "..")
        .count();
    let shared = shared.saturating_sub(detour);
    // The folder itself.
    if detour == 0 && from == to {
        return ".".to_owned();
    }
    let mut parts = vec![".."; from.len() - shared];
    parts.extend(&to[shared..]);
    parts.join("/")
}

/// A path as the destination of a Markdown link, with other letters than those of ASCII as they are in the
/// present one.
fn encoded(path: &str, now: &str, reference: &Reference) -> String {
    let is_bracketed = reference.is_bracketed;
    let is_ascii = now.is_ascii() && !reference.target.is_ascii();
    percent_encoded(path, |_, c| match c {
        '%' | '#' | '?' | '\\' | '<' | '>' => false,
        ' ' => is_bracketed,
        '(' | ')' => is_bracketed || is_balanced(path),
        c => !c.is_control() && (c.is_ascii() || !is_ascii),
    })
}

/// Whether each `)` closes a `(`.
fn is_balanced(path: &str) -> bool {
    let mut open = 0_u32;
    for c in path.chars() {
        match c {
            '(' => open += 1,
            ')' if open == 0 => return false,
            ')' => open -= 1,
            _ => {}
        }
    }
    open == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_between_cards() {
        let from = Utf8Path::new("a/b/card.md");
        for (to, detour, path) in [
            ("a/b/x.md", 0, "x.md"),
            ("a/x.md", 0, "../x.md"),
            ("c/x.md", 0, "../../c/x.md"),
            ("x.md", 0, "../../x.md"),
            ("../x.rs", 0, "../../../x.rs"),
            ("a/b/x.md", 1, "../b/x.md"),
            ("a/b/x.md", 9, "../../a/b/x.md"),
        ] {
            assert_eq!(relative(from, to, detour), path);
            assert_eq!(from_root(from, path), to);
        }
        assert_eq!(detour(from, "../b/x.md"), 1);
        assert_eq!(detour(from, "../../../x.rs"), 0);
    }

    #[test]
    fn links_with_raw_pipes_are_found_once() {
        let text = "| a | b | c |\n|---|---|---|\n| é [[b|t]] [[c]] | ![[d#e|u]] |\n| [[f|t]] |\n";
        let all = references(text, &card::read(text));
        let shown = |it: &Reference| format!("{}@{}", &text[it.place.clone().unwrap()], it.line);
        let shown: Vec<String> = all.iter().map(shown).collect();
        assert_eq!(shown, ["b@3:5", "c@3:13", "d#e@3:22", "f@4:3"]);
    }

    #[test]
    fn where_destinations_stand() {
        for (text, place) in [
            ("[x](a.md#b \"t\")", "a.md#b"),
            ("[x](<a b.md>)", "a b.md"),
            ("![x](a(1).png)", "a(1).png"),
            ("[![x](a.png)](b.md)", "b.md|a.png"),
            ("[x][r]\n\n[r]: a.md 't'\n", "|a.md"),
            ("[r]: a<[[b]]\n", "a<[[b]]"),
            ("[[1]](a.md)", "a.md"),
            ("[[a#b|c]]", "a#b"),
            ("[x](https://a.b)", ""),
        ] {
            let places: Vec<&str> = references(text, &card::read(text))
                .into_iter()
                .map(|reference| reference.place.map_or("", |place| &text[place]))
                .collect();
            assert_eq!(places.join("|"), place, "{text}");
        }
    }
}
