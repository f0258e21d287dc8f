//! `docs-check`: the checker alone, for any repository with cards.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::{Args as _, Command, FromArgMatches as _};
use docs::check::{self, Args};
use sys::process::Interrupted;
use sys::terminal;

/// The arguments of the checker, with this program's name in the help text.
fn command() -> Command {
    let command = Args::augment_args(Command::new("docs-check"));
    let about = command.get_long_about().map(ToString::to_string);
    let about = about.unwrap_or_default();
    command.long_about(about.replace("cargo xtask ", ""))
}

fn run() -> Result<ExitCode> {
    let args = Args::from_arg_matches(&command().get_matches())?;
    let here = std::env::current_dir().context("finding the current folder")?;
    let here = Utf8PathBuf::try_from(here).context("finding the current folder")?;
    let is_root = |folder: &&camino::Utf8Path| folder.join(".git").exists();
    let root = here.ancestors().find(is_root).unwrap_or(&here);
    check::run(&args, root, None)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            terminal::say(interrupted.to_string());
            return interrupted.exit_code();
        }
        terminal::say(format!("error: {error:#}"));
        ExitCode::from(2)
    })
}
