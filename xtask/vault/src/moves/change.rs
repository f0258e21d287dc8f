//! What is asked for, and what became of links.

use camino::Utf8PathBuf;

use super::moved::Moved;
use crate::place::Place;

/// What is to be done; paths are those of cards in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A card gets another path.
    Rename {
        /// The card.
        old: Utf8PathBuf,
        /// Its new path.
        new: Utf8PathBuf,
    },
    /// Cards, other files and whole folders get other paths.
    Move(Moved),
    /// A card's body is put at the end of another one.
    Merge {
        /// The card that goes.
        old: Utf8PathBuf,
        /// The card that stays.
        into: Utf8PathBuf,
    },
    /// A section becomes a card, and a link to it stays in its place.
    Extract {
        /// The card that holds the section.
        old: Utf8PathBuf,
        /// The section's heading, or its anchor.
        heading: String,
        /// The new card's path.
        new: Utf8PathBuf,
    },
}

/// How links changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Links that were rewritten.
    pub rewritten: usize,
    /// Links that lead somewhere that led nowhere, or in one of the programs elsewhere than before.
    pub retargets: Vec<Retarget>,
}

/// A link that leads somewhere else in a program, although it may be written as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retarget {
    /// The file that holds it.
    pub path: Utf8PathBuf,
    /// Where it was before.
    pub line: Place,
    /// What it names, as it is written now.
    pub target: String,
    /// Where it led; nowhere if none.
    pub from: Option<Utf8PathBuf>,
    /// Where it leads; nowhere if none.
    pub to: Option<Utf8PathBuf>,
}
