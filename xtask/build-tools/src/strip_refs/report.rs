//! The report of a run: human-readable lines and JSON.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context as _, Result};

use super::options::Options;
use super::paths::Root;
use super::scan::Hash;
use super::tree::Scanned;
use crate::printable;

/// What an error of stdout is about.
pub const WRITING: &str = "writing to stdout";

/// How often each store path occurs, and where first.
type Counts = BTreeMap<Hash, (u64, Vec<u8>)>;

/// What holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The contents of a regular file.
    File,
    /// The member of an archive.
    Member,
    /// The target of a link.
    Link,
    /// The name of a file or folder.
    Name,
}

/// One reference.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// The path as it is shown; for a member the archive's, `!` and the member's name.
    pub path: &'a [u8],
    /// Bytes from the start of the contents, the target or the name to the hash.
    pub offset: u64,
    /// The hash.
    pub hash: &'a Hash,
    /// The name of the store path, if it is not among the known ones.
    pub name: Option<&'a [u8]>,
    /// What holds it.
    pub kind: Kind,
}

/// What is counted.
#[derive(Debug)]
pub struct Report<'a> {
    options: &'a Options,
    store: &'a [u8],
    scanned: &'a Scanned,
    counts: Counts,
    /// References, by kind.
    kinds: [u64; 4],
    /// References that are left at the end, or would be.
    pub left: u64,
}

impl<'a> Report<'a> {
    /// Nothing counted yet.
    pub fn new(options: &'a Options, store: &'a [u8], scanned: &'a Scanned) -> Self {
        Self {
            options,
            store,
            scanned,
            counts: Counts::new(),
            kinds: [0; 4],
            left: 0,
        }
    }

    /// Counts a reference, and writes the line that belongs to it.
    pub fn add(&mut self, out: &mut dyn Write, finding: &Finding<'_>) -> Result<()> {
        let is_neutralised = match finding.kind {
            Kind::File => !self.options.check,
            Kind::Link => !self.options.check && self.options.links,
            Kind::Member | Kind::Name => false,
        };
        self.left += u64::from(!is_neutralised);
        self.kinds[finding.kind as usize] += 1;
        let entry = self.counts.entry(*finding.hash);
        entry
            .or_insert_with(|| {
                (
                    0,
                    [finding.path, format!(":{}", finding.offset).as_bytes()].concat(),
                )
            })
            .0 += 1;
        let line = if self.options.json {
            self.json(finding)
        } else if is_neutralised && !self.options.dry_run {
            return Ok(());
        } else {
            self.line(finding)
        };
        out.write_all(&line).context(WRITING)
    }

    fn store_path(&self, hash: &Hash, name: Option<&[u8]>) -> Vec<u8> {
        let known = self.scanned.known.get(hash).map(Vec::as_slice);
        let name = name.or(known).unwrap_or(b"");
        let dash: &[u8] = if name.is_empty() { b"" } else { b"-" };
        [self.store, b"/", hash, dash, name].concat()
    }

    fn line(&self, finding: &Finding<'_>) -> Vec<u8> {
        let mut line = printable(finding.path);
        line.extend(format!(":{}: ", finding.offset).as_bytes());
        line.extend(self.store_path(finding.hash, finding.name));
        line.extend(match finding.kind {
            Kind::File => b"".as_slice(),
            Kind::Member => b" (in an archive)",
            Kind::Link => b" (where a link points to)",
            Kind::Name => b" (in the name)",
        });
        line.push(b'\n');
        line
    }

    fn json(&self, finding: &Finding<'_>) -> Vec<u8> {
        let path = json_string(finding.path);
        let store_path = json_string(&self.store_path(finding.hash, finding.name));
        let offset = finding.offset;
        format!("{{\"path\":{path},\"offset\":{offset},\"store_path\":{store_path}}}\n")
            .into_bytes()
    }

    /// Writes what could not be looked into.
    pub fn warn(&self, err: &mut dyn Write) {
        for warning in &self.scanned.warnings {
            // A closed stderr is no reason to stop.
            let _ = err.write_all(&[b"warning: ", printable(warning).as_slice(), b"\n"].concat());
        }
    }

