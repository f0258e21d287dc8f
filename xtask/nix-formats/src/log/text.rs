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
                    if colours && is_style(&sequence) {
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
            _ if character.is_control() || turns(character) => {}
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Whether a control sequence sets colours and weights and nothing else: the final `m` alone does not say so,
/// for private parameters such as `>` make it another command.
fn is_style(sequence: &str) -> bool {
    let parameters = sequence
        .strip_prefix("\u{1b}[")
        .and_then(|rest| rest.strip_suffix('m'));
    parameters.is_some_and(|it| {
        it.bytes()
            .all(|byte| byte.is_ascii_digit() || b";:".contains(&byte))
    })
}

/// Whether a character changes the direction of writing or ends a line.
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
            ("\u{7f}", ""),
        ] {
            assert_eq!(plain(text), plain_text, "{text:?}");
        }
        let colours = "a\u{1b}[31mred\u{1b}[2A\u{1b}[0m\u{1b}]0;title\u{7}";
        assert_eq!(coloured(colours), "a\u{1b}[31mred\u{1b}[0m");
        // What ends in `m` and sets no colour: xterm's modifiers, and a sequence with another in it.
        for acts in ["\u{1b}[>4;2m", "\u{1b}[?1m", "\u{1b}[ m"] {
            assert_eq!(coloured(acts), "", "{acts:?}");
        }
        assert_eq!(plain("\u{202e}a\u{9b}31mb\u{2066}"), "a31mb");
    }

    proptest! {
        #[test]
        fn plain_is_idempotent(text in ".*") {
            let once = plain(&text);
            prop_assert_eq!(&plain(&once), &once);
        }
    }
}
