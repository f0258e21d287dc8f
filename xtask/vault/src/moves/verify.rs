//! The proof that every link leads where it led before a change.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::change::Retarget;
use super::compose::{Composed, Composer, anchors};
use super::follow::{Anchor, Follower, LinkTarget, heading_of_chain};
use super::footnotes::labels;
use super::old_vault::{Among, OldVault, Texts, read};
use super::plan::{Part, Piece, parts};
use super::references::Reference;
use crate::programs::Goal;
use crate::rules::settings::Resolve;

impl Composer<'_> {
    /// That each link leads where it led; those are listed that lead somewhere else now in a program, or led nowhere.
    pub(super) fn verify(
        &self,
        new: &BTreeMap<Utf8PathBuf, Composed>,
        among: &Among<'_>,
    ) -> Result<Vec<Retarget>> {
        let before = self.before;
        let text = |(path, pieces): (&Utf8PathBuf, &Vec<Piece>)| {
            let old = parts(pieces).next().map(|part| before.texts[part.card]);
            let text = new.get(path).map(|composed| composed.text.as_str());
            (path.clone(), text.or(old).unwrap_or_default().to_owned())
        };
        let texts: Texts = self.plan.iter().map(text).collect();
        let after = read(&texts, among, Some(self.moved));
        let follower = Follower::new(&after);
        let named = [
            Follower::with_aliases(before),
            Follower::with_aliases(&after),
        ];
        // Each part of an old card, and where it is now.
        let mut places: Vec<(Part, usize, Range<usize>)> = Vec::new();
        for card in after.read.iter().copied() {
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
        let mut retargets = Vec::new();
        for (part, card, now) in &places {
            let link_targets = follower.link_targets(*card);
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
                ensure!(link.form == now.form, "{}", self.connected(part.card));
                retargets.extend(self.retarget(&named, (part.card, link, old), (*card, now, new)));
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
                    (LinkTarget::File(old), LinkTarget::File(new)) => {
                        self.moved.now(old).as_ref().unwrap_or(old) == new
                    }
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
                self.check_known((part.card, link, old), (&after, now, new))?;
            }
        }
        Ok(retargets)
    }

    /// That Obsidian, if it counts, still finds a heading that it found by its name.
    fn check_known(
        &self,
        (from, was, old): (usize, &Reference, &LinkTarget),
        (after, is, new): (&OldVault<'_>, &Reference, &LinkTarget),
    ) -> Result<()> {
        let (
            LinkTarget::Card(old, Anchor::Heading(number)),
            LinkTarget::Card(to, Anchor::Heading(now)),
        ) = (old, new)
        else {
            return Ok(());
        };
        let before = self.before;
        let knows = |among: &OldVault<'_>, card: usize, heading: usize, link: &Reference| {
            let anchor = link.anchor.as_deref().unwrap_or_default();
            heading_of_chain(among.texts[card], among.content(card), anchor) == Some(heading)
        };
        ensure!(
            before.resolve == Resolve::Quartz
                || !knows(before, *old, *number, was)
                || knows(after, *to, *now, is),
            "the link to `{}#{}` at `{}:{}` would lead to a second heading of its name in `{}`, for which Obsidian has no \
             anchor: rename one of the headings first",
            was.target,
            was.anchor.as_deref().unwrap_or_default(),
            before.path(from),
            was.line,
            after.path(*to),
        );
        Ok(())
    }

    /// Where a link leads somewhere else than before in one of the programs, or led nowhere.
    fn retarget(
        &self,
        [before, after]: &[Follower<'_>; 2],
        (was_in, was, old): (usize, &Reference, &LinkTarget),
        (is_in, is, new): (usize, &Reference, &LinkTarget),
    ) -> Option<Retarget> {
        if was.target.trim().is_empty() {
            return None;
        }
        let path = |follower: &Follower<'_>, goal: &Goal| match goal {
            Goal::Card(card) => follower.among.path(*card).to_owned(),
            Goal::File(path) => path.clone(),
        };
        let is_card = |target: &LinkTarget| matches!(target, LinkTarget::Card(..));
        let goals_before = before.goals_of(was_in, was);
        let goals_after = after.goals_of(is_in, is);
        let both = goals_before.iter().zip(&goals_after);
        let mut others = both.filter_map(|(old, new)| {
            let old = path(before, old.as_ref()?);
            let expected = match self.before.vault.at(old.as_str()) {
                Some(card) => self.top(card).to_owned(),
                None => self.moved.now(&old).unwrap_or(old),
            };
            let now = new.as_ref().map(|new| path(after, new));
            (now.as_ref() != Some(&expected)).then_some((expected, now))
        });
        let found = !is_card(old) && is_card(new);
        // An anchor's own card may be another one than that in which the link's card is now.
        let other = others.next().filter(|(expected, _)| match (old, new) {
            (LinkTarget::Card(card, _), LinkTarget::Card(to, _)) => {
                self.top(*card) != expected || after.among.path(*to) == expected
            }
            _ => true,
        });
        let (from, to) = match (found, other) {
            (true, _) => (None, Some(after.among.path(target_card(new)?).to_owned())),
            (false, Some((from, to))) => (Some(from), to),
            (false, None) => return None,
        };
        Some(Retarget {
            path: after.among.path(is_in).to_owned(),
            line: is.line,
            target: is.target.clone(),
            from,
            to,
        })
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

fn target_card(target: &LinkTarget) -> Option<usize> {
    match target {
        LinkTarget::Card(card, _) => Some(*card),
        _ => None,
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
