//! Go modules: fetching them as buildGoModule does, and what Go's errors mean.
//!
//! May use package sets, pins, Nix, other machines and the repository; no command, and no other room of
//! this floor.

pub mod errors;
pub mod modules;
pub mod require;
