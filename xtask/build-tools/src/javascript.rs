//! The tokens of a JavaScript module: as much of the language as it takes to know what is code and what
//! is a string, a comment, a template or a regular expression.
//!
//! A `/` is a division or begins a regular expression, which only the grammar knows. What stands before
//! it decides here, with the bracket that a `)` or `}` closes looked up: enough for all but contrived code.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or keyword.
    Word,
    /// A name with `#`, of a class's own member.
    Private,
    /// A number.
    Number,
    /// A string, quotes included.
    Text,
    /// A piece of a template: up to `${`, or to its end.
    Template,
    /// A regular expression with its flags.
    Regex,
    /// An operator or bracket.
    Mark,
}

/// A piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub range: Range<usize>,
    /// For a closing bracket the index of the token that opens it.
    pub opener: Option<usize>,
    /// For `{`: whether it begins an expression (an object) and no block.
    pub is_object: bool,
    /// Whether a comment is between the token before it and this one.
    pub after_comment: bool,
}

/// What is no JavaScript, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The byte where it begins.
    pub at: usize,
    /// What it is.
    pub what: &'static str,
}

/// The marks of more than one character, the longest first.
const MARKS: [&str; 38] = [
    ">>>=", "...", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=",
    "<=", ">=", "&&", "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
    "<<", ">>", "**", "{", "}", "(", ")", "@",
];

/// The words after which an expression begins.
const BEFORE_EXPRESSION: [&str; 17] = [
    "await",
    "case",
    "default",
    "delete",
    "do",
    "else",
    "export",
    "extends",
    "in",
    "instanceof",
    "new",
    "of",
    "return",
    "throw",
    "typeof",
    "void",
    "yield",
];

/// The words whose parentheses a statement follows.
const BEFORE_STATEMENT: [&str; 4] = ["for", "if", "while", "with"];

