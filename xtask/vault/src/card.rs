//! One card: text in, what a checker and a rewriter need of it out.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use memchr::{memchr_iter, memmem};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::front_matter::{self, FrontMatter};
use crate::place::{Place, Span, bom};
use crate::slug::Slugger;

/// What a card holds. Spans are in bytes of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The front matter; `None` where there is none.
    pub front: Option<FrontMatter>,
    /// Headings, in order.
    pub headings: Vec<Heading>,
    /// Block ids without their `^`.
    pub blocks: Vec<(String, Place)>,
    /// Links and embeds, in order.
    pub links: Vec<Link>,
    /// Links that are quoted values of the front matter, which Obsidian follows: `up: "[[card]]"`.
    pub properties: Vec<Link>,
    /// Syntax that does not mean what it seems to.
    pub syntax_issues: Vec<(SyntaxIssue, Place)>,
    /// Inline code with a `/` in it, and `cargo xtask` lines, inline or in blocks.
    pub codes: Vec<Code>,
    /// Quoted output of `cargo xtask COMMAND --help`.
    pub helps: Vec<Help>,
    /// Anchors that HTML sets: `<a id="here">`.
    pub anchors: Vec<String>,
    /// Comments to the checker: the words after `docs-check:`.
    pub controls: Vec<(String, Place)>,
    /// The number of lines.
    pub lines: u32,
}

/// A heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its text without markup.
    pub text: String,
    /// Its anchor, numbered where it is not the first of its name.
    pub slug: String,
    /// Where it begins.
    pub place: Place,
    /// All of it, its marks too.
    pub span: Span,
}

/// How a link is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[[target]]`
    Wiki,
    /// `![[target]]`
    Embed,
    /// `[text](target)`
    Markdown,
    /// `![text](target)`
    Image,
}

/// A link to something in the vault, or to a local file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// How it is written.
    pub kind: Kind,
    /// What it leads to, as it is written, without anchor; in Markdown links percent-encoding is decoded.
    pub target: String,
    /// What follows `#`.
    pub anchor: Option<String>,
    /// The text that is shown.
    pub text: Option<String>,
    /// Where it begins.
    pub place: Place,
    /// All of it.
    pub span: Span,
    /// Of wiki links the target alone; of others the same as `span`.
    pub target_span: Span,
}

/// Syntax that does not mean what it seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxIssue {
    /// `[[a|b]]` in a cell of a table: the pipe ends the cell.
    PipeInTable,
    /// `[[]]` or `[[|text]]`
    EmptyLink,
    /// A fence that the card's end closes.
    OpenFence,
    /// `<!--` or `%%` without an end.
    OpenComment,
    /// A `---` on the first line whose end never comes.
    OpenFrontMatter,
}

/// A piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its text; of a line of a block without the prompt `$ `.
    pub text: String,
    /// Whether it is a line of a block.
    pub block: bool,
    /// Where it begins.
    pub place: Place,
}

/// A command of a fenced block that asks for help, and the lines below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// The command, without the prompt.
    pub command: String,
    /// Where the command begins.
    pub place: Place,
    /// The lines up to the next prompt or the end of the block.
    pub span: Span,
}

/// The Markdown that cards are written in.
pub(crate) const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_MATH)
    .union(Options::ENABLE_WIKILINKS);

/// Reads a card. A byte order mark is passed over.
pub fn read(text: &str) -> Content {
    let mut content = Content::default();
    let bom = bom(text);
    let lines = LineStarts::new(text, bom);
    content.lines = u32::try_from(lines.starts.len()).unwrap_or(u32::MAX);
    let mut body = bom;
    match front_matter::split(&text[bom..]) {
        Some(Ok((block, end))) => {
            content.front = Some(front_matter::parse(block));
            if block.contains("[[") {
                let start = bom + (block.as_ptr() as usize - text[bom..].as_ptr() as usize);
                content.properties = properties(text, start..start + block.len(), &lines);
            }
            body = bom + end;
        }
        // The first line is a horizontal rule then.
        Some(Err(())) => content
            .syntax_issues
            .push((SyntaxIssue::OpenFrontMatter, Place::new(1, 1))),
        None => {}
    }
    Reader {
        text,
        body,
        lines,
        content,
        opaque: Vec::new(),
    }
    .read()
}

/// The quoted wiki links of a block of front matter.
fn properties(text: &str, block: Range<usize>, lines: &LineStarts<'_>) -> Vec<Link> {
    let marks = memmem::find_iter(&text.as_bytes()[block.clone()], b"[[");
    let link = |at: usize| {
        let start = block.start + at;
        let quote = text[..start]
            .chars()
            .next_back()
            .filter(|quote| "'\"".contains(*quote))?;
        let inside = text[start + 2..block.end].split(['\n', quote]).next()?;
        let inside = inside.strip_suffix("]]")?;
        let closed = text[start + 2 + inside.len() + 2..].starts_with(quote);
        // What stands before a value: its key, or the mark of an item.
        let line = text[..start - 1].rsplit('\n').next()?.trim_end();
        let is_comment = line.trim_start().starts_with('#');
        let is_value = line.ends_with([':', '-', '[', ',']) && !inside.contains(['[', ']', '\\']);
        if !closed || !is_value || is_comment {
            return None;
        }
        let (link, text) = match inside.split_once('|') {
            Some((link, text)) => (link, Some(text)),
            None => (inside, None),
        };
        let (target, anchor) = match link.split_once('#') {
            Some((target, anchor)) => (target, Some(anchor)),
            None => (link, None),
        };
        let begin = start + 2;
        Some(Link {
            kind: Kind::Wiki,
            target: target.to_owned(),
            anchor: anchor.map(str::to_owned),
            text: text.map(str::to_owned),
            place: lines.place(start),
            span: Span::from(start..begin + inside.len() + 2),
            target_span: Span::from(begin..begin + target.len()),
        })
    };
    marks.filter_map(link).collect()
}

