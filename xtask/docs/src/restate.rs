//! Versions that cards state: when what they describe moves to another one, so do they.

use std::time::SystemTime;

use vault::card;
use vault::date::Date;
use vault::edits;

/// A version that becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// Only in lines that hold this text, if any.
    pub beside: Option<String>,
}

/// The text of a card with versions that moved, and `modified` set to today; none if it states none of them, or has
/// not all of these tags. What is in a block of code was recorded, and stays.
pub fn restated(text: &str, tags: &[&str], moved: &[Moved]) -> Option<String> {
    let front = card::read(text).front?;
    let own = front.texts("tags");
    if !tags.iter().all(|tag| own.contains(tag)) {
        return None;
    }
    let body = edits::body(text);
    let (before, body) = text.split_at(body);
    let mut is_code = false;
    let mut new = before.to_owned();
    for line in body.split_inclusive('\n') {
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with("~~~") {
            is_code = !is_code;
        }
        let mut line = line.to_owned();
        for it in moved {
            let applies = it.beside.as_ref().is_none_or(|part| line.contains(part));
            if !is_code && applies {
                line = replaced(&line, &it.from, &it.to);
            }
        }
        new.push_str(&line);
    }
    if new == text {
        return None;
    }
    let today = Date::of(SystemTime::now()).to_string();
    if let Some((place, words)) = edits::value(&new, &front, "modified", &today) {
        new.replace_range(place, &words);
    }
    Some(new)
}

/// A line in which a version is another one, wherever it is all of a version: in `v3.2026.2.0` and in `2026.2.0-rc1`
/// 2026.2.0 is a part of another.
fn replaced(line: &str, from: &str, to: &str) -> String {
    let mut new = String::new();
    let mut rest = line;
    let mut behind = None;
    while let Some(at) = rest.find(from) {
        let end = at + from.len();
        let before = rest[..at].chars().next_back().or(behind);
        let after = &rest[end..];
        let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '_');
        let goes_on = after.starts_with(follows)
            || after
                .strip_prefix('.')
                .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
        let is_part = before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        new.push_str(&rest[..at]);
        new.push_str(if is_part || goes_on { from } else { to });
        behind = from.chars().next_back();
        rest = after;
    }
    new + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_card_states() {
        let card = "---\ntitle: A\nmodified: 2026-01-01\ntags:\n  - reference\n  - app\n---\n\n# A 1.2.0\n\n\
                    The app, 1.2.0. Tag `version/1.2.0`, not v3.1.2.0, 1.2.0.1, 1.2.0-rc1 or 11.2.0.\n\n\
                    | plugin | 0.1.0 |\n| other | 0.1.0 |\n\n```console\n$ app 1.2.0\n```\n";
        let moved = |from: &str, to: &str, beside: Option<&str>| Moved {
            from: from.to_owned(),
            to: to.to_owned(),
            beside: beside.map(str::to_owned),
        };
        let all = [
            moved("1.2.0", "1.2.1", None),
            moved("0.1.0", "0.2.0", Some("plugin")),
        ];
        let new = restated(card, &["reference", "app"], &all).unwrap();
        let today = Date::of(SystemTime::now());
        let expected = format!(
            "---\ntitle: A\nmodified: {today}\ntags:\n  - reference\n  - app\n---\n\n# A 1.2.1\n\n\
             The app, 1.2.1. Tag `version/1.2.1`, not v3.1.2.0, 1.2.0.1, 1.2.0-rc1 or 11.2.0.\n\n\
             | plugin | 0.2.0 |\n| other | 0.1.0 |\n\n```console\n$ app 1.2.0\n```\n"
        );
        assert_eq!(new, expected);
        assert_eq!(restated(card, &["other"], &all), None);
        assert_eq!(restated(card, &["app"], &[moved("3.0", "3.1", None)]), None);
        assert_eq!(restated("no card", &[], &all), None);
    }
}
