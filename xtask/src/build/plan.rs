//! What is to be built: the components that were described, and their tests.

use camino::Utf8Path;

use crate::build::model::Target;
use crate::nix::{Buildable, Description};
use crate::repo::Repo;

/// The components and, with `tests`, their tests. `file_of` knows what to show of a position.
pub fn targets(described: &[Description], file_of: impl Fn(&str) -> Option<String>) -> Vec<Target> {
    let mut targets = Vec::new();
    let several = described
        .iter()
        .filter(|it| !it.components.is_empty())
        .count()
        > 1;
    let mut add = |container: &str, component: String, built: &Buildable| {
        if let (Some(drv), Some(out)) = (&built.drv, &built.out) {
            targets.push(Target {
                container: container.to_owned(),
                label: if several {
                    format!("{container}/{component}")
                } else {
                    component.clone()
                },
                component,
                drv: drv.clone(),
                out: out.clone(),
                file: built.position.as_deref().and_then(&file_of),
            });
        }
    };
    for description in described {
        let container = &description.container;
        for component in &description.components {
            add(container, component.name.clone(), &component.built);
            for test in &component.tests {
                let name = format!("{}.tests.{}", component.name, test.name);
                add(container, name, &test.built);
            }
        }
    }
    targets
}

/// The file of a position `FILE:LINE`, if it is one of this repository that one edits to change a
/// component: the package set's own helpers are none.
pub fn file_of(repo: &Repo, position: &str) -> Option<String> {
    let (file, _) = position.rsplit_once(':')?;
    let file = Utf8Path::new(file);
    let shown = repo.shown(file);
    let is_ours = shown != file && !file.starts_with(repo.host_pkgs());
    is_ours.then(|| shown.to_string())
}

/// The containers of which something is wanted.
pub fn in_use(described: &[Description]) -> Vec<&Description> {
    let described = described.iter();
    described.filter(|it| !it.components.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::Component;
    use crate::nix::describe::Test;

    fn buildable(name: &str) -> Buildable {
        Buildable {
            drv: Some(format!("/{name}.drv")),
            out: Some(format!("/{name}")),
            position: Some("a.nix:3".to_owned()),
        }
    }

    #[test]
    fn the_file_of_a_position() {
        let repo = Repo::find().unwrap();
        let at = |path: &str| file_of(&repo, &format!("{}:12", repo.root.join(path)));
        assert_eq!(
            at("containers/authentik/client-ts.nix").as_deref(),
            Some("containers/authentik/client-ts.nix")
        );
        assert_eq!(at("containers/host-pkgs/default.nix"), None);
        assert_eq!(file_of(&repo, "/nix/store/a-nixpkgs/b.nix:1"), None);
        assert_eq!(file_of(&repo, "nonsense"), None);
    }

    #[test]
    fn tests_follow_their_component() {
        let described = |container: &str, name: &str| Description {
            container: container.to_owned(),
            names: vec![name.to_owned()],
            components: vec![Component {
                name: name.to_owned(),
                version: String::new(),
                description: String::new(),
                built: buildable("c"),
                tests: vec![Test {
                    name: "types".to_owned(),
                    built: buildable("t"),
                }],
            }],
        };
        let one = described("app", "client-ts");
        let two = described("proxy", "proxy");
        let none = Description {
            components: Vec::new(),
            ..described("zoo", "lion")
        };
        let upper = |position: &str| Some(position.to_uppercase());
        let labels = |described: &[Description]| {
            let targets = targets(described, upper);
            let file = |target: &Target| target.file.as_deref() == Some("A.NIX:3");
            assert!(targets.iter().all(file));
            targets.into_iter().map(|it| it.label).collect::<Vec<_>>()
        };
        // With the container only where there are several.
        let both = [one, none, two];
        assert_eq!(labels(&both[..2]), ["client-ts", "client-ts.tests.types"]);
        assert_eq!(
            labels(&both),
            [
                "app/client-ts",
                "app/client-ts.tests.types",
                "proxy/proxy",
                "proxy/proxy.tests.types"
            ]
        );
    }
}
