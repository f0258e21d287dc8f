//! The YAML block at the beginning of a card.

use std::borrow::Cow;
use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::place::Place;

/// A card's front matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontMatter {
    /// The keys at the top, in order; a duplicate key is in here twice.
    pub entries: Vec<Entry>,
    /// Keys of mappings below the top that are there twice, with where the second one is.
    pub duplicates: Vec<(String, Place)>,
    /// What is wrong with the block, if anything.
    pub fault: Option<Fault>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Where the key is.
    pub place: Place,
}

/// A value, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A scalar's text and place; what is left out is empty.
    Text(String, Place),
    /// A list's scalars, each with its place; of anything else a sketch: `[[a]]`, `{}`.
    List(Vec<(String, Place)>),
    /// A mapping, or an alias.
    Other,
}

/// Something wrong with the block as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub message: String,
    /// Where.
    pub place: Place,
}

impl FrontMatter {
    /// The first entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The text of a key whose value is a scalar.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text, _) => Some(text),
            Value::List(_) | Value::Other => None,
        }
    }

    /// The texts of a key's value; empty without the key.
    pub fn texts(&self, key: &str) -> Vec<&str> {
        let texts = self.get(key).map(|entry| entry.value.texts());
        texts.into_iter().flatten().map(|(text, _)| text).collect()
    }
}

impl Value {
    /// The texts of a scalar or a list; of a scalar with commas the parts.
    pub fn texts(&self) -> Vec<(&str, Place)> {
        match self {
            Self::Text(text, place) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| (part, *place))
                .collect(),
            Self::List(items) => items
                .iter()
                .map(|(text, place)| (text.as_str(), *place))
                .collect(),
            Self::Other => Vec::new(),
        }
    }
}

/// The block's text and where the body begins (byte offsets into `text`, which has no byte order mark).
///
/// The block begins on the first line with `---` and ends at a line `---` or `...`. `None`: there is no
/// block; `Some(Err(()))`: it never ends.
pub fn split(text: &str) -> Option<Result<(&str, usize), ()>> {
    let first = text.lines().next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let start = text.find('\n').map_or(text.len(), |end| end + 1);
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            return Some(Ok((&text[start..at], at + line.len())));
        }
        at += line.len();
    }
    Some(Err(()))
}

/// Parses the block; its first line is line 2 of the card.
pub fn parse(block: &str) -> FrontMatter {
    let mut front = FrontMatter::default();
    let block = with_plain_line_ends(block);
    let mut parser = Parser::new_from_str(&block);
    let mut nested = Nested::default();
    let mut next = || -> Option<Result<(Event<'_>, Place), Fault>> {
        let event = parser.next()?;
        Some(match event {
            Ok((event, span)) => {
                let place = Place::new(span.start.line() + 1, span.start.col() + 1);
                nested.see(&event, place);
                Ok((event, place))
            }
            Err(error) => {
                let place = Place::new(error.marker().line() + 1, error.marker().col() + 1);
                Err(Fault {
                    message: error.info().to_owned(),
                    place,
                })
            }
        })
    };
    let read = read(&mut next, &mut front.entries);
    front.fault = read.err();
    front.duplicates = nested.duplicates;
    front
}

/// The mappings and lists that are open, and the keys that were there twice.
#[derive(Default)]
struct Nested {
    open: Vec<Open>,
    duplicates: Vec<(String, Place)>,
}

enum Open {
    List,
    /// The keys so far, and whether a key comes next.
    Mapping(BTreeSet<String>, bool),
}

impl Nested {
    fn see(&mut self, event: &Event<'_>, place: Place) {
        if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
            self.open.pop();
            return;
        }
        let is_value = matches!(
            event,
            Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::MappingStart(..)
                | Event::Alias(_)
        );
        let depth = self.open.len();
        if let Some(Open::Mapping(keys, is_key)) = self.open.last_mut().filter(|_| is_value) {
            if let Event::Scalar(key, ..) = event
                && *is_key
                && depth > 1
                && !keys.insert(key.to_string())
            {
                self.duplicates.push((key.to_string(), place));
            }
            *is_key = !*is_key;
        }
        match event {
            Event::SequenceStart(..) => self.open.push(Open::List),
            Event::MappingStart(..) => self.open.push(Open::Mapping(BTreeSet::new(), true)),
            _ => {}
        }
    }
}

/// The block with blanks for lone carriage returns: lines end there in YAML, and nowhere else.
fn with_plain_line_ends(block: &str) -> Cow<'_, str> {
    let bytes = block.as_bytes();
    let is_alone = |at: usize| bytes.get(at + 1) != Some(&b'\n');
    if !memchr::memchr_iter(b'\r', bytes).any(is_alone) {
        return Cow::Borrowed(block);
    }
    Cow::Owned(block.replace("\r\n", "\n").replace('\r', " "))
}

type Next<'a, 'b> = &'a mut dyn FnMut() -> Option<Result<(Event<'b>, Place), Fault>>;

