//! Hash mismatches: which pin is wrong, what to do about it, and, with `--write-pins`, the new hash written
//! into pins.json.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::nix::Pinned;
use crate::pins::sources::Sources;
use crate::pins::{self, Change};
use crate::repo::Repo;
use nix_formats::log;
use nix_formats::log::Failure;
use nix_formats::sri::Sri;
use sys::quote;
use sys::terminal;

/// A pin whose hash is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinMismatch {
    /// The fixed-output derivation that takes its hash from the pin, if it came to a build.
    pub drv: Option<String>,
    /// The pins file.
    pub file: Utf8PathBuf,
    /// The pin, what it says and what it should say.
    pub change: Change,
}

/// The stale pins because of which an evaluation failed: Nix takes some of the sources, files and the
/// package set, when it evaluates. `said` is all that it said.
pub fn at_evaluation(said: &str, sources: &Sources) -> Result<Vec<PinMismatch>> {
    let mut stale = Vec::new();
    // The words that a container's expressions use, such as containers/authentik/sources.nix.
    if said.contains("is not what the pin `") {
        let folder = sources.pins_path.parent().unwrap_or(Utf8Path::new("."));
        let files = sources.pins.stale_files(folder)?;
        stale.extend(files.into_iter().map(|change| PinMismatch {
            drv: None,
            file: sources.pins_path.clone(),
            change,
        }));
    }
    if let Some(nixpkgs) = &sources.nixpkgs
        && let Some((url, got)) = log::download_mismatch(said)
        && url == nixpkgs.url
        && let Ok(to) = got.parse()
        && to != nixpkgs.hash
    {
        stale.push(PinMismatch {
            drv: None,
            file: sources.nixpkgs_path.clone(),
            change: Change {
                key: ["nixpkgs", "hash"].map(str::to_owned).to_vec(),
                from: nixpkgs.hash.clone(),
                to,
            },
        });
    }
    Ok(stale)
}

/// The stale pins among derivations that failed, going by what Nix says which derivation takes its hash
/// from which pin.
pub fn after_build<'a>(
    failures: impl Iterator<Item = (&'a str, &'a Failure)>,
    pinned: &[Pinned],
) -> Vec<PinMismatch> {
    let stale = |(drv, failure): (&str, &Failure)| {
        let Failure::Mismatch { specified, got, .. } = failure else {
            return None;
        };
        let pin = pinned.iter().find(|pin| pin.drv == drv)?;
        let (from, to): (Sri, Sri) = (specified.parse().ok()?, got.parse().ok()?);
        Some(PinMismatch {
            drv: Some(drv.to_owned()),
            file: pin.file.clone(),
            change: Change {
                key: pin.key.clone(),
                from,
                to,
            },
        })
    };
    failures.filter_map(stale).collect()
}

/// Writes new hashes and says so.
pub fn write(repo: &Repo, stale: &[PinMismatch]) -> Result<()> {
    let files: BTreeSet<&Utf8PathBuf> = stale.iter().map(|stale| &stale.file).collect();
    for file in files {
        let changes: Vec<Change> = stale
            .iter()
            .filter(|stale| &stale.file == file)
            .map(|stale| stale.change.clone())
            .collect();
        pins::write(file, &repo.lock(), &changes)?;
        for change in changes {
            terminal::say(format!(
                "\nwritten to {}: `{}`\n  old: {}\n  new: {}",
                repo.shown(file),
                change.shown(),
                change.from,
                change.to
            ));
        }
    }
    Ok(())
}

/// What to do about a mismatch, in a line or two.
pub fn remedy(
    repo: &Repo,
    stale: Option<&PinMismatch>,
    may_write: bool,
    changed_before: bool,
) -> String {
    let Some(stale) = stale else {
        return "no pin has this hash: it is in the expression of the derivation".to_owned();
    };
    let pin = format!(
        "pin:       `{}` in {}",
        stale.change.shown(),
        repo.shown(&stale.file)
    );
    if changed_before {
        return format!(
            "{pin}\nit was changed in this run and is different again: what it pins differs with each \
             build"
        );
    }
    if !may_write {
        return format!(
            "{pin}\nto accept it: give a copy of that file by `--pins FILE`, and `--write-pins`; a \
             working tree never changes the release's pins"
        );
    }
    let command = accepting_command(std::env::args().skip(1));
    format!("{pin}\nif the change is wanted, accept it: `{command}`")
}

/// This run's command line with `--write-pins`, as a shell takes it.
fn accepting_command(arguments: impl Iterator<Item = String>) -> String {
    let given = arguments.filter(|word| word != "--write-pins");
    let words: Vec<String> = given.chain(["--write-pins".to_owned()]).collect();
    format!("cargo xtask {}", quote::typed(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "sha256-1iFc8xdnNoal0Izr4zDA5d/76Ks7Ok7CEzoKEl8cJIg=";
    const NEW: &str = "sha256-DFAv73KG7NcfBDnRd6ahWCkqKEfaOY1LbuYqMn2AAck=";

    #[test]
    fn derivations_lead_to_their_pins() {
        let pin = |drv: &str| Pinned {
            drv: drv.to_owned(),
            out: "/x".to_owned(),
            file: "/r/pins.json".into(),
            key: vec!["sources".to_owned(), "a.b".to_owned(), "hash".to_owned()],
        };
        let mismatch = |drv: &str| Failure::Mismatch {
            drv: drv.to_owned(),
            specified: OLD.to_owned(),
            got: NEW.to_owned(),
        };
        let failures = [
            ("/a.drv", mismatch("/a.drv")),
            ("/x.drv", mismatch("/x.drv")),
        ];
        let failures = failures.iter().map(|(drv, failure)| (*drv, failure));
        let stale = after_build(failures, &[pin("/b.drv"), pin("/a.drv")]);
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].drv.as_deref(), Some("/a.drv"));
        assert_eq!(stale[0].change.shown(), "sources.a.b.hash");
        assert_eq!(stale[0].change.to.to_string(), NEW);
    }

    #[test]
    fn the_command_that_accepts() {
        let command = |words: &[&str]| accepting_command(words.iter().map(|&word| word.to_owned()));
        assert_eq!(
            command(&["test-build", "--pins", "my pins'.json", "client-ts"]),
            r"cargo xtask test-build --pins 'my pins'\''.json' client-ts --write-pins"
        );
        assert_eq!(
            command(&["test-build", "--write-pins", "a"]),
            "cargo xtask test-build a --write-pins"
        );
    }
}
