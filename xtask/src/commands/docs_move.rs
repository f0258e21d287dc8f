//! `cargo xtask docs-move`: the moves of crate `docs` in this repository.

use std::process::ExitCode;

use anyhow::Result;
pub use docs::moves::Args;

use crate::repo::Repo;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    docs::moves::run(args, &repo.root, &repo.state())
}