/// Whether an address begins with a scheme: `https:`.
pub(crate) fn has_scheme(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// The beginnings of lines.
pub(crate) struct LineStarts<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The line that was looked at last, a byte in it, and its column: a line may be very long.
    last: Cell<(usize, usize, usize)>,
}

impl<'a> LineStarts<'a> {
    pub(crate) fn new(text: &'a str, bom: usize) -> Self {
        let mut starts = Vec::with_capacity(text.len() / USUAL_LINE);
        starts.push(bom);
        let ends = memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        starts.extend(ends.filter(|start| *start < text.len()));
        let last = Cell::new((1, bom, 1));
        Self { text, starts, last }
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let (mut start, mut column) = (self.starts[line - 1].min(offset), 1);
        let last = self.last.get();
        if last.0 == line && (start..=offset).contains(&last.1) {
            (start, column) = (last.1, last.2);
        }
        column += self.text[start..offset].chars().count();
        self.last.set((line, offset, column));
        Place::new(line, column)
    }
}

/// How many bytes a line has, or more.
const USUAL_LINE: usize = 24;

struct Reader<'a> {
    text: &'a str,
    body: usize,
    lines: LineStarts<'a>,
    content: Content,
    /// What is not text: code, HTML, math.
    opaque: Vec<Range<usize>>,
}

