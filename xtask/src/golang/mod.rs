//! Go modules: fetching them as buildGoModule does, and what Go's errors mean.

pub mod errors;
pub mod modules;
