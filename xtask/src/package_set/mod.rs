//! Decides which package set components are built over, the pinned nixpkgs or host-pkgs, and which settings
//! Nix gets for it.
//!
//! May use pins, Nix, other machines and the repository.

pub mod host_pkgs;
pub mod package_managers;
pub mod probe;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::nix::{self, ForBuilders, Inputs, Nix, PackageSet, Store};
use crate::pins::Nixpkgs;
use crate::pins::sources::Sources;
use crate::repo::Repo;
use nix_formats::store_path;
use nix_formats::version::NixVersion;
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;

/// The oldest Nix that nixpkgs works with (`lib/minver.nix` of nixos-25.11).
pub const NIXPKGS_FLOOR: (u32, u32) = (2, 18);
/// The oldest Nix that the expressions are tested with.
pub const NIX_FLOOR: (u32, u32) = (2, 8);
/// The system that host-pkgs has packages for (containers/host-pkgs/default.nix).
pub const HOST_PKGS_SYSTEM: &str = "x86_64-linux";

/// A package set and why it is taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The package set.
    pub set: PackageSet,
    /// Why, human-readable.
    pub reason: String,
}

/// Chooses: the one that was asked for, else nixpkgs where it can be had, else host-pkgs.
///
/// `nixpkgs` is what the pins of each container name, all of which has to be there. `in_store` says whether its copy is in
/// the store, `probe` why its address is not one that answers, if it is not.
pub fn choose(
    asked: Option<PackageSet>,
    version: &NixVersion,
    nixpkgs: &[Option<&Nixpkgs>],
    in_store: impl Fn(&Nixpkgs) -> Result<bool>,
    probe: impl Fn(&Nixpkgs) -> Result<Option<String>>,
) -> Result<Choice> {
    let (major, minor) = NIXPKGS_FLOOR;
    let new_enough = version.is_at_least(major, minor);
    let choice = |set, reason: String| Ok(Choice { set, reason });
    match asked {
        Some(PackageSet::Host) => {
            return choice(PackageSet::Host, "asked for by `--pkgs`".to_owned());
        }
        Some(PackageSet::Nixpkgs) => {
            if !new_enough {
                bail!(
                    "`--pkgs nixpkgs` needs Nix {major}.{minor} or later, this is Nix {version}: \
                     install a newer Nix, or use `--pkgs host`"
                );
            }
            return choice(PackageSet::Nixpkgs, "asked for by `--pkgs`".to_owned());
        }
        None => {}
    }
    if !new_enough {
        let reason = format!("Nix {version} is older than {major}.{minor}, which nixpkgs needs");
        return choice(PackageSet::Host, reason);
    }
    let Some(pinned) = nixpkgs.iter().copied().collect::<Option<Vec<_>>>() else {
        return choice(PackageSet::Host, "the pins name no nixpkgs".to_owned());
    };
    let mut known: Vec<&Nixpkgs> = Vec::new();
    let mut reasons = Vec::new();
    for nixpkgs in pinned {
        if known.iter().any(|it| it.hash == nixpkgs.hash) {
            continue;
        }
        known.push(nixpkgs);
        let short = nixpkgs.rev.get(..8).unwrap_or(&nixpkgs.rev);
        if in_store(nixpkgs)? {
            reasons.push(format!("revision {short} is in the store"));
        } else if let Some(why) = probe(nixpkgs)? {
            let reason = format!("nixpkgs {short} is not in the store and {why}");
            return choice(PackageSet::Host, reason);
        } else {
            reasons.push(format!("the address of revision {short} answers"));
        }
    }
    choice(PackageSet::Nixpkgs, reasons.join(", "))
}

/// Where the pinned nixpkgs lies in a store, as an unpacked source.
pub fn path_in_store(store: &Utf8Path, nixpkgs: &Nixpkgs) -> Option<Utf8PathBuf> {
    let hash = nixpkgs.hash.as_sha256()?;
    Some(store_path::recursive_sha256(store, "source", hash))
}

/// Whether the pinned nixpkgs is in the store.
pub fn is_in_store(nix: &Nix<'_>, nixpkgs: &Nixpkgs) -> Result<bool> {
    let Some(path) = path_in_store(&nix::store_dir(), nixpkgs) else {
        return Ok(false);
    };
    Ok(!nix.valid(&BTreeSet::from([path.into_string()]))?.is_empty())
}