impl Reader<'_> {
    fn read(mut self) -> Content {
        let text = self.text;
        let body = self.body;
        let mut slugger = Slugger::default();
        let mut heading: Option<(u8, String, Range<usize>)> = None;
        let mut cell: Option<(Range<usize>, usize, usize)> = None;
        let mut code_block: Option<Range<usize>> = None;
        // The place where the last text ended: a block id is text.
        let mut text_end = 0;
        let shown = with_prices(&text[body..]);
        for (event, range) in Parser::new_ext(&shown, OPTIONS).into_offset_iter() {
            let range = body + range.start..body + range.end;
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    heading = Some((level as u8, String::new(), range));
                }
                Event::End(TagEnd::Heading(_)) => {
                    if let Some((level, text, range)) = heading.take() {
                        self.block_id(&range, text_end);
                        self.content.headings.push(Heading {
                            level,
                            slug: slugger.next(without_block_id(&text)),
                            text,
                            place: self.lines.place(range.start),
                            span: Span::from(range),
                        });
                    }
                }
                Event::End(TagEnd::Paragraph | TagEnd::Item) => self.block_id(&range, text_end),
                // What is before it in an item is a block of its own.
                Event::Start(Tag::List(_)) => self.block_id(&(body..range.start), text_end),
                Event::Start(Tag::CodeBlock(kind)) => {
                    if matches!(kind, CodeBlockKind::Fenced(_)) {
                        if !is_closed(&text[range.clone()]) {
                            self.odd(SyntaxIssue::OpenFence, range.start);
                        }
                        self.helps(&range);
                    }
                    self.opaque.push(range.clone());
                    code_block = Some(range);
                }
                Event::End(TagEnd::CodeBlock) => code_block = None,
                Event::Start(Tag::TableCell) => {
                    cell = Some((range, self.content.links.len(), self.opaque.len()));
                }
                Event::End(TagEnd::TableCell) => {
                    if let Some((range, links, opaque)) = cell.take() {
                        self.cell(range, links, opaque);
                    }
                }
                Event::Start(Tag::HtmlBlock) => self.html(range, true),
                Event::InlineHtml(_) => self.html(range, false),
                Event::InlineMath(_) | Event::DisplayMath(_) => {
                    // Math that begins on its own line is a block of its own.
                    if text[..range.start].ends_with('\n') && text[range.start..].starts_with("$$")
                    {
                        self.block_id(&(body..range.start), text_end);
                    }
                    if let Some((_, words, _)) = &mut heading {
                        words.push_str(&text[range.clone()]);
                    }
                    self.opaque.push(range);
                }
                Event::Start(Tag::Link { link_type, .. } | Tag::Image { link_type, .. })
                    if matches!(link_type, LinkType::WikiLink { .. }) =>
                {
                    self.wiki_link(range);
                }
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }) => {
                    let url = with_dollars(&dest_url);
                    self.markdown_link(Kind::Markdown, link_type, &url, range);
                }
                Event::Start(Tag::Image {
                    link_type,
                    dest_url,
                    ..
                }) => {
                    let url = with_dollars(&dest_url);
                    self.markdown_link(Kind::Image, link_type, &url, range);
                }
                Event::Code(code) => {
                    let code = with_single_blanks(code, &text[range.clone()]);
                    if let Some((_, text, _)) = &mut heading {
                        text.push_str(&code);
                    }
                    // Nothing else can be a path or a command of ours.
                    if code.contains('/') || code.contains("cargo xtask") {
                        self.content.codes.push(Code {
                            text: code.into_string(),
                            block: false,
                            place: self.lines.place(range.start),
                        });
                    }
                    self.opaque.push(range);
                }
                Event::Text(words) => {
                    if code_block.is_some() {
                        self.commands(&words, range.start);
                    } else {
                        text_end = range.end;
                        if let Some((_, text, _)) = &mut heading {
                            text.push_str(&with_dollars(&words));
                        }
                    }
                }
                Event::SoftBreak | Event::HardBreak => {
                    if let Some((_, text, _)) = &mut heading {
                        text.push(' ');
                    }
                }
                _ => {}
            }
        }
        self.math();
        self.comments();
        self.empty_links();
        // There may be very many cards.
        self.content.headings.shrink_to_fit();
        self.content.links.shrink_to_fit();
        self.content.codes.shrink_to_fit();
        self.content.helps.shrink_to_fit();
        self.content
    }

    fn odd(&mut self, issue: SyntaxIssue, offset: usize) {
        let place = self.lines.place(offset);
        self.content.syntax_issues.push((issue, place));
    }

    fn wiki_link(&mut self, range: Range<usize>) {
        let all = &self.text[range.clone()];
        let (kind, start) = match all.strip_prefix('!') {
            Some(_) => (Kind::Embed, 3),
            None => (Kind::Wiki, 2),
        };
        let Some(inner) = all.get(start..all.len().saturating_sub(2)) else {
            return;
        };
        // `[[1]](url)` is a link whose text is `[1]`; in `[[two factors]](2FA)` a word in parentheses follows one.
        let is_word = |url: &String| {
            let is_number = inner.bytes().all(|b| b.is_ascii_digit());
            !is_number && !url.is_empty() && url.chars().all(char::is_alphanumeric)
        };
        if kind == Kind::Wiki
            && let Some(url) = destination(&self.text[range.end..]).filter(|url| !is_word(url))
        {
            return self.markdown_link(Kind::Markdown, LinkType::Inline, &url, range);
        }
        // In `[a](https://a.b/[[c]])` it is a part of the address.
        let before = &self.text[..range.start];
        let word = before.rsplit([' ', '\n', ')']).next().unwrap_or_default();
        if word.contains("](") && word.contains("://") {
            return;
        }
        let (link, text) = match inner.find('|') {
            Some(at) => {
                // In a table the pipe is escaped.
                let link = &inner[..at];
                (
                    link.strip_suffix('\\').unwrap_or(link),
                    Some(&inner[at + 1..]),
                )
            }
            None => (inner, None),
        };
        let (target, anchor) = match link.split_once('#') {
            Some((target, anchor)) => (target, Some(anchor)),
            None => (link, None),
        };
        let begin = range.start + start;
        self.content.links.push(Link {
            kind,
            target: target.to_owned(),
            anchor: anchor.map(str::to_owned),
            text: text.map(str::to_owned),
            place: self.lines.place(range.start),
            target_span: Span::from(begin..begin + target.len()),
            span: Span::from(range),
        });
    }

    fn markdown_link(&mut self, kind: Kind, link_type: LinkType, url: &str, range: Range<usize>) {
        if has_scheme(url)
            || url.starts_with("//")
            || matches!(link_type, LinkType::Autolink | LinkType::Email)
        {
            return;
        }
        let (target, anchor) = match url.split_once('#') {
            Some((target, anchor)) => (target, Some(anchor)),
            None => (url, None),
        };
        let target = target.split_once('?').map_or(target, |(path, _)| path);
        self.content.links.push(Link {
            kind,
            target: decoded(target),
            anchor: anchor.map(decoded),
            text: None,
            place: self.lines.place(range.start),
            target_span: Span::from(range.clone()),
            span: Span::from(range),
        });
    }

    /// A cell in which `[[` is left over: the raw pipe behind it began another cell.
    fn cell(&mut self, range: Range<usize>, first_link: usize, first_opaque: usize) {
        let cell = &self.text.as_bytes()[range.clone()];
        let last_end = memmem::rfind(cell, b"]]").map(|at| range.start + at);
        let links = self.content.links[first_link..].iter();
        let mut links = Sweep::new(links.map(|link| link.span.range()));
        let mut opaque = Sweep::new(self.opaque[first_opaque..].iter().cloned());
        let mut found = Vec::new();
        for at in memmem::find_iter(cell, b"[[").map(|at| range.start + at) {
            let is_covered = links.covers(at) | opaque.covers(at);
            let closes = last_end.is_some_and(|end| end >= at);
            if !is_covered && !closes && !self.is_escaped(at) {
                found.push(at);
            }
        }
        for at in found {
            self.odd(SyntaxIssue::PipeInTable, self.with_mark(at));
        }
    }

    /// The place of `[[`, or of the mark before it that makes it an embed.
    fn with_mark(&self, at: usize) -> usize {
        at - usize::from(self.text[..at].ends_with('!'))
    }

    fn is_escaped(&self, at: usize) -> bool {
        at > 0 && self.text.as_bytes()[at - 1] == b'\\'
    }

    fn html(&mut self, range: Range<usize>, block: bool) {
        let html = &self.text[range.clone()];
        for at in memchr_iter(b'=', html.as_bytes()) {
            let before = html[..at].trim_end();
            let is_name = |name: &&str| {
                let start = before
                    .len()
                    .checked_sub(name.len())
                    .filter(|start| *start > 0);
                start.is_some_and(|start| {
                    let bytes = before.as_bytes();
                    bytes[start..].eq_ignore_ascii_case(name.as_bytes())
                        && bytes[start - 1].is_ascii_whitespace()
                })
            };
            if !["id", "name"].iter().any(is_name) {
                continue;
            }
            let value = html[at + 1..].trim_start();
            let anchor = match value.chars().next().filter(|first| "'\"".contains(*first)) {
                Some(quote) => value[1..].split_once(quote).map(|(anchor, _)| anchor),
                None => value.split(|c: char| c == '>' || c.is_whitespace()).next(),
            };
            self.content.anchors.extend(anchor.map(str::to_owned));
        }
        for (at, _) in html.match_indices("<!--") {
            // `<!-->` is a comment of its own.
            let Some(length) = html[at + 2..].find("-->").map(|length| length + 2) else {
                if block {
                    self.odd(SyntaxIssue::OpenComment, range.start + at);
                }
                break;
            };
            let inside = html.get(at + 4..at + length).unwrap_or_default().trim();
            if let Some(words) = inside.strip_prefix("docs-check:") {
                let place = self.lines.place(range.start + at);
                self.content.controls.push((words.trim().to_owned(), place));
            }
        }
        self.opaque.push(range);
    }

    fn commands(&mut self, words: &str, start: usize) {
        if !words.contains("cargo xtask") {
            return;
        }
        let mut at = start;
        let mut lines = words.split_inclusive('\n');
        while let Some(line) = lines.next() {
            let code = line.trim();
            let code = code.strip_prefix("$ ").unwrap_or(code);
            let prompt = line.find(code).unwrap_or(0);
            let place = (at + prompt).min(self.text.len());
            at += line.len();
            let mut code = code.to_owned();
            // A line that ends in `\` goes on in the next one.
            while code.ends_with('\\')
                && let Some(next) = lines.next()
            {
                at += next.len();
                code.pop();
                code.push_str(next.trim());
            }
            if code.contains("cargo xtask") {
                self.content.codes.push(Code {
                    text: code,
                    block: true,
                    place: self.lines.place(place),
                });
            }
        }
    }

    /// Commands with `--help` in a block outside of lists and quotations.
    fn helps(&mut self, block: &Range<usize>) {
        let words = &self.text[block.clone()];
        let is_by_itself = self.text[..block.start].ends_with('\n') || block.start == self.body;
        if !is_by_itself || !words.contains("--help") {
            return;
        }
        let mut help: Option<Help> = None;
        let mut at = block.start;
        let last = words.trim_end().rfind('\n').map_or(0, |end| end + 1) + block.start;
        for line in words.split_inclusive('\n') {
            let prompt = line.strip_prefix("$ ");
            if prompt.is_some() || at >= last {
                if let Some(mut help) = help.take() {
                    help.span = Span::from(help.span.start()..at);
                    self.content.helps.push(help);
                }
                if at >= last {
                    break;
                }
            }
            let end = at + line.len();
            if let Some(command) = prompt.map(str::trim)
                && command.starts_with("cargo xtask")
                && command.ends_with(" --help")
            {
                help = Some(Help {
                    command: command.to_owned(),
                    place: self.lines.place(at + 2),
                    span: Span::from(end..end),
                });
            }
            at = end;
        }
    }

    /// `^id` at the end of a block, behind anything but a letter.
    fn block_id(&mut self, range: &Range<usize>, text_end: usize) {
        let block = self.text.as_bytes()[range.clone()].trim_ascii_end();
        if text_end < range.start + block.len() {
            return;
        }
        let is_id = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let length = block.iter().rev().take_while(is_id).count();
        let end = range.start + block.len();
        let id = &self.text[end - length..end];
        let Some(before) = self.text[range.start..end - length].strip_suffix('^') else {
            return;
        };
        if id.is_empty() || before.ends_with(|c: char| c.is_alphanumeric() || c == '^') {
            return;
        }
        let block = (id.to_owned(), self.lines.place(end - length - 1));
        // An item's paragraph ends with it, and so does the item.
        if self.content.blocks.last() != Some(&block) {
            self.content.blocks.push(block);
        }
    }

    /// Leaves out Obsidian's comments, `%%` to `%%`.
    fn comments(&mut self) {
        let mut opaque = Sweep::new(self.opaque.iter().cloned());
        let marks: Vec<usize> = memmem::find_iter(&self.text.as_bytes()[self.body..], b"%%")
            .map(|at| self.body + at)
            .filter(|at| !opaque.covers(*at))
            .collect();
        let mut comments: Vec<Range<usize>> = Vec::new();
        for pair in marks.chunks(2) {
            match pair {
                [start, end] => comments.push(*start..*end + 2),
                // One alone is text: `50 %%` hides nothing.
                [alone] if self.begins_line(*alone) => self.odd(SyntaxIssue::OpenComment, *alone),
                _ => {}
            }
        }
        self.hide(comments);
    }

    /// Leaves out math between lines `$$` that has blank lines in it, which the parser takes for text.
    fn math(&mut self) {
        let mut opaque = Sweep::new(self.opaque.iter().cloned());
        let marks: Vec<usize> = memmem::find_iter(&self.text.as_bytes()[self.body..], b"$$")
            .map(|at| self.body + at)
            .filter(|at| !opaque.covers(*at))
            .filter(|at| {
                let rest = self.text[at + 2..].trim_start_matches([' ', '\t', '\r']);
                (rest.is_empty() || rest.starts_with('\n')) && self.begins_line(*at)
            })
            .collect();
        let pairs = marks.chunks_exact(2);
        self.hide(pairs.map(|pair| pair[0]..pair[1] + 2).collect());
    }

    /// Leaves out what is in some ranges, in order.
    fn hide(&mut self, hidden: Vec<Range<usize>>) {
        if hidden.is_empty() {
            return;
        }
        let places: Vec<Range<Place>> = hidden
            .iter()
            .map(|range| self.lines.place(range.start)..self.lines.place(range.end))
            .collect();
        let is_shown = |place: &Place| {
            let next = places.partition_point(|range| range.start <= *place);
            next == 0 || places[next - 1].end <= *place
        };
        let content = &mut self.content;
        content.links.retain(|link| is_shown(&link.place));
        content.headings.retain(|heading| is_shown(&heading.place));
        content.blocks.retain(|(_, place)| is_shown(place));
        content.codes.retain(|code| is_shown(&code.place));
        content.helps.retain(|help| is_shown(&help.place));
        content.syntax_issues.retain(|(_, place)| is_shown(place));
        self.opaque.extend(hidden);
        self.opaque.sort_by_key(|range| range.start);
    }

    fn begins_line(&self, at: usize) -> bool {
        let line = self.text[self.body..at].rfind('\n');
        let line = line.map_or(self.body, |end| self.body + end + 1);
        self.text[line..at].trim().is_empty()
    }

    fn empty_links(&mut self) {
        let mut opaque = Sweep::new(self.opaque.iter().cloned());
        let links = self.content.links.iter();
        let mut links = Sweep::new(links.map(|link| link.span.range()));
        let mut found = Vec::new();
        for at in memmem::find_iter(&self.text.as_bytes()[self.body..], b"[[") {
            let at = self.body + at;
            let is_covered = opaque.covers(at) | links.covers(at);
            let rest = &self.text[at + 2..];
            // `[[]]` or `[[|text]]`
            let is_empty = rest.starts_with("]]") || rest.starts_with('|');
            if is_empty && !is_covered && !self.is_escaped(at) {
                found.push(at);
            }
        }
        for at in found {
            self.odd(SyntaxIssue::EmptyLink, self.with_mark(at));
        }
    }
}

