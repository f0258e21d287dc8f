//! What git's log says of cards: the day of the last change, and earlier names.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use vault::date::Date;
use vault::resolve::stem;
use vault::rules::settings::Resolve;

use crate::config::Config;
use crate::say::say;
use crate::source::Source;

impl Source<'_> {
    /// The day of each card's last change.
    pub fn changed(&self) -> Result<HashMap<Utf8PathBuf, Date>> {
        if self
            .git()
            .output(&["rev-parse", "--is-shallow-repository"])?
            .trim()
            == "true"
        {
            say(
                "NOT CHECKED: `modified` against git, because this is a shallow clone: \
                 `git fetch --unshallow` brings the rest",
            );
            return Ok(HashMap::new());
        }
        let folder = self.root.as_str();
        let log = self.git().output(&[
            "log",
            "--no-renames",
            "--format=%x01%cs",
            "--name-only",
            "-z",
            "--",
            folder,
        ])?;
        Ok(days_of_changes(&log, self.below_git()))
    }

    /// The files and folders of the vault in which nothing is reported because git ignores them.
    pub fn passed_over(&self, config: &Config) -> HashSet<Utf8PathBuf> {
        if config.gitignore && config.rules.resolve != Resolve::Both {
            self.ignored()
        } else {
            HashSet::new()
        }
    }

    /// The files and folders of the vault that git ignores. Without a repository, nothing.
    fn ignored(&self) -> HashSet<Utf8PathBuf> {
        let folder = self.root.as_str();
        let listed = self.git().output(&[
            "ls-files",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
            "-z",
            "--",
            folder,
        ]);
        let listed = listed.unwrap_or_default();
        let below = |path: &str| {
            let path = Utf8Path::new(path.trim_end_matches('/'));
            let path = path.strip_prefix(self.below_git()).ok()?;
            // A vault that is ignored itself was asked for.
            (!path.as_str().is_empty()).then(|| path.to_owned())
        };
        listed.split_terminator('\0').filter_map(below).collect()
    }

    /// What cards were called before, by what is staged and by the history. Where there is none, nothing.
    pub fn renamed(&self) -> HashMap<String, String> {
        let folder = self.root.as_str();
        let staged = self.git().output(&[
            "diff",
            "--cached",
            "--diff-filter=R",
            "-M",
            "--name-status",
            "HEAD",
            "--",
            folder,
        ]);
        let log = self.git().output(&[
            "log",
            "--diff-filter=R",
            "-M",
            "--format=",
            "--name-status",
            "HEAD",
            "--",
            folder,
        ]);
        // The newest comes first.
        renames(&(staged.unwrap_or_default() + &log.unwrap_or_default()))
    }
}

/// Days by path from `git log --format=%x01%cs --name-only -z`: the newest comes first.
fn days_of_changes(log: &str, below: &Utf8Path) -> HashMap<Utf8PathBuf, Date> {
    let mut days = HashMap::new();
    let mut day = None;
    for part in log.split(['\0', '\n', '\u{1}']) {
        if let Some(date) = Date::parse(part) {
            day = Some(date);
        } else if let Some(day) = day
            && let Ok(path) = Utf8Path::new(part).strip_prefix(below)
            && !part.is_empty()
        {
            days.entry(path.to_owned()).or_insert(day);
        }
    }
    days
}

/// Stems of old and new from lines `R100<tab>old<tab>new`, newest first. Chains are followed.
fn renames(log: &str) -> HashMap<String, String> {
    let mut renamed: HashMap<String, String> = HashMap::new();
    for line in log.lines() {
        let mut parts = line.split('\t');
        let (Some(_), Some(old), Some(new)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (old, new) = (stem(old).to_owned(), stem(new).to_owned());
        if old != new {
            let now = renamed.get(&new).cloned().unwrap_or(new);
            renamed.entry(old).or_insert(now);
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_names_from_git() {
        let log = "\u{1}2026-02-03\0\ndocs/a.md\0docs/b/c.md\0\u{1}2025-01-01\0\ndocs/a.md\0x\0";
        let days = days_of_changes(log, Utf8Path::new("docs"));
        assert_eq!(days.len(), 2);
        assert_eq!(days[Utf8Path::new("a.md")].to_string(), "2026-02-03");
        let log = "R100\td/two.md\td/three.md\nR090\td/one.md\te/two.md\nR100\td/x.md\te/x.md\n";
        let renamed = renames(log);
        assert_eq!(renamed["one"], "three");
        assert_eq!(renamed["two"], "three");
        assert_eq!(renamed.len(), 2);
    }
}
