//! `cargo xtask docs-graph`: the picture of crate `docs` of this repository's cards.

use std::process::ExitCode;

use anyhow::Result;
pub use docs::picture::Args;

use crate::repo::Repo;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    docs::picture::run(args, &Repo::find()?.root)
}