/// What stands for a `$` that begins no math.
const PRICE: char = '\u{1}';

/// A body in which no math ends with a `$` that a digit follows: `$5 or $6` are prices, for Obsidian as for Pandoc. Bytes are
/// where they were.
fn with_prices(body: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(body);
    let ends_at_digit = |at: usize| body.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let mut dollars = memchr_iter(b'$', body.as_bytes()).skip(1);
    if !dollars.any(|at| ends_at_digit(at + 1)) {
        return shown;
    }
    for _ in 0..MOST_PRICES {
        let events = Parser::new_ext(&shown, OPTIONS).into_offset_iter();
        let prices = events.filter_map(|(event, range)| {
            let is_price = matches!(event, Event::InlineMath(_)) && ends_at_digit(range.end);
            is_price.then_some(range.start)
        });
        let prices: Vec<usize> = prices.collect();
        if prices.is_empty() {
            break;
        }
        let mut bytes = shown.into_owned().into_bytes();
        for at in prices {
            bytes[at] = PRICE as u8;
        }
        shown = Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|_| body.to_owned()));
    }
    shown
}

/// How often math is looked for anew: what one `$` begins no more, the next one may.
const MOST_PRICES: usize = 8;

/// Words with the `$` that were hidden.
fn with_dollars(words: &str) -> Cow<'_, str> {
    if words.contains(PRICE) {
        Cow::Owned(words.replace(PRICE, "$"))
    } else {
        Cow::Borrowed(words)
    }
}

