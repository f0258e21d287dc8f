//! What files of the source require, read from their texts: Go, Node, npm, Python, packages from git.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A value in a file and its line, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: String,
    /// The line.
    pub line: usize,
}

/// What a package.json asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    engines: BTreeMap<String, String>,
    package_manager: Option<String>,
}

/// The first line that holds a text.
pub fn line_of(text: &str, part: &str) -> Option<usize> {
    text.lines()
        .position(|line| line.contains(part))
        .map(|n| n + 1)
}

/// The Go version that a go.mod requires.
pub fn go(text: &str) -> Option<Found> {
    text.lines().enumerate().find_map(|(n, line)| {
        let value = line.strip_prefix("go ")?.trim().to_owned();
        Some(Found { value, line: n + 1 })
    })
}

/// The line of a go.mod that requires a module.
pub fn go_module(text: &str, module: &str) -> Option<Found> {
    text.lines().enumerate().find_map(|(n, line)| {
        let mut words = line
            .trim()
            .trim_start_matches("require ")
            .split_whitespace();
        (words.next()? == module).then_some(())?;
        let value = words.next()?.to_owned();
        Some(Found { value, line: n + 1 })
    })
}

/// What a package.json requires of a program, `engines.npm`.
pub fn engine(text: &str, program: &str) -> Option<Found> {
    let manifest: Manifest = serde_json::from_str(text).ok()?;
    let value = manifest.engines.get(program)?.clone();
    let part = format!("\"{program}\": \"{value}\"");
    let line = line_of(text, &part).unwrap_or(1);
    Some(Found { value, line })
}

/// The version of a package manager that a package.json names, `packageManager`.
pub fn package_manager(text: &str, program: &str) -> Option<String> {
    let manifest: Manifest = serde_json::from_str(text).ok()?;
    let named = manifest.package_manager?;
    let version = named.strip_prefix(program)?.strip_prefix('@')?;
    Some(version.split('+').next()?.to_owned())
}

/// `requires-python` of a pyproject.toml.
pub fn python(text: &str) -> Option<Found> {
    text.lines().enumerate().find_map(|(n, line)| {
        let value = line
            .strip_prefix("requires-python")?
            .trim()
            .strip_prefix('=')?;
        let value = value.trim().trim_matches('"').to_owned();
        Some(Found { value, line: n + 1 })
    })
}

/// The packages that a uv.lock takes from git: name and revision.
pub fn git_packages(text: &str) -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    let mut name = None;
    for (n, line) in text.lines().enumerate() {
        if line == "[[package]]" {
            name = None;
        } else if let Some(value) = line.strip_prefix("name = \"") {
            name = Some(value.trim_end_matches('"').to_owned());
        } else if line.starts_with("source = { git = \"")
            && let Some(name) = name.take()
            && let Some((_, rev)) = line.rsplit_once('#')
        {
            let value = rev.trim_end_matches([' ', '"', '}']).to_owned();
            found.insert(name, Found { value, line: n + 1 });
        }
    }
    found
}

/// The line of a uv.lock at which a package begins.
pub fn locked(text: &str, package: &str) -> Option<usize> {
    let wanted = format!("name = \"{package}\"");
    text.lines().position(|line| line == wanted).map(|n| n + 1)
}

/// The numbers of a version, up to what is none.
pub fn numbers(text: &str) -> Vec<u64> {
    let parts = text.split('.');
    parts.map_while(|part| part.parse().ok()).collect()
}

/// Whether a version is what a requirement wants: `>=24`, `==3.14.*`, `^24`, `24.x`, one of several with `||`,
/// all of several with a space or a comma. `None` for what is not understood.
pub fn satisfies(version: &str, requirement: &str) -> Option<bool> {
    let version = numbers(version);
    let mut any = false;
    for alternative in requirement.split("||") {
        let mut all = true;
        // `>= 24` is one word.
        let joined = alternative
            .replace("= ", "=")
            .replace("> ", ">")
            .replace("< ", "<");
        for word in joined.split([' ', ',']).filter(|word| !word.is_empty()) {
            let digits = word.find(|c: char| c.is_ascii_digit() || c == '*')?;
            let (operator, wanted) = word.split_at(digits);
            let wanted = wanted.trim_end_matches(".*").trim_end_matches(".x");
            if wanted == "*" {
                continue;
            }
            let plain = |c: char| c.is_ascii_digit() || c == '.';
            if !wanted.chars().all(plain) {
                return None;
            }
            let wanted = numbers(wanted);
            // What is written no further stands for all below it.
            let length = version.len().min(wanted.len());
            let order = version[..length].cmp(&wanted[..length]);
            if order.is_eq() && wanted[length..].iter().any(|part| *part != 0) {
                return None;
            }
            let begins = |length: usize| {
                let part = |of: &[u64]| -> Vec<u64> {
                    of.iter()
                        .copied()
                        .chain(std::iter::repeat(0))
                        .take(length)
                        .collect()
                };
                part(&version) == part(&wanted)
            };
            all &= match operator {
                ">=" => order.is_ge(),
                ">" => order.is_gt(),
                "<=" => order.is_le(),
                "<" => order.is_lt(),
                "^" => {
                    let zeros = wanted.iter().take_while(|part| **part == 0).count();
                    order.is_ge() && begins(wanted.len().min(zeros + 1))
                }
                "~" => order.is_ge() && begins(wanted.len().min(2)),
                "~=" => order.is_ge() && begins(wanted.len().saturating_sub(1)),
                "" | "=" | "==" | "v" => begins(wanted.len()),
                _ => return None,
            };
        }
        any |= all;
    }
    Some(any)
}

