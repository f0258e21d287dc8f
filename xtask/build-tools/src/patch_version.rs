//! Inlines the version of a `package.json` into a JavaScript module.
//!
//! `import Package from "../package.json" with { type: "json" };` goes, and `Package.version` becomes
//! `"2026.2.0"`; every other byte stays. What is not understood is refused with its place.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "each error gets its path here: one crate less to vendor for Nix"
)]

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

use crate::javascript::{self, Kind, Token, is_line_end};
use crate::printable::printable;
use crate::semver;

const USAGE: &str = "usage: build-tools patch-version FILE VERSION [--check | --dry-run]

Replaces `Package.version` by the version itself in a JavaScript module that imports a package.json,
and removes the import.

  --check     change nothing; exit code 1 if the file does not have that version
  --dry-run   change nothing, show the lines that would change

Exit codes: 0 success, 1 `--check` found another version or none, 2 could not run.
";

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The module; a link is followed.
    pub file: PathBuf,
    /// The version, as Semantic Versioning has them.
    pub version: String,
    /// Only say whether it has that version.
    pub check: bool,
    /// Only say what would change.
    pub dry_run: bool,
}

/// Why a module is refused, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Refusal {}

/// The pieces of a module that change: byte ranges in order, and what takes their place. None: it has
/// that version already.
pub type Edits = Vec<(Range<usize>, String)>;

/// The command `build-tools patch-version`, with the arguments after its name.
pub fn cli(arguments: &[OsString]) -> Result<ExitCode> {
    let mut options = Options::default();
    let mut plain = Vec::new();
    let mut only_plain = false;
    for argument in arguments {
        match argument.to_str().filter(|_| !only_plain) {
            Some("-h" | "--help") => {
                std::io::stdout().lock().write_all(USAGE.as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            }
            Some("--check") => options.check = true,
            Some("--dry-run") => options.dry_run = true,
            Some("--") => only_plain = true,
            Some(option) if option.starts_with('-') => {
                bail!("there is no option `{option}`\n\n{USAGE}")
            }
            _ => plain.push(argument),
        }
    }
    let [file, version] = plain[..] else {
        bail!("a file and a version are wanted\n\n{USAGE}");
    };
    ensure!(
        !(options.check && options.dry_run),
        "`--check` and `--dry-run` cannot be used together"
    );
    options.file = file.into();
    options.version = version.to_string_lossy().into_owned();
    run(&options, &mut std::io::stdout().lock())
}

/// Runs the command; `out` gets the changed lines of `--dry-run` and the finding of `--check`.
pub fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let shown = options.file.display();
    ensure!(
        semver::is_version(&options.version),
        "`{}` is not a version: MAJOR.MINOR.PATCH is expected, as in 2026.2.0, 2026.2.0-rc1 or 2026.2.0+build",
        options.version
    );
    // the file that a link leads to is replaced, the link stays
    let path = std::fs::canonicalize(&options.file).with_context(|| shown.to_string())?;
    ensure!(path.is_file(), "{shown}: not a file");
    let bytes = std::fs::read(&path).with_context(|| shown.to_string())?;
    let source = match std::str::from_utf8(&bytes) {
        Ok(source) => source,
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let refusal = refusal(&before, before.len(), "the byte here is not UTF-8");
            bail!("{shown}:{refusal}");
        }
    };
    let edits = match edits(source, &options.version) {
        Ok(edits) => edits,
        Err(refusal) => bail!("{shown}:{refusal}"),
    };
    if edits.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if options.check {
        let place = refusal(source, edits[0].0.start, "");
        writeln!(
            out,
            "{shown}:{}:{}: not-patched: the version is not the literal `{}`: `patch-version {shown} {}` puts it there",
            place.line, place.column, options.version, options.version
        )?;
        return Ok(ExitCode::FAILURE);
    }
    if options.dry_run {
        out.write_all(changes(source, &edits).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    write(&path, apply(source, &edits).as_bytes()).with_context(|| shown.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Replaces a file in one piece, with its mode.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path
        .file_name()
        .context("it has no name")?
        .to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(std::fs::metadata(path)?.permissions())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // what counts is the error that led here
        let _ = std::fs::remove_file(&temporary);
    })?;
    Ok(())
}

