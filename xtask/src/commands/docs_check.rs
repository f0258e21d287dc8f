//! `cargo xtask docs-check`: the checker of crate `docs` in this repository.

use std::process::ExitCode;

use anyhow::Result;
pub use docs::check::Args;

use crate::repo::Repo;

/// Runs the command; lines of cards that call `cargo xtask` are checked against `cli`.
pub fn run(args: &Args, cli: clap::Command) -> Result<ExitCode> {
    let repo = Repo::find()?;
    docs::check::run(args, &repo.root, Some(&repo.state()), Some(cli))
}