/// The tokens of a module.
pub fn tokens(source: &str) -> Result<Vec<Token>, Unfinished> {
    let mut reader = Reader {
        source,
        at: 0,
        tokens: Vec::new(),
        open: Vec::new(),
        comment: false,
    };
    reader.read()?;
    Ok(reader.tokens)
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
    /// The brackets that are open: indexes of their tokens. A template's `${` counts as one.
    open: Vec<usize>,
    comment: bool,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Unfinished> {
        if self.rest().starts_with('\u{feff}') {
            self.at += '\u{feff}'.len_utf8();
        }
        if self.rest().starts_with("#!") {
            self.line();
        }
        while let Some(next) = self.rest().chars().next() {
            let start = self.at;
            let rest = self.rest();
            if next.is_whitespace() || next == '\u{feff}' {
                self.at += next.len_utf8();
            } else if rest.starts_with("//") {
                self.line();
                self.comment = true;
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return Err(unfinished(start, "a comment that does not end"));
                };
                self.at += end + 4;
                self.comment = true;
            } else if next == '"' || next == '\'' {
                self.string(next)?;
                self.push(Kind::Text, start, None);
            } else if next == '`' {
                self.at += 1;
                self.template(start)?;
            } else if next == '}' && self.closes_template() {
                self.open.pop();
                self.at += 1;
                self.template(start)?;
            } else if next == '/' && self.expects_operand() {
                self.regex()?;
                self.push(Kind::Regex, start, None);
            } else if next.is_ascii_digit()
                || (next == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
            {
                self.number();
                self.push(Kind::Number, start, None);
            } else if is_word(next)
                || next == '\\'
                || (next == '#' && rest[1..].starts_with(is_word))
            {
                self.word();
                let kind = if next == '#' {
                    Kind::Private
                } else {
                    Kind::Word
                };
                self.push(kind, start, None);
            } else {
                self.mark(next)?;
            }
        }
        match self.open.last() {
            Some(open) => Err(unfinished(
                self.tokens[*open].range.start,
                "a bracket that is not closed",
            )),
            None => Ok(()),
        }
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    /// Goes to the end of the line.
    fn line(&mut self) {
        let length = self.rest().find(is_line_end);
        self.at += length.unwrap_or(self.rest().len());
    }

    fn push(&mut self, kind: Kind, start: usize, opener: Option<usize>) {
        self.tokens.push(Token {
            kind,
            range: start..self.at,
            opener,
            is_object: false,
            after_comment: self.comment,
        });
        self.comment = false;
    }

    fn text(&self, token: &Token) -> &str {
        &self.source[token.range.clone()]
    }

    fn string(&mut self, quote: char) -> Result<(), Unfinished> {
        let start = self.at;
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((index, next)) = chars.next() {
            match next {
                '\\' => {
                    // a line end with two characters goes on the same way
                    chars.next();
                }
                '\n' | '\r' if !self.rest()[..index].ends_with("\\\r") => {
                    return Err(unfinished(start, "a string that does not end on its line"));
                }
                _ if next == quote => {
                    self.at += index + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(unfinished(start, "a string that does not end"))
    }

    /// Goes behind the `${` or the end of a template, being behind its start or the `}` before.
    fn template(&mut self, start: usize) -> Result<(), Unfinished> {
        let mut chars = self.rest().char_indices();
        while let Some((index, next)) = chars.next() {
            if next == '\\' {
                chars.next();
            } else if next == '`' {
                self.at += index + 1;
                self.push(Kind::Template, start, None);
                return Ok(());
            } else if self.rest()[index..].starts_with("${") {
                self.at += index + 2;
                self.push(Kind::Template, start, None);
                self.open.push(self.tokens.len() - 1);
                return Ok(());
            }
        }
        Err(unfinished(start, "a template that does not end"))
    }

    /// Whether the innermost open bracket is a template's `${`.
    fn closes_template(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| self.tokens[*open].kind == Kind::Template)
    }

    fn regex(&mut self) -> Result<(), Unfinished> {
        let start = self.at;
        let mut in_class = false;
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((index, next)) = chars.next() {
            match next {
                '\\' if chars.next().is_some_and(|(_, next)| !is_line_end(next)) => {}
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => {
                    self.at += index + 1;
                    let flags = self.rest().find(|c| !is_word(c) && !c.is_ascii_digit());
                    self.at += flags.unwrap_or(self.rest().len());
                    return Ok(());
                }
                _ if is_line_end(next) || next == '\\' => break,
                _ => {}
            }
        }
        Err(unfinished(start, "a regular expression that does not end"))
    }

    fn number(&mut self) {
        let mut before = ' ';
        let end = self.rest().find(|next: char| {
            let exponent = (next == '+' || next == '-') && (before == 'e' || before == 'E');
            before = next;
            !(next == '.' || next.is_alphanumeric() || next == '_' || exponent)
        });
        // in a hexadecimal number an `e` is a digit, and what follows it an operator
        let text = &self.rest()[..end.unwrap_or(self.rest().len())];
        let length = match text.find(['+', '-']) {
            Some(sign) if text.starts_with("0x") || text.starts_with("0X") => sign,
            _ => text.len(),
        };
        self.at += length;
    }

    fn word(&mut self) {
        let mut inside_escape = self.rest().starts_with('\\');
        let mut end = self.rest().len();
        for (index, next) in self.rest().char_indices().skip(1) {
            let goes_on = if next == '\\' {
                inside_escape = true;
                true
            } else if inside_escape && (next == '{' || next == '}') {
                inside_escape = next == '{';
                true
            } else {
                is_word(next) || next.is_ascii_digit()
            };
            if !goes_on {
                end = index;
                break;
            }
        }
        self.at += end;
    }

    fn mark(&mut self, next: char) -> Result<(), Unfinished> {
        let start = self.at;
        let rest = self.rest();
        let long = MARKS.iter().find(|mark| rest.starts_with(**mark));
        // `a?.5:b` is a condition
        let long = long
            .filter(|mark| **mark != "?." || !rest[2..].starts_with(|c: char| c.is_ascii_digit()));
        let length = long.map_or(next.len_utf8(), |mark| mark.len());
        let is_object = next == '{' && self.expects_operand() && !self.begins_statement();
        self.at += length;
        match next {
            '(' | '[' | '{' => {
                self.push(Kind::Mark, start, None);
                let index = self.tokens.len() - 1;
                self.tokens[index].is_object = is_object;
                self.open.push(index);
            }
            ')' | ']' | '}' => {
                let pair = match next {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                let opener = self.open.pop();
                let fits = opener
                    .filter(|open| self.source[self.tokens[*open].range.start..].starts_with(pair));
                if fits.is_none() {
                    return Err(unfinished(start, "a bracket that closes none"));
                }
                self.push(Kind::Mark, start, opener);
            }
            _ => self.push(Kind::Mark, start, None),
        }
        Ok(())
    }

    /// Whether an expression may begin here, and an operator may not.
    fn expects_operand(&self) -> bool {
        let Some(last) = self.tokens.last() else {
            return true;
        };
        let text = self.text(last);
        match last.kind {
            Kind::Word => {
                BEFORE_EXPRESSION.contains(&text) && !self.is_property(self.tokens.len() - 1)
            }
            Kind::Private | Kind::Number | Kind::Text | Kind::Regex => false,
            Kind::Template => {
                text.ends_with("${") && self.open.last() == Some(&(self.tokens.len() - 1))
            }
            Kind::Mark => match text {
                "]" | "++" | "--" => false,
                ")" => self.closes_condition(last),
                "}" => last.opener.is_none_or(|open| !self.tokens[open].is_object),
                _ => true,
            },
        }
    }

    /// Whether a word is the name of a property, behind a point.
    fn is_property(&self, index: usize) -> bool {
        index
            .checked_sub(1)
            .is_some_and(|before| matches!(self.text(&self.tokens[before]), "." | "?."))
    }

    /// Whether a `)` ends what `if`, `while` and similar ask.
    fn closes_condition(&self, token: &Token) -> bool {
        let word = token.opener.and_then(|open| open.checked_sub(1));
        word.is_some_and(|word| {
            let token = &self.tokens[word];
            token.kind == Kind::Word
                && BEFORE_STATEMENT.contains(&self.text(token))
                && !self.is_property(word)
        })
    }

    /// Whether a `{` here begins a block, where an expression might begin as well.
    fn begins_statement(&self) -> bool {
        let Some(last) = self.tokens.last() else {
            return true;
        };
        match self.text(last) {
            ";" | "}" | "{" | "=>" | ")" | "else" | "do" => {
                // the `{` of an object is followed by names, not by a block
                true
            }
            // a label or a case, unless it is in an object or a condition
            ":" => {
                let inside = self.open.last().map(|open| &self.tokens[*open]);
                let is_case = || {
                    self.tokens
                        .iter()
                        .rev()
                        .take(8)
                        .any(|token| matches!(self.text(token), "case" | "default"))
                };
                inside.is_none_or(|open| self.text(open) == "{" && !open.is_object) && is_case()
            }
            _ => false,
        }
    }
}

fn unfinished(at: usize, what: &'static str) -> Unfinished {
    Unfinished { at, what }
}

/// Whether a character may begin a name, digits apart. Outside of ASCII, where no operator is, all that is
/// no space belongs to names; which characters may begin one is the compiler's business.
fn is_word(next: char) -> bool {
    if next.is_ascii() {
        next.is_ascii_alphabetic() || next == '_' || next == '$'
    } else {
        !next.is_whitespace() && next != '\u{feff}' && !is_line_end(next)
    }
}

/// Whether a character ends a line.
pub fn is_line_end(next: char) -> bool {
    matches!(next, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<(Kind, &str)> {
        let found = tokens(source).unwrap();
        found
            .into_iter()
            .map(|token| (token.kind, &source[token.range]))
            .collect()
    }

    fn regexes(source: &str) -> Vec<&str> {
        let all = shown(source).into_iter();
        all.filter(|(kind, _)| *kind == Kind::Regex)
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn regular_expressions_and_divisions() {
        for (source, expected) in [
            ("a / b / c", &[][..]),
            ("a = /b/g", &["/b/g"]),
            ("f(/[/]/)", &["/[/]/"]),
            ("x[0] / 2 / y", &[]),
            ("(a) / b / c", &[]),
            ("if (a) /b/.test(c)", &["/b/"]),
            ("x.if (a) / b / c", &[]),
            ("return /a\\/b/", &["/a\\/b/"]),
            ("x.return / a / b", &[]),
            ("{} /a/.exec(b)", &["/a/"]),
            ("a = {} / b / c", &[]),
            ("function f() {} /a/.exec(b)", &["/a/"]),
            ("a++ / b / c", &[]),
            ("`${a}` / b / c", &[]),
            ("`${/a/}`", &["/a/"]),
            ("1 / 2 / 3", &[]),
            ("'a' / 2 / 3", &[]),
            ("a => /b/", &["/b/"]),
            ("typeof /a/", &["/a/"]),
            ("!/a/", &["/a/"]),
            ("({ a: /b/ })", &["/b/"]),
            ("a ? /b/ : /c/", &["/b/", "/c/"]),
        ] {
            assert_eq!(regexes(source), expected, "{source}");
        }
    }

    #[test]
    fn strings_comments_templates() {
        assert_eq!(
            shown("a('b\\'c', \"d\") // e 'f\n/* ' */ g"),
            [
                (Kind::Word, "a"),
                (Kind::Mark, "("),
                (Kind::Text, "'b\\'c'"),
                (Kind::Mark, ","),
                (Kind::Text, "\"d\""),
                (Kind::Mark, ")"),
                (Kind::Word, "g"),
            ]
        );
        assert_eq!(
            shown("`a${b + `c${d}e`}f` + $g"),
            [
                (Kind::Template, "`a${"),
                (Kind::Word, "b"),
                (Kind::Mark, "+"),
                (Kind::Template, "`c${"),
                (Kind::Word, "d"),
                (Kind::Template, "}e`"),
                (Kind::Template, "}f`"),
                (Kind::Mark, "+"),
                (Kind::Word, "$g"),
            ]
        );
        assert_eq!(
            shown("größe\u{5a3}1 ok"),
            [(Kind::Word, "größe\u{5a3}1"), (Kind::Word, "ok")]
        );
        assert_eq!(
            shown("\u{feff}#!/bin/node 'x\n#p in a?.b ? .5:0x1e+1 ... 1e+2"),
            [
                (Kind::Private, "#p"),
                (Kind::Word, "in"),
                (Kind::Word, "a"),
                (Kind::Mark, "?."),
                (Kind::Word, "b"),
                (Kind::Mark, "?"),
                (Kind::Number, ".5"),
                (Kind::Mark, ":"),
                (Kind::Number, "0x1e"),
                (Kind::Mark, "+"),
                (Kind::Number, "1"),
                (Kind::Mark, "..."),
                (Kind::Number, "1e+2"),
            ]
        );
    }

    #[test]
    fn what_is_unfinished_is_refused() {
        for (source, at) in [
            ("a 'b", 2),
            ("a 'b\n'", 2),
            ("`a", 0),
            ("`a${b", 0),
            ("/* a", 0),
            ("a = /b\n/", 4),
            ("a(b", 1),
            ("a)", 1),
            ("(]", 1),
            ("}", 0),
        ] {
            assert_eq!(tokens(source).unwrap_err().at, at, "{source}");
        }
    }
}
