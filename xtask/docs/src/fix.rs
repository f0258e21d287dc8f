//! `--fix`: the changes that fix findings for certain.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use sys::inside::Inside;
use vault::card;
use vault::finding::{Finding, Fix};
use vault::place::{Place, offset};
use vault::tree::LARGEST;

use crate::say::say;
use crate::source::Source;

/// Fixes what is certain; the number of findings that were fixed.
///
/// A card may be a link to another one, which is changed then; what is outside of the vault is not, but for the files
/// that are checked `also`.
pub fn fix(source: &Source<'_>, also: &[Utf8PathBuf], findings: &[Finding]) -> Result<usize> {
    let mut files: BTreeMap<&Utf8Path, Vec<(&Finding, &Fix)>> = BTreeMap::new();
    for finding in findings {
        if let Some(fix) = &finding.fix {
            let path = match fix {
                Fix::Append(path, _) => path,
                Fix::Replace(..) | Fix::Value(..) => &finding.path,
            };
            files.entry(path).or_default().push((finding, fix));
        }
    }
    let vault = Inside::open(&source.root)?;
    let base = source.base().map(Inside::open).transpose()?;
    let mut count = 0;
    let mut written = BTreeSet::new();
    for (path, fixes) in files {
        let is_also = also.iter().any(|file| file == path);
        let folder = if is_also { base.as_ref() } else { Some(&vault) };
        let Ok(full) = source.root.join(path).canonicalize_utf8() else {
            continue;
        };
        let below =
            folder.and_then(|folder| Some((folder, full.strip_prefix(folder.path()).ok()?)));
        let Some((folder, below)) = below else {
            say(format!(
                "`{path}` is a link out of the vault: what is wrong there is not fixed"
            ));
            continue;
        };
        if !written.insert(full.clone()) {
            continue;
        }
        let text = String::from_utf8(folder.read(below, LARGEST)?)
            .with_context(|| format!("`{path}` is not UTF-8"))?;
        let fixes: Vec<&Fix> = fixes.into_iter().map(|(_, fix)| fix).collect();
        let (new, done) = fixed(&text, &fixes);
        count += done;
        if new != text {
            let mode = folder.find(below)?.map_or(0o644, |found| found.mode);
            folder.replace(below, new.as_bytes(), mode)?;
        }
    }
    Ok(count)
}

