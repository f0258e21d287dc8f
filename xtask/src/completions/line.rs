//! The command line that was typed, split into words as the shell does.
//!
//! docs-check splits lines of cards by itself: it drops what is not a whole command; this one keeps what
//! is incomplete, and counts bytes.

/// What was typed after `cargo xtask`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The words before the current one, without quotes.
    pub before: Vec<String>,
    /// The current word up to the cursor, without quotes.
    pub current: String,
    /// How many bytes of it bash keeps, because it inserts only what follows a word break.
    pub kept: usize,
    /// Whether the cursor is between quotes.
    pub in_quotes: bool,
    /// Whether the current word is the file of a redirection.
    pub redirects: bool,
}

impl CommandLine {
    pub fn from_words(mut before: Vec<String>) -> Self {
        Self {
            current: before.pop().unwrap_or_default(),
            before,
            ..Self::default()
        }
    }

    /// Reads a line as bash does: backslashes, quotes, redirections. `breaks` are its
    /// `COMP_WORDBREAKS`.
    pub fn from_line(line: &str, breaks: &str) -> Self {
        let mut typed = Self::default();
        // None between words.
        let mut word: Option<String> = None;
        let mut quote: Option<char> = None;
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            if quote.is_none() && c.is_whitespace() {
                typed.end_word(word.take());
                continue;
            }
            if quote.is_none() && matches!(c, '<' | '>') {
                // A number before it is the file descriptor.
                let is_number = |word: &String| word.bytes().all(|byte| byte.is_ascii_digit());
                typed.end_word(word.take().filter(|word| !is_number(word)));
                typed.redirects = true;
                continue;
            }
            let text = word.get_or_insert_default();
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (Some('"'), '\\') if !characters.peek().is_some_and(|c| "\\\"$`".contains(*c)) => {
                    text.push(c);
                }
                (None | Some('"'), '\\') => text.extend(characters.next()),
                (None, '"' | '\'') => {
                    quote = Some(c);
                    typed.kept = text.len();
                }
                _ => {
                    text.push(c);
                    if quote.is_none() && breaks.contains(c) {
                        typed.kept = text.len();
                    }
                }
            }
        }
        typed.current = word.unwrap_or_default();
        typed.in_quotes = quote.is_some();
        typed
    }

    fn end_word(&mut self, word: Option<String>) {
        if let Some(word) = word {
            // The file of a redirection is not an argument.
            if !std::mem::take(&mut self.redirects) {
                self.before.push(word);
            }
        }
        self.kept = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_bash_reads_them() {
        let breaks = " \t\n\"'><=;|&(:";
        for (line, before, current, kept, in_quotes) in [
            ("", "", "", 0, false),
            ("  a ", "a", "", 0, false),
            ("a b", "a", "b", 0, false),
            ("a \"\" b", "a||", "b", 0, false),
            ("a 'b c' d", "a|b c", "d", 0, false),
            (r"a b\ c", "a", "b c", 0, false),
            (r"a b\", "a", "b", 0, false),
            (r#"a "b\"c\d\\"#, "a", r#"b"c\d\"#, 0, true),
            (r"a 'b\", "a", r"b\", 0, true),
            ("a --b=c", "a", "--b=c", 4, false),
            (r"a --b\=c", "a", "--b=c", 0, false),
            ("a --b=c:d", "a", "--b=c:d", 6, false),
            ("a --b=\"c d", "a", "--b=c d", 4, true),
            ("a \"--b=c", "a", "--b=c", 0, true),
            ("a --b=c ", "a|--b=c", "", 0, false),
            ("a > b c", "a", "c", 0, false),
            ("a >b 2>&1 c", "a", "c", 0, false),
            ("a 2 >b c", "a|2", "c", 0, false),
            ("a x>b c", "a|x", "c", 0, false),
            ("ä ö", "ä", "ö", 0, false),
        ] {
            let typed = CommandLine::from_line(line, breaks);
            let expected = CommandLine {
                before: before.split_terminator('|').map(str::to_owned).collect(),
                current: current.to_owned(),
                kept,
                in_quotes,
                redirects: false,
            };
            assert_eq!(typed, expected, "`{line}`");
        }
    }
}
