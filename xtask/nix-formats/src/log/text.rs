//! Plain and coloured text of log lines: what programs wrote that think that they write to a terminal.

use std::borrow::Cow;

/// `text` without escape sequences, and without what a carriage return overwrote.
///
/// What a program draws on a terminal (spinners, colours) would otherwise fill a plain log.
pub fn plain(text: &str) -> Cow<'_, str> {
    without_escapes(text, false)
}

/// The first bytes of a text, at most so many.
pub fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// [`plain`], but colours and weights stay.
pub fn coloured(text: &str) -> Cow<'_, str> {
    without_escapes(text, true)
}

fn without_escapes(text: &str, colours: bool) -> Cow<'_, str> {
    // Most lines are plain: a fast look at their bytes is enough.
    if text.is_ascii() && !text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Cow::Borrowed(text);
    }
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                // CSI: parameters, then one final character from `@` to `~`, `m` for colours.
                Some('[') => {
                    let mut sequence = "\u{1b}[".to_owned();
                    for next in characters.by_ref() {
                        sequence.push(next);
                        if ('@'..='~').contains(&next) {
                            break;
                        }
                    }
                    if colours && sequence.ends_with('m') {
                        out.push_str(&sequence);
                    }
                }
                // OSC: up to BEL or ESC `\`.
                Some(']') => {
                    while let Some(next) = characters.next() {
                        if next == '\u{7}' {
                            break;
                        }
                        if next == '\u{1b}' {
                            characters.next();
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\t' => out.push(character),
            _ if character.is_control() => {}
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_go() {
        for (text, plain_text) in [
            ("\u{1b}[31;1merror:\u{1b}[0m bad", "error: bad"),
            (
                "\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{1b}\\ done",
                "link done",
            ),
            ("10 %\r20 %\r30 %\r", "30 %"),
            ("a\tb\u{8}", "a\tb"),
            ("\u{1b}", ""),
            ("\u{1b}[3", ""),
        ] {
            assert_eq!(plain(text), plain_text, "{text:?}");
        }
        let colours = "a\u{1b}[31mred\u{1b}[2A\u{1b}[0m\u{1b}]0;title\u{7}";
        assert_eq!(coloured(colours), "a\u{1b}[31mred\u{1b}[0m");
    }

    proptest! {
        #[test]
        fn plain_is_idempotent(text in ".*") {
            let once = plain(&text);
            prop_assert_eq!(&plain(&once), &once);
        }
    }
}
