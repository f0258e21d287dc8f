//! What is asked about the components of containers, and what the answers look like: describe.nix.

use anyhow::{Result, bail};
use camino::Utf8PathBuf;
use nix_formats::store_path::{is_derivation, is_store_path};
use serde::{Deserialize, Serialize};
use sys::printable::printable;

use crate::nix::machine::Machine;
use crate::repo::Container;

/// The longest name of a component, in bytes: with a suffix it has to fit into the name of a file.
const LONGEST_NAME: usize = 128;

/// A package set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PackageSet {
    /// The nixpkgs revision in pins.json
    Nixpkgs,
    /// host-pkgs, made from this machine's own tools
    Host,
}

/// What the expressions of a container are called with.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The container.
    pub container: Container,
    /// The stand-in for nixpkgs; without it the harness takes its pinned nixpkgs.
    pub host_pkgs: Option<Utf8PathBuf>,
    /// A source tree instead of the pinned one.
    pub source: Option<Utf8PathBuf>,
    /// Pins other than the release's.
    pub pins: Option<Utf8PathBuf>,
}

/// What is asked about the components of containers.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub struct Request<'a> {
    /// What the expressions of each container are called with, and which components of it are meant:
    /// all, if absent.
    pub containers: Vec<(&'a Inputs, Option<Vec<String>>)>,
    /// Whether their derivations are wanted.
    pub build: bool,
    /// Whether their tests are wanted.
    pub tests: bool,
    /// Whether hashes that the pins lack are to be found, and fake ones take their place.
    pub find_hashes: bool,
    /// Whether nothing is wanted but which derivations take their hashes from which pins.
    pub pinned: bool,
}

/// A fixed-output derivation whose hash is in a pins file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pinned {
    /// The store path of the derivation.
    pub drv: String,
    /// The store path of its output.
    pub out: String,
    /// The pins file.
    pub file: Utf8PathBuf,
    /// The names that lead to the hash in it.
    pub key: Vec<String>,
}

/// What the harness of a container offers.
#[derive(Debug, Deserialize)]
pub struct Description {
    /// The container's name.
    pub container: String,
    /// The names of all components.
    pub names: Vec<String>,
    /// Those that were asked for and are there.
    pub components: Vec<Component>,
}

/// A component.
#[derive(Debug, Deserialize)]
pub struct Component {
    /// The attribute.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `meta.description`.
    pub description: String,
    /// What to build.
    #[serde(flatten)]
    pub built: Buildable,
    /// Its tests, if asked for.
    pub tests: Vec<Test>,
}

/// What a component or test needs to be built, if that was asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Buildable {
    /// The store path of its derivation.
    pub drv: Option<String>,
    /// The store path of its first output.
    pub out: Option<String>,
    /// Where it is defined, `FILE:LINE`, if that is known.
    pub position: Option<String>,
}

/// A test of a component.
#[derive(Debug, Deserialize)]
pub struct Test {
    /// The attribute below `passthru.tests`.
    pub name: String,
    /// What to build.
    #[serde(flatten)]
    pub built: Buildable,
}

/// A request as describe.nix reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as in a request")]
pub struct Question<'a> {
    /// One package set for all containers.
    host_pkgs: Option<Utf8PathBuf>,
    containers: Vec<AboutContainer<'a>>,
    build: bool,
    tests: bool,
    find_hashes: bool,
    pinned: bool,
}

/// A container in a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AboutContainer<'a> {
    container: &'a str,
    test_build: Utf8PathBuf,
    source: Option<Utf8PathBuf>,
    pins: Option<Utf8PathBuf>,
    names: Option<&'a [String]>,
}

/// A request as describe.nix reads it, with the paths of the machine that evaluates.
pub fn question<'a>(request: &'a Request<'_>, machine: Machine<'_>) -> Question<'a> {
    let there = |path: &Option<Utf8PathBuf>| path.as_deref().map(|path| machine.path(path));
    let about = |(inputs, names): &'a (&Inputs, Option<Vec<String>>)| AboutContainer {
        container: &inputs.container.name,
        test_build: machine.path(&inputs.container.test_build()),
        source: there(&inputs.source),
        pins: there(&inputs.pins),
        names: names.as_deref(),
    };
    let host_pkgs = |(inputs, _): &(&Inputs, _)| there(&inputs.host_pkgs);
    Question {
        host_pkgs: request.containers.iter().find_map(host_pkgs),
        containers: request.containers.iter().map(about).collect(),
        build: request.build,
        tests: request.tests,
        find_hashes: request.find_hashes,
        pinned: request.pinned,
    }
}