/// A module with these pieces replaced.
pub fn apply(source: &str, edits: &Edits) -> String {
    let mut patched = String::with_capacity(source.len());
    let mut end = 0;
    for (range, text) in edits {
        patched += &source[end..range.start];
        patched += text;
        end = range.end;
    }
    patched + &source[end..]
}

/// The lines that change, each as it was and as it becomes, safe to show. (Writing to a string can't fail.)
fn changes(source: &str, edits: &Edits) -> String {
    let mut shown = String::new();
    for (range, text) in edits {
        let start = source[..range.start]
            .rfind(is_line_end)
            .map_or(0, |at| at + 1);
        let end = source[range.end..]
            .find(is_line_end)
            .map_or(source.len(), |at| range.end + at);
        let whole_lines = text.is_empty() && source[..range.end].ends_with(is_line_end);
        let old = if whole_lines {
            &source[range.clone()]
        } else {
            &source[start..end]
        };
        for line in old.trim_end_matches(is_line_end).split(is_line_end) {
            let _ = writeln!(shown, "-{}", printable(line));
        }
        if !whole_lines {
            let (before, after) = (&source[start..range.start], &source[range.end..end]);
            let line = format!("{before}{text}{after}");
            let _ = writeln!(shown, "+{}", printable(&line));
        }
    }
    shown
}

/// What has to change in a module, so that it has that version.
pub fn edits(source: &str, version: &str) -> Result<Edits, Refusal> {
    let tokens = match javascript::tokens(source) {
        Ok(tokens) => tokens,
        Err(unfinished) => {
            let message = format!(
                "this is not a JavaScript module: {} begins here",
                unfinished.what
            );
            return Err(refusal(source, unfinished.at, &message));
        }
    };
    let module = Module { source, tokens };
    let imports = module.imports()?;
    match &imports[..] {
        [] => module.patched_before(version),
        [import] => module.patch(import, version),
        [_, second, ..] => Err(refusal(
            source,
            second.bytes.start,
            "this is the second import of a `package.json`: one is expected, for which of them has the version can't be told",
        )),
    }
}

/// An import of a `package.json`.
struct Import {
    /// The name that it is bound to.
    binding: String,
    /// Its tokens, the semicolon included.
    tokens: Range<usize>,
    /// Its bytes.
    bytes: Range<usize>,
}

struct Module<'a> {
    source: &'a str,
    tokens: Vec<Token>,
}

