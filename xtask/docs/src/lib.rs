//! The cards of a repository: `docs-check` finds what is wrong in them, `docs-move` reorganises them.
//!
//! `vault` has the rules and the moves, over texts; this crate reads and writes files, asks git, and prints.
//! It uses `sys` and `vault`, and no other crate of the workspace.

pub mod alone;
mod baseline;
pub mod check;
mod commands_in_cards;
mod config;
mod diff;
mod fix;
mod formats;
mod graph;
mod history;
pub mod list;
pub mod moves;
mod names;
pub mod picture;
pub mod restate;
mod say;
mod source;
mod spelling;
mod staged;
mod transaction;
