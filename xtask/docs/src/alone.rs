//! The commands as programs of their own, for any vault.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Command};
use sys::printable::lines;
use sys::process::Interrupted;
use sys::terminal;

use crate::source::vault_around;

/// Where a program was started.
pub struct Place {
    /// The repository's root; without one the current folder.
    pub root: Utf8PathBuf,
    /// The user's folder for what a program has to remember, if there is one: no vault can put anything there.
    pub state: Option<Utf8PathBuf>,
}

impl Place {
    /// The folder for what a program has to remember; an error where there is none.
    pub fn state(&self) -> Result<&Utf8Path> {
        let none = "neither XDG_STATE_HOME nor HOME says where the journal goes: set one";
        self.state.as_deref().context(none)
    }
}

/// Arguments that can name a vault.
pub trait NamesVault: Args {
    /// The vault that is named.
    fn vault(&mut self) -> &mut Option<Utf8PathBuf>;
}

/// A program's `main`: reads its arguments and runs it.
pub fn run<A: NamesVault>(
    name: &'static str,
    run: impl FnOnce(&A, &Place) -> Result<ExitCode>,
) -> ExitCode {
    let command = A::augment_args(Command::new(name));
    // The help text is that of `cargo xtask NAME`.
    let about = command.get_long_about().map(ToString::to_string);
    let about = about.unwrap_or_default().replace("cargo xtask ", "");
    let matches = command.long_about(about).get_matches();
    let mut args = A::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = place(&mut args).and_then(|place| run(&args, &place));
    done.unwrap_or_else(|error| {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            terminal::say(interrupted.to_string());
            return interrupted.exit_code();
        }
        terminal::say(lines(&format!("error: {error:#}")).as_bytes());
        ExitCode::from(2)
    })
}

fn place(args: &mut impl NamesVault) -> Result<Place> {
    let here = std::env::current_dir().context("finding the current folder")?;
    let here = Utf8PathBuf::try_from(here).context("finding the current folder")?;
    let is_root = |folder: &&Utf8Path| folder.join(".git").exists();
    let root = here.ancestors().find(is_root).unwrap_or(&here).to_owned();
    let vault = args.vault();
    if vault.is_none() {
        *vault = vault_around(&here);
        ensure!(
            vault.is_some(),
            "there is neither `.obsidian` nor `docs-check.toml` nor `docs` here or above: `--vault DIR` names a vault"
        );
    }
    let state = state_folder();
    Ok(Place { root, state })
}

/// By the XDG Base Directory Specification below `XDG_STATE_HOME`, or `~/.local/state`.
fn state_folder() -> Option<Utf8PathBuf> {
    let variable = |name: &str| {
        let path = std::env::var(name).ok().map(Utf8PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let state = variable("XDG_STATE_HOME");
    let state = state.or_else(|| Some(variable("HOME")?.join(".local/state")));
    Some(state?.join("docs-check"))
}
