//! Which containers a command is about, and which of their components its names mean.
//!
//! `client-ts` is looked for in all containers, `authentik/client-ts` in one, `authentik/` means all
//! components of one. Nix looks at no container that can't be meant.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::build::report;
use crate::nix::Description;
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::repo::{Container, Repo};

/// What was named on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    names: Vec<Name>,
    /// Whether all components of all containers are meant.
    all: bool,
}

/// A name of the command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// `COMPONENT`
    Bare(String),
    /// `CONTAINER/COMPONENT`
    Of(String, String),
    /// `CONTAINER/`
    Whole(String),
}

/// The containers that can be meant.
#[derive(Debug)]
pub struct Selection {
    /// These.
    pub containers: Vec<Container>,
    /// Those that the flags leave out, each with the reason.
    pub left_out: Vec<(Container, String)>,
}

impl Name {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text.split_once('/') {
            None => Self::Bare(text.to_owned()),
            Some(("", _)) => bail!("`{text}` names no container: `CONTAINER/COMPONENT` is wanted"),
            Some((container, "")) => Self::Whole(container.to_owned()),
            Some((container, component)) => Self::Of(container.to_owned(), component.to_owned()),
        })
    }

    fn container(&self) -> Option<&str> {
        match self {
            Self::Bare(_) => None,
            Self::Of(container, _) | Self::Whole(container) => Some(container),
        }
    }
}

impl Selection {
    /// The sources of each.
    pub fn sources(&self, repo: &Repo, asked: &SourceOverride<'_>) -> Result<Vec<Sources>> {
        let resolve = |container| sources::resolve(repo, container, asked);
        self.containers.iter().map(resolve).collect()
    }
}

impl Names {
    /// Reads names; without any of them, `all` components of all containers may be meant.
    pub fn parse(texts: &[String], all: bool) -> Result<Self> {
        let mut names = Vec::new();
        for text in texts {
            let name = Name::parse(text)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Self { names, all })
    }

    /// The components of a container that may be meant, or all of them: `None`.
    pub fn wanted(&self, container: &str) -> Option<Vec<String>> {
        let is_whole = |name: &Name| matches!(name, Name::Whole(it) if it == container);
        if self.all || self.names.iter().any(is_whole) {
            return None;
        }
        let component = |name: &Name| match name {
            Name::Bare(component) => Some(component.clone()),
            Name::Of(it, component) => (it == container).then(|| component.clone()),
            Name::Whole(_) => None,
        };
        let mut wanted: Vec<String> = Vec::new();
        for component in self.names.iter().filter_map(component) {
            if !wanted.contains(&component) {
                wanted.push(component);
            }
        }
        Some(wanted)
    }

    /// The containers that can be meant, under flags that not each of them takes.
    pub fn select(&self, repo: &Repo, asked: &SourceOverride<'_>) -> Result<Selection> {
        let all = repo.containers()?;
        let named: BTreeSet<&str> = self.names.iter().filter_map(Name::container).collect();
        let is_unknown = |name: &&&str| !all.iter().any(|container| container.name == **name);
        if let Some(unknown) = named.iter().find(is_unknown) {
            bail!("{}", no_container(unknown, &all));
        }
        let any = self.names.is_empty() || self.bare().next().is_some();
        let mut select = Selection {
            containers: Vec::new(),
            left_out: Vec::new(),
        };
        for container in all {
            let is_named = named.contains(container.name.as_str());
            if !is_named && !any {
                continue;
            }
            match sources::incompatibility(&container, asked)? {
                None => select.containers.push(container),
                Some(reason) if is_named => bail!("{reason}"),
                Some(reason) => select.left_out.push((container, reason)),
            }
        }
        if select.containers.is_empty() {
            let reasons: Vec<&str> = select.left_out.iter().map(|(_, it)| it.as_str()).collect();
            bail!("{}", reasons.join("\n"));
        }
        if asked.pins.is_some() && select.containers.len() > 1 && self.bare().next().is_none() {
            bail!(
                "`--pins` gives the pins of one container: name it, such as `{}/`",
                select.containers[0].name
            );
        }
        Ok(select)
    }

