//! What the derivations call while they build, and `cargo xtask` offers outside of them: one tested
//! implementation of each tool, inside and outside of Nix.

pub mod javascript;
pub mod patch_version;
mod platform;
pub mod printable;
pub mod semver;
pub mod strip_refs;
