//! Nix's own formats: text and bytes in, values out.
//!
//! No processes, no terminal, no repository; uses no other crate of the workspace.

pub mod derivation;
pub mod export;
pub mod json;
pub mod log;
pub mod nar;
pub mod sri;
pub mod store_path;
pub mod version;
