//! The rules for the vault as a whole: names, landing pages, orphans, circles of prerequisites.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::known::Known;
use super::links::Outgoing;
use super::settings::Rules;
use camino::Utf8Path;

use crate::finding::{Code, Finding, Fix};
use crate::place::Place;
use crate::resolve::{Card, Target, Vault, category};

/// Checks a vault when it is known where each card leads.
pub(crate) fn check(
    vault: &Vault<Known>,
    outgoing: &[Outgoing],
    rules: &Rules,
    findings: &mut Vec<Finding>,
) {
    names(vault, findings);
    landing_pages(vault, outgoing, rules, findings);
    orphans(vault, outgoing, findings);
    cycles(vault, outgoing, findings);
}

/// A finding at the top of a card.
fn at_top(card: &Card<Known>, code: Code, message: String) -> Finding {
    Finding::new(&card.path, Place::new(1, 1), code, message)
}

fn names(vault: &Vault<Known>, findings: &mut Vec<Finding>) {
    for card in &vault.cards {
        let stem = card.stem();
        let is_kebab = stem.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        if !is_kebab {
            let message = format!("`{stem}` is not in kebab case");
            findings.push(at_top(card, Code::NameNotKebab, message));
        }
    }
    let mut folders: HashSet<&str> = HashSet::new();
    for card in &vault.cards {
        let parents = card.path.ancestors().skip(1);
        for folder in parents
            .map(Utf8Path::as_str)
            .filter(|folder| !folder.is_empty())
        {
            if !folders.insert(folder) {
                break;
            }
        }
    }
    for card in &vault.cards {
        let path = card.path.as_str();
        let folder = path.strip_suffix(".md").unwrap_or(path);
        if folders.contains(folder) {
            let message = format!(
                "the folder `{folder}/` has this name, too, and in Quartz both are one page"
            );
            findings.push(at_top(card, Code::StemDuplicate, message));
        }
    }
    for cards in vault.namesakes() {
        let cards: Vec<&Card<Known>> = cards
            .iter()
            .map(|card| &vault.cards[*card as usize])
            .collect();
        for (n, card) in cards.iter().enumerate() {
            let same = cards[..n].iter().find(|other| other.stem() == card.stem());
            if let Some(other) = same {
                let message = format!("`{}` has this stem, too", other.path);
                findings.push(at_top(card, Code::StemDuplicate, message));
            }
            let differs = cards[..n].iter().find(|other| other.stem() != card.stem());
            if let Some(other) = differs {
                let message = format!("`{}` differs in case only", other.path);
                findings.push(at_top(card, Code::StemCase, message));
            }
        }
    }
}

fn landing_pages(
    vault: &Vault<Known>,
    outgoing: &[Outgoing],
    rules: &Rules,
    findings: &mut Vec<Finding>,
) {
    // Each category's landing page, and what it links.
    let mut pages: BTreeMap<&str, Option<(usize, HashSet<u32>)>> = BTreeMap::new();
    for (number, card) in vault.cards.iter().enumerate() {
        if card.known.is_hidden {
            continue;
        }
        let Some(category) = category(&card.path, &rules.categories) else {
            continue;
        };
        let page = || format!("{category}/{category}.md");
        let landing = pages.entry(category).or_insert_with(|| {
            let landing = vault.at(&page());
            if landing.is_none() {
                let message = format!("there is no landing page `{}`", page());
                findings.push(at_top(card, Code::LandingMissing, message));
            }
            landing.map(|landing| {
                (
                    landing,
                    outgoing[landing].leads_to.iter().copied().collect(),
                )
            })
        });
        let Some((landing, linked)) = landing else {
            continue;
        };
        let is_linked = u32::try_from(number).is_ok_and(|number| linked.contains(&number));
        if *landing != number && !is_linked {
            let message = format!("`{}` does not link this card", page());
            let fix = Fix::Append(page().into(), format!("- [[{}]]", card.stem()));
            let leads_here = vault.resolve(card.stem()) == Target::Card(number);
            let finding = at_top(card, Code::NotListed, message);
            findings.push(Finding {
                fix: leads_here.then_some(fix),
                ..finding
            });
        }
    }
}

/// Cards that are not reached from `index.md`; without one there is nothing to start from.
fn orphans(vault: &Vault<Known>, outgoing: &[Outgoing], findings: &mut Vec<Finding>) {
    let Some(index) = vault.at("index.md") else {
        if let Some(first) = vault.cards.first() {
            let message = "the vault has no `index.md`".to_owned();
            findings.push(at_top(first, Code::LandingMissing, message));
        }
        return;
    };
    let mut reached = vec![false; vault.cards.len()];
    reached[index] = true;
    let mut queue = VecDeque::from([index]);
    while let Some(card) = queue.pop_front() {
        for to in &outgoing[card].leads_to {
            let to = *to as usize;
            if !reached[to] {
                reached[to] = true;
                queue.push_back(to);
            }
        }
    }
    for (card, reached) in vault.cards.iter().zip(reached) {
        if !reached && !card.known.is_hidden {
            let message = "no chain of links from `index.md` leads here".to_owned();
            findings.push(at_top(card, Code::Orphan, message));
        }
    }
}

/// Each circle of prerequisites is found once, at the card that comes first in it.
fn cycles(vault: &Vault<Known>, outgoing: &[Outgoing], findings: &mut Vec<Finding>) {
    // 0: not seen, 1: on the way, 2: done
    let mut state = vec![0_u8; outgoing.len()];
    for start in 0..outgoing.len() {
        if state[start] != 0 {
            continue;
        }
        // By hand, because a chain may be long.
        let mut way = vec![(start, 0)];
        state[start] = 1;
        while let Some((card, next)) = way.last_mut() {
            let (card, at) = (*card, *next);
            *next += 1;
            let Some((to, place)) = outgoing[card].requires.get(at) else {
                state[card] = 2;
                way.pop();
                continue;
            };
            let to = *to as usize;
            if state[to] == 0 {
                state[to] = 1;
                way.push((to, 0));
            } else if state[to] == 1 {
                let from = way.iter().position(|(on, _)| *on == to).unwrap_or(0);
                let circle = way[from..].iter().map(|(card, _)| *card).chain([to]);
                let stems: Vec<&str> = circle.map(|card| vault.cards[card].stem()).collect();
                let message = format!("the prerequisites lead in a circle: {}", stems.join(" -> "));
                let path = &vault.cards[card].path;
                findings.push(Finding::new(path, *place, Code::RequiresCycle, message));
            }
        }
    }
}