/// How long the address of a link may be whose text is in brackets, in bytes.
const LONGEST_URL: usize = 2048;

/// Whether bytes, asked for in ascending order, are in one of some ranges, in the order of their
/// beginnings.
struct Sweep<I: Iterator<Item = Range<usize>>> {
    ranges: std::iter::Peekable<I>,
    end: usize,
}

impl<I: Iterator<Item = Range<usize>>> Sweep<I> {
    fn new(ranges: I) -> Self {
        Self {
            ranges: ranges.peekable(),
            end: 0,
        }
    }

    fn covers(&mut self, at: usize) -> bool {
        while let Some(range) = self.ranges.next_if(|range| range.start <= at) {
            self.end = self.end.max(range.end);
        }
        at < self.end
    }
}

/// The destination in brackets with which a text begins that follows a link's words.
fn destination(rest: &str) -> Option<String> {
    let inside = rest.strip_prefix('(')?;
    let most = (0..=inside.len().min(LONGEST_URL)).rev();
    let inside = &inside[..most.into_iter().find(|end| inside.is_char_boundary(*end))?];
    // Nearly all have no marks of their own; parsing takes long where there are very many.
    let url = &inside[..inside.find(')')?];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/.#-_?=:".contains(c);
    if !url.is_empty() && url.chars().all(is_plain) {
        return Some(url.to_owned());
    }
    let rest = &rest[..=inside.len()];
    let line_ends = memchr_iter(b'\n', rest.as_bytes());
    let paragraph = line_ends
        .zip(rest.split_inclusive('\n').skip(1))
        .find(|(_, next)| next.trim().is_empty())
        .map_or(rest, |(end, _)| &rest[..end]);
    let sample = ["[x]", paragraph].concat();
    let mut events = Parser::new(&sample).skip(1);
    match events.next()? {
        Event::Start(Tag::Link {
            link_type: LinkType::Inline,
            dest_url,
            ..
        }) => Some(dest_url.into_string()),
        _ => None,
    }
}

