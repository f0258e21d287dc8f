//! What travels to the machine that builds, and where it lies there: no more than evaluating needs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::pins::sources::{self, Asked, Sources};
use crate::repo::{Container, Repo};
use nix_formats::json;
use sys::process::Processes;
use sys::scratch::Scratch;

/// The variable that names the machine to build on.
const VARIABLE: &str = "XTASK_BUILD_HOST";
/// The name that means this machine.
pub const LOCAL: &str = "local";
/// Folders that no component is built from, wherever they are.
const NEVER: [&str; 5] = [".git", ".venv", ".wireit", "__pycache__", "node_modules"];
/// What of the repository beside containers takes part in builds.
const BUILD_TOOLS: [&str; 3] = ["Cargo.lock", "Cargo.toml", "src"];

/// `test-build.json` beside the pins: how this repository is built.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The machine to build on.
    on: Option<String>,
    /// What of a working tree components are built from; all, if absent.
    tree: Option<Vec<String>>,
    /// What of that they are not.
    #[serde(default)]
    without: Vec<String>,
}

/// A folder, or a part of one, that travels in one piece.
#[derive(Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its folder there, below the run's.
    pub to: &'static str,
    /// Its folder here.
    pub from: Utf8PathBuf,
    /// What of it travels.
    names: Vec<String>,
    /// What below these does not.
    without: Vec<String>,
}

/// The one of [`hosts`] to build on; `None` is this machine.
pub fn only(mut hosts: BTreeSet<Option<String>>) -> Result<Option<String>> {
    if hosts.len() > 1 {
        bail!(
            "the containers are not built on the same machine, as their test-build.json say: name one \
             by `--on HOST` or `--on {LOCAL}`, or one container at a time, as CONTAINER/COMPONENT"
        );
    }
    Ok(hosts.pop_first().flatten())
}

/// The machines that are built on: the one that was asked for, else `XTASK_BUILD_HOST`, else those that the
/// containers name which may be meant; one that names none goes where the others go. `None` is this machine.
pub fn hosts(
    repo: &Repo,
    containers: &[Container],
    asked: Option<&str>,
) -> Result<BTreeSet<Option<String>>> {
    let variable = std::env::var(VARIABLE).ok();
    let mut configured = Vec::new();
    for container in containers {
        configured.extend(config(repo, container)?.on);
    }
    Ok(choose(asked, variable.as_deref(), configured))
}

fn choose(
    asked: Option<&str>,
    variable: Option<&str>,
    configured: Vec<String>,
) -> BTreeSet<Option<String>> {
    let variable = variable.filter(|host| !host.is_empty());
    let hosts = match asked.or(variable) {
        Some(host) => vec![host.to_owned()],
        None => configured,
    };
    let hosts = hosts.into_iter();
    hosts.map(|host| (host != LOCAL).then_some(host)).collect()
}

