//! What a container's expressions say of the source, read without evaluating them: which lines they
//! replace, and which tools they name.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

/// What the expressions of a container want of the source.
#[derive(Debug, Default)]
pub struct Wants {
    /// The texts that are replaced.
    pub replaced: Vec<Replaced>,
    /// The modules that get a literal version.
    pub versioned: Vec<(At, Utf8PathBuf)>,
    /// The tools that are named: Go as (1, 25), Node as (24, 0).
    pub tools: Vec<(At, Tool, u64, u64)>,
    /// Programs that packages of the lock file have to bring.
    pub programs: Vec<(At, String)>,
}

/// A tool whose version is part of its name in the package set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `go_1_25`, `buildGo125Module`
    Go,
    /// `nodejs_24`
    Node,
}

/// A line of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file.
    pub file: Utf8PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// A text of the source that an expression replaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Where the expression does.
    pub at: At,
    /// The file of the source.
    pub file: Utf8PathBuf,
    /// The text.
    pub text: String,
}

/// Stands for what Nix or the shell put in: nothing that can be known here.
const UNKNOWN: char = '\u{1}';

/// Reads all expressions of a container.
pub fn read(folder: &Utf8Path) -> Result<Wants> {
    let mut wants = Wants::default();
    let mut files = Vec::new();
    for entry in folder.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.extension() == Some("nix") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    for file in files {
        let text = fs_err::read_to_string(&file)?;
        wants.add(&file, &text);
    }
    Ok(wants)
}

impl Wants {
    fn add(&mut self, file: &Utf8Path, text: &str) {
        let at = |line: usize| At {
            file: file.to_owned(),
            line: line + 1,
        };
        let lines: Vec<&str> = text.lines().collect();
        let mut n = 0;
        while n < lines.len() {
            let start = n;
            let line = lines[n].trim_start();
            // A command goes on as long as its lines end so.
            let mut command = vec![line];
            while lines[n].ends_with('\\') && n + 1 < lines.len() {
                n += 1;
                command.push(lines[n]);
            }
            if line.starts_with("substituteInPlace ") {
                self.substitute(&command, |line| at(start + line));
            } else if let Some(rest) = line.strip_prefix("build-tools patch-version ")
                && let Some(path) = words(rest).into_iter().next().filter(|it| is_known(it))
            {
                self.versioned.push((at(start), path.into()));
            } else if line == "wanted = [" {
                let end = lines[n..].iter().position(|line| line.contains(']'));
                for more in 1..end.unwrap_or(1) {
                    // What is no text is no program of a package.
                    let item = lines[n + more].trim();
                    if let Some(program) =
                        item.strip_prefix('"').and_then(|it| it.strip_suffix('"'))
                    {
                        self.programs.push((at(n + more), program.to_owned()));
                    }
                }
            }
            if !line.starts_with('#') {
                for (tool, major, minor) in tools(line) {
                    self.tools.push((at(start), tool, major, minor));
                }
            }
            n += 1;
        }
    }

    /// The texts that one `substituteInPlace` replaces; `command` are its lines.
    fn substitute(&mut self, command: &[&str], at: impl Fn(usize) -> At) {
        let mut files: Vec<String> = Vec::new();
        let mut is_behind = false;
        for (n, line) in command.iter().enumerate() {
            let mut words = words(line.trim_end_matches('\\')).into_iter();
            while let Some(word) = words.next() {
                match word.as_str() {
                    "substituteInPlace" if n == 0 => {}
                    "--replace-fail" => {
                        is_behind = true;
                        let Some(text) = words.next().filter(|text| is_known(text)) else {
                            continue;
                        };
                        for file in &files {
                            self.replaced.push(Replaced {
                                at: at(n),
                                file: file.into(),
                                text: text.clone(),
                            });
                        }
                    }
                    file if !is_behind && is_known(file) && !file.starts_with(['-', '/', '$']) => {
                        files.push(file.to_owned());
                    }
                    _ => {}
                }
            }
        }
    }
}

fn is_known(text: &str) -> bool {
    !text.is_empty() && !text.contains(UNKNOWN)
}

/// The tools that a line names.
fn tools(line: &str) -> Vec<(Tool, u64, u64)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let words = line.split(|c| !is_word(c));
    words
        .filter_map(|word| {
            if let Some(version) = word.strip_prefix("go_") {
                let (major, minor) = version.split_once('_')?;
                return Some((Tool::Go, major.parse().ok()?, minor.parse().ok()?));
            }
            if let Some(version) = word.strip_prefix("nodejs_") {
                return Some((Tool::Node, version.parse().ok()?, 0));
            }
            let version = word.strip_prefix("buildGo")?.strip_suffix("Module")?;
            let (major, minor) = version.split_at_checked(1)?;
            Some((Tool::Go, major.parse().ok()?, minor.parse().ok()?))
        })
        .collect()
}

/// The words of a shell command in an indented string of Nix.
fn words(text: &str) -> Vec<String> {
    // Nix first: `''${` is a dollar, `${` is not.
    let text = text
        .replace("''${", "\u{2}{")
        .replace("${", "\u{1}{")
        .replace('\u{2}', "$")
        .replace("'''", "''");
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(letters.next()),
            (Some('"') | None, '$') => word.get_or_insert_default().push(UNKNOWN),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced() {
        let mut wants = Wants::default();
        wants.add(
            "a.nix".into(),
            r#"  postPatch = ''
    substituteInPlace a/b.py \
      --replace-fail 'x = Path("y")' "x = Path(\"$out\")" \
      --replace-fail "it's \"z\"" ""
    substituteInPlace lifecycle/ak --replace-fail '#!/usr/bin/env -S bash' '#!${runtimeShell}'
    substituteInPlace c --replace-fail 'a ''${b} c' "" --replace-fail '${unknown}' ""
    substituteInPlace $out/d --replace-fail 'not of the source' ""
    substitute $x Caddyfile --replace-fail @token@ $PWD/token
    build-tools patch-version web/node.js ${version}
  '';
  wanted = [
    "gunicorn"
    another.derivation
  ];
  # go_1_99 is only talked of
  nativeBuildInputs = [ go_1_25 nodejs_24 (buildGo126Module { }) ];"#,
        );
        let replaced: Vec<(usize, &str, &str)> = wants
            .replaced
            .iter()
            .map(|it| (it.at.line, it.file.as_str(), it.text.as_str()))
            .collect();
        assert_eq!(
            replaced,
            [
                (3, "a/b.py", r#"x = Path("y")"#),
                (4, "a/b.py", r#"it's "z""#),
                (5, "lifecycle/ak", "#!/usr/bin/env -S bash"),
                (6, "c", "a ${b} c"),
            ]
        );
        assert_eq!(wants.versioned[0].1, "web/node.js");
        assert_eq!(wants.programs.len(), 1);
        assert_eq!(wants.programs[0].1, "gunicorn");
        let tools: Vec<(Tool, u64, u64)> =
            wants.tools.iter().map(|it| (it.1, it.2, it.3)).collect();
        assert_eq!(
            tools,
            [(Tool::Go, 1, 25), (Tool::Node, 24, 0), (Tool::Go, 1, 26)]
        );
    }
}