/// The text of inline code, for whose lines that end in `\r\n` the parser gives two blanks instead of one.
fn with_single_blanks<'a>(code: CowStr<'a>, written: &str) -> CowStr<'a> {
    if !written.contains("\r\n") {
        return code;
    }
    let code = code.replace("  ", " ");
    let inside = written.trim_matches('`');
    // A blank at each end is left out: here the first of two was.
    let ends_blank = inside.starts_with(['\r', ' ']) && inside.ends_with(['\n', ' ']);
    if !ends_blank || code.trim().is_empty() {
        return code.into();
    }
    let stripped = code.strip_prefix(' ').filter(|_| inside.starts_with('\r'));
    let code = stripped.unwrap_or(&code);
    let stripped = code.strip_suffix(' ').filter(|_| inside.ends_with('\n'));
    stripped.unwrap_or(code).to_owned().into()
}

/// A heading's text without the block id at its end.
pub(crate) fn without_block_id(text: &str) -> &str {
    match text.rsplit_once(" ^") {
        Some((before, id))
            if !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            before
        }
        _ => text,
    }
}

/// A heading's text as it is written, with its markup.
pub(crate) fn source<'t>(text: &'t str, heading: &Heading) -> &'t str {
    let written = text[heading.span.range()].trim_end();
    let words = written.trim_start_matches('#');
    let is_marked = words.len() < written.len() && words.starts_with([' ', '\t']);
    let underlined = || written.rsplit_once('\n').map(|(words, _)| words);
    if is_marked || words.is_empty() {
        words.trim()
    } else {
        underlined().unwrap_or(written).trim()
    }
}

/// Whether a fenced block has its closing fence.
fn is_closed(block: &str) -> bool {
    let mut lines = block.lines();
    let Some(first) = lines.next() else {
        return true;
    };
    let first = first.trim_start();
    let mark = if first.starts_with('~') { '~' } else { '`' };
    let length = first.chars().take_while(|c| *c == mark).count();
    let last = lines.rfind(|line| !line.trim().is_empty());
    last.is_some_and(|line| {
        // A fence in a quotation or a list has marks before it.
        let line = line.trim_end().trim_start_matches([' ', '\t', '>']);
        line.chars().count() >= length && line.chars().all(|c| c == mark)
    })
}

