//! `cargo xtask completions`: prints the completion scripts, and the candidates that they ask for.
//!
//! A script recognises lines of `cargo xtask` in this repository, leaves all others to cargo's own
//! completion, and asks this program for the candidates: `completions SHELL -- WORDS`. It runs this program
//! itself and not `cargo xtask`, which compiles when a source has changed and waits for other
//! cargos' locks: the tab key must do neither, and a source that does not compile disables no completion.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use crate::build::selection;
use crate::completions::components;
use crate::completions::engine::{self, Candidate, ValueKind};
use crate::completions::line::CommandLine;
use crate::completions::shell::{Shell, render, script};
use crate::repo::Repo;
use sys::terminal;

/// Print a shell completion script for `cargo xtask`
///
/// The script completes commands, flags, values, paths and names of components. Cargo's own completion
/// keeps completing everything else after `cargo`, whichever of the two is loaded first. To enable it in
/// the current shell, in this repository:
///
///   bash  `eval "$(cargo xtask completions bash)"`, 4.3 or later
///   zsh   `source <(cargo xtask completions zsh)`, after compinit
///   fish  `cargo xtask completions fish | source`
///
/// To enable it in every shell, write it to a file that the shell's startup file sources; fish loads
/// ~/.config/fish/conf.d/xtask.fish by itself. One script serves all working trees of this repository, and
/// does nothing outside of them. It runs the program that printed it and none that a tree brings: after a change of
/// the sources, run any `cargo xtask` command there before new flags are completed.
///
/// Exit codes: 0 printed, 2 could not run.
///
/// Example: `cargo xtask completions bash > ~/.xtask.bash && echo '. ~/.xtask.bash' >> ~/.bashrc`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
    /// The request of a script: the words after `cargo xtask`, the last one up to the cursor. Bash, which
    /// can't give words without their quotes, gives its word breaks and the text after `cargo xtask`
    #[arg(last = true, hide = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: &Args, mut command: clap::Command) -> Result<ExitCode> {
    if args.words.is_empty() {
        let program = own_program().context("finding this program")?;
        terminal::emit(script(args.shell, &program).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let words: Vec<String> = args
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let typed = match (args.shell, words.as_slice()) {
        (Shell::Bash, [breaks, text]) => CommandLine::from_line(text, breaks),
        _ => CommandLine::from_words(words),
    };
    command.build();
    let mut next = engine::candidates(&typed, &command);
    if next.kind == ValueKind::Containers {
        let containers = Repo::find().and_then(|repo| repo.containers());
        next.words.extend(
            containers
                .unwrap_or_default()
                .into_iter()
                .map(|it| Candidate {
                    text: it.name,
                    help: String::new(),
                }),
        );
    }
    if next.kind == ValueKind::Components {
        let described = Repo::find().and_then(|repo| components::describe(&repo));
        let described = described.unwrap_or_default();
        let names = selection::shortest(&described);
        let words = components::candidates(&described, names, &typed.current);
        next.words.extend(words);
    }
    terminal::emit(render(args.shell, &typed, &next).trim_end_matches('\n'))?;
    Ok(ExitCode::SUCCESS)
}

/// This program's file. Linux tells it in /proc only; where there is none, the path that it was started by.
fn own_program() -> Result<Utf8PathBuf> {
    let error = match std::env::current_exe() {
        Ok(program) => return Ok(Utf8PathBuf::try_from(program)?),
        Err(error) => error,
    };
    let started = std::env::args_os()
        .next()
        .and_then(|it| it.into_string().ok());
    match started.filter(|path| path.contains('/')) {
        Some(path) => Ok(Utf8PathBuf::from(path).canonicalize_utf8()?),
        None => Err(error.into()),
    }
}
