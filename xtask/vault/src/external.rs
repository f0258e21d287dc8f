//! Links out of a vault: addresses of the web, and of other programs.

use std::ops::Range;

use memchr::memmem;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::card::{LineStarts, OPTIONS, has_scheme};
use crate::front_matter;
use crate::place::{Place, bom};

/// The addresses that a card links, in order: in Markdown links and images, in angle brackets, and bare ones.
pub fn external_links(text: &str) -> Vec<(Place, String)> {
    let bom = bom(text);
    let body = match front_matter::split(&text[bom..]) {
        Some(Ok((_, end))) => bom + end,
        Some(Err(())) => return Vec::new(),
        None => bom,
    };
    if !text[body..].contains(':') && !text[body..].contains("](//") {
        return Vec::new();
    }
    let mut found: Vec<(usize, String)> = Vec::new();
    // Where a bare address is none: in links, code and HTML.
    let mut covered: Vec<Range<usize>> = Vec::new();
    let mut block = None;
    let events = Parser::new_ext(&text[body..], OPTIONS).into_offset_iter();
    let definitions = events.reference_definitions().iter();
    covered.extend(definitions.map(|(_, it)| body + it.span.start..body + it.span.end));
    for (event, range) in events {
        let range = body + range.start..body + range.end;
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                if has_scheme(&dest_url) || dest_url.starts_with("//") {
                    found.push((range.start, dest_url.into_string()));
                }
                covered.push(range);
            }
            Event::Start(Tag::CodeBlock(_) | Tag::HtmlBlock) => block = Some(range),
            Event::End(TagEnd::CodeBlock | TagEnd::HtmlBlock) => covered.extend(block.take()),
            Event::Code(_)
            | Event::InlineHtml(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => covered.push(range),
            _ => {}
        }
    }
    covered.sort_by_key(|range| range.start);
    let mut covered = covered.into_iter().peekable();
    let mut end = body;
    for at in memmem::find_iter(&text.as_bytes()[body..], b"://").map(|at| body + at) {
        let Some(start) = ["https", "http"]
            .iter()
            .find_map(|scheme| text[..at].ends_with(scheme).then(|| at - scheme.len()))
        else {
            continue;
        };
        while let Some(range) = covered.next_if(|range| range.start <= start) {
            end = end.max(range.end);
        }
        let before = text[..start].chars().next_back();
        if start < end || before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let url = bare(&text[start..]);
        if url.len() > at + 3 - start {
            end = start + url.len();
            found.push((start, url.to_owned()));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let lines = LineStarts::new(text, bom);
    let placed = found.into_iter().map(|(at, url)| (lines.place(at), url));
    placed.collect()
}

/// The address that a text begins with, without the punctuation of its sentence, as GitHub's Markdown has it.
fn bare(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || "<>\"`|".contains(c));
    let mut url = &text[..end.unwrap_or(text.len())];
    loop {
        let count = |mark| url.matches(mark).count();
        let shorter = url.trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '_', '~', '\'']);
        let shorter = match shorter.strip_suffix(')') {
            Some(inner) if count(')') > count('(') => inner,
            _ => shorter.strip_suffix(']').unwrap_or(shorter),
        };
        if shorter.len() == url.len() {
            return url;
        }
        url = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_all_forms() {
        let text = "---\nsource: https://front.example\n---\n\
            See [a](https://a.example/x_(y)), <https://b.example>, ![p](//c.example/p.png)\n\
            and https://d.example/e_(f)?g=h. (Or http://i.example/j.) `https://code.example`\n\
            [mail](mailto:k@example.org) [https://text.example](card.md) [[card]]\n\n\
            ```\nhttps://block.example\n```\n\n<a href=\"https://html.example\">l</a> xhttps://m.example https://\n\
            [ref]\n\n[ref]: https://n.example\n";
        let found = external_links(text);
        let found: Vec<String> = found
            .iter()
            .map(|(place, url)| format!("{place} {url}"))
            .collect();
        assert_eq!(
            found,
            [
                "4:5 https://a.example/x_(y)",
                "4:35 https://b.example",
                "4:56 //c.example/p.png",
                "5:5 https://d.example/e_(f)?g=h",
                "5:38 http://i.example/j",
                "6:1 mailto:k@example.org",
                "13:1 https://n.example",
            ]
        );
    }
}
