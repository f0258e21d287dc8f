//! Cards that state the version of a container: they move with it.

use anyhow::Result;

use crate::repo::{Container, Repo};
use crate::update::together::Changed;
use crate::update::tree::Tree;
use docs::restate::{self, Moved};

/// The folder of the cards, below the root of the repository.
const CARDS: &str = "docs";
/// The tag of the cards that say what is there now; in others a version may be history.
const TAG: &str = "reference";

/// The cards that state versions which move: those with the tags `reference` and the container's name.
pub fn stating(repo: &Repo, container: &Container, moved: &[Moved]) -> Result<Vec<Changed>> {
    let folder = repo.root.join(CARDS);
    let mut cards = Vec::new();
    if !folder.is_dir() {
        return Ok(cards);
    }
    let tree = Tree::open(&folder)?;
    for path in tree.files().filter(|path| path.extension() == Some("md")) {
        let text = tree.text(path)?.unwrap_or_default();
        if let Some(to) = restate::restated(&text, &[TAG, &container.name], moved) {
            cards.push(Changed {
                path: folder.join(path),
                from: text,
                to,
            });
        }
    }
    Ok(cards)
}