/// Chooses the package set and sets Nix up for it.
pub fn set_up<'a>(
    asked: Option<PackageSet>,
    repo: &'a Repo,
    processes: &'a Processes,
    sources: &[Sources],
    store: Option<&str>,
    share_logins: bool,
) -> Result<(Choice, Nix<'a>)> {
    let version = nix::known_version(processes, &repo.state())?;
    let plain = Nix::new(processes, Vec::new());
    let nixpkgs: Vec<Option<&Nixpkgs>> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
    let choice = choose(
        asked,
        &version,
        &nixpkgs,
        |nixpkgs| is_in_store(&plain, nixpkgs),
        |nixpkgs| probe::probe(processes.into(), repo, nixpkgs),
    )?;
    let store = store.map(|url| Store {
        url: url.to_owned(),
        drv_means_outputs: !version.is_at_least(2, 13),
    });
    if choice.set == PackageSet::Nixpkgs {
        let nix = plain.with_store(store).with_builders(|| {
            let environment = package_managers::nixpkgs_environment(processes)?;
            Ok(ForBuilders::new(environment, None))
        });
        return Ok((choice, nix));
    }
    let variable = |name: &str| std::env::var(name).ok();
    let nix = Nix::new(processes, host_pkgs::settings(repo, None, None, variable)?);
    let nix = nix.with_store(store).with_builders(move || {
        let found = package_managers::found(processes)?;
        let rust = host_pkgs::rust_toolchain(processes, variable)?;
        let settings = |clients: Option<&Utf8Path>| {
            host_pkgs::settings(repo, clients, rust.as_deref(), variable)
        };
        if nix::is_direct() {
            let mut environment = settings(None)?;
            environment.extend(found.variables());
            return Ok(ForBuilders::new(environment, None));
        }
        let (files, left_out) = found.shared(share_logins);
        package_managers::say_left_out(&left_out);
        let folder = Scratch::for_builders()?;
        let clients = package_managers::write(folder.path(), &files)?;
        Ok(ForBuilders::new(settings(Some(&clients))?, Some(folder)))
    });
    Ok((choice, nix))
}

/// Says what is built over what, and why.
pub fn announce<'s>(
    choice: &Choice,
    sources: impl IntoIterator<Item = &'s Sources>,
    host: Option<&str>,
) {
    let shown: Vec<&str> = sources.into_iter().map(|it| it.shown.as_str()).collect();
    terminal::say(format!(
        "package set: {} ({})  sources: {}{}",
        choice.set.name(),
        choice.reason,
        shown.join(", "),
        host.map_or_else(String::new, |host| format!("  on: {host}"))
    ));
}

/// What a container's expressions are called with.
pub fn inputs(repo: &Repo, set: PackageSet, sources: &Sources) -> Inputs {
    Inputs {
        container: sources.container.clone(),
        host_pkgs: (set == PackageSet::Host).then(|| repo.host_pkgs()),
        source: sources.tree.clone(),
        pins: sources.pins_file.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nixpkgs() -> Nixpkgs {
        Nixpkgs {
            url: "u".to_owned(),
            rev: "r".to_owned(),
            hash: nix_formats::sri::Sri::sha256([0; 32]),
        }
    }

    fn never<T>(_: &Nixpkgs) -> Result<T> {
        bail!("asked though it need not be")
    }

    #[test]
    fn choices() {
        use PackageSet::{Host, Nixpkgs};
        let pin = nixpkgs();
        let old = NixVersion::new(2, 8);
        let new = NixVersion::new(2, 18);
        for (asked, version, pinned, in_store, answers, set, reason) in [
            (Some(Host), &new, true, true, true, Host, "--pkgs"),
            (Some(Nixpkgs), &new, true, false, false, Nixpkgs, "--pkgs"),
            (
                None,
                &old,
                true,
                true,
                true,
                Host,
                "Nix 2.8 is older than 2.18",
            ),
            (None, &new, false, true, true, Host, "no nixpkgs"),
            (None, &new, true, true, false, Nixpkgs, "in the store"),
            (
                None,
                &new,
                true,
                false,
                true,
                Nixpkgs,
                "of revision r answers",
            ),
            (None, &new, true, false, false, Host, "does not answer"),
        ] {
            let pin = pinned.then_some(&pin);
            let why = |_: &_| Ok((!answers).then(|| "it does not answer".to_owned()));
            let choice = choose(asked, version, &[pin, pin], |_| Ok(in_store), why).unwrap();
            assert_eq!(choice.set, set, "{choice:?}");
            assert!(choice.reason.contains(reason), "{choice:?}");
        }
        choose(None, &old, &[Some(&pin)], never, never).unwrap();
        let error = choose(Some(Nixpkgs), &old, &[], never, never)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2.18") && error.contains("Nix 2.8:"),
            "{error}"
        );
    }
}
