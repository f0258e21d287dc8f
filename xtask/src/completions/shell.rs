//! The scripts for the shells, and the form in which each wants the candidates.

use camino::Utf8Path;

use super::engine::{Candidate, Candidates, ValueKind};
use super::line::CommandLine;
use crate::repo;
use sys::quote::quoted;

/// A shell with a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// Bash, 4.3 or later
    Bash,
    /// Zsh
    Zsh,
    /// Fish, 3.1 or later
    Fish,
}

/// The script for a shell.
///
/// It runs this program in all working trees: what others have built is nothing to run for a tab.
pub fn script(shell: Shell, program: &Utf8Path) -> String {
    let (text, quote): (_, fn(&str) -> String) = match shell {
        Shell::Bash => (include_str!("completions.bash"), quoted),
        Shell::Zsh => (include_str!("completions.zsh"), quoted),
        Shell::Fish => (include_str!("completions.fish"), in_fish_quotes),
    };
    text.replace("@mark@", repo::MARK)
        .replace("@program@", &quote(program.as_str()))
}

/// A word that fish reads back as `text`.
fn in_fish_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A word that bash reads back as `text`, quoted as in bash's own completions.
fn with_backslashes(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+@%=:,./".contains(c);
    text.chars().fold(String::new(), |mut quoted, c| {
        if !plain(c) {
            quoted.push('\\');
        }
        quoted.push(c);
        quoted
    })
}

/// The answer for a script: a line with what the shell completes itself (`words`: nothing) and the prefix,
/// then the candidates.
pub fn render(shell: Shell, typed: &CommandLine, next: &Candidates) -> String {
    let kind = match next.kind {
        ValueKind::Files => "files",
        ValueKind::Folders => "folders",
        ValueKind::Nothing | ValueKind::Components | ValueKind::Containers => "words",
    };
    let mut text = format!("{kind}\t{}\n", next.prefix);
    for word in &next.words {
        if next.given.contains(&word.text) {
            continue;
        }
        let Candidate { text: value, help } = word;
        let line = match shell {
            Shell::Bash => {
                let whole = format!("{}{value}", next.prefix);
                if !whole.starts_with(&typed.current) {
                    continue;
                }
                let rest = whole.get(typed.kept..).unwrap_or_default();
                if typed.in_quotes {
                    rest.to_owned()
                } else {
                    with_backslashes(rest)
                }
            }
            Shell::Zsh => {
                let value = value.replace('\\', r"\\").replace(':', r"\:");
                format!("{value}:{help}")
            }
            Shell::Fish => format!("{}{value}\t{help}", next.prefix),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let next = |prefix: &str, words: &[&str]| {
            let word = |text: &&str| Candidate {
                text: (*text).to_owned(),
                help: "helps".to_owned(),
            };
            Candidates {
                prefix: prefix.to_owned(),
                words: words.iter().map(word).collect(),
                ..Candidates::default()
            }
        };
        let typed = |line| CommandLine::from_line(line, "=:\"");
        let odd = ["a:b", "a c", "d"];
        for (shell, line, next, expected) in [
            (Shell::Bash, "", next("", &odd), "words\t\na:b\na\\ c\nd\n"),
            (Shell::Bash, "a", next("", &odd), "words\t\na:b\na\\ c\n"),
            (Shell::Bash, "a:", next("", &odd), "words\t\nb\n"),
            (Shell::Bash, "\"a", next("", &odd), "words\t\na:b\na c\n"),
            (Shell::Bash, "--f=d", next("--f=", &odd), "words\t--f=\nd\n"),
            (
                Shell::Zsh,
                "a",
                next("--f=", &odd),
                "words\t--f=\na\\:b:helps\na c:helps\nd:helps\n",
            ),
            (
                Shell::Fish,
                "a",
                next("--f=", &odd),
                "words\t--f=\n--f=a:b\thelps\n--f=a c\thelps\n--f=d\thelps\n",
            ),
        ] {
            assert_eq!(
                render(shell, &typed(line), &next),
                expected,
                "{shell:?} `{line}`"
            );
        }
        for (kind, expected) in [
            (ValueKind::Files, "files\t--f=\n"),
            (ValueKind::Folders, "folders\t--f=\n"),
            (ValueKind::Components, "words\t--f=\n"),
            (ValueKind::Containers, "words\t--f=\n"),
        ] {
            let next = Candidates {
                kind,
                ..next("--f=", &[])
            };
            assert_eq!(render(Shell::Zsh, &typed(""), &next), expected);
        }
        let next = Candidates {
            given: vec!["d".to_owned()],
            ..next("", &odd)
        };
        assert_eq!(
            render(Shell::Bash, &typed(""), &next),
            "words\t\na:b\na\\ c\n"
        );
    }

    #[test]
    fn scripts_name_the_program() {
        for (shell, program, expected) in [
            (Shell::Bash, "/r/target/xtask", "'/r/target/xtask'"),
            (Shell::Zsh, "/else/it's", r"'/else/it'\''s'"),
            (Shell::Fish, r"/a\b/it's", r"'/a\\b/it\'s'"),
        ] {
            let text = script(shell, program.into());
            assert!(text.contains(expected), "{text}");
            assert!(text.contains(repo::MARK), "{text}");
            assert!(
                !text.contains("@mark@") && !text.contains("@program@"),
                "{text}"
            );
        }
    }
}