/// A percent-encoded text, decoded.
pub(crate) fn decoded(url: &str) -> String {
    let bytes = url.as_bytes();
    let hex = |at: usize| -> Option<u8> {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(at + 1)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Target, anchor and text of each link, with its place.
    fn links(text: &str) -> Vec<String> {
        read(text)
            .links
            .iter()
            .map(|link| {
                let anchor = link
                    .anchor
                    .as_ref()
                    .map_or(String::new(), |a| format!("#{a}"));
                let shown = link
                    .text
                    .as_ref()
                    .map_or(String::new(), |t| format!("|{t}"));
                let mark = match link.kind {
                    Kind::Wiki => "",
                    Kind::Embed => "!",
                    Kind::Markdown => "md:",
                    Kind::Image => "img:",
                };
                assert!(text[link.span.range()].contains(&text[link.target_span.range()]));
                format!("{mark}{}{anchor}{shown}@{}", link.target, link.place)
            })
            .collect()
    }

    #[test]
    fn links_of_all_kinds() {
        for (text, expected) in [
            ("a [[b]] c", &["b@1:3"][..]),
            (
                "[[b|x y]] [[b#H]] [[#H]]",
                &["b|x y@1:1", "b#H@1:11", "#H@1:19"],
            ),
            ("![[pic.png]] [[b#^id]]", &["!pic.png@1:1", "b#^id@1:14"]),
            ("é [[b]]", &["b@1:3"]),
            ("\u{feff}[[b]]", &["b@1:1"]),
            ("x\r\n[[b]]\r\n", &["b@2:1"]),
            ("| a |\n|---|\n| [[b\\|t]] |\n", &["b|t@3:3"]),
            (
                "[t](b.md#h) ![p](x%20y.png)",
                &["md:b.md#h@1:1", "img:x y.png@1:13"],
            ),
            ("[t](b.md?q#Why?%20So)", &["md:b.md#Why? So@1:1"]),
            ("[t](https://a.b/) <https://a.b> [m](mailto:a@b)", &[]),
            ("[[1]](u.md)", &["md:u.md@1:1"]),
            ("[[b]](of c) x)", &["b@1:1"]),
            ("[[b]](2FA) [[1]](c)", &["b@1:1", "md:c@1:12"]),
            ("[[[b]]](https://a.b/[[b]]/) [[c]]", &["b@1:2", "c@1:29"]),
            ("[[b]](\n\nx)", &["b@1:1"]),
            ("`[[b]]` ``[[b]] ` ``", &[]),
            ("```\n[[b]]\n```\n[[c]]", &["c@4:1"]),
            ("````\n```\n[[b]]\n```\n````\n", &[]),
            ("~~~\n[[b]]\n~~~", &[]),
            ("- a\n\n  ```\n  [[b]]\n  ```\n", &[]),
            ("    [[b]]\n", &[]),
            ("- a\n\n    [[b]]\n", &["b@3:5"]),
            ("x <!-- [[b]] --> [[c]]", &["c@1:18"]),
            ("<!--\n[[b]]\n-->\n", &[]),
            ("<!-->\n\n[[c]]", &["c@3:1"]),
            ("%% [[b]] %% [[c]]", &["c@1:13"]),
            ("%%\n[[b]]\n\n[[d]]\n%%\n[[c]]", &["c@6:1"]),
            ("100 %% of [[b]]", &["b@1:11"]),
            ("$$ [[1,2],[3,4]] $$", &[]),
            ("$$\na\n\n[[1,2],[3,4]]\n$$\n[[b]]", &["b@6:1"]),
            (
                "a $$\n\n[[b]]\n\n$$ $$\n\n[[c]]\n\n$$\n",
                &["b@3:1", "c@7:1"],
            ),
            (
                "$[[1,2]]$ $5-$6 [[b]] $7 [a$1](c$2.md)",
                &["b@1:17", "md:c$2.md@1:26"],
            ),
            ("\\`[[b]]\\`", &["b@1:3"]),
            ("---\ntitle: '[[x]]'\n---\n[[b]]", &["b@4:1"]),
            ("\u{feff}---\ntitle: '[[x]]'\n\n[[b]]", &["x@2:9", "b@4:1"]),
            ("\\[\\[b\\]\\]", &[]),
        ] {
            assert_eq!(links(text), expected, "{text:?}");
        }
    }

    #[test]
    fn links_of_the_front_matter() {
        let text = "---\nup: \"[[a]]\"\n  # no: \"[[b]]\"\nmore: ['[[c|#]]', \"[[d]]\"] # x\n---\n";
        let links = read(text).properties;
        let targets: Vec<&str> = links.iter().map(|link| link.target.as_str()).collect();
        assert_eq!(targets, ["a", "c", "d"]);
    }

    #[test]
    fn headings_and_blocks() {
        let content = read(
            "# One `code`\n\nTwo\n===\n\n```\n# no\n```\n## One code\n### Kept ^h-1\n\n\
             text ^a1\n\n- item ^b\n  - below ^c\n- `x ^no`\n\n> quote\n\n^own\n\n![[p.png]]^d\n\nx^2\n\nmath ^e\n$$\nx\n$$\n",
        );
        let slugs: Vec<&str> = content.headings.iter().map(|h| h.slug.as_str()).collect();
        assert_eq!(slugs, ["one-code", "two", "one-code-1", "kept"]);
        assert_eq!(content.headings[1].place, Place::new(3, 1));
        let blocks: Vec<&str> = content.blocks.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(blocks, ["h-1", "a1", "b", "c", "own", "d", "e"]);
    }

    #[test]
    fn headings_as_they_are_written() {
        let text = "## See [[b|Bee]] ^id\n\n_em_\nand `c`\n===\n\n- ### *x*\n\n#\n";
        let headings = read(text).headings;
        let sources: Vec<&str> = headings.iter().map(|it| source(text, it)).collect();
        assert_eq!(sources, ["See [[b|Bee]] ^id", "_em_\nand `c`", "*x*", ""]);
    }

    #[test]
    fn math_is_words_of_a_heading() {
        let heading = read("## Math $x^2$ here\n").headings.remove(0);
        assert_eq!(
            (heading.text.as_str(), heading.slug.as_str()),
            ("Math $x^2$ here", "math-x2-here")
        );
    }

    #[test]
    fn prices_are_words_of_a_heading() {
        let headings = read("## From $5-$10 or $x$\n").headings;
        assert_eq!(headings[0].text, "From $5-$10 or $x$");
    }

    #[test]
    fn anchors_of_html() {
        let content = read(
            "## A <a id=\"one\"></a>\n\n<div class=x id='two'>\n</div>\n\n`<a id=\"no\">` <a data-id=no>\n",
        );
        assert_eq!(content.anchors, ["one", "two"]);
        let content = read("<a id=three> <A NAME = \"four\"> <a\tid='five'>\n<p\n id=six>\n");
        assert_eq!(content.anchors, ["three", "four", "five", "six"]);
    }

    #[test]
    fn headings_whose_code_runs_over_lines() {
        for code in ["`a\nb`", "`\na\nb\n`", "`\na\nb `", "`\na b`", "`\n`"] {
            let text = format!("x{code}y\n===\n");
            let heading = |text: &str| read(text).headings[0].text.clone();
            assert_eq!(heading(&text.replace('\n', "\r\n")), heading(&text));
        }
    }

    #[test]
    fn syntax_issues() {
        for (text, expected) in [
            (
                "| a |\n|---|\n| [[b|t]] |\n",
                &[(SyntaxIssue::PipeInTable, Place::new(3, 3))][..],
            ),
            (
                "| a |\n|---|\n| ![[b|30]] |\n",
                &[(SyntaxIssue::PipeInTable, Place::new(3, 3))],
            ),
            ("| a |\n|---|\n| `[[b` |\n", &[]),
            ("a [[]] b", &[(SyntaxIssue::EmptyLink, Place::new(1, 3))]),
            ("a ![[]] b", &[(SyntaxIssue::EmptyLink, Place::new(1, 3))]),
            ("`[[]]`", &[]),
            ("a [[|b]]", &[(SyntaxIssue::EmptyLink, Place::new(1, 3))]),
            ("%%\n[[]]\n\n| a |\n|---|\n| [[b|t]] |\n\n%%", &[]),
            ("x\n```\ny", &[(SyntaxIssue::OpenFence, Place::new(2, 1))]),
            ("```\ny\n```", &[]),
            ("> ```\n> y\n> ```\n", &[]),
            ("<!-- a\nb", &[(SyntaxIssue::OpenComment, Place::new(1, 1))]),
            (
                "a\n\n%%\nb",
                &[(SyntaxIssue::OpenComment, Place::new(3, 1))],
            ),
            (
                "\u{feff}%%\nb",
                &[(SyntaxIssue::OpenComment, Place::new(1, 1))],
            ),
            (
                "---\na: b\n",
                &[(SyntaxIssue::OpenFrontMatter, Place::new(1, 1))],
            ),
        ] {
            assert_eq!(read(text).syntax_issues, expected, "{text:?}");
        }
    }

    #[test]
    fn codes_and_controls() {
        let content = read(
            "`a/b.rs` x\n\n```console\n$ cargo xtask hash .\nx\n```\n\n\
             <!-- docs-check: ignore link-unknown -->\n",
        );
        let codes: Vec<(&str, bool, Place)> = content
            .codes
            .iter()
            .map(|code| (code.text.as_str(), code.block, code.place))
            .collect();
        assert_eq!(
            codes,
            [
                ("a/b.rs", false, Place::new(1, 1)),
                ("cargo xtask hash .", true, Place::new(4, 3))
            ]
        );
        assert_eq!(
            content.controls,
            [("ignore link-unknown".to_owned(), Place::new(8, 1))]
        );
        let hidden = read("%%\n`a/b.rs` ^id\n\n## Head\n%%\n");
        assert!(hidden.codes.is_empty() && hidden.blocks.is_empty() && hidden.headings.is_empty());
    }

    #[test]
    fn helps() {
        let shown = |text: &str| -> Vec<(String, String, Place)> {
            let shown = |help: &Help| {
                let lines = text[help.span.range()].to_owned();
                (help.command.clone(), lines, help.place)
            };
            read(text).helps.iter().map(shown).collect()
        };
        let text = "x\n\n```console\n$ cargo xtask a --help\nA\n\nB\n$ cargo xtask b --help\n$ ls\nx\n```\n";
        let command = |name: &str| format!("cargo xtask {name} --help");
        assert_eq!(
            shown(text),
            [
                (command("a"), "A\n\nB\n".to_owned(), Place::new(4, 3)),
                (command("b"), String::new(), Place::new(8, 3)),
            ]
        );
        assert_eq!(
            shown("- x\n\n  ```\n  $ cargo xtask a --help\n  A\n  ```\n"),
            []
        );
        assert_eq!(
            shown("`cargo xtask a --help`\n\n```\ncargo xtask a --help\n```\n"),
            []
        );
    }

    #[test]
    fn columns_do_not_depend_on_the_order_of_questions() {
        let lines = LineStarts::new("aé[[b]]\n[[c]]", 0);
        for (offset, place) in [
            (3, (1, 3)),
            (8, (1, 8)),
            (0, (1, 1)),
            (3, (1, 3)),
            (9, (2, 1)),
            (11, (2, 3)),
            (1, (1, 2)),
        ] {
            assert_eq!(
                lines.place(offset),
                Place::new(place.0, place.1),
                "{offset}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(
            text in "(\\[\\[|\\]\\]|\\||#|!|a|é|\n|`|```|<!--|-->|%%|\\^|- |\\\\| |---|\u{feff}|\r\n|\\$\\$)*"
        ) {
            for link in read(&text).links {
                assert!(text.get(link.span.range()).is_some());
                if matches!(link.kind, Kind::Wiki | Kind::Embed) {
                    assert_eq!(&text[link.target_span.range()], link.target);
                }
            }
        }
    }
}