fn config(repo: &Repo, container: &Container) -> Result<Config> {
    let path = container.folder.join("test-build.json");
    match fs_err::read_to_string(&path) {
        Ok(text) => json::from_json(&text, repo.shown(&path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error.into()),
    }
}

/// All that a build from these sources needs.
pub fn parcels(repo: &Repo, sources: &[Sources]) -> Result<Vec<Parcel>> {
    let mut parcels = vec![of_repository(repo, sources)];
    for sources in sources {
        let mut tree = of_tree(repo, sources)?;
        if !sources.pins_path.starts_with(&sources.container.folder) {
            let pins = of_pins(sources)?;
            match &mut tree {
                // A place has one name there.
                Some(tree) if pins.from.starts_with(&tree.from) => tree.take_in(&pins),
                _ => parcels.push(pins),
            }
        }
        parcels.extend(tree);
    }
    // Containers may share pins and tree.
    let mut different: Vec<Parcel> = Vec::new();
    for parcel in parcels {
        if !different.contains(&parcel) {
            different.push(parcel);
        }
    }
    Ok(different)
}

fn of_repository(repo: &Repo, sources: &[Sources]) -> Parcel {
    let below = |path: &Utf8Path| repo.shown(path).to_string();
    let mut names = vec![below(&repo.host_pkgs())];
    names.extend(sources.iter().map(|it| below(&it.container.folder)));
    names.extend(BUILD_TOOLS.map(|name| format!("xtask/build-tools/{name}")));
    let sample = |sources: &Sources| {
        let sample = sources.container.sample_pins();
        let sample = sample.parent().unwrap_or(&sample);
        (!sources.pins_path.starts_with(sample)).then(|| below(sample))
    };
    Parcel {
        to: "repo",
        from: repo.root.clone(),
        names: existing(&repo.root, names),
        without: sources.iter().filter_map(sample).collect(),
    }
}

/// A working tree, as far as components are built from it.
fn of_tree(repo: &Repo, sources: &Sources) -> Result<Option<Parcel>> {
    let Some(tree) = &sources.tree else {
        return Ok(None);
    };
    let Config {
        tree: names,
        without,
        ..
    } = config(repo, &sources.container)?;
    let names = names.map_or_else(|| entries(tree), Ok)?;
    Ok(Some(Parcel {
        to: "source",
        from: tree.clone(),
        names: existing(tree, names),
        without,
    }))
}

/// A pins file from elsewhere, and what it names beside it: all, where it names no source of its own and
/// lies in a tree itself.
fn of_pins(sources: &Sources) -> Result<Parcel> {
    let path = &sources.pins_path;
    let folder = path.parent().unwrap_or(Utf8Path::new("/"));
    let folder_as_tree = Asked {
        tree: Some(folder),
        ..Asked::default()
    };
    let names_no_source = sources.tree.is_none() && sources.pins.go_source().is_none();
    let names = if names_no_source && sources::unfit(&sources.container, &folder_as_tree)?.is_none()
    {
        entries(folder)?
    } else {
        let file = path.file_name().map(str::to_owned);
        let files = sources.pins.files().map(|(_, file)| file.to_string());
        file.into_iter().chain(files).collect()
    };
    Ok(Parcel {
        to: "pins",
        from: folder.to_owned(),
        names: existing(folder, names),
        without: Vec::new(),
    })
}

fn entries(folder: &Utf8Path) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for entry in folder.read_dir_utf8()? {
        let entry = entry.with_context(|| format!("reading the folder `{folder}`"))?;
        names.insert(entry.file_name().to_owned());
    }
    Ok(names.into_iter().collect())
}

fn existing(folder: &Utf8Path, names: Vec<String>) -> Vec<String> {
    let names = names.into_iter();
    names
        .filter(|name| folder.join(name).symlink_metadata().is_ok())
        .collect()
}

impl Parcel {
    /// A parcel with all that a folder holds.
    pub fn of_folder(to: &'static str, from: &Utf8Path) -> Self {
        Self {
            to,
            from: from.to_owned(),
            names: vec![".".to_owned()],
            without: Vec::new(),
        }
    }

    /// Takes in what another parcel has of a folder below this one's.
    fn take_in(&mut self, other: &Self) {
        let below = other.from.strip_prefix(&self.from).unwrap_or(&other.from);
        let names = other.names.iter();
        for name in names.map(|name| below.join(name).into_string()) {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    /// The parcel as a compressed tar file.
    pub fn pack(&self, processes: &Processes) -> Result<Vec<u8>> {
        let scratch = Scratch::new()?;
        let file = scratch.path().join("packed");
        let without = NEVER.iter().copied();
        let without = without.chain(self.without.iter().map(String::as_str));
        let command = processes
            .cmd("tar")
            // or macOS adds files of its own
            .env("COPYFILE_DISABLE", "1")
            .args(["-czf", file.as_str(), "-C", self.from.as_str()])
            .args(without.map(|pattern| format!("--exclude={pattern}")))
            .arg("--")
            .args(&self.names);
        let captured = processes.capture(command)?;
        if !captured.status.success() {
            bail!(
                "`{}` failed ({}):\n{}",
                captured.command,
                captured.status,
                captured.stderr.trim_end()
            );
        }
        Ok(fs_err::read(&file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_machine() {
        for (asked, variable, configured, expected) in [
            (None, None, None, None),
            (None, None, Some("c"), Some("c")),
            (None, Some("v"), Some("c"), Some("v")),
            (Some("a"), Some("v"), Some("c"), Some("a")),
            (Some("local"), Some("v"), Some("c"), None),
            (None, Some("local"), Some("c"), None),
            (None, Some(""), Some("c"), Some("c")),
        ] {
            let configured: Vec<String> = configured.into_iter().map(str::to_owned).collect();
            let hosts = choose(asked, variable, configured);
            let host = hosts.first().cloned().flatten();
            assert_eq!((host.as_deref(), hosts.len() < 2), (expected, true));
        }
        let named = ["c", "local", "c"].map(str::to_owned).to_vec();
        let hosts = BTreeSet::from([None, Some("c".to_owned())]);
        assert_eq!(choose(None, None, named), hosts);
    }
}
