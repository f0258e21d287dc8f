//! Text of others made safe to show: names, cards, logs and versions can hold what a terminal obeys.
//!
//! What leaves for a terminal or a log goes through here; JSON and SARIF have escapes of their own.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text for one line: newlines, other control characters and those that change the direction of writing
/// are shown as escapes, such as `\x1b` and `\u{202e}`. Tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || acts(c))
}

/// As [`printable`], for text of several lines: newlines stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, acts)
}

/// As [`lines`], but colours and weights (`ESC [`, digits and `;`, `m`) stay.
pub fn styled(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let parameters = &rest[at + 2..];
        let length = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
        let style = length.filter(|length| parameters[*length..].starts_with('m'));
        let plain_end = if style.is_some() { at } else { at + 2 };
        let end = style.map_or(plain_end, |length| at + 2 + length + 1);
        shown.push_str(&lines(&rest[..plain_end]));
        shown.push_str(&rest[plain_end..end]);
        rest = &rest[end..];
    }
    shown.push_str(&lines(rest));
    Cow::Owned(shown)
}

/// Whether a character other than tab and newline does something in place of being shown.
fn acts(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\t' | '\n');
    // The bidirectional controls of Unicode (UAX #9), and its line and paragraph separators.
    is_control
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..first]);
    for c in text[first..].chars() {
        if !is_escaped(c) {
            shown.push(c);
            continue;
        }
        let _ = match u32::from(c) {
            code @ 0..0x80 => write!(shown, "\\x{code:02x}"),
            code => write!(shown, "\\u{{{code:x}}}"),
        };
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_as_an_escape() {
        for (text, one_line, many_lines) in [
            ("plain é 漢 🚀\t.", "plain é 漢 🚀\t.", "plain é 漢 🚀\t."),
            (
                "\u{1b}]52;c;x\u{7}",
                "\\x1b]52;c;x\\x07",
                "\\x1b]52;c;x\\x07",
            ),
            ("a\n::error ::b", "a\\x0a::error ::b", "a\n::error ::b"),
            ("a\r\nb", "a\\x0d\\x0ab", "a\\x0d\nb"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\x7f", "\\u{9b}31m\\x7f"),
            (
                "\u{202e}dm.\u{2066}\u{200f}",
                "\\u{202e}dm.\\u{2066}\\u{200f}",
                "\\u{202e}dm.\\u{2066}\\u{200f}",
            ),
        ] {
            assert_eq!(printable(text), one_line);
            assert_eq!(lines(text), many_lines);
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
        for (text, shown) in [
            ("a\u{1b}[1;31mb\u{1b}[0m\n", "a\u{1b}[1;31mb\u{1b}[0m\n"),
            ("\u{1b}[m\u{7}", "\u{1b}[m\\x07"),
            ("\u{1b}[2J\u{1b}[>4m\u{1b}[", "\\x1b[2J\\x1b[>4m\\x1b["),
            ("\u{1b}[3\u{1b}[1m", "\\x1b[3\u{1b}[1m"),
        ] {
            assert_eq!(styled(text), shown);
        }
    }
}
