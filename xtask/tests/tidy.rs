//! The plan of the house holds: what each file of the workspace imports, against the floors in CONTRIBUTING.md.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path as Path, Utf8PathBuf as PathBuf};

/// The crates of the workspace, by the names that code uses, and their folders.
const CRATES: [(&str, &str); 7] = [
    ("xtask", "xtask"),
    ("build_tools", "xtask/build-tools"),
    ("docs", "xtask/docs"),
    ("nix_formats", "xtask/nix-formats"),
    ("sys", "xtask/sys"),
    ("test_support", "xtask/test-support"),
    ("vault", "xtask/vault"),
];
/// The room in which files don't import each other.
const COMMANDS: &str = "commands";
/// The most lines of a file, without its tests.
const LONGEST: usize = 900;

/// A module that is a file: its crate's name and the names below it.
type Module = Vec<String>;

/// Files of the workspace by module.
struct Workspace {
    files: BTreeMap<Module, PathBuf>,
}

/// A word or a sign of code; text in quotes and comments are left out.
type Token = String;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn tokens(code: &str) -> Vec<Token> {
    let letters: Vec<char> = code.chars().collect();
    let at = |n: usize| letters.get(n).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut n = 0;
    while n < letters.len() {
        let c = letters[n];
        if c == '/' && at(n + 1) == '/' {
            while n < letters.len() && letters[n] != '\n' {
                n += 1;
            }
        } else if c == '/' && at(n + 1) == '*' {
            n += 2;
            while n < letters.len() && !(letters[n] == '*' && at(n + 1) == '/') {
                n += 1;
            }
            n += 2;
        } else if c == '"' {
            n += 1;
            while n < letters.len() && letters[n] != '"' {
                n += if letters[n] == '\\' { 2 } else { 1 };
            }
            n += 1;
        } else if c == '\'' {
            // A lifetime, or a letter in quotes.
            if at(n + 1) == '\\' {
                n += 3;
                while n < letters.len() && letters[n] != '\'' {
                    n += 1;
                }
                n += 1;
            } else if at(n + 2) == '\'' {
                n += 3;
            } else {
                n += 1;
            }
        } else if is_word(c) {
            let start = n;
            while n < letters.len() && is_word(letters[n]) {
                n += 1;
            }
            let word: String = letters[start..n].iter().collect();
            let hashes = letters[n..].iter().take_while(|c| **c == '#').count();
            if matches!(&*word, "r" | "br") && at(n + hashes) == '"' {
                // Text in which nothing is escaped.
                let end: String = std::iter::once('"')
                    .chain(std::iter::repeat_n('#', hashes))
                    .collect();
                n += hashes + 1;
                while n < letters.len()
                    && !(0..end.len()).all(|k| Some(at(n + k)) == end.chars().nth(k))
                {
                    n += 1;
                }
                n += end.len();
            } else {
                tokens.push(word);
            }
        } else if c == ':' && at(n + 1) == ':' {
            tokens.push("::".to_owned());
            n += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            n += 1;
        }
    }
    tokens
}

/// The paths that begin at this place, a tree in braces taken apart, and the place behind them.
fn paths(tokens: &[Token], mut n: usize) -> (Vec<Vec<String>>, usize) {
    let word = |n: usize| tokens.get(n).map_or("", String::as_str);
    let mut path = Vec::new();
    loop {
        if word(n) == "{" {
            let mut all = Vec::new();
            n += 1;
            while !matches!(word(n), "}" | "") {
                let (below, behind) = paths(tokens, n);
                all.extend(below.into_iter().map(|rest| [path.clone(), rest].concat()));
                n = behind.max(n + 1);
                while !matches!(word(n), "," | "}" | "") {
                    n += 1;
                }
                if word(n) == "," {
                    n += 1;
                }
            }
            return (all, n + 1);
        }
        path.push(word(n).to_owned());
        n += 1;
        if word(n) != "::" {
            return (vec![path], n);
        }
        n += 1;
    }
}

impl Workspace {
    fn read() -> Self {
        let mut files = BTreeMap::new();
        for (name, folder) in CRATES {
            let source = root().join(folder).join("src");
            let mut folders = vec![source.clone()];
            while let Some(folder) = folders.pop() {
                for entry in folder.read_dir_utf8().unwrap() {
                    let path = entry.unwrap().into_path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if path.extension() == Some("rs") {
                        let below = path.strip_prefix(&source).unwrap().with_extension("");
                        let mut module = vec![name.to_owned()];
                        module.extend(below.iter().map(str::to_owned));
                        // A program beside a library is not a part of it.
                        let has_library = source.join("lib.rs").exists();
                        if module.last().is_some_and(|last| {
                            last == "mod" || last == "lib" || last == "main" && !has_library
                        }) {
                            module.pop();
                        }
                        files.insert(module, path);
                    }
                }
            }
        }
        Self { files }
    }

    /// The file that a path leads to, if it is one of the workspace.
    fn file(&self, path: &[String]) -> Option<&Module> {
        (1..=path.len())
            .rev()
            .find_map(|length| Some(self.files.get_key_value(&path[..length])?.0))
    }

