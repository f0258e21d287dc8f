//! Sources of the same version in other repositories than the one whose tags are the releases.

use crate::pins::{self, Pins};
use crate::update::git::{self, Tags};
use crate::update::preflight::{Kind, Note};
use crate::update::release::{self, Release};
use sys::process::Processes;
use sys::terminal;

/// Whether they have it, and how it is spelled.
pub fn notes(
    processes: &Processes,
    pins: &Pins,
    name_of_main: &str,
    main: &Tags,
    to: &Release,
) -> Vec<Note> {
    let mut notes = Vec::new();
    for (name, source) in pins.sources() {
        let git = source.places.iter().filter(
            |place| matches!(place, pins::Place::Git { rev, .. } if rev.contains("{version}")),
        );
        let git: Vec<_> = git.collect();
        let is_main = |place: &&pins::Place| matches!(place, pins::Place::Git { url, .. } if *url == main.url);
        if name == name_of_main || source.version.is_some() || git.is_empty() {
            continue;
        }
        if git.iter().any(is_main) {
            continue;
        }
        let (tags, _) = match git::first_tags(processes, git.into_iter()) {
            Ok(found) => found,
            Err(error) => {
                terminal::say(format!("`sources.{name}`: {error:#}"));
                continue;
            }
        };
        let tag = tags.pattern.replace("{version}", &to.to_string());
        if tags.commits.contains_key(&tag) {
            continue;
        }
        let others = source.places.iter();
        let mut others = others.filter(|place| !matches!(place, pins::Place::Git { .. }));
        let named = tags.commits.keys().map(String::as_str);
        let other = release::other_spelling(named, &tags.pattern, to);
        // Somebody looked at it, and made it a place of its own.
        let is_known = |place: &pins::Place| match place {
            pins::Place::Git { url, rev, .. } => *url == tags.url && Some(&**rev) == other,
            _ => false,
        };
        if source.places.iter().any(is_known) {
            continue;
        }
        let other = other.map_or_else(String::new, |tag| {
            format!("; its tag `{tag}` has the same numbers: if that is it, add a place with it as `rev`")
        });
        let (kind, rest) = match others.next() {
            None => (Kind::Decide, ""),
            Some(pins::Place::File(_)) if others.next().is_none() => (
                Kind::Information,
                "; of its places only a file in this repository is left",
            ),
            Some(_) => (Kind::Information, "; the other places of the pin are asked"),
        };
        notes.push(Note {
            kind,
            code: "tag-missing",
            what: format!(
                "`sources.{name}`: {} has no tag `{tag}`{rest}{other}",
                tags.url
            ),
            spots: Vec::new(),
        });
    }
    notes
}
