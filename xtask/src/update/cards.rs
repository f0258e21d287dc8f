//! Cards that state the version of a container: they move with it.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::repo::{Container, Repo};
use crate::update::tree::Tree;
use docs::restate::{self, Moved};
use sys::files;

/// The folder of the cards, below the root of the repository.
const CARDS: &str = "docs";
/// The tag of the cards that say what is there now; in others a version may be history.
const TAG: &str = "reference";

/// A card and its new text.
pub type Card = (Utf8PathBuf, String);

/// The cards that state versions which move: those with the tags `reference` and the container's name.
pub fn stating(repo: &Repo, container: &Container, moved: &[Moved]) -> Result<Vec<Card>> {
    let folder = repo.root.join(CARDS);
    let mut cards = Vec::new();
    if !folder.is_dir() {
        return Ok(cards);
    }
    let tree = Tree::open(&folder)?;
    for path in tree.files().filter(|path| path.extension() == Some("md")) {
        let text = tree.text(path)?.unwrap_or_default();
        if let Some(new) = restate::restated(&text, &[TAG, &container.name], moved) {
            cards.push((folder.join(path), new));
        }
    }
    Ok(cards)
}

/// Writes cards, each in one piece.
pub fn write(cards: &[Card]) -> Result<()> {
    for (path, text) in cards {
        files::write_atomically(path, text.as_bytes(), 0o644)?;
    }
    Ok(())
}