fn read(next: Next<'_, '_>, entries: &mut Vec<Entry>) -> Result<(), Fault> {
    let mut documents = 0;
    while let Some(event) = next() {
        let (event, place) = event?;
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(Fault {
                        message: "a second document begins".to_owned(),
                        place,
                    });
                }
            }
            Event::MappingStart(..) => mapping(next, entries)?,
            Event::Scalar(text, ..) if text.is_empty() || &*text == "~" => {}
            Event::Scalar(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                return Err(Fault {
                    message: "not a mapping of keys to values".to_owned(),
                    place,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn mapping(next: Next<'_, '_>, entries: &mut Vec<Entry>) -> Result<(), Fault> {
    while let Some(event) = next() {
        let (event, place) = event?;
        let key = match event {
            Event::MappingEnd => return Ok(()),
            Event::Scalar(text, ..) => text.into_owned(),
            other => {
                skip(next, &other)?;
                String::new()
            }
        };
        let Some(event) = next() else { return Ok(()) };
        let (event, at) = event?;
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if is_null(&text) => {
                Value::Text(String::new(), at)
            }
            Event::Scalar(text, ..) => Value::Text(text.into_owned(), at),
            Event::SequenceStart(..) => list(next)?,
            other => {
                skip(next, &other)?;
                Value::Other
            }
        };
        entries.push(Entry { key, value, place });
    }
    Ok(())
}

fn list(next: Next<'_, '_>) -> Result<Value, Fault> {
    let mut items = Vec::new();
    while let Some(event) = next() {
        let (event, place) = event?;
        match event {
            Event::SequenceEnd => break,
            Event::Scalar(text, ..) => items.push((text.into_owned(), place)),
            other => items.push((sketch(next, &other)?, place)),
        }
    }
    Ok(Value::List(items))
}

/// Whether a plain scalar says that there is no value.
fn is_null(text: &str) -> bool {
    matches!(text, "~" | "null" | "Null" | "NULL")
}

/// A sketch of the value that begins with an event: `[[a]]` in a list is a list of lists, not a link.
fn sketch<'b>(next: Next<'_, 'b>, first: &Event<'b>) -> Result<String, Fault> {
    if !matches!(first, Event::SequenceStart(..)) {
        skip(next, first)?;
        return Ok("{}".to_owned());
    }
    let (mut words, mut depth) = ("[".to_owned(), 1_usize);
    while depth > 0
        && let Some(event) = next()
    {
        match event?.0 {
            Event::SequenceStart(..) => {
                depth += 1;
                words.push('[');
            }
            Event::SequenceEnd => {
                depth -= 1;
                words.push(']');
            }
            Event::Scalar(text, ..) => words.push_str(&text),
            other => skip(next, &other)?,
        }
    }
    Ok(words)
}

/// Passes over what begins with an event.
fn skip<'b>(next: Next<'_, 'b>, first: &Event<'b>) -> Result<(), Fault> {
    let mut depth = u32::from(matches!(
        first,
        Event::SequenceStart(..) | Event::MappingStart(..)
    ));
    while depth > 0
        && let Some(event) = next()
    {
        match event?.0 {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(front: &FrontMatter) -> Vec<&str> {
        front
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect()
    }

    #[test]
    fn where_the_block_ends() {
        for (text, expected) in [
            ("---\ntitle: a\n---\nbody", Some(Ok(("title: a\n", 17)))),
            (
                "---\r\ntitle: a\r\n---\r\nbody",
                Some(Ok(("title: a\r\n", 20))),
            ),
            (
                "---\ntitle: 'a\n  ---b'\n...\nx",
                Some(Ok(("title: 'a\n  ---b'\n", 26))),
            ),
            ("---\n---\n", Some(Ok(("", 8)))),
            ("---\ntitle: a\n", Some(Err(()))),
            ("---", Some(Err(()))),
            ("# a\n---\n", None),
            ("", None),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn values() {
        let front = parse(
            "title: 'a: b'\ntags: [x, \"y\"]\nmore:\n  - a\n  - {b: c}\n  - [[d]]\nempty:\nnone: null\nword: 'null'\nmap: {a: [b]}\nlast: 3 # c\n",
        );
        assert_eq!(
            keys(&front),
            [
                "title", "tags", "more", "empty", "none", "word", "map", "last"
            ]
        );
        assert_eq!(front.fault, None);
        let texts = |key: &str| -> Vec<&str> {
            let texts = front.get(key).unwrap().value.texts();
            texts.into_iter().map(|(text, _)| text).collect()
        };
        assert_eq!(texts("title"), ["a: b"]);
        assert_eq!(texts("tags"), ["x", "y"]);
        assert_eq!(texts("more"), ["a", "{}", "[[d]]"]);
        assert_eq!(texts("none"), [""; 0]);
        assert_eq!(texts("word"), ["null"]);
        assert_eq!(texts("empty"), [""; 0]);
        assert_eq!(texts("last"), ["3"]);
        assert_eq!(front.get("map").unwrap().value, Value::Other);
        assert_eq!(front.get("tags").unwrap().place, Place::new(3, 1));
        assert_eq!(
            front.get("tags").unwrap().value.texts()[1].1,
            Place::new(3, 11)
        );
    }

    #[test]
    fn faults() {
        assert_eq!(keys(&parse("a: 1\na: 2\n")), ["a", "a"]);
        for block in [
            "- a\n- b\n",
            "text\n",
            "a: [1\n",
            "a: b: c\n",
            "a: 1\n\tb: 2\n",
        ] {
            assert!(parse(block).fault.is_some(), "{block}");
        }
        let front = parse("a: 1\r\nb: \r2\r\nc: 3\r\n");
        assert_eq!(front.entries[2].place, Place::new(4, 1));
        // An alias is an event and is not expanded.
        let lines = (1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1));
        let bomb: String = std::iter::once("a0: &a0 [x, x]\n".to_owned())
            .chain(lines)
            .collect();
        assert_eq!(parse(&bomb).entries.len(), 40);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(---|\n|: |- |a|'|\"|\\[|\\{|&x|\\*x|#|\t| )*") {
            if let Some(Ok((block, end))) = split(&text) {
                parse(block);
                assert!(text.is_char_boundary(end));
            }
            parse(&text);
        }
    }
}
