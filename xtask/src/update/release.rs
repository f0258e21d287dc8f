//! Releases by their tags: which are there, and which one is moved to.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Result, bail};

use crate::pins::Version;

/// The longest version that a tag may name, in bytes.
const LONGEST: usize = 64;

/// A release: numbers with dots between them, and what follows a `-` makes it a pre-release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    numbers: Vec<u64>,
    pre: Option<String>,
    text: String,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The newest final release of the same line.
    SameLine,
    /// The newest final release of the next line.
    NextLine,
    /// This one.
    Named(&'a Release),
}

/// What the releases mean for what is pinned.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// What is pinned is it.
    Current,
    /// To move to.
    Move(Release),
}

impl Release {
    /// The release of a version; none if it is no such version.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST || text.parse::<Version>().is_err() {
            return None;
        }
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) if !pre.is_empty() => (numbers, Some(pre.to_owned())),
            Some(_) => return None,
            None => (text, None),
        };
        let numbers: Option<Vec<u64>> = numbers
            .split('.')
            .map(|number| {
                let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| number.parse().ok())?
            })
            .collect();
        Some(Self {
            numbers: numbers.filter(|numbers| numbers.len() >= 2)?,
            pre,
            text: text.to_owned(),
        })
    }

    /// The line that it belongs to: the first two numbers.
    pub fn line(&self) -> [u64; 2] {
        [self.numbers[0], self.numbers[1]]
    }

    /// The line, as it is shown.
    pub fn shown_line(&self) -> String {
        let [first, second] = self.line();
        format!("{first}.{second}")
    }

    /// Whether it is a final release.
    pub fn is_final(&self) -> bool {
        self.pre.is_none()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => pieces(one).cmp(&pieces(two)),
        };
        self.numbers
            .cmp(&other.numbers)
            .then(pre)
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Letters and numbers of `rc10`, so that it comes after `rc9`.
fn pieces(text: &str) -> Vec<(String, u64)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digit = rest.find(|c: char| c.is_ascii_digit());
        let (word, from) = rest.split_at(digit.unwrap_or(rest.len()));
        let end = from.find(|c: char| !c.is_ascii_digit());
        let (number, left) = from.split_at(end.unwrap_or(from.len()));
        pieces.push((word.to_owned(), number.parse().unwrap_or(0)));
        rest = left;
    }
    pieces
}

/// The release to move to.
///
/// `all` is what there is, in any order. A downgrade and a line passed over are refused.
pub fn choose(pinned: &Release, all: &[Release], wanted: Wanted<'_>) -> Result<Choice> {
    let finals = || all.iter().filter(|release| release.is_final());
    let lines_after = || {
        let mut lines: Vec<[u64; 2]> = finals().map(Release::line).collect();
        lines.retain(|line| *line > pinned.line());
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    let newest_of = |line: [u64; 2]| finals().filter(|it| it.line() == line).max();
    match wanted {
        Wanted::SameLine => Ok(match newest_of(pinned.line()).filter(|it| *it > pinned) {
            Some(newest) => Choice::Move(newest.clone()),
            None => Choice::Current,
        }),
        Wanted::NextLine => match lines_after().first().and_then(|line| newest_of(*line)) {
            Some(newest) => Ok(Choice::Move(newest.clone())),
            None => bail!(
                "no line after {} has a final release: `--list` shows all",
                pinned.shown_line()
            ),
        },
        Wanted::Named(named) if named == pinned => Ok(Choice::Current),
        Wanted::Named(named) => {
            refuse(pinned, named, &lines_after(), newest_of)?;
            if !all.contains(named) {
                let near = all
                    .iter()
                    .map(|it| (strsim::jaro_winkler(&it.text, &named.text), it))
                    .max_by(|one, two| one.0.total_cmp(&two.0).then(one.1.cmp(two.1)));
                let near = near.map_or_else(String::new, |(_, it)| format!("; did you mean {it}?"));
                bail!("there is no release {named}: `--list` shows all{near}");
            }
            Ok(Choice::Move(named.clone()))
        }
    }
}

/// Refuses what a database can't follow: to go back, and to pass over a line.
pub fn refuse<'a>(
    pinned: &Release,
    named: &Release,
    lines_after: &[[u64; 2]],
    newest_of: impl Fn([u64; 2]) -> Option<&'a Release>,
) -> Result<()> {
    if named < pinned {
        bail!(
            "{named} is older than {pinned}, which is pinned: a database that was migrated does not go \
             back; `git revert` of the commit that moved the pins does, with a backup of the database"
        );
    }
    let between: Vec<String> = lines_after
        .iter()
        .filter(|line| **line < named.line())
        .filter_map(|line| newest_of(*line))
        .map(|release| format!("`--to {release}`"))
        .collect();
    if !between.is_empty() {
        bail!(
            "from {pinned} to {named} a line would be passed over, and its migrations with it: move by \
             {} first, and run each on the data",
            between.join(", then ")
        );
    }
    Ok(())
}

