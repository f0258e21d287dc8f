//! The names of components, which Nix evaluates.

use std::time::Duration;

use anyhow::Result;
use rustix::process::{Signal, getpid, kill_process};

use super::engine::{Candidate, first_line};
use crate::nix::{Description, Inputs, Nix, Request};
use crate::repo::Repo;
use sys::process::Processes;

/// How long Nix may take to list the components: longer looks like a hanging shell.
const NAMES_LIMIT: Duration = Duration::from_secs(3);

/// How long Nix may take to end after that.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The components of all containers; none where Nix fails, because a tab key can't show errors.
pub fn describe(repo: &Repo) -> Result<Vec<Description>> {
    let processes = Processes::new(false)?;
    // As if the user pressed Ctrl-C: running processes are told to end and no others start. The second
    // signal kills.
    std::thread::spawn(|| {
        for (limit, signal) in [(NAMES_LIMIT, Signal::TERM), (END_LIMIT, Signal::INT)] {
            std::thread::sleep(limit);
            let _ = kill_process(getpid(), signal);
        }
    });
    // A tab key builds nothing. Read-only evaluation would, through a daemon.
    let mut settings = std::env::var("NIX_CONFIG").unwrap_or_default();
    settings.push_str("\nallow-import-from-derivation = false");
    let nix = Nix::new(&processes, vec![("NIX_CONFIG".to_owned(), settings)]);
    let containers = repo.containers()?;
    // host-pkgs, whatever the components will be built over: it needs no download.
    let inputs: Vec<Inputs> = containers
        .into_iter()
        .map(|container| Inputs {
            container,
            host_pkgs: Some(repo.host_pkgs()),
            source: None,
            pins: None,
        })
        .collect();
    let describe = |inputs: &[Inputs], names: Option<Vec<String>>| {
        let request = Request {
            containers: inputs.iter().map(|it| (it, names.clone())).collect(),
            ..Request::default()
        };
        Ok::<_, anyhow::Error>(nix.describe(&request, repo, false)?.0)
    };
    // A component that fails to evaluate costs the descriptions, but no names; a container that fails
    // costs nothing of the others.
    let one_by_one = || {
        let one = |it| describe(std::slice::from_ref(it), Some(Vec::new()));
        inputs
            .iter()
            .filter_map(|it| one(it).ok())
            .flatten()
            .collect()
    };
    Ok(describe(&inputs, None)
        .or_else(|_| describe(&inputs, Some(Vec::new())))
        .unwrap_or_else(|_| one_by_one()))
}

/// The components as candidates, and the containers if there are several.
///
/// `names` are the shortest names of all components, `current` is the current word: if it names a container,
/// so do the candidates.
pub fn candidates(described: &[Description], names: Vec<String>, current: &str) -> Vec<Candidate> {
    let help = |description: &Description, name: &String| {
        let component = description.components.iter().find(|it| it.name == *name);
        component.map_or_else(String::new, |it| first_line(&it.description))
    };
    let mut words = Vec::new();
    let mut names = names.into_iter();
    for description in described {
        let container = &description.container;
        if described.len() > 1 {
            words.push(Candidate {
                text: format!("{container}/"),
                help: format!("all of {container}"),
            });
        }
        let in_full = current.starts_with(&format!("{container}/"));
        words.extend(
            description
                .names
                .iter()
                .zip(&mut names)
                .map(|(name, text)| Candidate {
                    help: help(description, name),
                    text: if in_full {
                        format!("{container}/{name}")
                    } else {
                        text
                    },
                }),
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_several_containers() {
        let described = |container: &str, names: &[&str]| Description {
            container: container.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            components: Vec::new(),
        };
        let both = [
            described("app", &["image", "server"]),
            described("proxy", &["image", "proxy"]),
        ];
        let shortest = ["app/image", "server", "proxy/image", "proxy"];
        for (described, names, current, expected) in [
            (&both[..1], &["image", "server"][..], "", "image server"),
            (
                &both,
                &shortest,
                "",
                "app/ app/image server proxy/ proxy/image proxy",
            ),
            (
                &both,
                &shortest,
                "proxy/",
                "app/ app/image server proxy/ proxy/image proxy/proxy",
            ),
            (
                &both,
                &shortest,
                "app/s",
                "app/ app/image app/server proxy/ proxy/image proxy",
            ),
        ] {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            let words = candidates(described, names, current).into_iter();
            let words: Vec<String> = words.map(|word| word.text).collect();
            assert_eq!(words.join(" "), expected, "{current}");
        }
    }
}
