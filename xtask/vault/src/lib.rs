//! A vault: a folder of Markdown cards tied by wiki links. Reads it, checks it, and moves its cards.
//!
//! Text and paths in, values out: no processes, no terminal.

pub mod card;
pub mod date;
pub mod edits;
pub mod external;
pub mod finding;
pub mod front_matter;
pub mod moves;
pub mod parallel;
pub mod place;
pub mod programs;
pub mod resolve;
pub mod rules;
pub mod slug;
pub mod tree;
pub mod unicode;
