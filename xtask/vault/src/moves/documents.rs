//! Links in files that are no cards: Obsidian's canvases (`.canvas`, JSON) and tables (`.base`, YAML).
//!
//! A canvas names files by their paths from the vault's root, and has cards of text with links of their own. A table
//! names cards and folders in its filters and formulas.

use std::fmt::Write as _;
use std::ops::Range;

use camino::Utf8Path;

use super::references::{Form, Reference, references};
use crate::card;
use crate::place::{Place, bom};

/// What kind of file with links this is, that is no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Canvas,
    Base,
}

fn kind(path: &Utf8Path) -> Option<Kind> {
    match path.extension() {
        Some("canvas") => Some(Kind::Canvas),
        Some("base") => Some(Kind::Base),
        _ => None,
    }
}

/// Whether a file is no card and may have links to cards.
pub fn is_document(path: &Utf8Path) -> bool {
    kind(path).is_some()
}

/// The links of such a file.
pub(super) fn links(path: &Utf8Path, text: &str) -> Vec<Reference> {
    match kind(path) {
        Some(Kind::Canvas) => canvas(text),
        Some(Kind::Base) => base(text),
        None => Vec::new(),
    }
}

/// A reference in a part of a text: its target is decoded already.
fn reference(text: &str, form: Form, place: Range<usize>, target: &str) -> Reference {
    let line = text[..place.start].rfind('\n').map_or(0, |end| end + 1);
    let lines = text[..line].matches('\n').count();
    Reference {
        form,
        is_bracketed: false,
        target: target.to_owned(),
        anchor: None,
        start: place.start,
        line: Place::new(lines + 1, text[line..place.start].chars().count() + 1),
        now: None,
        place: Some(place),
    }
}

/// An object of JSON that is read: which of the references its `file` is, and its `subpath`.
#[derive(Default)]
struct Object {
    file: Option<usize>,
    subpath: Option<String>,
}

fn canvas(text: &str) -> Vec<Reference> {
    let bytes = text.as_bytes();
    let mut found: Vec<Reference> = Vec::new();
    let mut objects: Vec<Object> = Vec::new();
    let mut key: Option<String> = None;
    let mut at = bom(text);
    while at < bytes.len() {
        match bytes[at] {
            b'{' => objects.push(Object::default()),
            b'}' => {
                if let Some(Object {
                    file: Some(file),
                    subpath: Some(subpath),
                }) = objects.pop()
                {
                    let anchor = subpath.strip_prefix('#').unwrap_or(&subpath);
                    found[file].anchor = Some(anchor.to_owned());
                }
            }
            b',' => key = None,
            b'"' => {
                let Some(length) = string_end(&bytes[at + 1..]) else {
                    break;
                };
                let inside = at + 1..at + 1 + length;
                at = inside.end;
                let rest = text[at + 1..].trim_start();
                let decoded = Decoded::of(text, inside.clone());
                if rest.starts_with(':') && key.is_none() {
                    key = Some(decoded.text);
                } else {
                    value(
                        text,
                        key.as_deref(),
                        decoded,
                        &inside,
                        &mut found,
                        &mut objects,
                    );
                }
            }
            _ => {}
        }
        at += 1;
    }
    found.sort_by_key(|reference| reference.start);
    found
}

/// Takes a string of a canvas.
fn value(
    text: &str,
    key: Option<&str>,
    decoded: Decoded,
    inside: &Range<usize>,
    found: &mut Vec<Reference>,
    objects: &mut [Object],
) {
    match key {
        Some("file" | "background") => {
            if let Some(object) = objects.last_mut().filter(|_| key == Some("file")) {
                object.file = Some(found.len());
            }
            let mut path = reference(text, Form::Path, inside.clone(), &decoded.text);
            path.now = Some(decoded.text);
            found.push(path);
        }
        Some("subpath") => {
            if let Some(object) = objects.last_mut() {
                object.subpath = Some(decoded.text);
            }
        }
        Some("text") => {
            let content = card::read(&decoded.text);
            for link in references(&decoded.text, &content) {
                let Some(place) = link.place.clone() else {
                    continue;
                };
                let raw = decoded.starts[place.start]..decoded.starts[place.end];
                let now = decoded.text[place].to_owned();
                found.push(Reference {
                    now: Some(now),
                    ..Reference {
                        form: link.form,
                        is_bracketed: link.is_bracketed,
                        anchor: link.anchor,
                        ..reference(text, link.form, raw, &link.target)
                    }
                });
            }
        }
        _ => {}
    }
}

/// The length of a string of JSON whose first quote was read.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A string of JSON, decoded.
struct Decoded {
    text: String,
    /// Where each of its bytes begins in the file, and its end.
    starts: Vec<usize>,
}

impl Decoded {
    fn of(file: &str, inside: Range<usize>) -> Self {
        let mut decoded = Self {
            text: String::new(),
            starts: Vec::new(),
        };
        let mut at = inside.start;
        while at < inside.end {
            let rest = &file[at..inside.end];
            let (c, length) = escape(rest).unwrap_or_else(|| {
                let c = rest.chars().next().unwrap_or_default();
                (c, c.len_utf8())
            });
            decoded.text.push(c);
            decoded.starts.resize(decoded.text.len(), at);
            at += length;
        }
        decoded.starts.push(inside.end);
        decoded
    }
}

