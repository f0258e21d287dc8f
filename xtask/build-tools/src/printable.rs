//! Names and lines of others made safe to show, as xtask's crate `sys` does it.

use std::fmt::Write as _;

/// A text for one line: newlines, other control characters and those that change the direction of writing
/// become escapes, such as `\x1b` and `\u{202e}`. Tabs stay.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // The bidirectional controls of Unicode (UAX #9), and its line and paragraph separators.
        let acts = c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        // (Writing to a string can't fail.)
        let _ = match u32::from(c) {
            _ if !acts || c == '\t' => write!(shown, "{c}"),
            code @ 0..0x80 => write!(shown, "\\x{code:02x}"),
            code => write!(shown, "\\u{{{code:x}}}"),
        };
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_becomes_an_escape() {
        for (text, shown) in [
            ("plain é 漢\t.", "plain é 漢\t."),
            ("a\n\x1b[31m\x7f", "a\\x0a\\x1b[31m\\x7f"),
            ("\u{9b}31m\u{202e}", "\\u{9b}31m\\u{202e}"),
            (
                "\u{61c}\u{200f}\u{2028}\u{2069}",
                "\\u{61c}\\u{200f}\\u{2028}\\u{2069}",
            ),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