impl Module<'_> {
    fn text(&self, index: usize) -> &str {
        self.tokens
            .get(index)
            .map_or("", |token| &self.source[token.range.clone()])
    }

    fn before(&self, index: usize) -> &str {
        index.checked_sub(1).map_or("", |before| self.text(before))
    }

    fn is(&self, index: usize, kind: Kind) -> bool {
        self.tokens
            .get(index)
            .is_some_and(|token| token.kind == kind)
    }

    fn refuse<T>(&self, index: usize, message: &str) -> Result<T, Refusal> {
        let at = self
            .tokens
            .get(index)
            .map_or(self.source.len(), |token| token.range.start);
        Err(refusal(self.source, at, message))
    }

    /// Whether another token begins on a later line than this one ends.
    fn line_ends_after(&self, index: usize) -> bool {
        match (self.tokens.get(index), self.tokens.get(index + 1)) {
            (Some(this), Some(next)) => {
                self.source[this.range.end..next.range.start].contains(is_line_end)
            }
            _ => true,
        }
    }

    /// The imports of a `package.json` beside or above the module. Those of other packages have bare names.
    fn imports(&self) -> Result<Vec<Import>, Refusal> {
        let mut imports = Vec::new();
        let mut depth = 0_usize;
        for index in 0..self.tokens.len() {
            match self.text(index) {
                "{" | "(" | "[" if self.is(index, Kind::Mark) => depth += 1,
                "}" | ")" | "]" if self.is(index, Kind::Mark) => depth -= 1,
                "import" if depth == 0 && !matches!(self.before(index), "." | "?.") => {
                    if let Some(import) = self.import(index)? {
                        imports.push(import);
                    }
                }
                _ => {}
            }
            let token = &self.tokens[index];
            if token.kind == Kind::Template {
                let text = self.text(index);
                depth += usize::from(text.ends_with("${"));
                depth -= usize::from(text.starts_with('}'));
            }
        }
        Ok(imports)
    }

    /// The import that begins at a token, if it is of a `package.json`.
    fn import(&self, start: usize) -> Result<Option<Import>, Refusal> {
        // the string after `from`, or at once; anything else is `import(...)`, `import.meta`
        let mut at = start + 1;
        if matches!(self.text(at), "(" | ".") {
            return Ok(None);
        }
        while !self.is(at, Kind::Text) {
            let goes_on = self.is(at, Kind::Word) || matches!(self.text(at), "*" | "{" | "}" | ",");
            if !goes_on {
                return Ok(None);
            }
            at += 1;
        }
        let specifier = at;
        let name = self.text(specifier);
        let name = &name[1..name.len() - 1];
        let is_relative = name.starts_with("./") || name.starts_with("../");
        if !is_relative || !name.ends_with("/package.json") {
            return Ok(None);
        }

        let clause: Vec<&str> = (start + 1..specifier)
            .map(|index| self.text(index))
            .collect();
        let binding = match clause[..] {
            [name, "from"]
            | ["*", "as", name, "from"]
            | ["{", "default", "as", name, "}", "from"]
            | ["{", "default", "as", name, ",", "}", "from"]
                if name.starts_with(|first: char| {
                    first.is_alphabetic() || first == '_' || first == '$'
                }) && !name.contains('\\') =>
            {
                name.to_owned()
            }
            _ => {
                return self.refuse(
                    start,
                    "this import binds no name to the whole `package.json`: `import Package from \"…/package.json\"` is expected",
                );
            }
        };

        let mut end = specifier + 1;
        let has_clause = self.text(end) == "with"
            || self.text(end) == "assert" && !self.line_ends_after(specifier);
        if has_clause && self.text(end + 1) == "{" {
            let close =
                (end..self.tokens.len()).find(|close| self.tokens[*close].opener == Some(end + 1));
            let Some(close) = close else {
                return self.refuse(end, "the import's attributes do not end");
            };
            end = close + 1;
        }
        if self.text(end) == ";" {
            end += 1;
        } else if end < self.tokens.len() && !self.line_ends_after(end - 1) {
            return self.refuse(
                end,
                "a semicolon or the end of the line is expected after the import",
            );
        }
        let mut inside = self.tokens[start + 1..end].iter();
        if inside.any(|token| token.after_comment) {
            return self.refuse(
                start,
                "there is a comment inside of the import, which would be lost with it: move it",
            );
        }
        Ok(Some(Import {
            binding,
            tokens: start..end,
            bytes: self.tokens[start].range.start..self.tokens[end - 1].range.end,
        }))
    }

    fn patch(&self, import: &Import, version: &str) -> Result<Edits, Refusal> {
        let mut edits = vec![self.removal(import)];
        let mut uses = 0;
        for index in 0..self.tokens.len() {
            if import.tokens.contains(&index)
                || !self.is(index, Kind::Word)
                || unescaped(self.text(index)) != import.binding
                || matches!(self.before(index), "." | "?.")
                || self.is_key(index)
            {
                continue;
            }
            let end = self.version_of(index, &import.binding)?;
            let range = self.tokens[index].range.start..self.tokens[end].range.end;
            edits.push((range, format!("\"{version}\"")));
            uses += 1;
        }
        if uses == 0 {
            let message = format!(
                "nothing uses `{0}`: `{0}.version` is expected somewhere",
                import.binding
            );
            return Err(refusal(self.source, import.bytes.start, &message));
        }
        edits.sort_by_key(|(range, _)| range.start);
        Ok(edits)
    }

    /// Whether a word is the name of an object's property, `{ name: … }`.
    fn is_key(&self, index: usize) -> bool {
        if self.text(index + 1) != ":" || !matches!(self.before(index), "{" | ",") {
            return false;
        }
        let mut depth = 0;
        for before in (0..index).rev() {
            let token = &self.tokens[before];
            if token.kind != Kind::Mark {
                continue;
            }
            match self.text(before) {
                "}" | ")" | "]" => depth += 1,
                "{" | "(" | "[" if depth > 0 => depth -= 1,
                "{" => return token.is_object,
                "(" | "[" => return false,
                _ => {}
            }
        }
        false
    }

    /// The last token of `Binding.version`, which begins at `index` and is only read.
    fn version_of(&self, index: usize, binding: &str) -> Result<usize, Refusal> {
        let end = index + 2;
        if !matches!(self.text(index + 1), "." | "?.") || self.text(end) != "version" {
            let message = format!(
                "`{binding}` is used for something other than `{binding}.version`, which alone can become a literal"
            );
            return self.refuse(index, &message);
        }
        if self.tokens[index + 1].after_comment || self.tokens[end].after_comment {
            return self.refuse(
                index,
                "there is a comment inside of this, which would be lost: move it",
            );
        }
        let next = self.text(end + 1);
        let assigned = next.ends_with('=')
            && !matches!(next, "==" | "===" | "!=" | "!==" | "<=" | ">=")
            && self.is(end + 1, Kind::Mark);
        let counted = |text: &str| matches!(text, "++" | "--");
        let iterated = matches!(next, "of" | "in")
            && (self.before(index) == "("
                && index >= 2
                && matches!(self.text(index - 2), "for" | "await"));
        if assigned
            || (counted(next) && !self.line_ends_after(end))
            || counted(self.before(index))
            || matches!(self.before(index), "delete" | "@")
            || iterated
            || self.is_target(index, end)
        {
            let message =
                format!("`{binding}.version` is changed here: a literal can only be read");
            return self.refuse(index, &message);
        }
        Ok(end)
    }

    /// Whether a value goes into what stands from `index` to `end`: `[a] = b`, `for ({ x: a } of b)`.
    fn is_target(&self, index: usize, end: usize) -> bool {
        let (mut start, mut end) = (index, end);
        loop {
            // a default value is read, whatever it is in
            if self.before(start) == "=" {
                return false;
            }
            let mut close = end + 1;
            while close < self.tokens.len() {
                match self.tokens[close].opener {
                    Some(open) if open < start => break,
                    _ => close += 1,
                }
            }
            if close >= self.tokens.len() {
                return false;
            }
            let next = self.text(close + 1);
            if matches!(self.text(close), "]" | "}")
                && (next == "=" || next == "of" || (next == "in" && self.is_of_for(close)))
            {
                return true;
            }
            start = self.tokens[close].opener.unwrap_or_default();
            end = close;
        }
    }

    /// Whether the brackets that close here come first in `for (`.
    fn is_of_for(&self, close: usize) -> bool {
        let open = self.tokens[close].opener.unwrap_or_default();
        self.before(open) == "(" && open >= 2 && matches!(self.text(open - 2), "for" | "await")
    }

    /// What goes with an import: itself; its lines, if it is alone on them.
    ///
    /// A semicolon stays where the statement before has none and the one behind could be read as its
    /// continuation.
    fn removal(&self, import: &Import) -> (Range<usize>, String) {
        let before = import.tokens.start.checked_sub(1);
        let continues = self
            .text(import.tokens.end)
            .starts_with(['(', '[', '/', '+', '-', '`']);
        if before.is_some_and(|before| self.text(before) != ";") && continues {
            return (import.bytes.clone(), ";".to_owned());
        }
        let Range { start, end } = import.bytes;
        let line = self.source[..start]
            .char_indices()
            .rev()
            .find(|(_, c)| is_line_end(*c))
            .map_or(0, |(at, c)| at + c.len_utf8());
        let indented = self.source[line..start].trim_start_matches('\u{feff}');
        let line = start - indented.len();
        let rest = &self.source[end..];
        let blank = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_whitespace() && !is_line_end(c))
                .len();
        let ending = &rest[blank..];
        let ending = match ending.chars().next() {
            None => 0,
            Some('\r') if ending.starts_with("\r\n") => 2,
            Some(c) if is_line_end(c) => c.len_utf8(),
            Some(_) => return (import.bytes.clone(), String::new()),
        };
        if !indented.trim().is_empty() {
            return (import.bytes.clone(), String::new());
        }
        (line..end + blank + ending, String::new())
    }

    /// For a module without the import: the version that was put there, by what it is called.
    fn patched_before(&self, version: &str) -> Result<Edits, Refusal> {
        let literals: Vec<usize> = (0..self.tokens.len())
            .filter(|index| self.is(*index, Kind::Text))
            .filter(|index| {
                let text = self.text(*index);
                semver::is_version(&text[1..text.len() - 1])
            })
            .collect();
        let unquoted = |index: usize| {
            let text = self.text(index);
            &text[1..text.len() - 1]
        };
        let named: Vec<usize> = literals
            .iter()
            .copied()
            .filter(|index| self.is_called_version(*index))
            .collect();
        let (Some(first), all_same) = (
            named.first().copied(),
            named
                .iter()
                .all(|index| unquoted(*index) == unquoted(named[0])),
        ) else {
            // where it has no such name, it can be known again, not replaced
            if literals.iter().any(|index| unquoted(*index) == version) {
                return Ok(Edits::new());
            }
            return Err(refusal(
                self.source,
                0,
                "there is no import of a `package.json` here, and no version that was put in its place: `import Package from \"…/package.json\"` and `Package.version` are expected",
            ));
        };
        if !all_same {
            let other = named
                .iter()
                .find(|index| unquoted(**index) != unquoted(first));
            return self.refuse(
                other.copied().unwrap_or(first),
                &format!("this version differs from `{}` above, and no import of a `package.json` says which is meant: one is expected", unquoted(first)),
            );
        }
        if unquoted(first) == version {
            return Ok(Edits::new());
        }
        Ok(named
            .iter()
            .map(|index| {
                let range = self.tokens[*index].range.clone();
                (range.start + 1..range.end - 1, version.to_owned())
            })
            .collect())
    }

    /// Whether a literal is what something with `version` in its name is set to: `aVersion = (("1.2.3"))`.
    fn is_called_version(&self, index: usize) -> bool {
        let mut at = index;
        while at > 0 && self.text(at - 1) == "(" {
            at -= 1;
        }
        at >= 2
            && matches!(self.text(at - 1), "=" | ":")
            && self.text(at - 2).to_lowercase().contains("version")
    }
}

/// A word with its escapes read, which name the same as the characters themselves.
fn unescaped(word: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, escape)) = rest.split_once("\\u") {
        text += before;
        let (digits, after) = match escape.strip_prefix('{').and_then(|it| it.split_once('}')) {
            Some(braced) => braced,
            None => escape.split_at_checked(4).unwrap_or((escape, "")),
        };
        let read = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32);
        text.extend(read);
        rest = after;
    }
    text + rest
}

/// A refusal at a byte.
fn refusal(source: &str, at: usize, message: &str) -> Refusal {
    let before = &source[..at];
    let mut line = 1;
    let mut start = 0;
    let mut chars = before.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        let is_pair = c == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n');
        if is_line_end(c) && !is_pair {
            line += 1;
            start = index + c.len_utf8();
        }
    }
    Refusal {
        line,
        column: before[start..]
            .trim_start_matches('\u{feff}')
            .chars()
            .count()
            + 1,
        message: message.to_owned(),
    }
}

#[cfg(test)]
#[path = "patch_version/tests.rs"]
mod tests;
