//! `test-build.json` of a container: on which machine the container is built, and which part of a working
//! tree it is built from.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::repo::{Container, Repo};
use nix_formats::json;

/// The variable that names the machine to build on.
const VARIABLE: &str = "XTASK_BUILD_HOST";
/// The name that means this machine.
pub const LOCAL: &str = "local";

/// `test-build.json` beside the pins: how this repository is built.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The machine to build on.
    on: Option<String>,
    /// What of a working tree components are built from; all, if absent.
    pub tree: Option<Vec<String>>,
    /// What of that they are not.
    #[serde(default)]
    pub without: Vec<String>,
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

/// What a container's test-build.json says.
pub fn config(repo: &Repo, container: &Container) -> Result<Config> {
    let path = container.folder.join("test-build.json");
    match fs_err::read_to_string(&path) {
        Ok(text) => json::from_json(&text, repo.shown(&path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error.into()),
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