    /// The files that a file imports from.
    fn imports(&self, module: &Module, code: &str) -> BTreeSet<&Module> {
        let tokens = tokens(code);
        let word = |n: usize| tokens.get(n).map_or("", String::as_str);
        let mut found = BTreeSet::new();
        // The modules in braces that are open, each with the depth at which it closes.
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut children = BTreeSet::new();
        let mut n = 0;
        while n < tokens.len() {
            match word(n) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.last().is_some_and(|(_, closes)| *closes == depth) {
                        inline.pop();
                    }
                }
                "mod" if word(n + 2) == "{" => {
                    inline.push((word(n + 1).to_owned(), depth));
                    depth += 1;
                    n += 3;
                    continue;
                }
                "mod" if word(n + 2) == ";" => {
                    children.insert(word(n + 1).to_owned());
                }
                _ => {}
            }
            // A path may begin with `::`, which no word is before.
            let is_word = |word: &str| word.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            let goes_on = n > 0
                && word(n - 1) == "::"
                && (n == 1 || is_word(word(n - 2)) || word(n - 2) == ">");
            let is_start = is_word(word(n)) && word(n + 1) == "::" && !goes_on;
            if !is_start {
                n += 1;
                continue;
            }
            let names = inline.iter().map(|(name, _)| name.clone());
            let here: Module = module.iter().cloned().chain(names).collect();
            let (paths, behind) = paths(&tokens, n);
            for path in paths {
                let ups = path.iter().take_while(|word| *word == "super").count();
                let full = match path[0].as_str() {
                    "crate" => [&module[..1], &path[1..]].concat(),
                    "self" => [&here[..], &path[1..]].concat(),
                    "super" => [&here[..here.len() - ups], &path[ups..]].concat(),
                    first if children.contains(first) => [&here[..], &path[..]].concat(),
                    first if CRATES.iter().any(|(name, _)| *name == first) => path,
                    _ => continue,
                };
                if let Some(file) = self.file(&full).filter(|file| *file != module) {
                    found.insert(file);
                }
            }
            n = behind;
        }
        found
    }

    /// A file's path, as people write it.
    fn shown(&self, module: &Module) -> String {
        let path = self.files[module].strip_prefix(root()).unwrap();
        path.to_string()
    }

    fn all_imports(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let of = |(module, path): (_, &PathBuf)| {
            let code = fs_err::read_to_string(path).unwrap();
            (module, self.imports(module, &code))
        };
        self.files.iter().map(of).collect()
    }
}

/// The room of a file: the folder below xtask/src, or the crate.
fn room(module: &Module) -> String {
    match module.as_slice() {
        [only] if only == "xtask" => "main.rs".to_owned(),
        [first, room, ..] if first == "xtask" => room.clone(),
        [first, ..] => first.replace('_', "-"),
        [] => String::new(),
    }
}

/// The number of each room's floor, counted from the top of the table.
fn floors() -> BTreeMap<String, usize> {
    let text = fs_err::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let text = text
        .split_once("## Floors\n")
        .expect("CONTRIBUTING.md has a section `Floors`")
        .1;
    let table = text.split("```").nth(1).expect("with the table in a block");
    let mut floors = BTreeMap::new();
    for (floor, line) in table.lines().enumerate().skip(1) {
        let rooms = line.split('#').next().unwrap_or_default();
        for room in rooms.split_whitespace() {
            floors.insert(room.trim_end_matches('/').to_owned(), floor);
        }
    }
    floors
}

/// Why one file may not import another, if so.
fn forbidden(floors: &BTreeMap<String, usize>, from: &Module, to: &Module) -> Option<String> {
    let (user, used) = (room(from), room(to));
    let floor = |room: &String| floors.get(room).copied();
    let (Some(above), Some(below)) = (floor(&user), floor(&used)) else {
        return Some(format!(
            "`{user}` or `{used}` is not in CONTRIBUTING.md's table of floors"
        ));
    };
    if user == used {
        let is_command = user == COMMANDS && from.len() > 2 && to.len() > 2;
        return is_command.then(|| "commands never import commands".to_owned());
    }
    match above.cmp(&below) {
        Ordering::Less => None,
        Ordering::Equal => Some(format!(
            "`{user}` and `{used}` are on one floor: these don't import each other"
        )),
        Ordering::Greater => Some(format!("`{used}` is above `{user}`: imports go down only")),
    }
}

/// No test, but what runs last: what a run passed over is lost among the others' lines.
#[test]
fn what_was_passed_over_is_listed() {
    test_support::common::list_not_tested();
}

