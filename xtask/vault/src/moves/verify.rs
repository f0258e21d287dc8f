//! The proof that every link leads where it led before a change.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::compose::{Composed, Composer, anchors};
use super::footnotes::labels;
use super::old_vault::{Texts, numbers, read};
use super::plan::{Part, Piece, parts};
use super::references::{Anchor, LinkTarget, Reference};

impl Composer<'_> {
    /// That each link leads where it led; how many lead somewhere that led nowhere.
    pub(super) fn verify(&self, new: &BTreeMap<Utf8PathBuf, Composed>) -> Result<usize> {
        let before = self.before;
        let text = |(path, pieces): (&Utf8PathBuf, &Vec<Piece>)| {
            let old = parts(pieces).next().map(|part| before.texts[part.card]);
            let text = new.get(path).map(|composed| composed.text.as_str());
            (path.clone(), text.or(old).unwrap_or_default().to_owned())
        };
        let texts: Texts = self.plan.iter().map(text).collect();
        let after = read(&texts, before.exists);
        // Each part of an old card, and where it is now.
        let mut places: Vec<(Part, usize, Range<usize>)> = Vec::new();
        for card in numbers(&after.vault) {
            let path = after.path(card);
            if let Some(composed) = new.get(path) {
                let parts = composed.parts.iter().cloned();
                places.extend(parts.map(|(part, now)| (part, card, now)));
            } else {
                let whole = parts(&self.plan[path]).cloned();
                places.extend(whole.map(|part| (part.clone(), card, part.range)));
            }
        }
        let mut moved: HashMap<(usize, Anchor), (usize, Anchor)> = HashMap::new();
        for (part, card, now) in &places {
            let was = anchors(
                before.texts[part.card],
                before.content(part.card),
                &part.range,
            );
            let is = anchors(after.texts[*card], after.content(*card), now);
            ensure!(was.len() == is.len(), "{}", self.connected(part.card));
            let pairs = was.iter().zip(&is);
            moved.extend(pairs.map(|((was, _), (is, _))| ((part.card, *was), (*card, *is))));
        }
        if let Some(section) = self.section {
            let tops = new.iter().flat_map(|(path, composed)| {
                composed.tops.iter().map(move |(old, at)| (path, *old, *at))
            });
            for (path, _, at) in tops.filter(|(_, old, _)| *old == section) {
                let card = after.at(path)?;
                let headings = &after.content(card).headings;
                let heading = headings
                    .iter()
                    .position(|heading| heading.span.start() >= at);
                moved.extend(
                    heading
                        .map(|heading| ((section, Anchor::Top), (card, Anchor::Heading(heading)))),
                );
            }
        }
        let mut found = 0;
        for (part, card, now) in &places {
            let link_targets = after.link_targets(*card);
            let was = within(
                &before.references[part.card],
                &self.link_targets[part.card],
                &part.range,
            );
            let is = within(&after.references[*card], &link_targets, now);
            ensure!(was.len() == is.len(), "{}", self.connected(part.card));
            let notes = |text: &str, range: &Range<usize>| {
                let labels = labels(text).into_iter();
                labels
                    .filter(|label| range.contains(&label.place.start))
                    .count()
            };
            if before.texts[part.card].contains("[^") {
                let same =
                    notes(before.texts[part.card], &part.range) == notes(after.texts[*card], now);
                ensure!(same, "{}", self.connected(part.card));
            }
            for ((link, old), (now, new)) in was.iter().zip(&is) {
                ensure!(link.is_wiki == now.is_wiki, "{}", self.connected(part.card));
                let leads = |target: &LinkTarget| matches!(target, LinkTarget::Card(..));
                found += usize::from(!leads(old) && leads(new));
                let same = match (old, new) {
                    (LinkTarget::Card(old, anchor), LinkTarget::Card(to, is)) => {
                        let to_top = self.top(*old) == after.path(*to);
                        let became_one =
                            *to == *card && *old != part.card && *anchor == Anchor::Top;
                        let stayed = to_top && (anchor == is || became_one);
                        moved
                            .get(&(*old, *anchor))
                            .map_or(stayed, |now| *now == (*to, *is))
                    }
                    (LinkTarget::File(old), LinkTarget::File(new)) => old == new,
                    // A card that there was not: the link led nowhere.
                    (LinkTarget::File(path), LinkTarget::Card(..)) => {
                        path.extension().is_none_or(|ending| ending == "md")
                    }
                    (LinkTarget::Nothing, _) => true,
                    _ => false,
                };
                ensure!(
                    same,
                    "the link to `{}{}` at `{}:{}` would lead elsewhere: fix or remove it first",
                    link.target,
                    link.anchor
                        .as_ref()
                        .map_or(String::new(), |anchor| format!("#{anchor}")),
                    before.path(part.card),
                    link.line,
                );
            }
        }
        Ok(found)
    }

    /// The card in which an old card's beginning is now.
    fn top(&self, card: usize) -> &Utf8Path {
        let top = self.tops.get(&card);
        top.map_or(self.before.path(card), |(path, _)| path)
    }

    fn connected(&self, card: usize) -> String {
        format!(
            "the parts of `{}` are connected by a reference definition, a footnote or something that is not closed: \
             write the links out, or close it first",
            self.before.path(card)
        )
    }
}

/// Links that begin in a range, with their targets.
fn within<'a>(
    references: &'a [Reference],
    link_targets: &'a [LinkTarget],
    range: &Range<usize>,
) -> Vec<(&'a Reference, &'a LinkTarget)> {
    let links = references.iter().zip(link_targets);
    links
        .filter(|(link, _)| range.contains(&link.start))
        .collect()
}
