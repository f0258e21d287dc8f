//! From a plan to texts: composed, read again and verified.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::change::Links;
use super::compose::{Composed, Composer};
use super::documents::is_document;
use super::follow::{Follower, LinkTarget};
use super::moved::Moved;
use super::old_vault::{Among, OldVault, Texts, read};
use super::plan::Plan;

/// Puts the cards together as a plan says; `section` is the card that becomes a section of another.
pub(super) fn carry_out(
    texts: &mut Texts,
    moved: &Moved,
    section: Option<&Utf8Path>,
    among: &Among<'_>,
    plan: impl FnOnce(&OldVault<'_>, &Follower<'_>) -> Result<Plan>,
) -> Result<Links> {
    let before = read(texts, among, None);
    let was = Follower::new(&before);
    let mut link_targets: Vec<Vec<LinkTarget>> = Vec::new();
    link_targets.resize_with(before.texts.len(), Vec::new);
    for card in &before.read {
        link_targets[*card] = was.link_targets(*card);
    }
    let plan = plan(&before, &was)?;
    let no_texts = Texts::new();
    let cards = plan.keys().filter(|path| !is_document(path));
    let cards: Vec<Utf8PathBuf> = cards.chain(among.cards).cloned().collect();
    let among_after = Among {
        cards: &cards,
        ..*among
    };
    let after = read(&no_texts, &among_after, Some(moved));
    let is = Follower {
        is_strict: true,
        ..Follower::new(&after)
    };
    let mut composer = Composer {
        before: &before,
        was: &was,
        is: &is,
        link_targets: &link_targets,
        plan: &plan,
        moved,
        tops: HashMap::new(),
        section: section.map(|old| before.at(old)).transpose()?,
        homes: HashMap::new(),
    };
    // The anchors of moved headings are known when they are read in their new cards.
    composer.note_homes(None);
    let mut new = composer.compose()?;
    // A heading may have a link to another heading in it.
    for _ in 0..MOST_DRAFTS {
        composer.note_homes(Some(&new));
        let next = composer.compose()?;
        let is_same = texts_of(&new).eq(texts_of(&next));
        new = next;
        if is_same {
            break;
        }
    }
    let retargets = composer.verify(&new, among)?;
    let gone = before.read.iter().map(|card| before.path(*card));
    let gone: Vec<Utf8PathBuf> = gone
        .filter(|path| !plan.contains_key(*path))
        .map(ToOwned::to_owned)
        .collect();
    let rewritten = new.values().map(|composed| composed.rewritten).sum();
    let changed = new
        .into_iter()
        .map(|(path, composed)| (path, composed.text));
    let changed: Vec<_> = changed.collect();
    for path in gone {
        texts.remove(&path);
    }
    texts.extend(changed);
    Ok(Links {
        rewritten,
        retargets,
    })
}

/// After so many drafts what still changes is refused.
const MOST_DRAFTS: usize = 8;

fn texts_of(
    composed: &BTreeMap<Utf8PathBuf, Composed>,
) -> impl Iterator<Item = (&Utf8PathBuf, &str)> {
    composed
        .iter()
        .map(|(path, composed)| (path, composed.text.as_str()))
}
