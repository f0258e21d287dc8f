//! `docs-graph`: a vault as a picture: its folders, its cards, and which leads where.

mod dot;
mod layout;
mod page;
mod svg;
mod xml;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use sys::files::{normalized, write_atomically};
use sys::terminal;
use vault::slug::percent_encoded;

use crate::alone::NamesVault;
use crate::graph;
use crate::say::plain;

/// Draw the cards of docs/ as a graph: folders, links, orphans, links that lead nowhere
///
/// `html` is a page of its own that needs no network: it has a search, the wheel zooms, pointing at a card shows
/// its links, and a click opens it. `svg` is the same picture alone, and `dot` is for Graphviz. The same vault
/// gives the same bytes.
///
/// Exit codes: 0 success, 2 could not run.
///
/// Example: `cargo xtask docs-graph --output target/docs.html`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    format: Format,
    /// Write to a file, from which the links to cards lead; without it to stdout, with links from the vault's folder
    #[arg(long, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
    /// The folder of the cards [default: docs]
    #[arg(long, value_name = "DIR")]
    vault: Option<Utf8PathBuf>,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A page with search and zoom
    Html,
    /// The picture alone
    Svg,
    /// For Graphviz
    Dot,
}

impl NamesVault for Args {
    fn vault(&mut self) -> &mut Option<Utf8PathBuf> {
        &mut self.vault
    }
}

/// Runs the command in a repository, by default over its `docs`.
pub fn run(args: &Args, repository: &Utf8Path) -> Result<ExitCode> {
    drawn(args, repository).map_err(plain)
}

fn drawn(args: &Args, repository: &Utf8Path) -> Result<ExitCode> {
    let vault = graph::read(repository, args.vault.as_deref())?;
    let graph = &vault.graph;
    let output = args.output.as_ref().map(absolute).transpose()?;
    let from = output.as_ref().and_then(|path| path.parent());
    let between = from.map_or(Utf8PathBuf::new(), |from| relative(from, &vault.root));
    let link = |path: &Utf8Path| percent_encoded(between.join(path).as_str(), is_plain);
    let name = vault.root.file_name().unwrap_or("vault");
    let text = match args.format {
        Format::Dot => dot::dot(graph, name, &link),
        Format::Svg => svg::svg(graph, &link, true),
        Format::Html => page::page(graph, name, &link),
    };
    match output {
        Some(path) => write_atomically(&path, text.as_bytes(), 0o644)?,
        None => terminal::emit(text.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What stays as it is in an address of a file.
fn is_plain(_: usize, c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~/".contains(c)
}

/// A path whose folder is without links and `..`.
fn absolute(path: &Utf8PathBuf) -> Result<Utf8PathBuf> {
    let here = std::env::current_dir().context("finding the current folder")?;
    let here = Utf8PathBuf::try_from(here).context("finding the current folder")?;
    let path = normalized(here.join(path));
    let folder = path.parent().unwrap_or(&here);
    let folder = folder
        .canonicalize_utf8()
        .with_context(|| format!("looking for the folder `{folder}`"))?;
    Ok(folder.join(path.file_name().context("`--output` names a file")?))
}

/// The way from one folder to another.
fn relative(from: &Utf8Path, to: &Utf8Path) -> Utf8PathBuf {
    let pairs = from.components().zip(to.components());
    let same = pairs.take_while(|(a, b)| a == b).count();
    let up = from.components().skip(same).map(|_| "..");
    let down = to.components().skip(same).map(|part| part.as_str());
    up.chain(down).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        let way = |from: &str, to: &str| relative(from.into(), to.into()).into_string();
        assert_eq!(way("/r/docs/pictures", "/r/docs"), "..");
        assert_eq!(way("/r/target", "/r/docs"), "../docs");
        assert_eq!(way("/r", "/r/docs"), "docs");
    }
}