/// The settings of a YAML file that is maps, texts and lists of these: each by its names, with its line.
///
/// Enough for a file of defaults; what is no such file gives nothing.
pub fn settings(text: &str) -> BTreeMap<String, Found> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') || content == "---" {
            continue;
        }
        let indent = line.len() - content.len();
        let content = content.split(" #").next().unwrap_or_default().trim_end();
        open.retain(|(at, _)| *at < indent || (content.starts_with("- ") && *at == indent));
        let names = |last: Option<&str>| {
            let names = open.iter().map(|(_, name)| name.as_str());
            names.chain(last).collect::<Vec<_>>().join(".")
        };
        if let Some(item) = content.strip_prefix("- ") {
            let list = found.entry(names(None)).or_insert_with(|| Found {
                value: String::new(),
                line: n + 1,
            });
            let space = if list.value.is_empty() { "" } else { ", " };
            list.value = format!("{}{space}{}", list.value, item.trim_matches('"'));
            continue;
        }
        let (name, value) = match content.split_once(": ") {
            Some((name, value)) => (name, value.trim()),
            None => match content.strip_suffix(':') {
                Some(name) => (name, ""),
                None => continue,
            },
        };
        let name = name.trim_matches('"').to_owned();
        if value.is_empty() {
            open.push((indent, name));
        } else {
            let value = value.trim_matches('"').to_owned();
            found.insert(names(Some(&name)), Found { value, line: n + 1 });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        for (version, requirement, expected) in [
            ("11.6.2", ">=11.6.2", Some(true)),
            ("11.6.2", ">=11.10.1", Some(false)),
            ("24.13.0", ">=24", Some(true)),
            ("24.13.0", ">= 20 <25", Some(true)),
            ("24.13.0", "^22 || ^24.1", Some(true)),
            ("24.13.0", "22.x", Some(false)),
            ("3.14", "==3.14.*", Some(true)),
            ("3.14", "==3.15.*", Some(false)),
            ("3.14", ">=3.11,<3.14", Some(false)),
            ("1.2.3", "~1.2.0", Some(true)),
            ("1.9.0", "~1.2", Some(false)),
            ("0.3.0", "^0.2.3", Some(false)),
            ("0.2.9", "^0.2.3", Some(true)),
            ("24.999.999", ">=20 <=24", Some(true)),
            ("24.13.0", ">24", Some(false)),
            ("24.13.0", "<24", Some(false)),
            ("3.14", ">=3.14.0", Some(true)),
            ("3.14", "~=3.14.0", Some(true)),
            ("3.14", "~=3.11", Some(true)),
            ("3.14", ">=3.14.2", None),
            ("1.2.3", "*", Some(true)),
            ("1.2.3", "latest", None),
            ("1.2.3", "file:../x1", None),
        ] {
            assert_eq!(
                satisfies(version, requirement),
                expected,
                "{version} {requirement}"
            );
        }
    }

    #[test]
    fn what_files_say() {
        let found = |value: &str, line| {
            Some(Found {
                value: value.to_owned(),
                line,
            })
        };
        let module =
            "module a\n\ngo 1.26.0\n\nrequire (\n\tb.io/c/v3 v3.1.0\n)\nrequire d.io v1.0.0\n";
        assert_eq!(go(module), found("1.26.0", 3));
        assert_eq!(go_module(module, "b.io/c/v3"), found("v3.1.0", 6));
        assert_eq!(go_module(module, "d.io"), found("v1.0.0", 8));
        assert_eq!(go_module(module, "b.io/c"), None);
        let manifest = "{\n \"engines\": {\n  \"npm\": \">=11\"\n },\n \"packageManager\": \"npm@11.11.0+sha512.x\" }";
        assert_eq!(engine(manifest, "npm"), found(">=11", 3));
        assert_eq!(package_manager(manifest, "npm").as_deref(), Some("11.11.0"));
        assert_eq!(package_manager(manifest, "yarn"), None);
        assert_eq!(
            python("[project]\nrequires-python = \"==3.14.*\"\n"),
            found("==3.14.*", 2)
        );
        let lock = "[[package]]\nname = \"a\"\nsource = { git = \"https://x/a?rev=abc#abc\" }\n\n[[package]]\n\
                    name = \"b\"\nsource = { registry = \"x\" }\n";
        assert_eq!(git_packages(lock).get("a"), found("abc", 3).as_ref());
        assert_eq!((git_packages(lock).len(), locked(lock, "b")), (1, Some(6)));
    }

    #[test]
    fn defaults() {
        let text = "# x\nlisten:\n  http: 0.0.0.0:9000 # why\n  https:\n    - \"[::]:9443\"\n    - b\nlog_level: info\n\
                    a:\n  b:\n    c: 1\n  d: 2\n";
        let settings = settings(text);
        let shown: Vec<String> = settings
            .iter()
            .map(|(name, it)| format!("{name}={} {}", it.value, it.line))
            .collect();
        assert_eq!(
            shown,
            [
                "a.b.c=1 10",
                "a.d=2 11",
                "listen.http=0.0.0.0:9000 3",
                "listen.https=[::]:9443, b 5",
                "log_level=info 7"
            ]
        );
    }
}
