//! The rules: a vault in, findings out.
//!
//! First each card alone is read and checked, then, when all stems are known, its links; both by all
//! processors. What concerns the vault as a whole comes last. Of each card no more is kept than others ask
//! for: there may be very many.

mod card;
pub mod graph;
mod known;
mod links;
pub mod settings;
mod suppressions;
mod vault;

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use self::known::Known;
use self::links::{Outgoing, Surroundings, Unresolved};
use self::settings::{Environment, Rules, is_unpublished};
use crate::card::{Content, read as read_card};
use crate::finding::{Code, Finding, Level};
use crate::parallel::{FILES, KNOWN, in_parallel};
use crate::place::Place;
use crate::programs::Programs;
use crate::resolve::{Card, Vault, category, nearest};
use crate::tree::Tree;

/// How texts are read: by their paths in the vault.
type Read<'a> = &'a (dyn Fn(&Utf8Path) -> Result<String, String> + Sync);

/// Checks a vault whose cards are read by `read`. The findings are in order of path, place and code.
///
/// Of files outside of the vault links and code are checked, and nothing that concerns cards alone.
pub fn check(
    tree: &Tree,
    read: Read<'_>,
    rules: &Rules,
    environment: &Environment<'_>,
) -> Vec<Finding> {
    let cards = read_all(tree, read, rules, environment, &|_, _| ());
    let followed = follow_all(&cards, tree, rules, environment, false);
    let Cards {
        vault,
        also,
        mut findings,
        ..
    } = cards;
    let mut outgoing = Vec::with_capacity(vault.cards.len() + also.len());
    let mut lost = Vec::new();
    for (to, found, unresolved) in followed {
        outgoing.push(to);
        findings.extend(found);
        lost.extend(unresolved);
    }
    // What is outside of the vault is no part of it.
    outgoing.truncate(vault.cards.len());
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

/// The cards that were read.
struct Cards<T> {
    vault: Vault<Known>,
    /// Files outside of the vault.
    also: Vec<Card<Known>>,
    /// What is wrong with each alone.
    findings: Vec<Finding>,
    /// What else was asked of each, those outside of the vault last.
    asked: Vec<T>,
}

/// Reads and checks each card alone, and keeps what `ask` makes of each.
fn read_all<T: Default + Send>(
    tree: &Tree,
    read: Read<'_>,
    rules: &Rules,
    environment: &Environment<'_>,
    ask: &(dyn Fn(&str, &Content) -> T + Sync),
) -> Cards<T> {
    let categories = present(&tree.cards, rules);
    let check = |path: &Utf8Path, is_card: bool| match read(path) {
        Ok(text) => {
            let content = read_card(&text);
            let categories = is_card.then_some(&categories);
            let (known, found) = card::check(path, &text, &content, rules, categories, environment);
            (known, found, ask(&text, &content))
        }
        Err(error) => {
            let what = if is_card { "card" } else { "file" };
            let message = format!("the {what} can't be read: {error}");
            let finding = Finding::new(path, Place::new(1, 1), Code::NotReadable, message);
            (Known::default(), vec![finding], T::default())
        }
    };
    let checked = in_parallel(&tree.cards, FILES, &|_, path| check(path, true));
    let fault = |(path, message): &(Utf8PathBuf, String)| {
        Finding::new(path, Place::new(1, 1), Code::NotReadable, message.clone())
    };
    let mut findings: Vec<Finding> = tree.faults.iter().map(fault).collect();
    let mut asked = Vec::with_capacity(tree.cards.len());
    let vault = Vault::new(tree.cards.iter().cloned().zip(checked.map(
        |(known, found, answer)| {
            findings.extend(found);
            asked.push(answer);
            known
        },
    )));
    let mut also = Vec::with_capacity(environment.also.len());
    for path in environment.also {
        let (known, found, answer) = check(path, false);
        findings.extend(found);
        asked.push(answer);
        let path = path.clone();
        also.push(Card { path, known });
    }
    Cards {
        vault,
        also,
        findings,
        asked,
    }
}

/// Follows the links of all cards, those outside of the vault last.
fn follow_all<T>(
    cards: &Cards<T>,
    tree: &Tree,
    rules: &Rules,
    environment: &Environment<'_>,
    wants_edges: bool,
) -> impl Iterator<Item = (Outgoing, Vec<Finding>, Unresolved)> + use<T> {
    let vault = &cards.vault;
    let names = links::names(vault);
    let programs = Programs::new(vault, tree, &names);
    let surroundings = Surroundings {
        vault,
        names: &names,
        programs: &programs,
        resolve: rules.resolve,
        tree,
        also: &cards.also,
        environment,
        wants_edges,
    };
    let followed = in_parallel(&vault.cards, KNOWN, &|number, _| {
        links::follow(surroundings, &vault.cards[number], Some(number))
    });
    let also = cards.also.iter();
    let also: Vec<_> = also
        .map(|file| links::follow(surroundings, file, None))
        .collect();
    followed.chain(also)
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