/// A card's text with these changes, and how many were made. Of changes of the same words the first is made:
/// the next round finds the other one, if it is still needed.
fn fixed(text: &str, fixes: &[&Fix]) -> (String, usize) {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut lines = BTreeSet::new();
    for fix in fixes {
        match fix {
            Fix::Replace(range, new) => edits.push((range.clone(), new.clone())),
            Fix::Value(place, new) => edits.push((scalar(text, *place), new.clone())),
            Fix::Append(_, line) => {
                lines.insert(line.clone());
            }
        }
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut new = String::with_capacity(text.len());
    let (mut done, mut free, mut count) = (0, 0, 0);
    for (range, with) in edits {
        if range.start >= free {
            new.push_str(&text[done..range.start]);
            new.push_str(&with);
            done = range.end;
            // An insertion changes its place, too, but removes nothing.
            free = range.end.max(range.start + usize::from(range.is_empty()));
            count += 1;
        }
    }
    new.push_str(text.get(done..).unwrap_or_default());
    for line in &lines {
        if let Some(longer) = with_entry(&new, line) {
            new = longer;
            count += 1;
        }
    }
    (new, count)
}

/// The range of a scalar of the front matter, without its quotes.
fn scalar(text: &str, place: Place) -> Range<usize> {
    let start = offset(text, place);
    let rest = &text[start..];
    match rest.chars().next().filter(|first| "'\"".contains(*first)) {
        Some(quote) => {
            let length = rest[1..].find(quote).unwrap_or(0);
            start + 1..start + 1 + length
        }
        None => {
            start
                ..start
                    + rest
                        .find([' ', '\t', '\r', '\n', '#'])
                        .unwrap_or(rest.len())
        }
    }
}

/// A landing page with another line at its end, if that is a link there, which it is not in HTML or in an
/// unclosed block.
fn with_entry(page: &str, line: &str) -> Option<String> {
    let stem = line.strip_prefix("- [[")?.strip_suffix("]]")?;
    let end = if page.contains("\r\n") { "\r\n" } else { "\n" };
    let is_whole = page.is_empty() || page.ends_with('\n');
    let gap = if is_whole { "" } else { end };
    let pages = ["", end].map(|blank| [page, gap, blank, line, end].concat());
    pages.into_iter().find(|new| {
        let links = card::read(new).links;
        let link = links.last().filter(|link| link.span.start() >= page.len());
        link.is_some_and(|link| link.target == stem && link.anchor.is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_card() {
        let text = "---\nmodified: 2026-01-01 # c\n---\n[[ a ]] [[B]]\n";
        let at = |part: &str| {
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let fixes = [
            &Fix::Replace(at(" a "), "a".to_owned()),
            &Fix::Replace(at("B"), "b".to_owned()),
            &Fix::Value(Place::new(2, 11), "2026-02-02".to_owned()),
            &Fix::Append("x.md".into(), "- [[new]]".to_owned()),
        ];
        let (new, count) = fixed(text, &fixes);
        assert_eq!(
            new,
            "---\nmodified: 2026-02-02 # c\n---\n[[a]] [[b]]\n- [[new]]\n"
        );
        assert_eq!(count, 4);
    }

    #[test]
    fn changes_of_the_same_words_come_one_after_the_other() {
        let fixes = [
            &Fix::Replace(2..6, "d/y".to_owned()),
            &Fix::Replace(3..6, "y".to_owned()),
        ];
        assert_eq!(fixed("[[ d/y|x]]", &fixes), ("[[d/y|x]]".to_owned(), 1));
        let fixes = [&Fix::Replace(4..7, "end".to_owned())];
        assert_eq!(fixed("the tail", &fixes).0, "the endl");
        let twice = Fix::Replace(2..2, "c\n".to_owned());
        assert_eq!(
            fixed("b\n```\n", &[&twice, &twice]),
            ("b\nc\n```\n".to_owned(), 1)
        );
        let day = || "2026-02-02".to_owned();
        for (text, new) in [
            (
                "---\nmodified: \"2026-01-01\"\n",
                "---\nmodified: \"2026-02-02\"\n",
            ),
            (
                "---\nmodified: '2026-01-01' # c\n",
                "---\nmodified: '2026-02-02' # c\n",
            ),
            ("---\nmodified: 2026-01-01", "---\nmodified: 2026-02-02"),
        ] {
            let fix = Fix::Value(Place::new(2, 11), day());
            assert_eq!(fixed(text, &[&fix]).0, new);
        }
    }

    #[test]
    fn entries_of_landing_pages_are_links_or_left_out() {
        for (page, line, expected) in [
            ("- [[a]]\n", "- [[b]]", Some("- [[a]]\n- [[b]]\n")),
            ("text", "- [[b]]", Some("text\n- [[b]]\n")),
            ("x\r\n", "- [[b]]", Some("x\r\n- [[b]]\r\n")),
            ("", "- [[b]]", Some("- [[b]]\n")),
            ("</details>\n", "- [[b]]", Some("</details>\n\n- [[b]]\n")),
            ("```\nopen\n", "- [[b]]", None),
            ("<!-- open\n", "- [[b]]", None),
            (
                "---\nno: front matter\n",
                "- [[b]]",
                Some("---\nno: front matter\n- [[b]]\n"),
            ),
            ("x\n", "- [[C#]]", None),
            ("x\n", "- [[a|b]]", None),
            ("x\n", "- [[[q]]]", None),
        ] {
            assert_eq!(
                with_entry(page, line).as_deref(),
                expected,
                "{page:?} {line}"
            );
        }
    }
}
