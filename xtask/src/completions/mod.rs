//! Shell completion of `cargo xtask`: scripts for shells, and the candidates they ask for.
//!
//! May use `nix/`, `repo/` and the crates below; `build/`, `golang/` and `machine/` are on its floor.

pub mod components;
pub mod engine;
pub mod line;
pub mod shell;