/// The character of an escape at the beginning, and the escape's length.
fn escape(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let next = text.strip_prefix('\\')?.chars().next()?;
    Some(match next {
        'n' => ('\n', 2),
        't' => ('\t', 2),
        'r' => ('\r', 2),
        'b' => ('\u{8}', 2),
        'f' => ('\u{c}', 2),
        'u' => {
            let first = unit(0)?;
            if let Some(c) = char::from_u32(first) {
                (c, 6)
            } else {
                let low = unit(6)?.checked_sub(0xdc00)?;
                let high = first.checked_sub(0xd800)?;
                (char::from_u32(0x1_0000 + (high << 10) + low)?, 12)
            }
        }
        other => (other, 1 + other.len_utf8()),
    })
}

/// A text as it is in a string of JSON.
pub(super) fn in_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Functions of tables whose argument is a link, a path or a folder.
const FUNCTIONS: &[(&str, Form)] = &[
    ("inFolder(", Form::Path),
    ("hasLink(", Form::Wiki),
    ("link(", Form::Wiki),
    ("file(", Form::Wiki),
];

/// Properties of files that are compared with a path.
const COMPARED: &[&str] = &["file.folder", "file.path"];

fn base(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut add = |form: Form, place: Range<usize>| {
        let written = &text[place.clone()];
        // Escapes of YAML and of formulas are not read.
        if written.is_empty() || written.contains(['\\', '\n', '"', '\'']) {
            return;
        }
        let (target, anchor) = match written.split_once('#') {
            Some((target, anchor)) if form == Form::Wiki => (target, Some(anchor)),
            _ => (written, None),
        };
        let mut link = reference(text, form, place.clone(), target);
        link.anchor = anchor.map(str::to_owned);
        found.push(link);
    };
    for (at, _) in text.match_indices("[[") {
        let inside = &text[at + 2..];
        if let Some(length) = inside.find(['|', ']', '\n', '[']) {
            let closes = inside[length..].find("]]");
            let line = inside.find('\n').unwrap_or(inside.len());
            if closes.is_some_and(|end| length + end < line) {
                add(Form::Wiki, at + 2..at + 2 + length);
            }
        }
    }
    for (function, form) in FUNCTIONS {
        for (at, _) in text.match_indices(function) {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            if !text[..at].ends_with(is_name)
                && let Some(place) = quoted(text, at + function.len())
                && !text[place.clone()].starts_with("[[")
            {
                add(*form, place);
            }
        }
    }
    for name in COMPARED {
        for (at, _) in text.match_indices(name) {
            let rest = &text[at + name.len()..];
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            let rest = &rest[blanks..];
            let is_compared = rest.starts_with("==") || rest.starts_with("!=");
            if is_compared && let Some(place) = quoted(text, at + name.len() + blanks + 2) {
                add(Form::Path, place);
            }
        }
    }
    found.sort_by_key(|reference: &Reference| reference.start);
    found.dedup_by_key(|reference| reference.start);
    found
}

/// The inside of the quoted text that begins behind blanks, whose quotes YAML may have escaped.
fn quoted(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = &text[start..];
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    let rest = &rest[blanks..];
    let quote = ["\\\"", "''", "\"", "'"];
    let quote = quote.into_iter().find(|quote| rest.starts_with(quote))?;
    let start = start + blanks + quote.len();
    let line = text[start..].lines().next()?;
    Some(start..start + line.find(quote)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> Vec<String> {
        let links = links(Utf8Path::new(path), text);
        let shown = |link: &Reference| {
            let anchor = link.anchor.as_ref().map(|anchor| format!("#{anchor}"));
            let written = &text[link.place.clone().unwrap()];
            format!(
                "{:?} {}{} = {written}",
                link.form,
                link.target,
                anchor.unwrap_or_default()
            )
        };
        links.iter().map(shown).collect()
    }

    #[test]
    fn links_of_canvases() {
        let text = r##"{ "nodes":[
            {"id":"1","type":"file","file":"a/One.md","subpath":"#Part","x":1},
            {"id":"2","type":"text","text":"see [[One|\"x\"]]\n![p](a/p\u0069c.png) file"},
            {"subpath":"#^id","file":"caf\u00e9.md"}, {"type":"group","label":"file","background":"b.png"},
            {"file":"x"
        ],"edges":[{"id":"file","label":"[[no]]"}]}"##;
        assert_eq!(
            shown("x.canvas", text),
            [
                "Path a/One.md#Part = a/One.md",
                "Wiki One = One",
                "Markdown a/pic.png = a/p\\u0069c.png",
                "Path caf\u{e9}.md#^id = caf\\u00e9.md",
                "Path b.png = b.png",
                "Path x = x",
            ]
        );
        assert_eq!(in_json("a\"b\\\u{1}\u{e9}"), "a\\\"b\\\\\\u0001\u{e9}");
        assert!(shown("x.canvas", "{\"file\":\"open").is_empty());
    }

    #[test]
    fn links_of_tables() {
        let text = "filters:\n  and:\n    - file.inFolder(\"a/b\")\n    - 'file.folder == ''c'''\n    - \
                    \"file.path != \\\"a/One.md\\\"\"\n    - file.hasLink(\"One\")\nformulas:\n  x: link(\"Two#P\", \"t\")\n  \
                    y: unlink(\"no\")\nup: \"[[Three|x]]\"\n";
        assert_eq!(
            shown("x.base", text),
            [
                "Path a/b = a/b",
                "Path c = c",
                "Path a/One.md = a/One.md",
                "Wiki One = One",
                "Wiki Two#P = Two#P",
                "Wiki Three = Three",
            ]
        );
    }
}
