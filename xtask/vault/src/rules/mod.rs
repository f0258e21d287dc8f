//! The rules: a vault in, findings out.
//!
//! First each card alone is read and checked, then, when all stems are known, its links; both by all
//! processors. What concerns the vault as a whole comes last. Of each card no more is kept than others ask
//! for: there may be very many.

mod card;
mod known;
mod links;
pub mod settings;
mod suppressions;
mod vault;

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use self::known::Known;
use self::links::{Surroundings, Unresolved};
use self::settings::{Environment, Rules, is_unpublished};
use crate::card::read as read_card;
use crate::finding::{Code, Finding, Level};
use crate::parallel::in_parallel;
use crate::place::Place;
use crate::programs::Programs;
use crate::resolve::{Card, Vault, category, nearest};
use crate::tree::Tree;

/// Checks a vault whose cards are read by `read`. The findings are in order of path, place and code.
///
/// Of files outside of the vault links and code are checked, and nothing that concerns cards alone.
pub fn check(
    tree: &Tree,
    read: &(dyn Fn(&Utf8Path) -> Result<String, String> + Sync),
    rules: &Rules,
    environment: &Environment<'_>,
) -> Vec<Finding> {
    let categories = present(&tree.cards, rules);
    let check = |path: &Utf8Path, is_card: bool| match read(path) {
        Ok(text) => card::check(
            path,
            &text,
            &read_card(&text),
            rules,
            is_card.then_some(&categories),
            environment,
        ),
        Err(error) => {
            let what = if is_card { "card" } else { "file" };
            let message = format!("the {what} can't be read: {error}");
            let finding = Finding::new(path, Place::new(1, 1), Code::NotReadable, message);
            (Known::default(), vec![finding])
        }
    };
    let checked = in_parallel(&tree.cards, &|_, path| check(path, true));
    let fault = |(path, message): &(Utf8PathBuf, String)| {
        Finding::new(path, Place::new(1, 1), Code::NotReadable, message.clone())
    };
    let mut findings: Vec<Finding> = tree.faults.iter().map(fault).collect();
    let vault = Vault::new(tree.cards.iter().cloned().zip(checked.into_iter().map(
        |(known, found)| {
            findings.extend(found);
            known
        },
    )));
    let mut also = Vec::with_capacity(environment.also.len());
    for path in environment.also {
        let (known, found) = check(path, false);
        findings.extend(found);
        let path = path.clone();
        also.push(Card { path, known });
    }
    let names = links::names(&vault);
    let programs = Programs::new(&vault, tree, &names);
    let follow = |card, number| {
        let surroundings = Surroundings {
            vault: &vault,
            names: &names,
            programs: &programs,
            resolve: rules.resolve,
            tree,
            also: &also,
            environment,
        };
        links::follow(surroundings, card, number)
    };
    let followed = in_parallel(&vault.cards, &|number, _| {
        follow(&vault.cards[number], Some(number))
    });
    let mut outgoing = Vec::with_capacity(followed.len());
    let mut lost = Vec::new();
    for (to, found, unresolved) in followed {
        outgoing.push(to);
        findings.extend(found);
        lost.extend(unresolved);
    }
    for file in &also {
        let (_, found, unresolved) = follow(file, None);
        findings.extend(found);
        lost.extend(unresolved);
    }
    vault::check(&vault, &outgoing, rules, &mut findings);
    let known = |path: &Utf8Path| match vault.at(path.as_str()) {
        Some(card) => Some(&vault.cards[card].known),
        None => also
            .iter()
            .find(|file| file.path == path)
            .map(|file| &file.known),
    };
    let is_reported = |finding: &Finding| {
        rules.levels.of(finding.code) != Level::Off
            && !is_unpublished(&finding.path, rules)
            && !known(&finding.path)
                .is_some_and(|known| suppressions::is_suppressed(&known.suppressions, finding))
    };
    findings.retain(is_reported);
    lost.retain(|(finding, _)| is_reported(finding));
    findings.extend(with_suggestions(&vault, lost));
    findings.sort_by(|a, b| {
        (a.path.as_str(), a.place, a.code).cmp(&(b.path.as_str(), b.place, b.code))
    });
    findings.dedup();
    // With very many cards giving back each piece takes a tenth of the time, and the process ends soon.
    std::mem::forget(vault);
    findings
}

/// How many stems are compared with unknown ones: then the rest gets no suggestion.
const MOST_COMPARISONS: usize = 500_000;

/// The findings, the first of which say what may have been meant.
fn with_suggestions(vault: &Vault<Known>, lost: Unresolved) -> impl Iterator<Item = Finding> {
    let stems = if lost.is_empty() {
        Vec::new()
    } else {
        stems_of(vault)
    };
    let most = MOST_COMPARISONS / stems.len().max(1);
    lost.into_iter()
        .enumerate()
        .map(move |(number, (mut finding, stem))| {
            let stems = stems.iter().copied();
            if number < most
                && let Some(near) = nearest(&stem, stems)
            {
                finding.message = finding.message + ": did you mean `" + near + "`?";
            }
            finding
        })
}

fn stems_of(vault: &Vault<Known>) -> Vec<&str> {
    let stems: BTreeSet<&str> = vault.cards.iter().map(Card::stem).collect();
    stems.into_iter().collect()
}

/// The categories of which there are cards.
fn present<'r>(cards: &[Utf8PathBuf], rules: &'r Rules) -> Vec<&'r str> {
    let is_there = |name: &&String| {
        cards
            .iter()
            .any(|card| category(card, &rules.categories) == Some(name))
    };
    let present = rules.categories.iter().filter(is_there);
    present.map(String::as_str).collect()
}