/// The release that a tag names, if it is spelled like `pattern`, which has `{version}` in it.
pub fn of_tag(tag: &str, pattern: &str) -> Option<Release> {
    let (before, after) = pattern.split_once("{version}")?;
    Release::parse(tag.strip_prefix(before)?.strip_suffix(after)?)
}

/// The tag of the same numbers, in whatever spelling: `v3.2026020.2` for 2026.2.2 where `v3.{version}` is
/// the pattern. Zeros say nothing where they fill up.
pub fn other_spelling<'t>(
    tags: impl Iterator<Item = &'t str>,
    pattern: &str,
    release: &Release,
) -> Option<&'t str> {
    let (before, after) = pattern.split_once("{version}")?;
    let digits = |text: &str| -> String {
        let plain = text.chars().filter(|c| !matches!(c, '0' | '.'));
        plain.collect()
    };
    let wanted = digits(&release.text);
    let mut fitting = tags.filter(|tag| {
        let middle = tag
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        middle.is_some_and(|middle| digits(middle) == wanted)
    });
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        Release::parse(text).unwrap()
    }

    fn releases() -> Vec<Release> {
        let all = "2025.12.4 2026.2.0-rc1 2026.2.0 2026.2.1 2026.2.10 2026.2.2 2026.2.11-rc1 2026.4.0-rc1 \
                   2026.5.0 2026.5.6 2026.8.1-rc2 2026.8.1";
        all.split(' ').map(release).collect()
    }

    #[test]
    fn releases_are_in_order() {
        let sorted = [
            "2025.12.4",
            "2026.2.0-rc2",
            "2026.2.0-rc10",
            "2026.2.0",
            "2026.2.2",
            "2026.2.10",
            "2026.10.0",
        ];
        let mut all: Vec<Release> = sorted.iter().rev().map(|it| release(it)).collect();
        all.sort();
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(all, sorted);
        let long = format!("1.{}", "0".repeat(80));
        for odd in [
            "", "2026", "v2026.2", "2026.2.x", "2026.2-", "1..2", "1.2\n", "-c.1", &long,
        ] {
            assert_eq!(Release::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_moved_to() {
        let choose = |pinned: &str, wanted: Wanted<'_>| {
            let choice = choose(&release(pinned), &releases(), wanted);
            match choice {
                Ok(Choice::Current) => "current".to_owned(),
                Ok(Choice::Move(to)) => to.to_string(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(choose("2026.2.0", Wanted::SameLine), "2026.2.10");
        assert_eq!(choose("2026.2.0-rc1", Wanted::SameLine), "2026.2.10");
        assert_eq!(choose("2026.2.10", Wanted::SameLine), "current");
        // No pre-release unless it is named; a line of pre-releases only is no line.
        assert_eq!(choose("2026.2.0", Wanted::NextLine), "2026.5.6");
        let named = |pinned: &str, to: &str| choose(pinned, Wanted::Named(&release(to)));
        assert_eq!(named("2026.2.0", "2026.2.11-rc1"), "2026.2.11-rc1");
        assert_eq!(named("2026.2.0", "2026.2.0"), "current");
        assert_eq!(named("2026.2.0", "2026.5.0"), "2026.5.0");
        for (pinned, to, expected) in [
            ("2026.2.0", "2025.12.4", "`git revert`"),
            ("2026.2.0", "2026.8.1", "move by `--to 2026.5.6` first"),
            (
                "2025.12.4",
                "2026.8.1",
                "`--to 2026.2.10`, then `--to 2026.5.6`",
            ),
            ("2026.2.0", "2026.2.9", "there is no release 2026.2.9"),
        ] {
            let refused = named(pinned, to);
            assert!(refused.contains(expected), "{refused}");
        }
        let last = choose("2026.8.1", Wanted::NextLine);
        assert!(last.contains("no line after 2026.8"), "{last}");
    }

    #[test]
    fn tags_and_their_spellings() {
        assert_eq!(
            of_tag("version/2026.2.1", "version/{version}"),
            Some(release("2026.2.1"))
        );
        for odd in [
            "version/",
            "2026.2.1",
            "version/2026.2.1/x",
            "version/--upload-pack=x",
        ] {
            assert_eq!(of_tag(odd, "version/{version}"), None, "{odd}");
        }
        let tags = [
            "v3.2026.2.1",
            "v3.2026020.2",
            "v3.2026020.3",
            "v4.2026020.2",
        ];
        let other = |version| other_spelling(tags.into_iter(), "v3.{version}", &release(version));
        assert_eq!(other("2026.2.2"), Some("v3.2026020.2"));
        assert_eq!(other("2026.2.4"), None);
    }
}
