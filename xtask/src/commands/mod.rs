//! The sub-commands, one file each: its arguments and its entry.
//!
//! A command may use every room below, but no other command.

pub mod completions;
pub mod compute_vendor_hash;
pub mod docs_check;
pub mod docs_graph;
pub mod docs_list;
pub mod docs_move;
pub mod hash;
pub mod patch_version;
pub mod run;
pub mod setup;
pub mod strip_refs;
pub mod test_build;
pub mod update;
