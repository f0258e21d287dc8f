//! This machine: what the commands need of it, what it has, and how to get the rest.
//!
//! May use `package_set/`, `pins/`, `nix/`, `remote/`, `repo/` and the crates below; `build/`, `completions/`
//! and `golang/` are on its floor.

pub mod elsewhere;
#[cfg(test)]
mod examples;
pub mod findings;
pub mod hooks;
pub mod install;
pub mod look;
pub mod render;
pub mod requirements;
pub mod sandbox_probe;
pub mod store_access;
pub mod system;
pub mod there;
