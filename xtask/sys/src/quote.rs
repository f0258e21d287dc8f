//! Quotes words for shells.

/// A word that a POSIX shell reads back as `text`.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Words as one command line.
pub fn words(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted: Vec<String> = words
        .into_iter()
        .map(|word| quoted(word.as_ref()))
        .collect();
    quoted.join(" ")
}

/// Words in a single line, for a shell that reads lines and in which `nl` holds a newline.
pub fn line(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    self::words(words).replace('\n', r#"'"$nl"'"#)
}

/// Words as a person would type them: with quotes only where a shell needs them.
pub fn typed(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@+,".contains(c);
    let typed: Vec<String> = words
        .into_iter()
        .map(|word| match word.as_ref() {
            word if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
            word => quoted(word),
        })
        .collect();
    typed.join(" ")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "real shells read the words")]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a shell makes of the words, each ended by a NUL.
    fn read_back(shell: &str, script: &str) -> Option<Vec<String>> {
        let output = Command::new(shell).args(["-c", script]).output().ok()?;
        assert!(output.status.success(), "{shell}: {script}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        Some(text.split_terminator('\0').map(str::to_owned).collect())
    }

    const ODD: [&str; 14] = [
        "",
        " a  b ",
        "it's",
        "\"$HOME\"",
        "$(touch /nonexistent/x)",
        "`id`",
        "two\nlines\n",
        "'\n'",
        "--help",
        "-n",
        "\\",
        "*",
        "é \u{1f600} \t\r",
        "a;b&c|d>e<f(g)h{i}j!k#l~m",
    ];

    #[test]
    fn shells_read_back_what_was_meant() {
        let mut asked = 0;
        for shell in ["sh", "dash", "bash"] {
            let typed = format!("printf '%s\\0' {}", typed(ODD));
            let one_line = format!(
                "nl='\n'\neval \"set -- $(cat <<'END'\n{}\nEND\n)\"\nprintf '%s\\0' \"$@\"",
                line(ODD)
            );
            for script in [typed, one_line] {
                if let Some(found) = read_back(shell, &script) {
                    assert_eq!(found, ODD, "{shell}");
                    asked += 1;
                }
            }
        }
        assert!(asked >= 2);
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(
            typed(["--pins", "my pins'.json"]),
            r"--pins 'my pins'\''.json'"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn any_words(texts in proptest::collection::vec("[^\0]{0,20}", 1..5)) {
            prop_assert!(!line(&texts).contains('\n'));
            let script = format!("printf '%s\\0' {}", words(&texts));
            prop_assert_eq!(read_back("sh", &script).unwrap(), texts);
        }
    }
}
