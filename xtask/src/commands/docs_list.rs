//! `cargo xtask docs-list`: the questions of crate `docs` in this repository.

use std::process::ExitCode;

use anyhow::Result;
pub use docs::list::Args;

use crate::repo::Repo;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    docs::list::run(args, &Repo::find()?.root)
}
