//! The operating system, for all other rooms: processes, the terminal, files, git, scratch folders, quoting.
//!
//! Uses no other crate of the workspace.

pub mod files;
pub mod git;
pub mod inside;
pub mod platform;
pub mod printable;
pub mod process;
pub mod quote;
pub mod scratch;
pub mod table;
pub mod terminal;