    fn bare(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            Name::Bare(component) => Some(component.as_str()),
            Name::Of(..) | Name::Whole(_) => None,
        })
    }

    /// Makes sure that each name means one component.
    ///
    /// `described` is what there is; `elsewhere` knows what there is in the containers that the flags
    /// leave out, each with the reason, and is asked only when a name means nothing.
    pub fn check(
        &self,
        described: &[Description],
        elsewhere: impl FnOnce() -> Vec<(Description, String)>,
    ) -> Result<()> {
        let has = |described: &Description, component: &str| {
            described.names.iter().any(|name| name == component)
        };
        let mut unknown = Vec::new();
        let mut problems = Vec::new();
        for name in &self.names {
            match name {
                Name::Whole(_) => {}
                Name::Of(container, component) => {
                    let of = described.iter().find(|it| it.container == *container);
                    if let Some(of) = of.filter(|of| !has(of, component)) {
                        let known: Vec<String> = of.names.iter().map(|it| full(of, it)).collect();
                        problems.push(report::unknown(&full(of, component), &known));
                    }
                }
                Name::Bare(component) => {
                    let homes: Vec<String> = described
                        .iter()
                        .filter(|it| has(it, component))
                        .map(|it| format!("`{}`", full(it, component)))
                        .collect();
                    match homes.len() {
                        0 => unknown.push(component),
                        1 => {}
                        count => problems.push(format!(
                            "{count} containers have a component `{component}`: give {}",
                            homes.join(" or ")
                        )),
                    }
                }
            }
        }
        if !unknown.is_empty() {
            let elsewhere = elsewhere();
            let known = shortest(described);
            for name in unknown {
                let there = elsewhere.iter().find(|(it, _)| has(it, name));
                problems.push(match there {
                    Some((it, reason)) => format!("`{name}` is in `{}`: {reason}", it.container),
                    None if described.iter().any(|it| it.container == *name) => format!(
                        "`{name}` is a container: `{name}/` means all its components\n{}",
                        report::unknown(name, &known)
                    ),
                    None => report::unknown(name, &known),
                });
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        bail!("{}", problems.join("\n"))
    }
}

/// Why a name is no container's.
pub fn no_container(name: &str, containers: &[Container]) -> String {
    let known: Vec<String> = containers
        .iter()
        .map(|container| format!("`{}`", container.name))
        .collect();
    format!(
        "there is no container `{name}`: there is {}",
        known.join(", ")
    )
}

fn full(description: &Description, component: &str) -> String {
    format!("{}/{component}", description.container)
}

/// The names of all components, each as short as it may be.
pub fn shortest(described: &[Description]) -> Vec<String> {
    let homes = |component: &String| {
        let has = |it: &&Description| it.names.contains(component);
        described.iter().filter(has).count()
    };
    let of = |description: &Description| -> Vec<String> {
        let name = |component: &String| match homes(component) {
            1 => component.clone(),
            _ => full(description, component),
        };
        description.names.iter().map(name).collect()
    };
    described.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Names {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        Names::parse(&texts, false).unwrap()
    }

    fn described(container: &str, names: &[&str]) -> Description {
        Description {
            container: container.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            components: Vec::new(),
        }
    }

    #[test]
    fn what_of_a_container_is_wanted() {
        let wanted = |texts: &[&str], container| names(texts).wanted(container);
        let some = |components: &[&str]| {
            Some(
                components
                    .iter()
                    .map(|&it| it.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            wanted(&["b", "a/c", "z/d", "a/b", "b"], "a"),
            some(&["b", "c"])
        );
        assert_eq!(wanted(&["b", "a/"], "a"), None);
        assert_eq!(wanted(&["a/"], "z"), some(&[]));
        assert_eq!(Names::parse(&[], true).unwrap().wanted("a"), None);
        assert!(Names::parse(&["/x".to_owned()], false).is_err());
    }

    #[test]
    fn each_name_means_one_component() {
        let there = [
            described("app", &["image", "server"]),
            described("proxy", &["image", "proxy"]),
        ];
        let check = |texts: &[&str]| {
            let elsewhere = || vec![(described("zoo", &["lion"]), "it is closed".to_owned())];
            let checked = names(texts).check(&there, elsewhere);
            checked.map_err(|error| error.to_string())
        };
        for good in ["server", "app/server", "proxy/image", "proxy/"] {
            assert_eq!(check(&[good]), Ok(()), "{good}");
        }
        for (bad, expected) in [
            (
                "image",
                "2 containers have a component `image`: give `app/image` or `proxy/image`",
            ),
            ("sevrer", "no component `sevrer`: did you mean `server`?\n"),
            (
                "sevrer",
                "are:\n  app/image\n  server\n  proxy/image\n  proxy",
            ),
            ("app/proxy", "there is no component `app/proxy`"),
            ("app/proxy", "are:\n  app/image\n  app/server"),
            (
                "app/server.tests.x",
                "is a test, it runs with its component: give `app/server`",
            ),
            (
                "app",
                "`app` is a container: `app/` means all its components\n",
            ),
            ("lion", "`lion` is in `zoo`: it is closed"),
        ] {
            let error = check(&["server", bad]).unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
