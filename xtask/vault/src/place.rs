//! Places in a file: lines and columns for messages, byte ranges for edits.

use std::fmt;
use std::ops::Range;

/// A place in a file: line and column, from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A range of bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Place {
    /// A place.
    pub fn new(line: usize, column: usize) -> Self {
        Self {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Span {
    /// Its first byte.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// As a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let short = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: short(range.start),
            end: short(range.end),
        }
    }
}

/// How long the byte order mark is, if there is one.
pub fn bom(text: &str) -> usize {
    if text.starts_with('\u{feff}') { 3 } else { 0 }
}

/// The byte at a place; a byte order mark counts as no column.
pub fn offset(text: &str, place: Place) -> usize {
    let start = match place.line {
        0 | 1 => bom(text),
        line => memchr::memchr_iter(b'\n', text.as_bytes())
            .nth(line as usize - 2)
            .map_or(text.len(), |end| end + 1),
    };
    let mut columns = text[start..].char_indices();
    let column = columns.nth(place.column.saturating_sub(1) as usize);
    column.map_or(text.len(), |(at, _)| start + at)
}
