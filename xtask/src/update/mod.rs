//! Moving a container to another release: which there are, what the new tree changes, which hashes follow,
//! and the one write at the end.
//!
//! releases -> preflight -> plan -> hashes -> proof -> pins.json. May use all rooms below; no command.

pub mod cards;
pub mod conclude;
pub mod expressions;
pub mod git;
pub mod hashes;
pub mod journal;
pub mod nixpkgs;
pub mod other_places;
pub mod plan;
pub mod preflight;
pub mod program;
pub mod release;
pub mod report;
pub mod requirements;
pub mod times;
pub mod together;
pub mod tree;