#[test]
fn imports_go_down() {
    let workspace = Workspace::read();
    let floors = floors();
    let mut wrong = Vec::new();
    for (from, imports) in workspace.all_imports() {
        for to in imports {
            if let Some(rule) = forbidden(&floors, from, to) {
                wrong.push(format!(
                    "{} imports {}: {rule}",
                    workspace.shown(from),
                    workspace.shown(to)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other() {
    let workspace = Workspace::read();
    let mut left = workspace.all_imports();
    // What imports nothing that is left is in no circle.
    loop {
        let done: Vec<&Module> = left
            .iter()
            .filter(|(_, imports)| imports.iter().all(|it| !left.contains_key(it)))
            .map(|(module, _)| *module)
            .collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module, _| !done.contains(module));
    }
    // From each file that is left an import leads to another: followed long enough, it is a circle.
    let mut circles = BTreeSet::new();
    for start in left.keys() {
        let mut way: Vec<&Module> = vec![start];
        loop {
            let next = left[way[way.len() - 1]]
                .iter()
                .find(|it| left.contains_key(*it))
                .unwrap();
            let known = way.iter().position(|it| it == next);
            way.push(next);
            if let Some(known) = known {
                let mut circle: Vec<String> = way[known..way.len() - 1]
                    .iter()
                    .map(|it| workspace.shown(it))
                    .collect();
                let first = circle
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, it)| (*it).clone())
                    .unwrap()
                    .0;
                circle.rotate_left(first);
                circles.insert(circle.join(" -> "));
                break;
            }
        }
    }
    let circles: Vec<String> = circles.into_iter().collect();
    assert!(
        circles.is_empty(),
        "files import each other:\n{}",
        circles.join("\n")
    );
}

#[test]
fn files_are_where_they_are_looked_for() {
    let workspace = Workspace::read();
    let mut wrong = Vec::new();
    for entry in root().join("xtask/src").read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.is_file() && path.file_name() != Some("main.rs") {
            wrong.push(format!("{path}: xtask/src holds main.rs and folders only"));
        }
    }
    for (module, path) in &workspace.files {
        let text = fs_err::read_to_string(path).unwrap();
        let shown = workspace.shown(module);
        let code = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        let lines = code.lines().count();
        if lines >= LONGEST {
            wrong.push(format!(
                "{shown}: {lines} lines without tests; fewer than {LONGEST} are wanted"
            ));
        }
        if !text.starts_with("//! ") {
            wrong.push(format!(
                "{shown}: the first line says what the file is for, after `//! `"
            ));
        }
        // Tests of whole builds know the one system that they run on.
        let may_differ = path.file_name() == Some("platform.rs") || module[0] == "test_support";
        if !may_differ && (code.contains("target_os") || code.contains("\"/proc")) {
            wrong.push(format!(
                "{shown}: what differs between systems is in the crate's platform.rs"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each rule fails over code that breaks it.
#[test]
fn rules_find_what_breaks_them() {
    let module = |names: &str| names.split("::").map(str::to_owned).collect::<Module>();
    let files = [
        "xtask",
        "xtask::commands::run",
        "xtask::commands::hash",
        "xtask::nix",
        "xtask::nix::eval",
        "sys",
        "sys::files",
        "vault",
    ];
    let workspace = Workspace {
        files: files
            .iter()
            .map(|file| (module(file), PathBuf::new()))
            .collect(),
    };
    let imports = |from: &str, code: &str| {
        let found = workspace.imports(&module(from), code);
        found.iter().map(|it| it.join("::")).collect::<Vec<_>>()
    };
    for (code, expected) in [
        (
            "use crate::commands::hash::run;",
            vec!["xtask::commands::hash"],
        ),
        (
            "use crate::{nix::{self, eval::X}, Cli};",
            vec!["xtask", "xtask::nix", "xtask::nix::eval"],
        ),
        ("fn a() { super::super::nix::f() }", vec!["xtask::nix"]),
        (
            "mod tests { use super::*; fn a() { super::super::hash::b() } }",
            vec!["xtask::commands::hash"],
        ),
        (
            "fn a() { sys::files::lock() + ::sys::x }",
            vec!["sys", "sys::files"],
        ),
        (
            "// crate::nix::x\nconst A: &str = \"crate::nix::x\"; const B: &str = r#\"\"crate::nix::x\"#;",
            vec![],
        ),
        (
            "let x: &'a str = '\"'; crate::nix::f(b'\\'');",
            vec!["xtask::nix"],
        ),
    ] {
        assert_eq!(imports("xtask::commands::run", code), expected, "{code}");
    }
    let floors = BTreeMap::from(
        [
            ("main.rs", 0),
            ("commands", 1),
            ("nix", 2),
            ("sys", 3),
            ("vault", 3),
        ]
        .map(|(room, floor)| (room.to_owned(), floor)),
    );
    let rule =
        |from: &str, to: &str| forbidden(&floors, &module(from), &module(to)).unwrap_or_default();
    assert_eq!(rule("xtask::commands::run", "xtask::nix::eval"), "");
    assert_eq!(rule("xtask::nix", "xtask::nix::eval"), "");
    assert!(rule("xtask::nix::eval", "xtask::commands::run").contains("down only"));
    assert!(rule("xtask::commands::run", "xtask::commands::hash").contains("never"));
    assert!(rule("sys::files", "vault").contains("one floor"));
    assert!(rule("xtask::odd", "vault").contains("table of floors"));
}
