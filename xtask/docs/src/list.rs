//! `docs-list`: answers questions about the links of a vault.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use sys::terminal;
use vault::place::Place;
use vault::resolve::Vault;
use vault::rules::graph::Node;

use crate::alone::NamesVault;
use crate::graph::{self, OnDisk};
use crate::names::Names;
use crate::say::plain;

/// List the backlinks of a card, orphans, links that lead nowhere, dead ends or addresses of docs/
///
/// Links are followed as `docs-check` follows them, by the settings in `docs-check.toml`; files that it leaves
/// out are left out here. A line is `path`, or `path:line:column: link` where there is a place.
///
/// Exit codes: 0 success, also when nothing is listed, 2 could not run.
///
/// Example: `cargo xtask docs-list backlinks docs-check`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What is listed
    #[arg(value_name = "WHAT")]
    what: What,
    /// The card, by its stem or path
    #[arg(value_name = "CARD", required_if_eq("what", "backlinks"))]
    card: Option<String>,
    /// Print a JSON line for each: path, line, column, target; title for cards, message for links that lead nowhere
    #[arg(long)]
    json: bool,
    /// The folder of the cards [default: docs]
    #[arg(long, value_name = "DIR")]
    vault: Option<Utf8PathBuf>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Links to CARD, prerequisites included
    Backlinks,
    /// Cards that no other file links, but for `index.md`
    Orphans,
    /// Links to cards and files that do not exist, or that could be several
    Unresolved,
    /// Cards that link no other card
    Deadends,
    /// Addresses of the web and of other programs
    External,
}

impl NamesVault for Args {
    fn vault(&mut self) -> &mut Option<Utf8PathBuf> {
        &mut self.vault
    }
}

/// Runs the command in a repository, by default over its `docs`.
pub fn run(args: &Args, repository: &Utf8Path) -> Result<ExitCode> {
    listed(args, repository).map_err(plain)
}

fn listed(args: &Args, repository: &Utf8Path) -> Result<ExitCode> {
    if args.what != What::Backlinks && args.card.is_some() {
        anyhow::bail!("only `backlinks` takes a card");
    }
    let vault = graph::read(repository, args.vault.as_deref())?;
    let graph = &vault.graph;
    let rows: Vec<Row> = match args.what {
        What::Backlinks => {
            let card = number(&vault, args.card.as_deref().unwrap_or_default())?;
            let links = graph.backlinks(card);
            links
                .map(|(node, link)| vault.link(node, link.place, &link.target, None))
                .collect()
        }
        What::Orphans => graph.orphans().map(|card| vault.card(card)).collect(),
        What::Deadends => graph.dead_ends().map(|card| vault.card(card)).collect(),
        What::Unresolved => {
            let nodes = graph.nodes.iter();
            let rows = nodes.flat_map(|node| {
                let broken = node.broken.iter();
                broken.map(|link| vault.link(node, link.place, &link.target, Some(&link.message)))
            });
            rows.collect()
        }
        What::External => {
            let nodes = graph.nodes.iter();
            let rows = nodes.flat_map(|node| {
                let external = node.external.iter();
                external.map(|(place, url)| vault.link(node, *place, url, None))
            });
            rows.collect()
        }
    };
    for row in rows {
        if args.json {
            terminal::emit_json(&row.json)?;
        } else {
            terminal::emit(&row.line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is printed.
struct Row {
    line: String,
    json: Value,
}

impl OnDisk {
    fn card(&self, card: &Node) -> Row {
        let path = self.shown(&card.path);
        Row {
            json: json!({ "path": path, "title": card.title }),
            line: path.into_string(),
        }
    }

    fn link(&self, from: &Node, place: Place, target: &str, message: Option<&str>) -> Row {
        let path = self.shown(&from.path);
        let mut json = json!({
            "path": path, "line": place.line, "column": place.column, "target": target,
        });
        if let Some(message) = message {
            json["message"] = message.into();
        }
        Row {
            line: format!("{path}:{place}: {}", message.unwrap_or(target)),
            json,
        }
    }
}

/// The number of a card by its name on the command line.
fn number(vault: &OnDisk, name: &str) -> Result<usize> {
    let here = std::env::current_dir().context("finding the current folder")?;
    let here = Utf8PathBuf::try_from(here).context("finding the current folder")?;
    let cards = vault.graph.cards().iter();
    let cards = Vault::new(cards.map(|card| (card.path.clone(), ())));
    let names = Names {
        vault: &cards,
        files: &[],
        root: &vault.root,
        here,
    };
    let path = names.card(name)?;
    let number = cards.at(path.as_str());
    number.with_context(|| format!("there is no card `{path}`"))
}
