//! A vault as a graph: which card leads where, what leads nowhere, and what leads out of the vault.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::settings::{Environment, Rules};
use super::{Read, follow_all, read_all};
use crate::card::Content;
use crate::external::external_links;
use crate::finding::Code;
use crate::place::Place;
use crate::tree::Tree;

/// The cards of a vault, and their links.
#[derive(Debug)]
pub struct Graph {
    /// The cards in the order of their paths, then the files outside of the vault.
    pub nodes: Vec<Node>,
    /// How many of them are cards.
    pub cards: usize,
}

/// A card, or a file outside of the vault.
#[derive(Debug)]
pub struct Node {
    /// Its path from the vault's root.
    pub path: Utf8PathBuf,
    /// Its title: that of the front matter, or the first heading, or the file's name.
    pub title: String,
    /// Its links to other cards, in order.
    pub links: Vec<Link>,
    /// Its links to nothing.
    pub broken: Vec<Broken>,
    /// Its links to addresses of the web, and of other programs.
    pub external: Vec<(Place, String)>,
}

/// A link to another card.
#[derive(Debug)]
pub struct Link {
    /// Where it is.
    pub place: Place,
    /// The number of the card.
    pub to: usize,
    /// What it leads to, as it is written.
    pub target: String,
}

/// A link to nothing.
#[derive(Debug)]
pub struct Broken {
    /// Where it is.
    pub place: Place,
    /// What it should lead to, as it is written.
    pub target: String,
    /// Why it leads nowhere.
    pub message: String,
}

/// The graph of a vault whose cards are read by `read`.
pub fn graph(tree: &Tree, read: Read<'_>, rules: &Rules, environment: &Environment<'_>) -> Graph {
    let ask = |text: &str, content: &Content| (title(content), external_links(text));
    let mut cards = read_all(tree, read, rules, environment, &ask);
    let followed = follow_all(&cards, tree, rules, environment, true);
    let asked = std::mem::take(&mut cards.asked);
    let sources = cards.vault.cards.iter().chain(&cards.also);
    let nodes = sources.zip(asked).zip(followed);
    let nodes = nodes.map(|((card, (title, external)), (outgoing, found, lost))| {
        let known = &card.known;
        let written = known.links.iter().map(|link| {
            let anchor = link.anchor.as_ref().map(|anchor| format!("#{anchor}"));
            (
                link.place,
                [&*link.target, &anchor.unwrap_or_default()].concat(),
            )
        });
        let requires = known.requires.iter();
        let requires = requires.map(|(stem, place)| (*place, stem.to_string()));
        let written: BTreeMap<Place, String> = written.chain(requires).collect();
        let target = |place: Place| written.get(&place).cloned().unwrap_or_default();
        let edges = outgoing.edges.iter().chain(&outgoing.requires);
        let mut links: Vec<Link> = edges
            .map(|(to, place)| Link {
                place: *place,
                to: *to as usize,
                target: target(*place),
            })
            .collect();
        links.sort_by_key(|link| link.place);
        let leads_nowhere = |code| {
            matches!(
                code,
                Code::LinkUnknown | Code::LinkAmbiguous | Code::FileUnknown | Code::RequiresUnknown
            )
        };
        let found = found.into_iter().chain(lost.into_iter().map(|(it, _)| it));
        let mut broken: Vec<Broken> = found
            .filter(|finding| leads_nowhere(finding.code))
            .map(|finding| Broken {
                place: finding.place,
                target: target(finding.place),
                message: finding.message,
            })
            .collect();
        broken.sort_by_key(|link| link.place);
        let name = card.path.file_stem().unwrap_or_default();
        Node {
            path: card.path.clone(),
            title: title.unwrap_or_else(|| name.to_owned()),
            links,
            broken,
            external,
        }
    });
    Graph {
        nodes: nodes.collect(),
        cards: cards.vault.cards.len(),
    }
}

fn title(content: &Content) -> Option<String> {
    let front = content.front.as_ref().and_then(|front| front.text("title"));
    let heading = || {
        content
            .headings
            .first()
            .map(|heading| heading.text.as_str())
    };
    let title = front.filter(|title| !title.is_empty()).or_else(heading)?;
    Some(title.to_owned()).filter(|title| !title.is_empty())
}

impl Node {
    /// The cards that it links.
    pub fn leads_to(&self) -> BTreeSet<usize> {
        self.links.iter().map(|link| link.to).collect()
    }
}

impl Graph {
    /// Leaves out files, and the links to them.
    pub fn retain(&mut self, keep: impl Fn(&Utf8Path) -> bool) {
        let kept: Vec<bool> = self.nodes.iter().map(|node| keep(&node.path)).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        // The new number of each card that stays.
        let mut next = 0;
        let numbers = kept.iter().map(|kept| {
            next += usize::from(*kept);
            kept.then(|| next - 1)
        });
        let numbers: Vec<Option<usize>> = numbers.collect();
        self.cards = kept[..self.cards].iter().filter(|kept| **kept).count();
        let mut all = kept.into_iter();
        self.nodes.retain(|_| all.next().unwrap_or_default());
        for node in &mut self.nodes {
            node.links.retain_mut(|link| {
                let number = numbers[link.to];
                link.to = number.unwrap_or_default();
                number.is_some()
            });
        }
    }

    /// The cards.
    pub fn cards(&self) -> &[Node] {
        &self.nodes[..self.cards]
    }

    /// The links to a card, each with what it is in.
    pub fn backlinks(&self, card: usize) -> impl Iterator<Item = (&Node, &Link)> {
        let all = self.nodes.iter();
        let all = all.flat_map(|node| node.links.iter().map(move |link| (node, link)));
        all.filter(move |(_, link)| link.to == card)
    }

    /// How many other files link each card.
    pub fn linked_by(&self) -> Vec<usize> {
        let mut linked_by = vec![0; self.cards];
        for node in &self.nodes {
            for card in node.leads_to() {
                linked_by[card] += 1;
            }
        }
        linked_by
    }

    /// The cards that nothing links; the vault's `index.md` is where readers begin.
    pub fn orphans(&self) -> impl Iterator<Item = &Node> {
        let cards = self.cards().iter().zip(self.linked_by());
        let orphans = cards.filter(|(card, count)| *count == 0 && !is_entrance(&card.path));
        orphans.map(|(card, _)| card)
    }

    /// The cards that link no other.
    pub fn dead_ends(&self) -> impl Iterator<Item = &Node> {
        self.cards().iter().filter(|card| card.links.is_empty())
    }
}

fn is_entrance(path: &Utf8Path) -> bool {
    path == "index.md"
}