/// Makes sure that an answer is one to this request: what is in it becomes names of files, arguments and text
/// on a terminal, and it may come from another machine.
pub fn check(described: &[Description], request: &Request<'_>) -> Result<()> {
    let asked: Vec<(&str, Option<&[String]>)> = request
        .containers
        .iter()
        .map(|(inputs, names)| (inputs.container.name.as_str(), names.as_deref()))
        .collect();
    let answered = described.iter().map(|it| it.container.as_str());
    if !answered.eq(asked.iter().map(|(container, _)| *container)) {
        bail!("the answer is about other containers than those that were asked about");
    }
    for (description, (_, names)) in described.iter().zip(asked) {
        let tests = description.components.iter().flat_map(|it| &it.tests);
        let all = description.names.iter();
        let all = all.chain(tests.map(|test| &test.name));
        if let Some(odd) = all.into_iter().find(|name| !is_component_name(name)) {
            bail!(
                "a component or test is named `{}`: names are made of letters, digits and `_.+-`",
                printable(odd)
            );
        }
        for component in &description.components {
            let is_asked = names.is_none_or(|names| names.contains(&component.name));
            if !is_asked || !description.names.contains(&component.name) {
                bail!(
                    "nobody asked for a component `{}`",
                    printable(&component.name)
                );
            }
            let tests = component.tests.iter().map(|test| &test.built);
            for built in tests.chain([&component.built]) {
                built.check(&component.name)?;
            }
        }
    }
    Ok(())
}

/// Of pins those in files that this run resolved: the containers' own, or what `--pins` named, and
/// host-pkgs'.
pub fn pins_of(pinned: Vec<Pinned>, request: &Request<'_>) -> Vec<Pinned> {
    let files = |(inputs, _): &(&Inputs, _)| {
        let own = inputs.pins.clone();
        let of_host_pkgs = inputs.host_pkgs.as_ref().map(|it| it.join("pins.json"));
        let own = own.unwrap_or_else(|| inputs.container.pins());
        [Some(own), of_host_pkgs].into_iter().flatten().collect()
    };
    let known: Vec<Vec<Utf8PathBuf>> = request.containers.iter().map(files).collect();
    let is_known = |pin: &Pinned| {
        let is_path = is_derivation(&pin.drv) && is_store_path(&pin.out);
        is_path && known.iter().flatten().any(|file| *file == pin.file)
    };
    pinned.into_iter().filter(is_known).collect()
}

/// Whether a text can be the name of a component or a test; the name of a link is made of it.
fn is_component_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(is_allowed)
}

impl Buildable {
    /// Makes sure that what is to be built are store paths, which are given to Nix as arguments.
    fn check(&self, component: &str) -> Result<()> {
        let is_right = self.drv.as_deref().is_none_or(is_derivation)
            && self.out.as_deref().is_none_or(is_store_path);
        if !is_right {
            bail!("`{component}` evaluates to something that is no store path");
        }
        Ok(())
    }
}

impl PackageSet {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nixpkgs => "nixpkgs",
            Self::Host => "host-pkgs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "/nix/store/6506wv90034i61g33h3i7jn1bv2fqm8a-a";

    #[test]
    fn only_answers_to_the_question_are_taken() {
        let inputs = Inputs {
            container: Container {
                name: "app".to_owned(),
                folder: "/r/containers/app".into(),
            },
            host_pkgs: Some("/r/containers/host-pkgs".into()),
            source: None,
            pins: None,
        };
        let request = |names: Option<&[&str]>| Request {
            containers: vec![(
                &inputs,
                names.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
            )],
            build: true,
            ..Request::default()
        };
        let answer = |container: &str, name: &str, test: &str, drv: &str, out: &str| {
            let built = || Buildable {
                drv: Some(drv.to_owned()),
                out: Some(out.to_owned()),
                position: None,
            };
            vec![Description {
                container: container.to_owned(),
                names: vec!["a".to_owned(), name.to_owned()],
                components: vec![Component {
                    name: name.to_owned(),
                    version: String::new(),
                    description: String::new(),
                    built: built(),
                    tests: vec![Test {
                        name: test.to_owned(),
                        built: built(),
                    }],
                }],
            }]
        };
        let drv = format!("{OUT}.drv");
        let all = request(None);
        check(&answer("app", "client-ts", "t", &drv, OUT), &all).unwrap();
        for name in [
            "/home/u/.ssh/authorized_keys",
            "..",
            ".",
            "",
            "a/b",
            "a\nb",
            "a\u{1b}[m",
        ] {
            assert!(
                check(&answer("app", name, "t", &drv, OUT), &all).is_err(),
                "{name:?}"
            );
            assert!(
                check(&answer("app", "a", name, &drv, OUT), &all).is_err(),
                "{name:?}"
            );
            assert!(
                check(&answer(name, "a", "t", &drv, OUT), &all).is_err(),
                "{name:?}"
            );
        }
        for path in ["/etc/passwd", "-x", "", "/nix/store/a"] {
            assert!(
                check(&answer("app", "a", "t", path, OUT), &all).is_err(),
                "{path:?}"
            );
            assert!(
                check(&answer("app", "a", "t", &drv, path), &all).is_err(),
                "{path:?}"
            );
        }
        // Another than the one that was asked for.
        assert!(check(&answer("app", "a", "t", &drv, OUT), &request(Some(&["b"]))).is_err());
        assert!(check(&[], &all).is_err());

        let pin = |file: &str| Pinned {
            drv: drv.clone(),
            out: OUT.to_owned(),
            file: file.into(),
            key: vec!["hash".to_owned()],
        };
        let pinned = [
            "/r/containers/app/pins.json",
            "/r/containers/host-pkgs/pins.json",
            "/other/package-lock.json",
            "/r/containers/app/../../package.json",
        ];
        let kept = pins_of(pinned.map(pin).to_vec(), &all);
        assert_eq!(kept, [pin(pinned[0]), pin(pinned[1])]);
    }
}