    /// Writes the totals, and per store path how often it occurs and where first.
    pub fn summary(&self, err: &mut dyn Write, files: usize) {
        let options = self.options;
        let [contents, members, links, names] = self.kinds;
        let total: u64 = self.kinds.iter().sum();
        let size = human_size(self.scanned.bytes);
        // A closed stderr is no reason to stop.
        let _ = writeln!(
            err,
            "searched {}, {size}: {} to {}",
            count(self.scanned.files, "file"),
            count(total, "reference"),
            count(self.counts.len() as u64, "store path"),
        );
        let neutralised = if options.dry_run {
            "would be neutralised"
        } else {
            "neutralised"
        };
        let files = count(files as u64, "file");
        let what = [
            (
                contents,
                format!("in {files}"),
                if options.check { "left" } else { neutralised },
            ),
            (
                members,
                "in archives".to_owned(),
                "left: fix them where the archives are made",
            ),
            (
                links,
                "where links point to".to_owned(),
                match (options.check, options.links) {
                    (false, true) => neutralised,
                    _ => "left: `--links` neutralises them",
                },
            ),
            (names, "in names of files".to_owned(), "left: rename them"),
        ];
        for (number, place, fate) in what.iter().filter(|(number, ..)| *number > 0) {
            let _ = writeln!(err, "  {number} {place}: {fate}");
        }
        let rows: Vec<_> = self
            .counts
            .iter()
            .map(|(hash, (count, first))| (self.store_path(hash, None), *count, first))
            .collect();
        let width = rows
            .iter()
            .map(|(path, _, _)| path.len())
            .max()
            .unwrap_or(0);
        if !rows.is_empty() {
            let _ = writeln!(err, "\n{:width$}  {:>5}  first at", "store path", "count");
        }
        for (path, count, first) in rows {
            let path = String::from_utf8_lossy(&path);
            let first = printable(first);
            let _ = writeln!(
                err,
                "{path:width$}  {count:>5}  {}",
                String::from_utf8_lossy(&first)
            );
        }
    }

    /// Says what a run that was killed, or never came, left to do; whether there is any.
    pub fn unfinished(&self, err: &mut dyn Write, roots: &[Root]) -> bool {
        let killed = "a run was killed before its end: run `strip-refs` again";
        let lists = [
            (&self.scanned.journals, killed),
            (&self.scanned.leftovers, killed),
            (
                &self.scanned.doomed,
                "a venv made relocatable has none: run `strip-refs --venv`",
            ),
        ];
        for (places, remedy) in lists {
            for place in places {
                let shown = printable(&place.show(roots));
                let _ = writeln!(err, "`{}`: {remedy}", String::from_utf8_lossy(&shown));
            }
        }
        lists.iter().any(|(places, _)| !places.is_empty())
    }
}

/// `1 file`, `2 files`.
fn count(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// A human-readable size: powers of 1024, one decimal.
fn human_size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = (bytes, 0);
    let mut unit = None;
    for name in units {
        if value.0 < 1024 {
            break;
        }
        value = (value.0 / 1024, value.0 % 1024 * 10 / 1024);
        unit = Some(name);
    }
    match unit {
        Some(unit) => format!("{}.{} {unit}", value.0, value.1),
        None => format!("{bytes} B"),
    }
}

/// Bytes with what a terminal would obey shown as escapes. What is not UTF-8 stays.
fn printable(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.extend(printable::printable(chunk.valid()).as_bytes());
        text.extend(chunk.invalid());
    }
    text
}

/// A JSON string (RFC 8259). What is not UTF-8 becomes U+FFFD.
fn json_string(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\0'..' ' => text.extend(format!("\\u{:04x}", u32::from(character)).chars()),
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        assert_eq!(
            json_string(b"a\"\\\n\x01\xff\xc3\xa4"),
            "\"a\\\"\\\\\\u000a\\u0001\u{fffd}ä\""
        );
        assert_eq!(
            printable(b"a\nb\x1b[m\xff\xc2\x9b1m\xc2"),
            b"a\\x0ab\\x1b[m\xff\\u{9b}1m\xc2"
        );
    }

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (350 << 20, "350.0 MiB"),
            (8 << 30, "8.0 GiB"),
        ] {
            assert_eq!(human_size(bytes), expected);
        }
    }
}
